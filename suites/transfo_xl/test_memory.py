"""Memory: reading a text in segments equals reading it at once, and a distant fact is recalled only with memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    import torch

    from pytest_hfmodels import HFModel

FACT = "Sara lives in Lisbon. "
FILLER = (
    "Omar collects coins. I have been working in a small company for ten years. The work is hard, but I enjoy it very "
    "much. Every morning I meet my team and we plan the day. "
)
QUESTION = "Where does Sara live? Sara lives in"
SEGMENT = 32


def read(model: HFModel, text: str, segment: int, *, carry: bool = True) -> torch.Tensor:
    """Return the log-probability of each word of `text` except the first, without blank words before it, (L - 1,)."""
    from pytest_hfmodels.transfo_xl import blank_memory, segment_log_probabilities

    ids = model.loaded.tensor([model.tokenizer.encode(text)])
    blank = blank_memory(model.config, 0, 1, like=next(model.model.parameters()))
    return segment_log_probabilities(model.model, ids, segment, carry=carry, mems=blank)[0]


@pytest.mark.parametrize("segment", [1, 7, 16, 32])
def test_segments_with_memory_equal_one_pass(transfo_xl: HFModel, segment: int) -> None:
    text = FACT + FILLER

    np.testing.assert_allclose(read(transfo_xl, text, segment), read(transfo_xl, text, 64), atol=1e-4)


def test_segments_without_memory_do_not(transfo_xl: HFModel) -> None:
    text = FACT + FILLER

    without, at_once = read(transfo_xl, text, SEGMENT, carry=False), read(transfo_xl, text, 64)

    assert float((without - at_once).abs().max()) > 1


def test_a_far_fact_is_recalled_with_memory_and_not_without(transfo_xl: HFModel) -> None:
    text = FACT + FILLER + QUESTION + " Lisbon"

    known, forgotten = read(transfo_xl, text, SEGMENT)[-1], read(transfo_xl, text, SEGMENT, carry=False)[-1]

    assert len(transfo_xl.tokenizer.encode(text)) > SEGMENT
    assert float(known.exp()) > 0.9
    assert float(forgotten.exp()) < 0.1
