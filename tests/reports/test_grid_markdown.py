from __future__ import annotations

import pytest

from pytest_hfmodels.reports.grid_markdown import code, escape, render

from . import grids


def test_the_table_has_tests_down_and_rows_across() -> None:
    lines = render(grids.one_of_each()).splitlines()

    assert "| test | 4.30.2 | 4.49.0 | 4.57.6 | 9.9 |" in lines
    assert "| **`suites/gpt2/test_beam.py`** |  |  |  |  |" in lines
    assert "| `test_beam[torch]` | ✗ changed† | ✓ same | ✓ same | / unbuilt |" in lines


def test_below_stand_the_first_changes_the_reasons_and_what_else_moved() -> None:
    text = render(grids.one_of_each())

    assert "- **transformers==4.57.6**: `suites/gpt2/test_loss.py::test_loss[torch]`, `suites/xl.py::test_near`" in text
    assert "- ✗ **4.30.2**: `test_beam[torch]`: beam scores count the prompt († length-penalty-counts-prompt)" in text
    assert "- **transformers==4.30.2**: tokenizers 0.22.2 -> 0.13.3; without requests" in text
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


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
