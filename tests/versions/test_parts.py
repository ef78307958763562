"""Parts of a run on many machines, made up: merged, they are what one machine would have given."""

from __future__ import annotations

import io
import json
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from pytest_hfmodels.commands import cli
from pytest_hfmodels.foundation.errors import VersionsError
from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.reports import grid_junit, grid_pages, grid_terminal
from pytest_hfmodels.results.model import FORMAT, Results, Run, dump
from pytest_hfmodels.results.pending import Pending
from pytest_hfmodels.snapshots.carried import carried_changes
from pytest_hfmodels.versions import grid_file, parts
from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.results import NO_PART, Cell, RowResult, State, differing_of
from tests.reports import example_results as examples
from tests.reports import grids

if TYPE_CHECKING:
    from pathlib import Path

SAME = Cell(State.SAME, seconds=0.5)
A, B, C = (f"test_it.py::test_{name}" for name in "abc")


def row(name: str, cells: dict[str, Cell], **about: Any) -> RowResult:
    return RowResult(name, {"lib": name}, cells=cells, **{"exit_code": 0, "seconds": 2.0, **about})


def split(grid: Grid) -> dict[str, Grid]:
    """Return the part of each row, as its job would have left it."""
    names = tuple(one.name for one in grid.rows)
    found = {f"part-{number}.json": replace(grid, rows=(one,), planned=names) for number, one in enumerate(grid.rows)}
    return {file: grid_file.parse(grid_file.dump(part), file) for file, part in found.items()}


def reports(grid: Grid) -> list[str]:
    """Return every report, without the list of planned rows: one machine needs none."""
    grid = replace(grid, planned=())
    return [
        grid_file.dump(grid),
        grid_pages.as_html(grid),
        grid_pages.as_markdown(grid),
        grid_pages.as_summary(grid),
        grid_junit.as_junit(grid),
    ]


@pytest.mark.parametrize(
    "grid", [grids.one_of_each(), grids.with_texts(), grids.fourteen_rows(), grids.mostly_the_same(), grids.hostile()]
)
def test_merged_parts_are_what_one_machine_would_have_given(grid: Grid) -> None:
    pending = Pending("t", "changed", "snapshots/t.toml", "snapshots/t.toml", None, None, "text = 1\n")
    rows = (replace(grid.rows[0], pending=(pending,)), *grid.rows[1:])
    whole = replace(grid, rows=rows, command="hfmodels matrix x", commit="c0ffee", run="7")
    in_parts = split(whole)

    assert reports(parts.merge(dict(reversed(in_parts.items())))) == reports(whole)
    assert parts.merge(in_parts).row(rows[0].name).pending == (pending,)  # type: ignore[union-attr]


def test_a_grid_is_strict_json_also_if_a_figure_is_not_finite() -> None:
    grid = grids.with_texts()
    figures = [test.comparisons[0].explanation for test in grid.rows[0].differing]

    data = json.loads(grid_file.dump(grid), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))

    assert "nan" in str(figures)
    assert data["rows"][0]["differing"][0]["comparisons"][0]["explanation"]["evidence"][0]["figures"]["noise"] is None


@pytest.mark.parametrize(
    ("recorded", "said"),
    [(None, "nan"), (0.25, "0.25"), ("inf", "inf"), ([], ""), ("<b>", ""), (10**400, ""), ({}, "")],
    ids=["null", "a number", "words", "a list", "markup", "beyond float", "a table"],
)
def test_a_part_may_have_anything_for_the_number_that_moved(recorded: object, said: str) -> None:
    data = json.loads(grid_file.dump(grids.with_texts()))
    data["rows"][0]["differing"][1]["comparisons"][0]["largest"]["recorded"] = recorded

    grid = grid_file.parse(json.dumps(data), "part.json")

    assert said in grid_pages.as_summary(grid)
    assert (f'<td class="n" data-label="was">{said}</td>' in grid_pages.as_html(grid)) == bool(said)
    grid_terminal.show(grid, Console(file=io.StringIO()))


@pytest.mark.parametrize("seconds", ["", '"seconds": NaN, ', '"seconds": -Infinity, '])
def test_a_part_without_a_time_is_written_again(seconds: str) -> None:
    line = f'{{{seconds}"name": "1", "cells": {{"{A}": {{{seconds}"state": "same"}}}}}}'
    text = f'{{"format": {grid_file.FORMAT}, "rows": [{line}]}}'

    (written,) = json.loads(grid_file.dump(grid_file.parse(text, "part.json")))["rows"]

    assert (written["seconds"], written["cells"][A]) == (0, {"state": "same", "seconds": 0})


