from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.commands.reviewing.releases import old_releases
from pytest_hfmodels.results.pending import Pending
from pytest_hfmodels.snapshots.format import dump

from ..example_records import generation, provenance

if TYPE_CHECKING:
    from pathlib import Path


def made_with(**versions: str) -> str:
    return dump(generation(provenance=replace(provenance(), versions=versions)))


@pytest.mark.parametrize(
    ("then", "now", "suggested"),
    [
        (
            {"transformers": "4.57.6", "torch": "2.13.0"},
            {"transformers": "5.0.0", "torch": "2.13.0"},
            "transformers<5.0.0",
        ),
        ({"transformers": "4.57.6"}, {"transformers": "5.0.0rc1"}, "transformers<5.0.0"),
        ({"transformers": "4.57.6"}, {"transformers": "4.49.0"}, "transformers>4.49.0"),
        (
            {"transformers": "4.57.6", "torch": "2.12.0"},
            {"transformers": "4.57.6", "torch": "2.13.0+cpu"},
            "torch<2.13.0",
        ),
        ({"transformers": "4.57.6"}, {"transformers": "4.57.6"}, ""),
        ({"transformers": "4.57.6"}, {"transformers": "main"}, ""),
        ({}, {}, ""),
    ],
)
def test_the_old_output_s_releases_are_suggested(
    tmp_path: Path, then: dict[str, str], now: dict[str, str], suggested: str
) -> None:
    (tmp_path / "s.toml").write_text(made_with(**then))
    change = Pending("t", "changed", "s.toml", "s.toml", None, None, made_with(**now))

    assert old_releases(change, tmp_path) == suggested
