from __future__ import annotations

from pathlib import Path

import pytest

from pytest_hfmodels.reports.grid_markdown import code, escape, render
from pytest_hfmodels.snapshots.ledger import parse_ledger
from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.results import RowResult

from . import grids


def test_the_table_has_tests_down_and_rows_across() -> None:
    lines = render(grids.one_of_each()).splitlines()

    assert "| test | 4.30.2 | 4.49.0 | 4.57.6 | 9.9 |" in lines
    assert "| **`suites/gpt2/test_beam.py`** |  |  |  |  |" in lines
    assert "| `test_beam[torch]` | ✗ changed† | ✓ same | ✓ same | / build-failed |" in lines


def test_below_stand_the_first_changes_the_reasons_and_what_else_moved() -> None:
    text = render(grids.one_of_each())

    assert "- **transformers==4.57.6**: `test_loss[torch]`, `test_near`" in text
    assert "- ✗ **4.30.2**: `test_beam[torch]`: beam scores count the prompt († length-penalty-counts-prompt)" in text
    assert "- **transformers==4.30.2**: tokenizers 0.22.2 -> 0.13.3; without requests" in text
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_tests_with_nothing_to_look_at_share_a_line_unless_all_are_asked_for() -> None:
    lines = render(grids.mostly_the_same()).splitlines()

    assert "| **`suites/test_tokenizer.py`**: 6 tests, all same | ✓ same | ✓ same |" in lines
    assert "| 3 tests \\[tensorflow\\] | ✓ same | ○ skipped |" in lines
    assert "| `test_moves` | ✗ changed† | ✓ same |" in lines
    assert "| `test_a[torch]` | ✓ same | ✓ same |" not in lines
    assert "| `test_a[torch]` | ✓ same | ✓ same |" in render(grids.mostly_the_same(), fold=False).splitlines()


def test_the_page_says_which_command_wrote_it_and_tells_the_ledger_s_entries_in_their_words() -> None:
    ledger = """
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
    entries = parse_ledger(ledger, Path("upstream.toml")).entries
    text = render(grids.mostly_the_same(), entries, command="hfmodels matrix transformers==4.57.6,5.23.0")

    assert text.startswith(
        "# What changes between releases of transformers\n\n"
        "Written by `hfmodels matrix transformers==4.57.6,5.23.0`.\n\n15 tests in 2 rows; "
    )
    assert (
        "## Explained by the ledger (†)\n\n- **beams** (change, `transformers<5`): beams end later (a/b#1). "
        "In 4.57.6: `test_moves`\n" in text
    )
    assert "token 7 differs" not in text
    assert "nothing here" not in text


def test_a_page_names_no_place_on_this_machine() -> None:
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
