from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from pytest_hfmodels.reports import grid_terminal
from pytest_hfmodels.reports.grid_labels import SIGNS
from pytest_hfmodels.versions.environments import ChangedPackage
from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.results import RowResult, State

from . import grids


def shown(grid: Grid, width: int, *, fold: bool = True) -> list[str]:
    file = io.StringIO()
    grid_terminal.show(grid, Console(file=file, width=width, highlight=False, markup=False), fold=fold)
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
        "build-failed",
    ]
    assert line(lines, "test_near").split()[1:3] == ["~", "near-tie"]
    legend = " ".join(lines)
    assert all("".join(SIGNS[state]) in legend for state in State)
    assert len({sign for sign, _ in SIGNS.values()}) == len({letter for _, letter in SIGNS.values()}) == len(State)


def test_where_words_do_not_fit_a_sign_and_a_letter_stand_for_them() -> None:
    lines = shown(grids.one_of_each(), 60)

    assert line(lines, "test_beam[torch]").split() == ["test_beam[torch]", "✗C†", "✓s", "✓s", "/F"]
    assert "4.30.2  4.49.0  4.57.6  9.9" in line(lines, "4.30.2")


@pytest.mark.parametrize("width", [60, 72, 80, 100, 140])
@pytest.mark.parametrize("grid", [grids.one_of_each(), grids.fourteen_rows(), grids.hostile(), grids.mostly_the_same()])
def test_nothing_is_wider_than_the_terminal_and_no_cell_is_cut(width: int, grid: Grid) -> None:
    lines = shown(grid, width)

    assert max(map(cell_len, lines)) <= width
    cells = sum(sum(text.count(sign) for sign in ("✗C", "✓s")) for text in lines if text.startswith("  test_beam_"))
    assert cells in (0, 2 * 14)


def test_many_rows_get_letters_and_at_60_columns_several_tables() -> None:
    wide, narrow = shown(grids.fourteen_rows(), 100), shown(grids.fourteen_rows(), 60)

    assert line(wide, "A ").split() == list("ABCDEFGHIJKLMN")
    assert [text.split() for text in narrow if text.split() in (list("ABCDEFGH"), list("IJKLMN"))] == [
        list("ABCDEFGH"),
        list("IJKLMN"),
    ]
    assert "N transformers==5.23.0" in wide


def test_below_stand_the_first_changes_the_reasons_and_what_else_moved() -> None:
    lines = shown(grids.one_of_each(), 140)

    assert "changes first in transformers==4.57.6: test_loss[torch], test_near" in lines
    assert "✗C 4.30.2: test_beam[torch]: beam scores count the prompt († length-penalty-counts-prompt)" in lines
    assert "/F 9.9: every test: uv cannot build transformers==9.9: there is no such version" in lines
    assert "transformers==4.30.2: also moved: tokenizers 0.22.2 -> 0.13.3; without requests" in lines
    assert lines[-1] == "6 tests in 4 rows; 13 cells to look at; 2 explained by the ledger (†); 3 rows incomplete"


def test_tests_with_nothing_to_look_at_share_a_line() -> None:
    lines = [text.rstrip() for text in shown(grids.mostly_the_same(), 80)]

    assert lines[2:9] == [
        "suites/test_greedy.py",
        "  3 tests [torch]       ✓ same      ✓ same",
        "  3 tests [tensorflow]  ✓ same      ○ skipped",
        "suites/test_beam.py",
        "  test_moves            ✗ changed†  ✓ same",
        "  test_still            ✓ same      ✓ same",
        "",
    ]
    assert lines[9:11] == ["suites/test_tokenizer.py: 6 tests, all same", "suites/test_published.py: 1 test, skipped"]
    assert "changes first in transformers==5.23.0: test_moves" in lines


def test_verbose_gives_every_test_a_line() -> None:
    lines = shown(grids.mostly_the_same(), 80, fold=False)

    assert sum(text.startswith("  test_") for text in lines) == 15
    assert not any("tests" in text for text in lines[:-1])


def test_where_nothing_happens_there_is_no_table() -> None:
    cells = {f"test_it.py::test_{name}": grids.SAME for name in "ab"}

    assert [text for text in shown(Grid((grids.row("1.0", cells), grids.row("2.0", cells))), 80) if text] == [
        "test_it.py: 2 tests, all same",
        "✓s\N{NO-BREAK SPACE}same",
        "2 tests in 2 rows; nothing unexplained",
    ]


def test_every_test_that_changes_first_in_a_row_is_named() -> None:
    tests = [f"test_it.py::test_{number}" for number in range(9)]
    same = dict.fromkeys(tests, grids.SAME)
    changed = dict.fromkeys(tests[1:], grids.of(State.CHANGED, "token 7 differs"))
    grid = Grid((grids.row("1.0", same), grids.row("2.0", {**same, **changed})))

    told = " ".join(" ".join(shown(grid, 60)).split())
    assert f"changes first in transformers==2.0: {', '.join(f'test_{number}' for number in range(1, 9))} " in told


def test_rows_in_which_the_same_has_moved_share_a_line() -> None:
    moved = (ChangedPackage("tokenizers", "0.22.2", "0.21.4"),)
    rows = [grids.row(version, {"test_it.py::test_a": grids.SAME}, moved=moved) for version in ("4.49.0", "4.50.3")]

    assert "4.49.0, 4.50.3: also moved: tokenizers 0.22.2 -> 0.21.4" in shown(Grid(tuple(rows)), 100)


def test_a_row_that_gave_up_without_a_cell_says_why() -> None:
    grid = Grid((RowResult("lib==1.0", problem="no test was collected", exit_code=5),))

    assert [text for text in shown(grid, 80) if text] == [
        "lib==1.0 is incomplete: no test was collected",
        "0 tests in 1 row; 1 row incomplete",
    ]


def test_what_a_test_says_is_not_taken_for_markup() -> None:
    reason = "[red]no[/red] :smile:"
    cells = {"test_it.py::test_a": grids.of(State.BROKEN, reason)}

    assert any(reason in text for text in shown(Grid((grids.row("1.0", cells),)), 100))


def test_rows_that_a_person_stopped_did_not_run() -> None:
    lines = shown(grids.interrupted(), 100)

    assert lines[-1] == "1 test in 2 rows; 1 cell to look at; 1 row did not run"
    assert not any("incomplete" in text for text in lines)