def test_a_summary_is_short_whatever_a_part_holds() -> None:
    data = json.loads(grid_file.dump(grids.with_texts()))
    for test in data["rows"][0]["differing"]:
        test["comparisons"][0]["observed"]["provenance"]["versions"]["transformers"] = "5" * 100_000

    summary = grid_pages.as_summary(grid_file.parse(json.dumps(data), "part.json"))

    assert "1 text changed, 1 drifted" in summary.splitlines()[0]
    assert len(summary.encode()) <= grid_pages.SUMMARY


def test_a_missing_part_is_a_column_with_its_reason_and_turns_the_run_red() -> None:
    in_parts = split(Grid((row("1", {A: SAME}), row("2", {A: SAME}), row("3", {A: SAME}))))
    del in_parts["part-1.json"]

    merged = parts.merge(in_parts)

    assert [one.name for one in merged.rows] == ["1", "2", "3"]
    assert merged.cells[A] == (SAME, Cell(State.NOT_RUN, NO_PART), SAME)
    assert merged.exit_code == 1
    assert NO_PART in grid_pages.as_markdown(merged)


def shard(number: int, cells: dict[str, Cell], **about: Any) -> dict[str, Grid]:
    part = row("1", cells, shard=f"{number}/2", collected=(B, A, C), **about)
    return {f"shard-{number}.json": Grid((part,), planned=("1",))}


def test_shards_merge_in_the_order_of_collection() -> None:
    broken = Cell(State.BROKEN, "no")
    first, second = shard(1, {A: SAME, B: broken}, exit_code=1), shard(2, {C: SAME})
    (merged,) = parts.merge({**second, **first}).rows

    assert list(merged.cells.items()) == [(B, broken), (A, SAME), (C, SAME)]
    assert (merged.exit_code, merged.problem, merged.seconds, merged.shard) == (1, None, 4.0, "")

    (half,) = parts.merge(first).rows
    assert half.problem == "no part of shard 2/2 was given"
    assert half.cells[C].state is State.NOT_RUN

    (lost,) = parts.merge({**shard(1, {A: SAME}), **second}).rows
    assert "in no shard" in lost.cells[B].reason
    assert Grid((lost,)).exit_code == 1


def test_shards_merge_what_differs_the_gravest_first() -> None:
    drift = replace(examples.changed(), verdict=Verdict.DRIFT)
    compared = {f"test_{number:02}": drift if number % 2 else examples.changed() for number in range(24)}
    results = [examples.result(one, name=name, failed_in="call") for name, one in compared.items()]
    shards = {
        **shard(1, {}, differing=differing_of(results[::3])),
        **shard(2, {}, differing=differing_of([*results[1::3], *results[2::3]])),
    }

    (merged,) = parts.merge(shards).rows

    assert merged.differing == differing_of(results)
    assert [result.verdict for result in merged.differing] == [Verdict.CHANGED] * 12 + [Verdict.DRIFT] * 8


