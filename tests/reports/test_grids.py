"""A grid in the terminal, in Markdown and in HTML: what people see, and that nothing in it is read as markup."""

from __future__ import annotations

import io
import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from rich.console import Console

from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.reports import grid_pages, grid_terminal
from pytest_hfmodels.reports.grid_progress import GridProgress, counted
from pytest_hfmodels.reports.grid_view import SIGNS
from pytest_hfmodels.snapshots.ledger import parse_ledger
from pytest_hfmodels.versions.environments import ChangedPackage
from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.results import RowResult, State, cells_of, differing_of

from . import example_results as examples
from . import grids

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

LEDGER = """
[[change]]
name = "beams"
when = "transformers<5"
what = "beams end later"
reference = "a/b#1"
snapshots = "variants/b"
"""


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, list[str | None]] = {}
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value)

    def handle_data(self, data: str) -> None:
        self.text += data


def shown(grid: Grid, width: int = 100, *, fold: bool = True) -> str:
    file = io.StringIO()
    grid_terminal.show(grid, Console(file=file, width=width, highlight=False, markup=False), fold=fold)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


@pytest.mark.parametrize(
    ("grid", "width", "fold"),
    [
        pytest.param(grids.one_of_each(), 100, True, id="words"),
        pytest.param(grids.fourteen_rows(), 100, True, id="signs"),
        pytest.param(grids.mostly_the_same(), 80, True, id="folded"),
        pytest.param(grids.interrupted(), 100, False, id="interrupted"),
    ],
)
def test_people_see_in_a_terminal(grid: Grid, width: int, fold: bool, snapshot: SnapshotAssertion) -> None:
    assert shown(grid, width, fold=fold) == snapshot


def test_people_see_in_markdown(snapshot: SnapshotAssertion) -> None:
    entries = parse_ledger(LEDGER, Path("upstream.toml")).entries

    assert grid_pages.as_markdown(grids.one_of_each()) == snapshot(name="one of each")
    assert grid_pages.as_markdown(replace(grids.mostly_the_same(), command="hfmodels matrix x"), entries) == snapshot(
        name="ledger"
    )


def test_every_state_has_a_sign_and_a_letter_of_its_own() -> None:
    assert len({sign for sign, _ in SIGNS.values()}) == len({letter for _, letter in SIGNS.values()}) == len(State)


@pytest.mark.parametrize("width", [80, 100, 140])
@pytest.mark.parametrize("grid", [grids.one_of_each(), grids.fourteen_rows(), grids.mostly_the_same()])
def test_no_cell_is_cut_and_every_line_fits(width: int, grid: Grid) -> None:
    lines = shown(grid, width).splitlines()

    assert max(map(cell_len, lines)) <= max(width, 90)
    assert sum(line.count("✓s") + line.count("✗C") for line in lines if "test_beam_" in line) in (0, 2 * 14)


def test_every_test_is_written_out_if_nothing_is_folded() -> None:
    assert "| `test_a[torch]` | ✓ same | ✓ same |" in grid_pages.as_markdown(grids.mostly_the_same(), fold=False)
    assert shown(grids.mostly_the_same(), fold=False).count("test_a[torch]") == 2


def test_rows_in_which_the_same_has_moved_share_a_line_and_one_without_a_cell_says_why() -> None:
    moved = (ChangedPackage("tokenizers", "0.22.2", "0.21.4"),)
    cell = grids.of(State.DRIFT, "moved")
    rows = [grids.row(version, {"test_it.py::test_a": cell}, moved=moved) for version in ("4.49.0", "4.50.3")]
    quiet = grids.row("4.51.3", {"test_it.py::test_a": grids.SAME}, moved=(ChangedPackage("quiet", "1", "2"),))
    empty = RowResult("lib==1.0", problem="no test was collected", exit_code=5)

    assert "4.49.0, 4.50.3: tokenizers 0.22.2 -> 0.21.4" in shown(Grid((*rows, quiet)))
    assert "quiet" not in shown(Grid((*rows, quiet)))
    assert "lib==1.0: is incomplete: no test was collected" in shown(Grid((empty,)))


