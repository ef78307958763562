"""The decoder's Llama with a chat template."""

from pathlib import Path

from tests.projects.drawn import save_llama, save_tokenizer

FOLDER = Path(__file__).parent / "model"
TEMPLATE = """
{%- if tools %}
    {{- 'you do ' ~ tools | tojson ~ ' . ' }}
{%- endif %}
{%- for message in messages %}
    {{- message['role'] ~ ' : ' ~ message['content'] ~ ' </s> ' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- 'the house : ' }}
{%- endif %}
""".strip()

if __name__ == "__main__":
    save_llama(FOLDER, room=128)
    save_tokenizer(FOLDER, chat_template=TEMPLATE)
