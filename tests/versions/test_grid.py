from __future__ import annotations

import json

import pytest

from pytest_hfmodels.versions import grid_file
from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.results import INTERRUPTED, Cell, RowResult, State

SAME, DRIFT = Cell(State.SAME), Cell(State.DRIFT, "moved")
A, B = "test_it.py::test_a", "test_it.py::test_b"


def row(name: str, cells: dict[str, Cell], *, problem: str | None = None, code: int | None = 0) -> RowResult:
    return RowResult(name, cells=cells, problem=problem, exit_code=code)


def grid_of(*cells: Cell, test: str = A) -> Grid:
    return Grid(tuple(row(f"lib=={number}", {test: cell}) for number, cell in enumerate(cells)))


SILENT = [Cell(state) for state in (State.SKIPPED, State.NOT_RUN, State.BUILD_FAILED)]


@pytest.mark.parametrize(
    ("cells", "since"),
    [
        ([SAME, SAME, DRIFT, SAME], "lib==2"),
        ([SAME, SAME], None),
        ([SAME, *SILENT, SAME], None),
        ([SAME, *SILENT, DRIFT], "lib==4"),
        ([*SILENT, DRIFT], None),
        ([Cell(State.BROKEN, "x"), Cell(State.BROKEN, "x", "type-as")], "lib==1"),
        ([Cell(State.DRIFT, "moved by 0.1"), Cell(State.DRIFT, "moved by 0.2")], None),
    ],
)
def test_a_test_changes_first_in_the_row_that_differs_from_the_one_before(cells: list[Cell], since: str | None) -> None:
    assert grid_of(*cells).since(A) == since


@pytest.mark.parametrize(("current", "since"), [(SAME, "lib==0"), (DRIFT, "lib==1")])
def test_a_current_environment_that_differs_is_not_the_release_before(current: Cell, since: str) -> None:
    grid = Grid((row("current", {A: current}), *grid_of(DRIFT, SAME).rows))

    assert grid.since(A) == since


def test_tests_of_one_file_stay_together_whatever_row_they_are_in() -> None:
    other = "test_other.py::test_x"
    grid = Grid((row("1", {A: SAME, other: SAME}), row("2", {B: SAME, other: SAME})))

    assert grid.tests == (A, B, other)
    assert grid.cells[B][0] == Cell(State.NOT_RUN, "not collected in this row")


@pytest.mark.parametrize("collector", ["test_it.py", "test_it.py::TestIt", "folder"])
def test_what_a_row_says_of_a_file_holds_for_the_tests_that_others_found_in_it(collector: str) -> None:
    test = {"test_it.py": A, "test_it.py::TestIt": "test_it.py::TestIt::test_a[x::y/z]", "folder": "folder/t.py::t"}
    failed = Cell(State.BROKEN, "cannot be collected: ImportError: no lib")
    grid = Grid((row("1", {collector: failed}), row("2", {test[collector]: SAME})))

    assert grid.tests == (test[collector],)
    assert grid.cells[test[collector]][0] == failed


def test_a_row_that_could_not_be_built_is_a_column_with_its_reason() -> None:
    grid = Grid((row("1", {A: SAME}), row("9", {}, problem="there is no such version", code=None)))

    assert grid.cells[A][1] == Cell(State.BUILD_FAILED, "there is no such version")
    assert grid.exit_code == 1


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        (SAME, 0),
        (Cell(State.SKIPPED, "no TensorFlow"), 0),
        (Cell(State.BROKEN, "raises", "type-as"), 0),
        (Cell(State.CHANGED, "beams", "beams"), 0),
        (Cell(State.CHANGED, "beams"), 1),
        (Cell(State.NEAR_TIE, "flips"), 1),
        (Cell(State.NOT_RUN, "not collected"), 1),
    ],
)
def test_only_what_is_unexplained_fails(cell: Cell, code: int) -> None:
    assert grid_of(SAME, cell).exit_code == code


def test_exit_codes_of_what_could_not_be_done() -> None:
    nothing = row("9", {}, problem="there is no such version", code=None)

    assert Grid((nothing,)).exit_code == 2
    assert Grid((row("1", {A: SAME}), row("2", {}, problem=INTERRUPTED, code=None)), interrupted=True).exit_code == 130
    assert Grid((row("1", {A: SAME}, problem="timed out after 1 s"),)).exit_code == 1


