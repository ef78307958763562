from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from rich.console import Console

from pytest_hfmodels.reports import grid_terminal
from pytest_hfmodels.reports.grid_labels import SIGNS
from pytest_hfmodels.versions.environments import ChangedPackage
from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.results import RowResult, State

from . import grids

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion


def shown(grid: Grid, width: int = 100, *, fold: bool = True) -> list[str]:
    file = io.StringIO()
    grid_terminal.show(grid, Console(file=file, width=width, highlight=False, markup=False), fold=fold)
    return [line.rstrip() for line in file.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("grid", "width", "fold"),
    [
        pytest.param(grids.one_of_each(), 100, True, id="words"),
        pytest.param(grids.one_of_each(), 60, True, id="signs"),
        pytest.param(grids.fourteen_rows(), 100, True, id="letters"),
        pytest.param(grids.fourteen_rows(), 60, True, id="several-tables"),
        pytest.param(grids.mostly_the_same(), 80, True, id="folded"),
        pytest.param(grids.mostly_the_same(), 80, False, id="verbose"),
        pytest.param(grids.interrupted(), 100, True, id="interrupted"),
    ],
)
def test_people_see(grid: Grid, width: int, fold: bool, snapshot: SnapshotAssertion) -> None:
    assert "\n".join(shown(grid, width, fold=fold)) == snapshot


def test_every_state_has_a_sign_and_a_letter_of_its_own() -> None:
    assert len({sign for sign, _ in SIGNS.values()}) == len({letter for _, letter in SIGNS.values()}) == len(State)


@pytest.mark.parametrize("width", [60, 72, 80, 100, 140])
@pytest.mark.parametrize("grid", [grids.one_of_each(), grids.fourteen_rows(), grids.hostile(), grids.mostly_the_same()])
def test_nothing_is_wider_than_the_terminal_and_no_cell_is_cut(width: int, grid: Grid) -> None:
    lines = shown(grid, width)

    assert max(map(cell_len, lines)) <= width
    cells = sum(sum(text.count(sign) for sign in ("✗C", "✓s")) for text in lines if text.startswith("  test_beam_"))
    assert cells in (0, 2 * 14)


def test_rows_in_which_the_same_has_moved_share_a_line() -> None:
    moved = (ChangedPackage("tokenizers", "0.22.2", "0.21.4"),)
    rows = [grids.row(version, {"test_it.py::test_a": grids.SAME}, moved=moved) for version in ("4.49.0", "4.50.3")]

    assert "4.49.0, 4.50.3: also moved: tokenizers 0.22.2 -> 0.21.4" in shown(Grid(tuple(rows)))


def test_a_row_that_gave_up_without_a_cell_says_why() -> None:
    grid = Grid((RowResult("lib==1.0", problem="no test was collected", exit_code=5),))

    assert [text for text in shown(grid) if text] == [
        "lib==1.0 is incomplete: no test was collected",
        "0 tests in 1 row; 1 row incomplete",
    ]


def test_what_a_test_says_is_not_taken_for_markup() -> None:
    cells = {"test_it.py::test_a": grids.of(State.BROKEN, "[red]no[/red] :smile:")}

    assert any("[red]no[/red] :smile:" in text for text in shown(Grid((grids.row("1.0", cells),))))
