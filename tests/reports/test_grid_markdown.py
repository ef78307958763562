from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.reports.grid_markdown import code, escape, render
from pytest_hfmodels.snapshots.ledger import parse_ledger
from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.results import RowResult

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

[[change]]
name = "other"
when = "six<1"
what = "nothing here"
snapshots = "variants/o"
"""


def test_people_see(snapshot: SnapshotAssertion) -> None:
    entries = parse_ledger(LEDGER, Path("upstream.toml")).entries

    assert render(grids.one_of_each()) == snapshot(name="one of each")
    assert render(grids.mostly_the_same(), entries, command="hfmodels matrix x") == snapshot(name="folded")
    assert "| `test_a[torch]` | ✓ same | ✓ same |" in render(grids.mostly_the_same(), fold=False)


def test_a_page_names_no_folder_of_this_machine() -> None:
    reason = "uv cannot build it: no space in /home/me/.cache/hfmodels"
    failed = RowResult("/home/me/tree", problem=reason, note="resolved in /tmp/some/where")
    text = render(Grid((grids.row("1.0", {"test_it.py::test_a": grids.SAME}), failed)), command="x /home/me/tree")

    assert "/home" not in text
    assert "/tmp" not in text
    assert "no space in …/hfmodels" in text
    assert "Written by `x …/tree`." in text


def test_what_a_test_is_called_or_says_cannot_leave_its_cell() -> None:
    text = render(grids.hostile())

    assert "| `` test_a[<script>alert(1)</script>\\|`x`] `` | ! broken |" in text
    assert "&lt;/pre>&lt;img src=x onerror=alert(1)> \\| \\*\\*bold\\*\\* \\[link\\](javascript:x)" in text
    assert "<script>" not in text.replace("test_a[<script>", "")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [("a_b", "a_b"), ("_a_", "\\_a\\_"), ("a\n b", "a b"), ("`x`", "\\`x\\`"), ("a & b", "a &amp; b")],
)
def test_only_what_means_something_is_escaped(text: str, escaped: str) -> None:
    assert escape(text) == escaped


def test_a_code_span_holds_backticks() -> None:
    assert [code("a"), code("a`b"), code("``")] == ["`a`", "`` a`b ``", "``` `` ```"]
