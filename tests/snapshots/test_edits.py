"""Whatever is edited in a snapshot is seen: the file is refused, or its record is not the same."""

from __future__ import annotations

import copy
import enum
import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tomlkit

from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.kinds import (
    AccuracyRecord,
    BatchRecord,
    ChatRecord,
    EmbeddingRecord,
    Prompt,
    ScoreRecord,
    TensorsRecord,
    TokensRecord,
)
from pytest_hfmodels.kinds.accuracy.record import Row, WrongRow
from pytest_hfmodels.kinds.arrays import Array
from pytest_hfmodels.kinds.comparison import compare
from pytest_hfmodels.kinds.embedding.record import EmbeddedInput
from pytest_hfmodels.kinds.inputs import model_inputs
from pytest_hfmodels.kinds.registry import KINDS
from pytest_hfmodels.kinds.score.record import ScoredText, ScoredToken
from pytest_hfmodels.kinds.tokens.record import TaggedText, TaggedToken
from pytest_hfmodels.kinds.tolerance import Tolerance
from pytest_hfmodels.kinds.values.record import observe_values
from pytest_hfmodels.snapshots import Verdict
from pytest_hfmodels.snapshots.format import files, load
from tests.example_records import BLOCKS, CHECKPOINT, beams, classification, generation, provenance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.kinds import Record

FILE = Path("a.toml")
SHARED: dict[str, Any] = {"provenance": provenance(), "checkpoint": CHECKPOINT, "blocks": BLOCKS}
Trail = tuple[str | int, ...]

# Fails nothing: who recorded the file, and on which checkpoint. Each has another value after every upgrade.
SURROUNDINGS = ("provenance", "checkpoint")
# Fails nothing: evidence, which an explanation reads after something else has failed. A runner-up, the rank of an
# unlikely token and the last of the likely ones may change with rounding, and a gap or a fingerprint has no tolerance.
# Which rows a model answers wrongly may change as long as the accuracy holds.
EVIDENCE = (
    ("frontier",),
    ("forward",),
    ("template", "digest"),
    ("steps", "rows", None, 5),
    ("steps", "rows", None, 6),
    ("rows", None, "steps", None, 5),
    ("rows", None, "steps", None, 6),
    ("rows", None, "tokens", None, 7),
    ("rows", None, "tokens", 1, 3),
    ("rows", None, "top_ids", None, 1),
    ("wrong", None, 3),
)


class Colour(enum.Enum):
    RED = 1


def arrays(**values: Any) -> dict[str, Array]:
    return {name: Array.of(value, name) for name, value in values.items()}


def records() -> Iterator[Record]:
    """Yield a record of each kind."""
    yield generation()
    yield beams()
    yield classification()
    yield classification(processed=model_inputs({"pixel_values": np.ones((1, 4))}))
    one = replace(classification().inputs[1], logits=(0.75,), margin=float("inf"), label="score", labels=("score",))
    yield classification(inputs=(one,), loss=None)
    yield BatchRecord.of([generation(), generation(prompt=Prompt("My", (5,)))])
    own = {field.name: getattr(generation(), field.name) for field in fields(generation())}
    said = {"role": "user", "content": "Hello"}
    yield ChatRecord(**own, messages=(said,), tools=("a.tool",), variables={"think": True}, template="sha256:t")
    words = (EmbeddedInput("a dog", (1, 2)), EmbeddedInput("a cat", (1, 3)))
    vectors = arrays(vectors=np.array([[1.0, 0.5], [0.25, 2.0]], np.float32))
    yield EmbeddingRecord(
        **SHARED, inputs=words, cosines=(0.5,), effective={"pooling": "mean", "normalize": False}, arrays=vectors
    )
    yield TensorsRecord(
        **SHARED,
        given=("a dog",),
        inputs=model_inputs({"input_ids": np.array([[1, 2]]), "pixel_values": np.ones((1, 4))}, ["input_ids"]),
        types={"logits": "tensor", "other": "Other", "other.states": "tensor"},
        gradients={"weight": 0.5},
        effective={"return_loss": True},
        arrays=arrays(logits=np.ones((2, 3), np.float32), **{"other.states": np.arange(90.0).reshape(9, 10)}),
    )
    tagged = TaggedToken(1, "dog", 2, 5, "ANIMAL", 0.75, 1.5, "O")
    yield TokensRecord(**SHARED, rows=(TaggedText("a dog", (1, 2), (tagged,)),), effective={"words": False})
    scored = (ScoredToken(3, "cat", -0.5, 0, (3, 4), (-0.5, -2.0)), ScoredToken(9, "s", -7.0, 8, (5, 6), (-1.0, -2.0)))
    yield ScoreRecord(**SHARED, rows=(ScoredText("the", " cats", (1, 2), scored),))
    holds = {"text": "a", "red": Colour.RED, "none": None, "on": True, "many": [*range(20)], "few": (1, 0.5)}
    yield observe_values(holds, "torch")
    rows = [Row("Hi", "calm"), Row("No", "cross")]
    yield AccuracyRecord(
        **{**SHARED, "blocks": ()},
        effective={"may_fall": 0.0},
        count=len(rows),
        digest="sha256:r",
        wrong=(WrongRow(2, "No", "cross", "calm"),),
    )


RECORDS = list(records())


def values(found: Any, trail: Trail = ()) -> Iterator[tuple[Trail, Any]]:
    """Yield every value of a parsed file."""
    if isinstance(found, dict | list):
        for name, value in found.items() if isinstance(found, dict) else enumerate(found):
            yield from values(value, (*trail, name))
    else:
        yield trail, found


def decides(trail: Trail) -> bool:
    """Return whether a value may decide about a verdict."""
    evidence = (
        all(part in (None, name) for part, name in zip(pattern, trail, strict=False)) and len(pattern) <= len(trail)
        for pattern in EVIDENCE
    )
    return trail[0] not in SURROUNDINGS and not any(evidence)


def edited(value: Any) -> Any:
    """Return another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, float) and value == float("inf"):
        return 0.0
    return f"{value}x" if isinstance(value, str) else value + 1


def is_green(values: dict[str, Any], beside: bytes | None, record: Record) -> bool:
    """Return whether the file can be read and agrees with the record."""
    try:
        recorded = load(tomlkit.dumps(values), FILE, beside)
    except SnapshotError:
        return False
    return compare(recorded, record, Tolerance(0.125)).verdict is Verdict.SAME


def test_there_is_a_record_of_each_kind() -> None:
    assert {record.kind for record in RECORDS} == {*KINDS.names()} - {"of-arrays"}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.kind)
def test_no_edit_of_a_recorded_value_stays_green(record: Record) -> None:
    written = files(record)
    whole = tomllib.loads(written.text)
    assert is_green(whole, written.arrays, record)

    green = []
    for trail, value in values(whole):
        if not decides(trail) or trail[0] == "array_file":  # its digest is that of the file beside it
            continue
        changed = copy.deepcopy(whole)
        place: Any = changed
        for name in trail[:-1]:
            place = place[name]
        place[trail[-1]] = edited(value)
        if is_green(changed, written.arrays, record):
            green.append(trail)

    assert green == []


def test_two_enumerations_of_one_name_are_not_the_same() -> None:
    class Other(enum.Enum):
        RED = 2

    Other.__name__ = Colour.__name__

    assert compare(observe_values(Colour.RED), observe_values(Other.RED), Tolerance(0.125)).verdict is Verdict.CHANGED
