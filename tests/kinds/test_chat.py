from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels import EngineError, HFModel, ModelCache
from pytest_hfmodels.engines import upstream
from pytest_hfmodels.kinds.chat.template import Conversation
from pytest_hfmodels.snapshots import Tolerance, compare
from pytest_hfmodels.snapshots.format import dump, load

from ..explain.asking import ask, stored
from ..other_checkpoints import edit_json
from ..tiny_gpt2 import write_checkpoint

if TYPE_CHECKING:
    from pytest_hfmodels.kinds import ChatRecord

pytestmark = pytest.mark.skipif(not upstream.release_at_least("4.34"), reason="install transformers>=4.34")
TEMPLATE = (
    "{{ bos_token }}{% if tools is defined and tools %}tools: {{ tools[0].function.name }}\n{% endif %}"
    "{% for message in messages %}<{{ message.role }}> {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello. How are you?"}]
RENDERED = "<|endoftext|><system> Be brief.\n<user> Hello. How are you?\n<assistant>"


def chatty(folder: Path, template: str = TEMPLATE) -> HFModel:
    """Load a tiny model whose tokenizer has a chat template."""
    write_checkpoint(folder / "chatty")
    edit_json(folder / "chatty" / "tokenizer_config.json", chat_template=template)
    return ModelCache(folder).load("./chatty")


@pytest.fixture
def bot(models: ModelCache, tmp_path: Path) -> HFModel:
    del models
    return chatty(tmp_path)


def chat(model: HFModel, messages: Any = MESSAGES, **settings: Any) -> ChatRecord:
    return model.chat(messages, **{"max_new_tokens": 5, **settings})


def test_a_conversation_is_rendered_and_its_reply_recorded(bot: HFModel) -> None:
    record = chat(bot)

    assert record.prompt.text == RENDERED
    assert record.prompt.ids == (256, *RENDERED.removeprefix("<|endoftext|>").encode())
    assert record.text == "".join(step.text for step in record.steps)
    assert record.ids == bot.generate(RENDERED, max_new_tokens=5).ids
    assert list(record.messages) == MESSAGES


@pytest.mark.parametrize("settings", [{}, {"num_beams": 2}], ids=["greedy", "beams"])
def test_a_file_gives_the_record_back_and_reads_as_a_conversation(bot: HFModel, settings: dict[str, Any]) -> None:
    record = chat(bot, **settings)
    text = dump(record)
    read: Any = load(text, Path("a.toml"))

    assert '[[messages]]\nrole = "user"\ncontent = "Hello. How are you?"' in text
    assert dump(read) == text
    assert (read.prompt, read.messages, read.template) == (record.prompt, record.messages, record.template)
    assert compare(read, record, Tolerance(1e-6)).verdict == "same"


def test_tools_are_recorded_by_name_or_schema(bot: HFModel) -> None:
    if not upstream.release_at_least("4.42"):
        with pytest.raises(EngineError, match="does not hand tools to a chat template"):
            chat(bot, tools=[weather])
        return
    record = chat(bot, tools=[weather])
    read: Any = load(dump(record), Path("a.toml"))

    assert record.prompt.text.startswith("<|endoftext|>tools: weather\n")
    assert read.tools == (f"{__name__}.weather",)
    found = ask(stored(record), chat(bot))
    assert (found.cause, found.sentence) == ("test", "the test gives different tools")


def weather(city: str) -> str:
    """Tell the weather.

    Args:
        city: where.
    """
    return city


def test_other_messages_are_the_tests_own(bot: HFModel) -> None:
    found = ask(stored(chat(bot)), chat(bot, MESSAGES[1:]))

    assert (found.cause, found.verdict) == ("test", "changed")


def test_another_template_is_the_checkpoints(bot: HFModel, tmp_path: Path) -> None:
    other = chatty(tmp_path / "b", TEMPLATE.replace("<assistant>", "<bot>"))
    recorded = stored(chat(bot))

    assert ask(recorded, chat(other)).cause == "checkpoint:chat-template"
    assert ask(recorded, chat(bot, chat_template=TEMPLATE.replace("<assistant>", "<bot>"))).cause == "test"
    same = TEMPLATE.replace("{% for", "{#- a remark #}{% for")
    assert compare(recorded, chat(chatty(tmp_path / "c", same)), Tolerance(1e-4)).verdict == "same"


def test_another_rendering_of_the_same_template_is_the_releases(bot: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = stored(chat(bot), transformers="4.44.0")
    kind = type(bot.tokenizer)
    original = kind.apply_chat_template
    monkeypatch.setattr(kind, "apply_chat_template", lambda *a, **k: original(*a, **k).replace("\n", "\r\n"))

    found = ask(recorded, chat(bot))

    assert found.cause == "chat-template"
    assert any("bisect transformers" in command for command in found.suggests)


def test_a_template_changed_in_memory_is_the_tests(bot: HFModel) -> None:
    recorded = stored(chat(bot))
    bot.tokenizer.chat_template = TEMPLATE.replace("<assistant>", "<bot>")

    assert ask(recorded, chat(bot)).cause == "test"


def test_a_template_that_writes_the_date_is_given_a_fixed_one(models: ModelCache, tmp_path: Path) -> None:
    del models
    bot = chatty(tmp_path, 'Today: {{ strftime_now( "%d %B %Y") }}. {{ messages[0].content }}')

    assert chat(bot).prompt.text == "Today: 26 July 2024. Be brief."


@pytest.mark.parametrize(
    ("messages", "settings", "said"),
    [
        ("Hello", {}, "A conversation is a list of messages, not 'Hello'."),
        ([], {}, "A conversation is a list of messages, not []."),
        (["Hello"], {}, "A message is a dict with a role and content, not 'Hello'."),
        ([{"content": "Hello"}], {}, "A message is a dict with a role and content"),
        (
            MESSAGES,
            {"chat_template": "{{ raise_exception('no system') }}"},
            "cannot render these messages: TemplateError",
        ),
        (MESSAGES, {"tools": len}, "tools= is a list of functions or JSON schemas, not <built-in function len>."),
        (MESSAGES, {"tools": [lambda day: day]}, "A tool cannot be described to "),
        (MESSAGES, {"template_variables": 5}, "template_variables= is a dict, not 5."),
        (MESSAGES, {"chat_template": "{{"}, "cannot render these messages: TemplateSyntaxError"),
    ],
)
def test_what_is_no_conversation_is_said(bot: HFModel, messages: Any, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(EngineError) as raised:
        chat(bot, messages, **settings)

    assert said in raised.value.message


def test_without_a_template_there_is_one_sentence(models: ModelCache) -> None:
    with pytest.raises(EngineError, match=r"^\./model has no chat template\.\n") as raised:
        chat(models.load("./model"))

    assert "chat_template=" in raised.value.hint


def test_what_is_no_text_is_recorded_by_its_digest() -> None:
    content = [{"type": "text", "text": "What is this?"}, {"type": "image", "image": b"\x89PNG"}]
    recorded = Conversation([{"role": "user", "content": content}]).recorded()["messages"]

    assert recorded[0]["content"][0] == content[0]
    assert recorded[0]["content"][1]["image"].startswith("sha256:0f4636c7")
