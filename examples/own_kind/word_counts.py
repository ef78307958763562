"""Your own kind of record: how often a model generates each word. See docs/own-kinds.md."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_hfmodels.kinds import GenerationRecord, Kind, Record
from pytest_hfmodels.kinds.comparison import Difference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_hfmodels.snapshots.toml_reader import TomlFile


@dataclass(frozen=True, kw_only=True)
class WordCounts(Record):
    """How often a model says each word after a prompt."""

    kind: ClassVar[str] = "word-counts"
    prompt: str
    counts: Mapping[str, int]


def count_words(record: GenerationRecord) -> WordCounts:
    """Return the word counts of a generated text."""
    said = record.text.removeprefix(record.prompt.text)
    words = Counter(re.findall(r"\w+", said.lower()))
    return WordCounts(
        provenance=record.provenance,
        checkpoint=record.checkpoint,
        prompt=record.prompt.text,
        counts=dict(sorted(words.items())),
    )


@dataclass
class Prompt:
    """The table `prompt` of a snapshot."""

    text: str


@dataclass
class Stored:
    """The tables of a snapshot."""

    prompt: Prompt
    counts: dict[str, int]


class WordCountsKind(Kind[WordCounts]):
    name = "word-counts"

    def tables(self, record: WordCounts) -> dict[str, Any]:
        return {"prompt": {"text": record.prompt}, "counts": dict(record.counts)}

    def load(self, file: TomlFile, shared: Mapping[str, Any]) -> WordCounts:
        stored = file.convert(Stored)  # a table that does not fit is named with its line
        return WordCounts(prompt=stored.prompt.text, counts=stored.counts, **shared)

    def differences(self, recorded: WordCounts, observed: WordCounts) -> Iterator[Difference]:
        if recorded.prompt != observed.prompt:
            yield Difference("prompt", "prompt text", recorded.prompt, observed.prompt)
        for word in sorted({*recorded.counts, *observed.counts}):
            before, now = recorded.counts.get(word, 0), observed.counts.get(word, 0)
            if before != now:
                yield Difference("labels", f"count of {word!r}", before, now)

    def texts(self, record: WordCounts) -> dict[str, str]:
        return {"counts": "\n".join(f"{word}: {count}" for word, count in record.counts.items())}

    def inputs(self, record: WordCounts) -> list[tuple[str, tuple[int, ...]]]:
        return [(record.prompt, ())]


KIND = WordCountsKind()