ONE, TWO = row("1", {A: SAME}), row("2", {A: SAME})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([Grid((ONE,), commit="a" * 40), Grid((TWO,), commit="b" * 40)], "different commits: a{12} .*, b{12} "),
        ([Grid((ONE,), ("-k", "a")), Grid((TWO,), ("-k", "b"))], r"different tests: -k a \(.*, -k b \("),
        ([Grid((ONE,), run="1"), Grid((TWO,), run="2")], "different runs: 1 .*, 2 "),
        ([Grid((ONE,), run="1"), Grid((ONE,), run="1")], "The row 1 is in two parts: 0.json and 1.json"),
        ([Grid((ONE,), run="1"), Grid((ONE,), run="2")], "The row 1 is in parts of two runs: 0.json and 1.json"),
        ([*shard(1, {A: SAME}).values(), *shard(1, {A: SAME}).values()], "Shard 1/2 of 1 is in two parts"),
        ([*shard(1, {A: SAME}).values(), *shard(2, {A: SAME}).values()], "ran in two shards of 1"),
        ([*shard(1, {A: SAME}).values(), Grid((replace(ONE, shard="2/3"),))], "different numbers of shards: 1/2, 2/3"),
        ([*shard(1, {A: SAME}).values(), Grid((ONE,))], "different numbers of shards: 1/2, none"),
        (
            [*shard(1, {A: SAME}).values(), Grid((replace(ONE, shard="2/2", versions={"lib": "9"}),))],
            "have different packages",
        ),
        ([Grid((replace(ONE, shard="x/y"),))], "0.json names the shard 'x/y'"),
        ([Grid((replace(ONE, shard="5/2"),))], "0.json names the shard '5/2'"),
        ([Grid((replace(ONE, shard="1/40000000"),))], "0.json names the shard '1/40000000'"),
    ],
)
def test_parts_that_are_not_of_one_run_are_refused_in_a_sentence(given: list[Grid], message: str) -> None:
    with pytest.raises(VersionsError, match=message):
        parts.merge({f"{number}.json": grid for number, grid in enumerate(given)})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "The part part.json cannot be read: No such file"),
        ("", "part.json is not JSON"),
        ("[" * 100_000, "part.json is not JSON"),
        ("[1]", "part.json holds no grid"),
        ('{"format": 2, "rows": []}', "part.json has format 2; this release reads format 3"),
        ('{"format": 3, "rows": [{"name": 1}]}', r"part.json cannot be read: .*rows\[0\]"),
        ('{"format": 1, "run": {}, "tests": []}', f"part.json has format 1; this release reads format {FORMAT}"),
    ],
)
def test_a_file_that_is_no_part_is_refused_in_a_sentence(
    text: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / "part.json").write_text(text)

    assert cli.main(["merge", "part.json"]) == 2
    assert re.search(f"^hfmodels: {message}", capsys.readouterr().err)


def plain(transformers: str, python: str = "3.12.1") -> str:
    versions = {"python": python, "transformers": transformers, "tokenizers": f"0.{transformers}"}
    run = Run("", 1.0, 0, None, versions, {}, {"passed": 1})
    return dump(Results(FORMAT, run, ()))


def test_plain_pytest_runs_are_rows_named_by_what_tells_them_apart(tmp_path: Path) -> None:
    for number, (transformers, python) in enumerate([("4.57.6", "3.12.1"), ("5.0.0", "3.12.1"), ("5.0.0", "3.13.0")]):
        folder = tmp_path / f"part-{number}"
        folder.mkdir()
        (folder / "run.json").write_text(plain(transformers, python))

    found = parts.read_parts([str(tmp_path)])
    assert [one.rows[0].name for one in found.values()] == [
        "transformers==4.57.6, python==3.12.1",
        "transformers==5.0.0, python==3.12.1",
        "transformers==5.0.0, python==3.13.0",
    ]
    files = [str(tmp_path / f"part-{number}" / "run.json") for number in range(2)]
    assert [one.rows[0].name for one in parts.read_parts(files).values()] == [
        "transformers==4.57.6",
        "transformers==5.0.0",
    ]
    (named,) = parts.read_parts([f"avx2={files[0]}"]).values()
    assert named.rows[0].name == "avx2"
    with pytest.raises(VersionsError, match=r"run.json is named twice"):
        parts.read_parts([f"avx2={files[0]}", f"avx512={files[0]}"])


@pytest.mark.parametrize("status", [1, 3, 4, 5])
def test_a_plain_run_that_may_have_failed_unseen_is_not_green(tmp_path: Path, status: int) -> None:
    run = Run("", 1.0, status, None, {}, {}, {"passed": 1})
    (tmp_path / "run.json").write_text(dump(Results(FORMAT, run, ())))

    grid = parts.merge(parts.read_parts([str(tmp_path)]))

    assert grid.exit_code == 1
    assert not grid.rows[0].complete
    assert f"exit code {status}" in (grid.rows[0].problem or "")


