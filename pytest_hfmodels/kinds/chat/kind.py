"""The kind `chat`: a conversation, its rendering, and the reply, which is stored and compared as a generation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pytest_hfmodels.kinds.chat.record import ChatRecord
from pytest_hfmodels.kinds.comparison import Detail, Difference, Passage, common_prefix
from pytest_hfmodels.kinds.generation.kind import GenerationKind, StoredOutput
from pytest_hfmodels.kinds.generation.record import Prompt
from pytest_hfmodels.kinds.layout import TokenId, sentences

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_hfmodels.explain.explainer import Explainer
    from pytest_hfmodels.snapshots.toml_reader import TomlFile

RENDERED = "rendered conversation"


class _Template(msgspec.Struct):
    digest: str
    text: list[str]
    variables: dict[str, Any] = {}
    tools: list[Any] = []


class _Prompt(msgspec.Struct):
    ids: tuple[TokenId, ...]


class _Stored(StoredOutput, kw_only=True):
    messages: list[dict[str, Any]]
    template: _Template
    prompt: _Prompt


class _Chat(GenerationKind[ChatRecord]):
    name = "chat"

    def tables(self, record: ChatRecord) -> dict[str, Any]:
        own = {"digest": record.template, "variables": record.variables, "text": sentences(record.prompt.text)}
        found = {name: value for name, value in own.items() if value}
        return {
            "messages": list(record.messages),
            "template": {**found, "tools": list(record.tools)} if record.tools else found,
            **super().tables(record),
            "prompt": {"ids": list(record.prompt.ids)},
        }

    def load(self, file: TomlFile, shared: Mapping[str, Any]) -> ChatRecord:
        stored = file.convert(_Stored)
        return ChatRecord(
            messages=tuple(stored.messages),
            tools=tuple(stored.template.tools),
            variables=stored.template.variables,
            template=stored.template.digest,
            prompt=Prompt("".join(stored.template.text), stored.prompt.ids),
            **self.output_fields(file, stored),
            **shared,
        )

    def differences(self, recorded: ChatRecord, observed: ChatRecord) -> Iterator[Difference]:
        for name in ("messages", "tools", "variables"):
            before, now = getattr(recorded, name), getattr(observed, name)
            if before != now:
                position = next((n for n, pair in enumerate(zip(before, now, strict=False)) if pair[0] != pair[1]), 0)
                sides = (before, now) if name == "variables" else (before[position:][:1], now[position:][:1])
                yield Difference("template", name, *sides)
        if recorded.prompt.text != observed.prompt.text:
            yield Difference("template", RENDERED, recorded.prompt.text, observed.prompt.text)
        for found in super().differences(recorded, observed):
            if found.what != "prompt text":
                yield found

    def detail(self, difference: Difference, recorded: ChatRecord, observed: ChatRecord) -> Detail | None:
        if difference.what != RENDERED:
            return super().detail(difference, recorded, observed)
        split = common_prefix(difference.recorded, difference.observed)
        before, now = (Passage(text[:split], text[split:]) for text in (difference.recorded, difference.observed))
        return Detail(before, now)

    def explainer(self) -> Explainer[Any]:
        from pytest_hfmodels.kinds.chat.explain import EXPLAINER  # computes with NumPy

        return EXPLAINER


KIND = _Chat()
