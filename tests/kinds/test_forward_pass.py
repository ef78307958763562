from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_hfmodels.kinds import LivePass, ModelRef
from pytest_hfmodels.kinds.evidence import fingerprint
from pytest_hfmodels.kinds.forward_pass import rows_moved


def test_a_row_alone_has_no_padding() -> None:
    inputs = {
        "input_ids": np.array([[0, 0, 5], [6, 7, 8]]),
        "attention_mask": np.array([[0, 0, 1], [1, 1, 1]]),
        "pixel_values": np.arange(8.0).reshape(2, 4),
    }

    alone = LivePass(inputs, ModelRef(None, {})).alone(0)

    assert alone.inputs["input_ids"].tolist() == [[5]]
    assert alone.inputs["attention_mask"].tolist() == [[1]]
    assert alone.inputs["pixel_values"].tolist() == [[0.0, 1.0, 2.0, 3.0]]


def test_a_row_alone_knows_which_row_it_is() -> None:
    live = LivePass({"pixel_values": np.zeros((3, 2))}, ModelRef(None, {}))

    assert (live.first, live.mask, live.alone(2).first) == (0, None, 2)


def test_what_a_kind_adds_to_its_live_side_stays() -> None:
    @dataclass(frozen=True)
    class Own(LivePass):
        recipe: str = ""

    alone = Own({"pixel_values": np.zeros((3, 2))}, ModelRef(None, {}), recipe="mean").alone(1)

    assert isinstance(alone, Own)
    assert alone.recipe == "mean"


def test_rows_of_another_length_moved_without_bound() -> None:
    assert rows_moved([[1.0, 2.0], [1.0]], [[1.0, 2.5], [1.0, 2.0]]) == [0.5, float("inf")]


def test_a_mask_of_another_length_than_the_states_is_ignored() -> None:
    states = np.arange(24.0).reshape(2, 3, 4)

    assert fingerprint([states], np.ones((2, 9), dtype=np.int64)) == fingerprint([states])
