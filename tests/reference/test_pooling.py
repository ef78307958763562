from __future__ import annotations

import numpy as np
import pytest

from pytest_hfmodels.reference import Rules, pooled_positions

ROWS = [[5, 6, 7], [5, 6, 0], [0, 6, 7], [5, 0, 7], [0, 5, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("version", "positions"),
    [("5.23.0", [2, 1, 2, 2, 1, 0]), ("4.48.3", [2, 1, 2, 0, 2, 2]), ("4.31.0", [2, 1, 1, 1, 0, 2])],
)
def test_the_word_that_is_read_in_a_row(version: str, positions: list[int]) -> None:
    assert pooled_positions(np.array(ROWS), 0, Rules.of(version)).tolist() == positions


def test_without_padding_it_is_the_last_word() -> None:
    assert pooled_positions(np.array(ROWS), None).tolist() == [2] * len(ROWS)