def test_the_page_shows_every_cell_with_its_reason_and_needs_nothing_from_anywhere() -> None:
    page = Page(grid_pages.as_html(grids.one_of_each()))

    assert page.tags.count("td") == 6 * 4
    assert "✗ changed†" in page.text
    assert "beam scores count the prompt. length-penalty-counts-prompt" in page.attributes["title"]
    assert "tokenizers 0.22.2 -> 0.13.3" in page.text
    assert page.attributes["class"].count("first") == 6
    assert not {"script", "link", "img", "iframe"} & {*page.tags}
    assert "src" not in page.attributes
    assert {f"#{anchor}" for anchor in page.attributes["id"]} == {*page.attributes["href"]}  # cells lead to failures
    assert any("default-src 'none'" in (value or "") for value in page.attributes["content"])
    assert "interrupted: some rows did not run" in Page(grid_pages.as_html(grids.interrupted())).text


def test_files_with_nothing_to_look_at_are_closed() -> None:
    text = grid_pages.as_html(grids.mostly_the_same())

    assert Page(text).tags.count("td") == 15 * 2
    assert re.findall(r'<details class="file"(.*)>', text) == ["", "", "", " open"]
    assert "suites/test_greedy.py 6 tests: ✓ same, ○ skipped" in Page(text).text


def test_a_part_of_another_page_shows_the_same_and_styles_nothing_else() -> None:
    text = str(grid_pages.grid_section(grids.one_of_each(), "of <b>today</b>"))
    part, page = Page(text), Page(grid_pages.as_html(grids.one_of_each()))

    assert part.tags.count("td") == page.tags.count("td")
    assert "of <b>today</b>" in part.text
    assert not {"html", "head", "body", "script"} & {*part.tags}
    assert re.findall("<style>(.{8})", text) == ["#matrix "]
    assert ":root" not in text


def test_what_a_test_is_called_or_says_is_no_markup_anywhere() -> None:
    page, text = Page(grid_pages.as_html(grids.hostile())), grid_pages.as_markdown(grids.hostile())
    cells = {"test_it.py::test_a": grids.of(State.BROKEN, "[red]no[/red] :smile:")}

    assert "test_a[<script>alert(1)</script>|`x`]" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert not {"script", "img", "b"} & {*page.tags}
    assert not re.search(r"\son\w+=", " ".join(page.attributes))
    assert "| `` test_a[<script>alert(1)</script>\\|`x`] `` | ! broken |" in text
    assert "&lt;/pre>&lt;img src=x onerror=alert(1)> \\| \\*\\*bold\\*\\* \\[link\\](javascript:x)" in text
    assert "[red]no[/red] :smile:" in shown(Grid((grids.row("1.0", cells),)))


def test_a_page_names_no_folder_of_this_machine() -> None:
    reason = "uv cannot build it: no space in /home/me/.cache/hfmodels"
    failed = RowResult("/home/me/tree", problem=reason, note="resolved in /tmp/some/where")
    grid = Grid((grids.row("1.0", {"test_it.py::test_a": grids.SAME}), failed))

    text = grid_pages.as_markdown(replace(grid, command="x /home/me/tree"))

    assert not re.search("/home|/tmp", text)
    assert "no space in …/hfmodels" in text
    assert "Written by `x …/tree` with" in text


def test_without_a_terminal_each_step_is_a_line() -> None:
    file = io.StringIO()
    with GridProgress(Console(file=file, width=20)) as progress:
        progress.begins("transformers==4.57.6", "testing")
        progress.ends("transformers==4.57.6", "4 same [4 in all] (3 s)")

    assert file.getvalue() == "transformers==4.57.6: testing\ntransformers==4.57.6: 4 same [4 in all] (3 s)\n"


