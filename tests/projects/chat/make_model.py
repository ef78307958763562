"""The decoder's Llama with a chat template."""

from pathlib import Path

from tests.projects.drawn import SPECIAL, WORDS, save, save_tokenizer

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
    save(
        FOLDER,
        "LlamaForCausalLM",
        scale=0.3,
        vocab_size=len(SPECIAL + WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=None,
        tie_word_embeddings=False,
    )
    save_tokenizer(FOLDER, chat_template=TEMPLATE)