def test_equal_reasons_are_one_note() -> None:
    grid = Grid((row("1", {A: DRIFT, B: DRIFT}), row("2", {A: DRIFT, B: SAME})))
    (note,) = grid.notes

    assert (note.reason, note.rows, note.tests) == ("moved", ("1", "2"), (A, B))


def test_outputs_that_differ_are_grouped_by_cause_and_other_reasons_are_not() -> None:
    search, other = (Cell(State.CHANGED, f"{name} differs", cause="search", rules=("x",)) for name in "ab")
    unknown = Cell(State.CHANGED, "a differs")
    cells = {
        "t::a": search,
        "t::b": other,
        "t::c": unknown,
        "t::d": Cell(State.BROKEN, "E: 1"),
        "t::e": Cell(State.BROKEN, "E: 2"),
    }

    assert [note.tests for note in Grid((row("1", cells),)).notes] == [
        ("t::a", "t::b"),
        ("t::c",),
        ("t::d",),
        ("t::e",),
    ]


def test_tests_that_do_the_same_everywhere_share_a_line_at_the_end_of_their_file() -> None:
    skipped, tests = Cell(State.SKIPPED, "no TensorFlow"), [f"test_it.py::test_{name}" for name in "abcde"]
    first = dict(zip(tests, (SAME, SAME, SAME, DRIFT, SAME), strict=True))
    second = dict(zip(tests, (SAME, skipped, SAME, SAME, skipped), strict=True))
    (lines,) = Grid((row("1", first), row("2", second))).lines(fold=True).values()

    a, b, c, d, e = tests
    assert [(line.tests, line.folded) for line in lines] == [((d,), False), ((a, c), True), ((b, e), True)]
    assert [cell.state for cell in lines[2].cells] == [State.SAME, State.SKIPPED]


@pytest.mark.parametrize(
    ("cell", "folded"),
    [
        (SAME, True),
        (Cell(State.SKIPPED, "no TensorFlow"), True),
        (Cell(State.SAME, "", "beams"), False),
        (Cell(State.REMOVED, "gone", "gone"), False),
        (Cell(State.NOT_RUN, "not collected in this row"), False),
        (Cell(State.NEAR_TIE, "flips"), False),
    ],
)
def test_only_a_test_with_nothing_to_look_at_is_folded(cell: Cell, folded: bool) -> None:
    grid = grid_of(SAME, cell)

    assert [line.folded for line in grid.lines(fold=True)["test_it.py"]] == [folded]
    assert [line.folded for line in grid.lines(fold=False)["test_it.py"]] == [False]


def test_a_row_that_did_not_run_or_could_not_be_built_unfolds_nothing() -> None:
    missing = [row(name, {}, problem=why, code=None) for name, why in (("8", INTERRUPTED), ("9", "no such version"))]
    (line,) = Grid((row("1", {A: SAME, B: SAME}), *missing)).lines(fold=True)["test_it.py"]

    assert line.tests == (A, B)
    assert [cell.state for cell in line.cells] == [State.SAME, State.NOT_RUN, State.BUILD_FAILED]


def test_data_for_json_say_their_format_and_every_cell() -> None:
    data = json.loads(grid_file.dump(grid_of(SAME, DRIFT)))

    assert data["format"] == 3
    assert [row["name"] for row in data["rows"]] == ["lib==0", "lib==1"]
    assert data["since"] == {A: "lib==1"}
    assert data["rows"][1]["cells"][A]["reason"] == "moved"


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["lib==1.0", "lib==2.0", "current"], ["1.0", "2.0", "current (1.1)"]),
        (["lib==1.0", "six==1", "current"], ["lib==1.0", "six==1", "current"]),
        (["current"], ["current"]),
    ],
)
def test_labels_leave_out_what_rows_have_in_common(names: list[str], labels: list[str]) -> None:
    assert list(Grid(tuple(RowResult(name, {"lib": "1.1"}) for name in names)).labels.values()) == labels


def test_short_names_keep_the_file_if_two_tests_share_a_name() -> None:
    other = "test_other.py::test_a"

    assert list(Grid((row("1", dict.fromkeys((A, B, other), SAME)),)).short_names.values()) == [A, "test_b", other]
