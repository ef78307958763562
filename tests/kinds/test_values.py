"""Plain values: how they are recorded, and what of them differs."""

from __future__ import annotations

import enum
from collections import OrderedDict, UserDict, namedtuple
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels.commands.cli import main
from pytest_hfmodels.commands.reviewing.loop import Walk
from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.kinds.comparison import compare
from pytest_hfmodels.kinds.tolerance import Tolerance, tolerance_for
from pytest_hfmodels.kinds.values.record import ValuesRecord, observe_values
from pytest_hfmodels.snapshots.format import files, load, parse
from pytest_hfmodels.snapshots.project import find_project

from ..example_records import generation
from ..pending_project import run
from ..review.scripted import Scripted

if TYPE_CHECKING:
    from pytest_hfmodels import ModelCache

    from ..project import Project

FILE = Path("a.toml")
TOLERANCE = Tolerance(1e-4)
CLASSIFIED = [{"label": "POSITIVE", "score": 0.9998}, {"label": "NEGATIVE", "score": 0.0002}]
LONG = list(np.linspace(0, 1, 100))


@dataclass
class Span:
    start: int
    words: tuple[str, ...]


class Colour(enum.Enum):
    RED = "red"


Point = namedtuple("Point", "x y")


def through_file(value: Any) -> ValuesRecord:
    written = files(observe_values(value))
    found = load(written.text, FILE, written.arrays)
    assert isinstance(found, ValuesRecord)
    return found


@pytest.mark.parametrize(
    "value",
    [
        *(
            None,
            True,
            0,
            -(2**63),
            2**63,
            2**200,
            1.5,
            -0.0,
            1e-300,
            float("inf"),
            float("-inf"),
            "",
            "ünïcode\n\0\x1b",
        ),
        *([], {}, (), set(), [[], {}], {"a": None}, b"bytes", Colour.RED, Point(1, 2.5), Span(3, ("a", "b"))),
        *(CLASSIFIED, {"a.b": 1, "quo\"te's": 2, "": 3, 1: 4, (1, "x"): 5, None: 6, False: 7, 1.5: 8, "snake_case": 9}),
        *({"b", "a"}, frozenset({2, 1}), OrderedDict(a=1), UserDict(a=1), [1, [2, [3, [4]]]]),
        *(LONG, [LONG, LONG], list(range(100)), [True] * 100, [2**63] * 100, [1, 2.0] * 50, [[1], [1, 2]] * 50),
        *(np.zeros(3), [np.zeros((2, 2)), np.float32(0.1), np.int64(3), np.bool_(True)], {"x": np.arange(100)}),
        ["]\n[checkpoint]\nname = 'x'", {"]": "\"\"\"'''"}],
    ],
    # A set's own order differs between the workers of xdist.
    ids=lambda value: f"{type(value).__name__}-{str(sorted(value) if isinstance(value, set) else value)[:20]!a}",
)
def test_a_value_comes_back_as_itself(value: Any) -> None:
    record = observe_values(value)

    found = through_file(value)

    assert found.rows == record.rows
    assert found.arrays == record.arrays
    assert compare(found, record, TOLERANCE).verdict is Verdict.SAME
    assert files(found).text == files(record).text


def test_a_snapshot_is_a_row_a_value() -> None:
    rows = parse(files(observe_values(CLASSIFIED)).text, FILE)["values"]["rows"]

    assert rows == [
        ["", "list", 2],
        ["[0]", "dict", 2],
        ["[0].label", "str", "POSITIVE"],
        ["[0].score", "float", 0.9998],
        ["[1]", "dict", 2],
        ["[1].label", "str", "NEGATIVE"],
        ["[1].score", "float", 0.0002],
    ]


def changed(**changes: Any) -> Any:
    return [{**CLASSIFIED[0], **changes}, CLASSIFIED[1]]


