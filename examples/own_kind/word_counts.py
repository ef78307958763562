"""A kind of record of one's own: how often a model says each word. See docs/own-kinds.md."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_hfmodels.kinds import CheckpointSeen, GenerationRecord, Kind, Provenance
from pytest_hfmodels.kinds.comparison import Difference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_hfmodels.snapshots.toml_reader import TomlFile


@dataclass(frozen=True)
class WordCounts:
    """How often a model says each word after a prompt."""

    provenance: Provenance
    checkpoint: CheckpointSeen
    prompt: str
    counts: Mapping[str, int]
    effective: dict[str, Any] = field(default_factory=dict)
    blocks: tuple[()] = ()
    live: None = None
    kind: ClassVar[str] = "word-counts"


def count_words(record: GenerationRecord) -> WordCounts:
    """Return the counts of what a model has generated."""
    said = record.text.removeprefix(record.prompt.text)
    words = Counter(re.findall(r"\w+", said.lower()))
    return WordCounts(record.provenance, record.checkpoint, record.prompt.text, dict(sorted(words.items())))


def tables(record: WordCounts) -> dict[str, Any]:
    return {"prompt": {"text": record.prompt}, "counts": dict(record.counts)}


@dataclass
class Prompt:
    """The table `prompt` of a snapshot."""

    text: str


@dataclass
class Stored:
    """The tables of a snapshot."""

    prompt: Prompt
    counts: dict[str, int]


def load(file: TomlFile, shared: Mapping[str, Any]) -> WordCounts:
    stored = file.convert(Stored)  # a table that does not fit is named with its line
    return WordCounts(shared["provenance"], shared["checkpoint"], stored.prompt.text, stored.counts)


def differences(recorded: WordCounts, observed: WordCounts) -> Iterator[Difference]:
    if recorded.prompt != observed.prompt:
        yield Difference("prompt", "prompt text", recorded.prompt, observed.prompt)
    for word in sorted({*recorded.counts, *observed.counts}):
        before, now = recorded.counts.get(word, 0), observed.counts.get(word, 0)
        if before != now:
            yield Difference("labels", f"count of {word!r}", before, now)


def texts(record: WordCounts) -> dict[str, str]:
    return {"counts": "\n".join(f"{word}: {count}" for word, count in record.counts.items())}


KIND: Kind[WordCounts] = Kind(
    name="word-counts",
    tables=tables,
    load=load,
    differences=differences,
    numbers=lambda *_: iter(()),
    summary=lambda record: ", ".join(f"{word} {count}" for word, count in record.counts.items()),
    texts=texts,
    inputs=lambda record: [(record.prompt, ())],
)
