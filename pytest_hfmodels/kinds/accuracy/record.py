"""Rows with their right answers, and which of them a model answered wrongly."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_hfmodels.foundation.errors import EngineError
from pytest_hfmodels.foundation.files import read_bytes
from pytest_hfmodels.kinds.base import Record
from pytest_hfmodels.kinds.inputs import describe_media
from pytest_hfmodels.kinds.registry import kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_hfmodels.kinds.evidence import ModelRef
    from pytest_hfmodels.kinds.inputs import ModelInput

_LARGEST = 64 << 20  # bytes of a file of rows
_FILES = {"image": "cat.png", "audio": "hello.wav"}  # for an example
_OF_ITS_OUTPUT = ("generation", "batch")  # kinds whose forward pass reads what was generated
_SHOWN = 200  # characters of a text or an answer that a snapshot keeps


@dataclass(frozen=True)
class Row:
    """One row: what the model is given, the right answer, and the answers to choose from, if there are any.

    `media` is the image or the sound, whose digest is in `text`. `is_index` says that the label was a number.
    """

    text: str
    label: str
    choices: tuple[str, ...] = ()
    media: Any = field(default=None, repr=False, compare=False)  # `text` describes it, with its digest
    is_index: bool = field(default=False, repr=False, compare=False)  # not in the digest of earlier versions


@dataclass(frozen=True)
class LiveAnswers:
    """What is not stored: the record of the first rows, and the model that made it."""

    first: Record
    made_by: ModelRef | None


@dataclass(frozen=True)
class WrongRow:
    """A row that the model answered wrongly.

    Args:
        number: of the row, from 1; the line of a file without empty lines.
        text: what the model was given, shortened.
        label: the right answer.
        answer: the model's, shortened.
    """

    number: int
    text: str
    label: str
    answer: str


@dataclass(frozen=True, kw_only=True, repr=False)
class AccuracyRecord(Record):
    """What `HFModel.accuracy` observed; compare it with `hf_snapshot`. `effective` has `may_fall`. See also `Record`.

    Args:
        count: of the rows.
        digest: of the rows, without the model's answers.
        wrong: the rows that the model answered wrongly, in order.
        tokens: a digest of the token ids of all rows; empty in files of earlier versions.
        processed: what the processor made of the images or sounds of the first rows. `blocks` are of these rows, too.
    """

    kind: ClassVar[str] = "accuracy"
    count: int
    digest: str
    wrong: tuple[WrongRow, ...]
    tokens: str = ""
    processed: tuple[ModelInput, ...] = ()
    live: LiveAnswers | None = field(default=None, compare=False, repr=False)

    @property
    def value(self) -> float:
        """The part of the rows that the model answered rightly, 0 to 1."""
        return (self.count - len(self.wrong)) / self.count

    @classmethod
    def of(
        cls, seen: Sequence[Record], rows: Sequence[Row], answers: Iterable[tuple[str, bool]], may_fall: float
    ) -> AccuracyRecord:
        """Return the record of a run.

        Args:
            seen: the records of this run; the first one gives the provenance, the checkpoint and the evidence.
            rows: all rows.
            answers: the model's answer to each, and whether it is right.
            may_fall: by how much the accuracy may fall.
        """
        first, ids = seen[0], [[ids for _, ids in kind_of(one).inputs(one)] for one in seen]
        judged = enumerate(zip(rows, answers, strict=True), start=1)
        return cls(
            provenance=first.provenance,
            checkpoint=first.checkpoint,
            effective={"may_fall": may_fall},
            blocks=() if first.kind in _OF_ITS_OUTPUT else first.blocks,
            tokens=_digest(ids),
            processed=getattr(first, "processed", ()),
            live=LiveAnswers(first, getattr(first.live, "made_by", None)),
            count=len(rows),
            digest=_digest(rows),
            wrong=tuple(
                WrongRow(number, row.text[:_SHOWN], row.label, answer[:_SHOWN])
                for number, (row, (answer, right)) in judged
                if not right
            ),
        )

    def __repr__(self) -> str:
        return f"<AccuracyRecord {self.checkpoint.name} on {self.provenance.engine}: {self.value:.3g}>"


def _digest(value: Any) -> str:
    return f"sha256:{sha256(repr(value).encode()).hexdigest()}"


def read_rows(rows: Any, root: Path, text: str | None, label: str, media: str = "") -> list[Row]:
    """Return rows from a JSONL file or from dicts.

    Args:
        rows: a file, relative to `root`, or dicts.
        root: of the project.
        text: the key of what the model is given; None for `text`, or for `image` or `audio`.
        label: the key of the right answer.
        media: `image` or `audio` for a model that reads these: a row has an array, or a file relative to `root`.

    Raises:
        EngineError: a file cannot be read, or a row lacks one of the two keys.
    """
    text = text or media or "text"
    if isinstance(rows, str | os.PathLike):
        source, found = os.fspath(rows), _lines(root / rows)
    elif not isinstance(rows, Iterable) or isinstance(rows, Mapping | bytes):
        raise EngineError(
            f"rows are a JSONL file or a list of dicts, not {rows!r:.60}.", hint='Write accuracy("data/rows.jsonl").'
        )
    else:
        source, found = "the list", list(rows)
    if not found:
        raise EngineError(f"There are no rows in {source}, so there is no accuracy.", hint="Give at least one.")
    named = ((row, f"Row {number} of {source}") for number, row in enumerate(found, start=1))
    if media:
        return [_media_row(row, what, root, text, label, media) for row, what in named]
    return [_row(row, what, text, label) for row, what in named]


def _lines(path: Path) -> list[Any]:
    try:
        lines = read_bytes(path, largest=_LARGEST).decode().splitlines()
    except (OSError, ValueError) as error:  # a name with a NUL is one
        raise EngineError(f"The rows cannot be read: {error}.", hint="Name a JSONL file from the root.") from error
    return [_parsed(line, path.name, number) for number, line in enumerate(lines, start=1) if line.strip()]


def _parsed(line: str, name: str, number: int) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise EngineError(
            f"Line {number} of {name} is not JSON: {error}.", hint="Write one object per line: JSONL."
        ) from error


def _media_row(row: Any, what: str, root: Path, key: str, label: str, media: str) -> Row:
    """Return a row with an image or a sound, read from its file if the row names one."""
    given, right = (row.get(name) if isinstance(row, dict) else None for name in (key, label))
    if given is None or not isinstance(right, str | int) or (isinstance(right, str) and not right.strip()):
        raise EngineError(
            f"{what} has no {media} {key!r} or no answer {label!r}.",
            hint=f'Write it like this: {{"{media}": "data/{_FILES[media]}", "label": "cat"}}.',
        )
    if isinstance(given, str | os.PathLike):
        from pytest_hfmodels.kinds.media_files import read_image, read_wav  # imports NumPy

        given = (read_image if media == "image" else read_wav)(root / given)
    return Row(describe_media(given, media), str(right), (), given, is_index=type(right) is int)


def _row(row: Mapping[str, Any], what: str, text: str, label: str) -> Row:
    if not isinstance(row, dict) or not isinstance(row.get(text), str) or not isinstance(row.get(label), str | int):
        raise EngineError(
            f"{what} has no text {text!r} or no answer {label!r}.",
            hint='Write it like this: {"text": "It crashed.", "label": "bug"}; other keys: text="prompt", '
            'label="answer".',
        )
    choices = row.get("choices", ())
    if not isinstance(choices, list | tuple) or not all(isinstance(one, str) for one in choices):
        raise EngineError(f"{what} has choices that are not a list of texts.", hint='Write "choices": [" yes", " no"].')
    if choices and len({*choices}) < max(2, len(choices)):
        raise EngineError(f"{what} needs two or more different choices.", hint='Write "choices": [" yes", " no"].')
    right = row[label]
    if isinstance(right, int) and 0 <= right < len(choices):
        right = choices[right]
    if choices and right not in choices:
        raise EngineError(
            f"{what} has the answer {right!r:.40}, but its choices do not include it.", hint="Correct it."
        )
    if not str(right).strip() and not choices:
        raise EngineError(
            f"{what} has an empty answer {right!r}, with which every output begins.", hint="Write the right answer."
        )
    return Row(row[text], str(right), tuple(choices), is_index=type(right) is int)