@pytest.mark.parametrize(
    ("before", "now", "verdict", "stage", "what"),
    [
        (CLASSIFIED, changed(score=0.99985), "same", None, None),
        (CLASSIFIED, changed(score=0.9), "drift", "numbers", "[0].score"),
        (CLASSIFIED, changed(label="NEUTRAL"), "changed", "labels", "[0].label"),
        (CLASSIFIED, changed(score=1), "changed", "structure", "type of [0].score"),
        (CLASSIFIED, changed(score=None), "changed", "structure", "type of [0].score"),
        (CLASSIFIED, changed(more=1), "changed", "structure", "length of [0]"),
        (CLASSIFIED, CLASSIFIED[:1], "changed", "structure", "length of the value"),
        (CLASSIFIED, tuple(CLASSIFIED), "changed", "structure", "type of the value"),
        (CLASSIFIED, list(reversed(CLASSIFIED)), "changed", "labels", "[0].label"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "same", None, None),
        ({"a": 1}, {"b": 1}, "changed", "structure", "a"),
        ({1: "x"}, {"1": "x"}, "changed", "structure", "[1]"),
        ([1], [True], "changed", "structure", "type of [0]"),
        ([1], [2], "changed", "labels", "[0]"),
        ([2**70], [2**70 + 1], "changed", "labels", "[0]"),
        ([False], [0], "changed", "structure", "type of [0]"),
        (0.0, -0.0, "same", None, None),
        (640.5, 640.505, "same", None, None),
        (640.5, 640.6, "drift", "numbers", "the value"),
        (float("inf"), 1e300, "drift", "numbers", "the value"),
        (b"a", b"b", "changed", "labels", "the value"),
        ({"x": np.zeros(100)}, {"x": np.ones(100)}, "drift", "numbers", "x[0]"),
        (np.zeros(3), [0.0, 0.0, 0.0], "changed", "structure", "type of the value"),
        ({"x": np.zeros(3)}, {"x": np.zeros((1, 3))}, "changed", "structure", "shape of x"),
        (LONG, [*LONG[:-1], 2.0], "drift", "numbers", "value[99]"),
        (LONG, LONG[:-1], "changed", "structure", "shape of value"),
        (LONG, LONG[:5], "changed", "structure", "type of the value"),
    ],
)
def test_the_first_difference_is_named_with_its_path(
    before: Any, now: Any, verdict: str, stage: str | None, what: str | None
) -> None:
    found = compare(through_file(before), observe_values(now), TOLERANCE)

    first = found.differences[0] if found.differences else SimpleNamespace(stage=None, what=None)
    assert (str(found.verdict), first.stage, first.what) == (verdict, stage, what)


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        ({"learning_rate": 5e-5}, {"learning_rate": 1e-4}, "drift"),
        ({"learning_rate": 5e-5}, {"learning_rate": 5.1e-5}, "same"),
        ({"zero": 0.0}, {"zero": 1e-7}, "same"),
        ([{"score": 0.9}, {"score": 5e-5}], [{"score": 0.9}, {"score": 1e-4}], "same"),  # of one distribution
        ({0: 1000.0, 1: 5e-5}, {0: 1000.0, 1: 1e-4}, "drift"),  # keys of a dict are no distribution
        ({"a[0]": 1000.0, "a[1]": 5e-5}, {"a[0]": 1000.0, "a[1]": 1e-4}, "drift"),
        ([{1: (0.9, 5e-5)}], [{1: (0.9, 1e-4)}], "same"),
        (np.full(100, 1e-4), np.full(100, 5e-5), "drift"),
        (np.append(np.full(100, 1e-4), 1.0), np.append(np.full(100, 5e-5), 1.0), "same"),
        (np.array([1e-4, np.inf]), np.array([5e-5, np.inf]), "drift"),
    ],
    ids=range(10),
)
def test_tiny_numbers_may_move_by_less(before: Any, now: Any, verdict: str) -> None:
    usual = tolerance_for("float32", same_engine=True)

    found = compare(through_file(before), observe_values(now), usual)

    assert found.verdict == verdict
    assert (found.drift > found.tolerance.absolute) is (verdict == "drift")
    assert compare(through_file(before), observe_values(now), TOLERANCE).verdict == "same"  # the test's own


