"""Damaged matrix files in the cache: a page shows them or leaves them out, and never crashes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_hfmodels.reports import grid_pages, grid_terminal
from pytest_hfmodels.reports.grid_pages import grid_section
from pytest_hfmodels.results.model import encode
from pytest_hfmodels.versions.last_grid import LAST_GRID, last_grid
from pytest_hfmodels.versions.results import State

from ..versions.test_last_grid import WHOLE
from .classes import as_parameters
from .sandbox import check_outcomes

if TYPE_CHECKING:
    from pathlib import Path

GRID: Any = json.loads(encode(WHOLE))
TEXTS = st.text(st.characters(exclude_categories=()), max_size=12) | st.sampled_from(
    ("", "::", "[", "a::b", "\x1b[2J", "\u202e", "a==b", "a==1", "==", "</td><script>", "|", "\ud800", "../..")
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.sampled_from([10**400, next(iter(State))]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def changed(draw: st.DrawFn) -> Any:
    """A grid in which one value or one key was replaced."""

    def walk(value: Any) -> Any:
        if isinstance(value, dict) and value and draw(st.integers(0, 4)):
            key = draw(st.sampled_from(sorted(value)))
            rest = {name: other for name, other in value.items() if name != key}
            return {**rest, (draw(TEXTS) if not draw(st.integers(0, 5)) else key): walk(value[key])}
        if isinstance(value, list) and value and draw(st.integers(0, 4)):
            place = draw(st.integers(0, len(value) - 1))
            return [*value[:place], walk(value[place]), *value[place + 1 :]]
        return draw(TEXTS) if isinstance(value, str) and draw(st.booleans()) else draw(VALUES)

    return walk(GRID)


def matrices(root: Path) -> None:
    """Show every changed grid in every view."""
    (root / LAST_GRID).parent.mkdir(parents=True)

    @settings(max_examples=200, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(changed())
    def check(grid: Any) -> None:
        (root / LAST_GRID).write_text(json.dumps(grid))
        found = last_grid(root, print)
        if found is not None:
            grid_section(found[0], "title")
            grid_pages.as_markdown(found[0])
            grid_terminal.show(found[0], grid_terminal.console())

    check()


@pytest.mark.parametrize("part", as_parameters({"matrix": "row"}))
def test_a_matrix_file_is_shown_or_left_out(part: str, tmp_path: Path) -> None:
    del part

    check_outcomes({"any change": lambda: matrices(tmp_path)}, tmp_path / "canary", seconds=40)
