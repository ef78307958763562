from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from pytest_hfmodels.reports import grid_terminal
from pytest_hfmodels.reports.grid_words import SIGNS
from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.results import RowResult, State

from . import grids


def shown(grid: Grid, width: int) -> list[str]:
    file = io.StringIO()
    grid_terminal.show(grid, Console(file=file, width=width, highlight=False, markup=False))
    return file.getvalue().splitlines()


def line(lines: list[str], start: str) -> str:
    return next(text for text in lines if text.strip().startswith(start))


def test_every_state_is_a_word_with_a_sign_of_its_own() -> None:
    lines = shown(grids.one_of_each(), 100)

    assert line(lines, "test_beam[torch]").split() == [
        "test_beam[torch]",
        "✗",
        "changed†",
        "✓",
        "same",
        "✓",
        "same",
        "/",
        "unbuilt",
    ]
    assert line(lines, "test_near").split()[1:3] == ["~", "near-tie"]
    legend = " ".join(lines)
    assert all("".join(SIGNS[state]) in legend for state in State)
    assert len({sign for sign, _ in SIGNS.values()}) == len({letter for _, letter in SIGNS.values()}) == len(State)


def test_where_words_do_not_fit_a_sign_and_a_letter_stand_for_them() -> None:
    lines = shown(grids.one_of_each(), 60)

    assert line(lines, "test_beam[torch]").split() == ["test_beam[torch]", "✗C†", "✓s", "✓s", "/U"]
    assert "4.30.2  4.49.0  4.57.6  9.9" in line(lines, "4.30.2")


@pytest.mark.parametrize("width", [60, 72, 80, 100, 140])
@pytest.mark.parametrize("grid", [grids.one_of_each(), grids.fourteen_rows(), grids.hostile()])
def test_nothing_is_wider_than_the_terminal_and_no_cell_is_cut(width: int, grid: Grid) -> None:
    lines = shown(grid, width)

    assert max(map(cell_len, lines)) <= width
    cells = sum(sum(text.count(sign) for sign in ("✗C", "✓s")) for text in lines if text.startswith("  test_beam_"))
    assert cells in (0, 2 * 14)


def test_many_rows_get_letters_and_at_60_columns_several_tables() -> None:
    wide, narrow = shown(grids.fourteen_rows(), 100), shown(grids.fourteen_rows(), 60)

    assert line(wide, "A ").split() == list("ABCDEFGHIJKLMN")
    assert [text.split() for text in narrow if text.strip()[:2] in ("A ", "F ", "K ")][:3] == [
        list("ABCDE"),
        list("FGHIJ"),
        list("KLMN"),
    ]
    assert "N transformers==5.23.0" in wide


def test_below_stand_the_first_changes_the_reasons_and_what_else_moved() -> None:
    lines = shown(grids.one_of_each(), 140)

    assert "changes first in transformers==4.57.6: test_loss[torch], test_near" in lines
    assert "✗C 4.30.2: test_beam[torch]: beam scores count the prompt († length-penalty-counts-prompt)" in lines
    assert "/U 9.9: every test: uv cannot build transformers==9.9: there is no such version" in lines
    assert "transformers==4.30.2: also moved: tokenizers 0.22.2 -> 0.13.3; without requests" in lines
    assert lines[-1] == "6 tests in 4 rows; 13 cells to look at; 2 explained by the ledger (†); 3 rows not whole"


def test_a_row_that_gave_up_without_a_cell_says_why() -> None:
    grid = Grid((RowResult("lib==1.0", problem="no test was collected", exit_code=5),))

    assert [text for text in shown(grid, 80) if text] == [
        "lib==1.0 is not whole: no test was collected",
        "0 tests in 1 row; 1 row not whole",
    ]


def test_what_a_test_says_is_not_taken_for_markup() -> None:
    reason = "[red]no[/red] :smile:"
    cells = {"test_it.py::test_a": grids.of(State.BROKEN, reason)}

    assert any(reason in text for text in shown(Grid((grids.row("1.0", cells),)), 100))


def test_rows_that_a_person_stopped_did_not_run() -> None:
    lines = shown(grids.interrupted(), 100)

    assert lines[-1] == "1 test in 2 rows; 1 cell to look at; 1 row did not run"
    assert not any("not whole" in text for text in lines)