def test_a_snapshot_that_nobody_could_read_again_is_not_written(bare_project: Project) -> None:
    bare_project.write("def test_big(hf_snapshot):\n    assert 'x' * 34_000_000 == hf_snapshot\n")

    result = bare_project.run("--snapshot-update", "--tb=line")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*The snapshot of this values has 34,*"])
    assert not list((bare_project.path / "snapshots").rglob("*.toml"))


def test_an_update_writes_what_failed(bare_project: Project) -> None:
    bare_project.write("def test_rate(hf_snapshot):\n    assert {'rate': 5e-5} == hf_snapshot\n")
    bare_project.run("--snapshot-update")
    bare_project.write("def test_rate(hf_snapshot):\n    assert {'rate': 1e-4} == hf_snapshot\n")
    bare_project.run("--snapshot-update")

    bare_project.run().assert_outcomes(passed=1)


def test_below_a_part_of_another_structure_nothing_is_reported() -> None:
    found = compare(observe_values({"a": [1, 2], "b": 1}), observe_values({"a": {"x": 1}, "b": 2}), TOLERANCE)

    assert [one.what for one in found.differences] == ["type of a", "b"]


def itself() -> list[Any]:
    value: list[Any] = [[]]
    value[0].append(value)
    return value


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": [value]}
    return value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([print], r"\[0\] is a builtin_function_or_method, which no snapshot can hold"),
        ({"f": lambda: 0}, "f is a function"),
        ({"a": {"b": object()}}, r"a\.b is a object"),
        (Span, "the value is a type"),
        ([(i for i in "ab")], r"\[0\] is a generator"),
        ({"reply": generation()}, "reply is a GenerationRecord"),
        ({Colour.RED: 1}, "the value has a key of the type Colour"),
        ({"x": [{(object(),): 1}]}, r"x\[0\] has a key of the type tuple"),
        ([0.5, float("nan")], r"\[1\] is NaN, which equals nothing"),
        ({"scores": np.array([[1.0, np.nan]])}, r"scores\[0, 1\] is NaN"),
        ([*LONG, float("nan")], r"value\[100\] is NaN|the value\[100\] is NaN"),
        (1j, "the value is a complex"),
        ([np.longdouble(1)], r"\[0\] is a longdouble|\[0\] has the dtype"),
        ({"x": np.array(["a"])}, "x has the dtype str"),
        (itself(), r"\[0\]\[0\] holds itself"),
        (nested(60), "is nested more than 100 times"),
        (["a"] * 20_000, r"holds more than 10,000 parts, up to \[9999\]"),
        (10**10_000, "the value is an integer of too many digits"),
        ({10**10_000: 1}, "the value has a key of too many digits"),
    ],
    ids=range(19),
)
def test_what_cannot_be_recorded_is_named_with_its_path(value: Any, said: str) -> None:
    with pytest.raises(SnapshotError, match=f"^({said})|{said}"):
        observe_values(value)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ("half", "float16"),
        ("[half, bfloat]", "float16"),
        ("[bfloat]", "bfloat16"),
        ("[half, 0.5]", "float32"),
        ("[half, double]", "float32"),
        ("['text', 3]", "float32"),
    ],
)
def test_the_finest_dtype_gives_the_tolerance(value: str, dtype: str) -> None:
    import torch

    half, bfloat, double = (torch.ones(2, dtype=one) for one in (torch.float16, torch.bfloat16, torch.float64))
    made = eval(value, {"half": half, "bfloat": bfloat, "double": double})

    assert observe_values(made).provenance.dtype == dtype


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"str", "POSITIVE"', '"int", "POSITIVE"', "values.rows.2: a value of the type int cannot be 'POSITIVE'"),
        ('"str", "POSITIVE"', '"ndarray", ""', "values.rows.2: a value of the type ndarray cannot be ''"),
        ('"[0].label"', '"[0].score"', "values.rows: the first row is the whole value, and each path has one row"),
        ('["path", "type", "value"]', '["path"]', "values.columns: the columns are not"),
        ('"float", 0.9998', '"float", true', "values.rows.3: a value of the type float cannot be True"),
        ("[values]", "[valued]", ""),
    ],
)
def test_an_edited_snapshot_is_refused_with_its_line(old: str, new: str, said: str) -> None:
    text = files(observe_values(CLASSIFIED)).text
    assert old in text

    with pytest.raises(SnapshotError, match=rf"^a\.toml:\d+: {said}"):
        load(text.replace(old, new, 1), FILE)


