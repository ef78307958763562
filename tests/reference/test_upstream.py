"""The installed release of transformers does what the reference says, by the release's rules."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_hfmodels.engines import missing
from pytest_hfmodels.errors import HFModelsError
from pytest_hfmodels.reference import Settings, beam_search, check_beams, check_greedy, pooled_positions
from pytest_hfmodels.reference.search import log_softmax

from .drawn import PAD, batches, settings_as_a_whole
from .flat_gpt2 import RULES, VOCABULARY

if TYPE_CHECKING:
    from .flat_gpt2 import FlatGPT2

pytestmark = pytest.mark.skipif(missing("torch") is not None, reason="install torch")
DRAWN = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@DRAWN
@given(st.data())
def test_greedy_search(model: FlatGPT2, data: st.DataObject) -> None:
    ids, mask = data.draw(batches())
    asked = data.draw(settings_as_a_whole(rules=RULES, beams=False, prompt_length=ids.shape[1]))

    returned = model.generate(ids, mask, asked)

    assert check_greedy(model.logits, ids, mask, asked, returned.ids, returned.scores, RULES) is None


@DRAWN
@given(st.data())
def test_beam_search(model: FlatGPT2, data: st.DataObject) -> None:
    ids, mask = data.draw(batches())
    asked = data.draw(settings_as_a_whole(rules=RULES, beams=True, prompt_length=ids.shape[1]))
    try:
        returned = model.generate(ids, mask, asked)
    except ValueError:
        if not RULES.spare_beams_for_one_eos:
            raise
        with pytest.raises(HFModelsError, match="too few"):
            beam_search(model.logits, ids, mask, asked, RULES)
        return

    assert check_beams(model.logits, ids, mask, asked, returned.ids, returned.scores, RULES) is None


def test_with_as_many_beams_as_sequences_the_best_one_is_found(model: FlatGPT2) -> None:
    ids, mask = np.array([[3, 1, 4]]), np.ones((1, 3), int)
    every = np.array([[*ids[0], *two] for two in itertools.product(range(VOCABULARY), repeat=2)])
    first = log_softmax(model.logits(ids, mask))[0]
    second = log_softmax(model.logits(every[:, :-1], np.ones_like(every[:, :-1])))
    totals = first[every[:, -2]] + second[np.arange(len(every)), every[:, -1]]

    returned = model.generate(ids, mask, Settings(max_new_tokens=2, num_beams=len(every), length_penalty=0.0))

    assert returned.ids[0].tolist() == every[totals.argmax()].tolist()
    assert returned.scores[0] == pytest.approx(totals.max(), abs=1e-5)


@pytest.mark.parametrize("row", [[1, 2, 3], [PAD, PAD, 3], [1, PAD, PAD], [1, PAD, 3], [PAD, 1, PAD]])
def test_a_classifier_reads_the_pooled_word(model: FlatGPT2, row: list[int]) -> None:
    logits, everywhere = model.classify(row, padding=PAD)

    position = int(pooled_positions(np.array([row]), PAD, RULES)[0])
    np.testing.assert_allclose(logits, everywhere[position], atol=1e-6)
    others = [index for index in range(len(row)) if index != position]
    assert all(np.abs(logits - everywhere[index]).max() > 1e-3 for index in others)
