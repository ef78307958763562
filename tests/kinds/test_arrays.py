"""How arrays of any library are recorded, stored and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as read_safetensors

from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.kinds.array_storage import array_file
from pytest_hfmodels.kinds.arrays import Array, is_array
from pytest_hfmodels.kinds.comparison import compare
from pytest_hfmodels.kinds.registry import KINDS
from pytest_hfmodels.kinds.tolerance import Tolerance
from pytest_hfmodels.snapshots.format import files, load, parse

from ..example_records import ARRAYS, OfArrays, arrays

FILE = Path("a.toml")
DRAWN = np.random.default_rng(0).normal(size=(5, 40))


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS._values, ARRAYS.name, ARRAYS)


def through_files(record: OfArrays) -> OfArrays:
    written = files(record)
    found = load(written.text, FILE, written.arrays)
    assert isinstance(found, OfArrays)
    return found


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3), (4, 4, 4), (65,), (5, 40)])
def test_integers_come_back_exactly(dtype: str, shape: tuple[int, ...]) -> None:
    info = None if dtype == "bool" else np.iinfo(dtype)
    size = int(np.prod(shape))
    edges = [False, True] if info is None else [info.min, info.max, 1]
    record = arrays(x=np.resize(np.array(edges, dtype), size).reshape(shape))

    found = through_files(record).arrays["x"]

    assert found == record.arrays["x"]
    assert (found.dtype, found.shape) == (dtype, shape)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 3), (5, 40)])
def test_floats_of_torch_come_back_exactly(dtype: str, shape: tuple[int, ...]) -> None:
    import torch

    drawn = torch.tensor(np.resize(DRAWN, shape)).to(getattr(torch, dtype)).requires_grad_(dtype != "float8_e5m2")
    record = arrays(x=drawn)

    found = through_files(record).arrays["x"]

    assert found == record.arrays["x"]
    assert (found.dtype, found.values.shape) == (dtype, shape)
    assert np.array_equal(found.values, drawn.detach().float().numpy() if dtype != "float64" else drawn.detach())


def test_few_numbers_stand_in_the_snapshot_and_more_beside_it() -> None:
    import torch

    written = files(arrays(few=DRAWN[0, :32], many=DRAWN, half=torch.tensor(DRAWN).bfloat16()))
    values = parse(written.text, FILE)

    assert [("values" in table) for table in values["arrays"]] == [True, False, False]
    assert len(written.text) < 2500
    assert written.arrays is not None
    beside = read_safetensors(written.arrays.replace(b'"BF16"', b'"F16" '))  # NumPy has no bfloat16
    assert sorted(beside) == ["half", "many"]
    assert np.array_equal(beside["many"], DRAWN)


def test_what_is_changed_later_is_not_in_the_record() -> None:
    import torch

    tensor, array = torch.zeros(2), np.zeros(2)
    record = arrays(tensor=tensor, array=array)
    tensor += 1
    array += 1

    assert not record.arrays["tensor"].values.any()
    assert not record.arrays["array"].values.any()


class Foreign:
    """An array of a library that nobody knows."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        del dtype, copy
        return np.arange(3.0)


def test_arrays_of_other_libraries_are_taken() -> None:
    image = pytest.importorskip("PIL.Image", reason="pip install pillow").new("L", (3, 2), 7)

    assert is_array(Foreign())
    assert is_array(image)
    assert not any(map(is_array, (np.float32(1), 1.0, "text", [1.0], Foreign, np.ndarray, None)))
    assert Array.of(Foreign(), "x").values.tolist() == [0, 1, 2]
    assert (Array.of(image, "x").dtype, Array.of(image, "x").shape) == ("uint8", (2, 3))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        ("np.array([1.0, np.nan])", r"x\[1\] is NaN"),
        ("np.array(np.nan)", "x is NaN"),
        ("np.array([1j])", "x has the dtype complex128"),
        ("np.array(['a'])", "x has the dtype str"),
        ("np.array([None])", "x has the dtype object"),
        ("np.array(['2020-01-01'], 'M8[D]')", "x has the dtype datetime64"),
        ("np.ma.masked_array([1.0], [True])", "x is a MaskedArray"),
        ("torch.tensor([1j])", "x has the dtype complex64"),
        ("torch.eye(3).to_sparse()", "x is a tensor that is sparse_coo"),
        ("torch.eye(3, device='meta')", r"x is a tensor that is without numbers \(meta\)"),
        pytest.param(
            "torch.quantize_per_tensor(torch.eye(3), 0.1, 0, torch.qint8)",
            "x is a tensor that is quantised",
            marks=pytest.mark.filterwarnings("ignore::UserWarning"),
        ),
    ],
)
def test_what_no_snapshot_can_hold_is_one_sentence(make: str, said: str) -> None:
    import torch

    with pytest.raises(SnapshotError, match=said):
        Array.of(eval(make, {"np": np, "torch": torch}), "x")


def verdict(before: Any, now: Any, absolute: float = 1e-4) -> tuple[Verdict, str]:
    found = compare(arrays(x=before), through_files(arrays(x=now)), Tolerance(absolute))
    return found.verdict, found.differences[0].what if found.differences else ""