SIDES = """
import numpy as np, pytest, torch
from collections import OrderedDict
VALUES = {
    "array": np.array([1.0, 2.0]), "scalar": np.float32(1), "zero-d": np.array(3), "tensor": torch.tensor([1, 2]),
    "grad": torch.ones(2, requires_grad=True), "list": [1], "text": "text", "none": None, "dict": OrderedDict(a=1),
    "large": torch.zeros(3, 40),
}

@pytest.mark.parametrize("name", VALUES)
def test_left(name, hf_snapshot):
    found = VALUES[name] == hf_snapshot
    assert found is True

@pytest.mark.parametrize("name", VALUES)
def test_right(name, hf_snapshot):
    found = hf_snapshot == VALUES[name]
    assert found is True

def test_unequal(hf_snapshot):
    assert (np.array([1.0, 2.0]) != hf_snapshot) is False
"""


def test_either_side_gives_one_answer(bare_project: Project) -> None:
    bare_project.write(SIDES)

    bare_project.run("--snapshot-update").assert_outcomes(passed=21)
    bare_project.run().assert_outcomes(passed=21)

    recorded = bare_project.recorded("test_it/test_left[tensor].toml")
    assert recorded["provenance"]["recorded_with"]["engine"] == "torch"
    assert recorded["checkpoint"] == {"origin": "none"}
    assert "forward" not in recorded


TENSORFLOW = """
import tensorflow as tf
TENSOR = tf.constant([1.0, 2.0])

def test_right(hf_snapshot):
    assert hf_snapshot == TENSOR

def test_left(hf_snapshot):
    assert TENSOR == hf_snapshot
"""


def test_a_tensorflow_tensor_stands_on_the_right(bare_project: Project, models: ModelCache) -> None:
    del models  # transformers is imported with TensorFlow before a test imports that alone
    pytest.importorskip("tensorflow", reason="pip install pytest-hfmodels[tensorflow]")
    bare_project.write(TENSORFLOW)

    result = bare_project.run("--snapshot-update")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*test_left has a TensorFlow tensor on the left*", "*assert hf_snapshot == tensor*"])
    assert bare_project.recorded("test_it/test_right.toml")["provenance"]["recorded_with"]["engine"] == "tensorflow"


CHANGED = """
import numpy as np
def test_reply(hf_snapshot):
    assert [{"label": "A", "score": 0.5, "vector": np.full((4, 40), VALUE)}] == hf_snapshot
"""


def test_a_change_is_shown_reviewed_and_accepted(bare_project: Project) -> None:
    bare_project.write(CHANGED.replace("VALUE", "0.5"))
    run(bare_project, "--snapshot-update").assert_outcomes(passed=1)
    bare_project.write(CHANGED.replace("VALUE", "0.25").replace('"A"', '"B"'))

    result = run(bare_project, "--hfmodels-html=report.html", "--hfmodels-json=report.json", "-vv")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*changed: ?0?.label differs*",
            "*now *?B?*",
            "*a plain value does not say what made it*",
            "*160 of 160 numbers differ by more than the tolerance; the largest movement is 0.25*",
        ]
    )
    assert "[0].vector[0, 0]" in (bare_project.path / "report.html").read_text(encoding="utf-8")
    terminal = Scripted("a")
    project = find_project()
    assert Walk(project, project.pending.read(), terminal).run() == 0
    assert "[0].label" in terminal.text
    run(bare_project).assert_outcomes(passed=1)
    assert main(["pending"]) == 0