def test_thousands_of_tests_in_fourteen_rows_merge_in_seconds_into_a_page_that_opens(tmp_path: Path) -> None:
    states = {0: Cell(State.CHANGED, "token 7 differs in a long reason " * 5, details="E   " * 100, cause="search")}
    tests = [f"tests/test_{number % 200}.py::test_{number}[torch-a-long-parameter]" for number in range(2_500)]
    cells = {test: states.get(number % 3, SAME) for number, test in enumerate(tests)}
    files = []
    for number in range(14):
        part = Grid((row(f"lib=={number}", cells),), planned=tuple(f"lib=={one}" for one in range(14)))
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(grid_file.dump(part))

    began = time.process_time()
    merged = parts.merge(parts.read_parts([str(tmp_path)]))
    page = grid_pages.as_html(merged)

    assert time.process_time() - began < 6  # 10,000 tests take four times as long
    assert len(merged.cells) == 2_500
    assert len(page) < 5_000_000
    summary = grid_pages.as_summary(merged)
    assert "14 rows" in summary
    assert "more tests; the HTML page has them all" in summary
    assert len(summary.encode()) <= 60_000
    assert page.count('class="changed"') == 14 * 834
    assert len(set(re.findall('href="#(failure-[0-9]+)"', page)) - set(re.findall('id="(failure-[0-9]+)"', page))) == 0


def test_junit_has_a_suite_a_row_with_what_failed() -> None:
    suites = ElementTree.fromstring(grid_junit.as_junit(grids.one_of_each()))

    assert [suite.get("name") for suite in suites][:2] == ["transformers==4.30.2", "transformers==4.49.0"]
    assert [(suite.get("failures"), suite.get("errors"), suite.get("skipped")) for suite in suites] == [
        ("3", "0", "2"),
        ("0", "2", "1"),
        ("0", "2", "0"),
        ("0", "6", "0"),
    ]
    ElementTree.fromstring(grid_junit.as_junit(grids.hostile()))


@pytest.mark.parametrize(("last", "decided"), [("lib==2.0", "two"), ("current", "three")])
def test_a_review_at_home_decides_about_the_row_that_the_patch_is_of(last: str, decided: str, tmp_path: Path) -> None:
    changes = [
        Pending("t", "changed", "snapshots/t.toml", "snapshots/t.toml", None, None, text)
        for text in ("one", "two", "three")
    ]
    names = ("lib==1.0", "lib==2.0", *([last] if last == "current" else []))
    rows = tuple(row(name, {A: SAME}, pending=(change,)) for name, change in zip(names, changes, strict=False))
    (tmp_path / "grid.json").write_text(grid_file.dump(Grid((*rows, RowResult("lost", problem=NO_PART)))))

    (found,) = carried_changes(tmp_path).read()
    assert found.text == decided


def test_durations_are_the_means_of_the_rows_where_a_test_ran(tmp_path: Path) -> None:
    rows = (row("1", {A: SAME, B: Cell(State.NOT_RUN)}), row("2", {A: replace(SAME, seconds=1.5)}))
    (tmp_path / "grid.json").write_text(grid_file.dump(Grid(rows)))

    assert parts.read_durations(str(tmp_path / "grid.json")) == {A: 1.0}


def test_a_plan_is_the_matrix_of_a_ci(capsys: pytest.CaptureFixture[str]) -> None:
    typed = ["matrix", "lib==1.0,2.0", "current", "--shards", "2"]

    assert cli.main([*typed, "--plan", "github"]) == 0
    assert json.loads(capsys.readouterr().out) == {"row": ["lib==1.0", "lib==2.0", "current"], "shard": ["1/2", "2/2"]}
    assert cli.main([*typed, "--plan", "gitlab"]) == 0
    (only,) = json.loads(capsys.readouterr().out)
    assert only == {"ROW": ["lib==1.0", "lib==2.0", "current"], "SHARD": ["1/2", "2/2"]}


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("matrix current --plan github --json grid.json", "--plan runs nothing, so --json would do nothing."),
        ("matrix current --plan gitlab --row current", "--plan runs nothing, so --row would do nothing."),
        ("matrix lib==1,2,3 --plan github --shards 100", "300 jobs, but this CI takes 256. --shards 85"),
        ("matrix current --plan gitlab --shards 99999999", "99999999 jobs, but this CI takes 200. --shards 200"),
        ("matrix current --shards 3", "--shards needs --plan. Run one with --shard 1/3."),
        ("merge part.json --patch-row current", "--patch-row needs --patch."),
        ("init --rows current", "--rows needs --ci. Add --ci github"),
        ("init --bot renovate", "--bot needs --ci."),
        ("init ./model --ci github", "--ci writes no test file, so './model' would do nothing."),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    typed: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert cli.main(typed.split()) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not [*tmp_path.iterdir()]