def test_on_a_terminal_tests_are_counted_while_they_run(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    file = io.StringIO()
    with GridProgress(Console(file=file, width=100, force_terminal=True, highlight=False)) as progress:
        progress.begins("lib==1.0", "testing", events)
        events.write_text('{"collected": ["a", "b", "c"]}\n{"began": "a"}\n')
        time.sleep(1)
        progress.ends("lib==1.0", "3 same")

    assert "1/3" in file.getvalue()
    assert "lib==1.0: 3 same" in file.getvalue()


def test_half_a_line_a_missing_file_and_a_test_that_began_twice_do_not_confuse_the_count(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    assert counted(events) == (0, 0)

    lines = [{"collected": ["a", "b"]}, {"began": "a"}, {"began": "a"}]
    events.write_text("\n".join(map(json.dumps, lines)) + '\n{"beg')
    assert counted(events) == (1, 2)


def test_every_report_of_a_grid_shows_the_texts_of_the_row_whose_changes_are_accepted() -> None:
    grid = grids.with_texts()

    page = Page(grid_pages.as_html(grid)).text
    summary, terminal = grid_pages.as_summary(grid), shown(grid, 100)

    for text in (page, summary, terminal):
        assert "current: transformers 4.57.6 → 5.0.0: 1 text changed, 1 drifted; 1 cause" in text
        assert text.count("' and' had 60.7 %, ' but' 13.5 %") == 1
    assert "- My name is Ada ⟦and⟧ I" in summary
    assert "  now My name is Ada" in terminal


def test_no_report_of_a_grid_begins_with_another_row_if_the_current_one_is_broken() -> None:
    old = grids.with_texts().rows[2]
    broken = dict.fromkeys(old.cells, grids.of(State.BROKEN, "TypeError"))
    grid = Grid((replace(grids.row("5.0.0", broken), name="current"), old))

    page, summary, terminal = Page(grid_pages.as_html(grid)).text, grid_pages.as_summary(grid), shown(grid, 100)

    assert summary.startswith("## current: 3 broken\n")
    for text in (page, terminal):
        assert "current: 3 broken" in text
    assert "texts changed" not in page + summary + terminal


def test_every_report_of_a_grid_counts_outputs_that_it_does_not_hold() -> None:
    drift = replace(examples.changed(), verdict=Verdict.DRIFT)
    compared = [examples.changed(), *[drift] * 3] * 30
    told = [
        examples.result(one, name=f"test_{number}", failed_in="call", outcome="failed")
        for number, one in enumerate(compared)
    ]
    grid = Grid((grids.row("5.0.0", cells_of(told), differing=differing_of(told)),))

    assert len(grid.rows[0].differing) == 20
    page, summary, terminal = Page(grid_pages.as_html(grid)).text, grid_pages.as_summary(grid), shown(grid, 100)

    assert [re.findall(r"(\d+) more (?:changed|drifted)", text) for text in (page, summary, terminal)] == [
        ["10", "90"],
        ["10", "90"],
        ["25", "90"],
    ]


def test_a_text_of_a_grid_is_shown_and_never_run() -> None:
    told = [replace(test, failed_in="call", outcome="failed") for test in examples.hostile().tests]
    grid = Grid((grids.row("5.0.0", cells_of(told), differing=differing_of(told)),))

    assert grid.rows[0].differing
    assert "<img" not in grid_pages.as_html(grid)


def test_every_report_of_a_grid_gives_each_cause_once_with_its_remedy() -> None:
    drift = replace(examples.changed(explanation=examples.WHY), verdict=Verdict.DRIFT)
    compared = {"test_a": examples.changed(explanation=examples.WHY), "test_b": drift}
    cells = cells_of(examples.result(one, name=name, failed_in="call") for name, one in compared.items())
    same = dict.fromkeys(cells, grids.SAME)
    grid = Grid((grids.row("4.57.6", same), grids.row("5.0.0", cells), grids.row("5.1.0", cells)))

    command, remedy = examples.WHY.suggests[0], "install transformers==4.57.6"
    page = Page(grid_pages.as_html(grid)).text
    for text in (grid_pages.as_summary(grid), grid_pages.as_markdown(grid), page, shown(grid, 200)):
        sides = text.lower().split("forward: the forward pass differs, starting at block 2")
        assert len(sides) == 2
        assert " (transformers 4.57.6 → 5.0.0)" in sides[1]
        assert (text.count(command), text.count(remedy)) == (1, 1)
    assert "5.0.0, 5.1.0" in grid_pages.as_summary(grid)
    assert f"     find the release: {command}" in shown(grid, 60).splitlines()  # on one line, to be copied
