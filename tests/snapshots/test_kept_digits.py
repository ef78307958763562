"""Which numbers keep their digits in a rewritten file: those that are compared within the tolerance, and no others."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.kinds import Loss
from pytest_hfmodels.snapshots import dump
from pytest_hfmodels.snapshots.format import parse

from ..example_records import EFFECTIVE, classification, generation, moved

if TYPE_CHECKING:
    from pytest_hfmodels.kinds import Record


def rewritten(before: Record, now: Record) -> dict[str, Any]:
    """Return the file of `before` rewritten with `now`, under a tolerance of 0.1."""
    text = dump(now, earlier=parse(dump(before), Path("a.toml")), keep=lambda a, b: abs(a - b) <= 0.1)
    return tomllib.loads(text)


def test_a_number_within_the_tolerance_keeps_its_digits() -> None:
    assert rewritten(generation(), generation(moved(1, by=0.01)))["steps"]["rows"][1][2] == -0.5


@pytest.mark.parametrize("name", ["repetition_penalty", "length_penalty"])
def test_a_setting_is_written_anew(name: str) -> None:
    before, now = (generation(effective={**EFFECTIVE, name: value}) for value in (1.3, 1.25))

    assert rewritten(before, now)["effective"][name] == 1.25


def test_a_label_that_was_given_is_written_anew() -> None:
    before, now = (
        replace(classification(), loss=Loss(value, ((label, 0.0), (0.0, 1.0))))
        for value, label in ((0.5, 0.9), (0.51, 0.85))
    )

    found = rewritten(before, now)["loss"]
    assert (found["value"], found["labels"][0][0]) == (0.5, 0.85)
