"""The parts of the package: imports point down, and the picture is up to date."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

SCRIPT = Path(__file__).parents[1] / "docs" / "draw_architecture.py"


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_architecture", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rooms_import_only_rooms_below_them(drawing: ModuleType) -> None:
    together = [group for level in drawing.levels(drawing.rooms()) for group in level if len(group) > 1]

    assert together == [["explain", "kinds"]]


def test_the_picture_is_up_to_date(drawing: ModuleType) -> None:
    assert drawing.TARGET.read_text(encoding="utf-8") == drawing.draw(drawing.rooms())