def nudged(by: float, *, at: tuple[int, ...] = (3, 7), of: Any = DRAWN) -> Any:
    changed = np.array(of)
    changed[at] += by
    return changed


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (DRAWN, DRAWN, (Verdict.SAME, "")),
        (DRAWN, nudged(5e-5), (Verdict.SAME, "")),
        (DRAWN, nudged(5e-4), (Verdict.DRIFT, "x[3, 7]")),
        (1000 * DRAWN, nudged(5e-4, at=(0, 0), of=1000 * DRAWN), (Verdict.SAME, "")),
        (np.array([0.0, -0.0]), np.array([-0.0, 0.0]), (Verdict.SAME, "")),
        (np.array([np.inf, 1]), np.array([np.inf, 1]), (Verdict.SAME, "")),
        (np.array([np.inf, 1]), np.array([-np.inf, 1]), (Verdict.DRIFT, "x[0]")),
        (np.array([np.inf, 1]), np.array([1e9, 1]), (Verdict.DRIFT, "x[0]")),
        (np.array([1.0, 1]), np.array([1, np.inf]), (Verdict.DRIFT, "x[1]")),
        (np.arange(3), np.array([0, 1, 3]), (Verdict.CHANGED, "x[2]")),
        (np.array(True), np.array(False), (Verdict.CHANGED, "x")),
        (np.zeros(3), np.zeros((3, 1)), (Verdict.CHANGED, "shape of x")),
        (np.zeros(3), np.zeros(3, np.float32), (Verdict.CHANGED, "dtype of x")),
        (np.zeros(0), np.zeros(0), (Verdict.SAME, "")),
    ],
)
def test_what_differs_is_named_with_its_index(before: Any, now: Any, expected: tuple[Verdict, str]) -> None:
    assert verdict(before, now) == expected


def test_the_largest_movement_and_the_count_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_hfmodels.kinds.arrays._CHUNK", 7)  # arrays are compared in parts

    found = compare(arrays(x=DRAWN), arrays(x=nudged(0.5, at=(4, 2), of=nudged(0.1))), Tolerance(1e-4))

    assert found.drift == pytest.approx(0.5)
    (difference,) = found.differences
    assert difference.what == "x[3, 7]"
    assert difference.detail is not None
    assert difference.detail.figures == (
        "2 of 200 numbers differ by more than the tolerance; the largest movement is 0.5, at x[4, 2]",
    )


def test_nan_equals_nothing() -> None:
    text = files(arrays(x=np.zeros(2))).text.replace("values = [0.0, 0.0]", "values = [nan, 0.0]")
    broken = load(text, FILE)

    found = compare(broken, broken, Tolerance(1e-4))

    assert (found.verdict, found.differences[0].what) == (Verdict.DRIFT, "x[0]")
    assert np.isnan(found.drift)


def test_an_array_that_comes_or_goes_is_structure() -> None:
    found = compare(arrays(x=DRAWN), arrays(y=DRAWN), Tolerance(1e-4))

    assert [(one.stage, one.what) for one in found.differences] == [("structure", "x"), ("structure", "y")]


def test_swapped_numbers_move_the_projection() -> None:
    one, other = Array.of(DRAWN, "x"), Array.of(DRAWN[::-1], "x")

    assert one.norm == pytest.approx(other.norm)
    assert abs(one.projection - other.projection) > 0.01


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("shape = [2, 3]", "shape = [2, 4]", "arrays.0.values: there are 6 numbers, but the shape has 8"),
        ("shape = [2, 3]", "shape = [2, -3]", "arrays.0.shape.1: expected `int` >= 0"),
        ('dtype = "int64"', 'dtype = "int32x"', "arrays.0.dtype: no snapshot holds the dtype 'int32x'"),
        ('dtype = "int64"', 'dtype = "bool"', "arrays.0.values: they are not all of the dtype bool"),
        ('dtype = "int64"', 'dtype = "int8"', "arrays.0.values: a number is beyond the dtype int8"),
        ("values = [", "unused = [", "arrays: it names an array file if and only if"),
        ('name = "x"', 'name = "y"', "arrays: two arrays have one name"),
    ],
)
def test_an_edited_snapshot_is_refused_with_its_line(old: str, new: str, said: str) -> None:
    text = files(arrays(x=np.arange(195, 201).reshape(2, 3), y=np.arange(2))).text
    assert old in text

    with pytest.raises(SnapshotError, match=rf"^a\.toml:\d+: {said}"):
        load(text.replace(old, new, 1), FILE)


def test_an_array_file_that_the_snapshot_does_not_describe_is_refused() -> None:
    written, other = files(arrays(x=DRAWN)), array_file(arrays(x=DRAWN[:, ::2]).arrays)
    found = load(written.text.replace("shape = [5, 40]", "shape = [40, 5]"), FILE, written.arrays)

    with pytest.raises(SnapshotError, match="The array file does not hold the arrays that its snapshot lists"):
        _ = found.arrays["x"].values
    with pytest.raises(SnapshotError, match="The array file does not hold the arrays that its snapshot lists"):
        _ = load(written.text, FILE, other).arrays["x"].values
