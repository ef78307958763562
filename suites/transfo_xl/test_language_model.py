"""The language model: log-probabilities of the adaptive softmax, greedy and beam continuations with memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from suites.transfo_xl import PROMPT

# For each word of PROMPT after the first, from upstream's code at transformers 4.37.2.
LOG_PROBABILITIES = {
    "name": -0.265386,
    "is": -0.000007,
    "Hasnain": -3.377412,
    "and": -0.179385,
    "I": -0.001556,
    "am": -0.005109,
    "a": -0.075975,
    "software": -2.445471,
    "engineer": -0.013269,
    ".": -0.002066,
}

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel, HFSnapshot


def test_greedy(transfo_xl: HFModel, hf_snapshot: HFSnapshot) -> None:
    assert transfo_xl.generate(PROMPT, max_length=44) == hf_snapshot


def test_beam(transfo_xl: HFModel, hf_snapshot: HFSnapshot) -> None:
    record = transfo_xl.generate(
        PROMPT, max_length=44, num_beams=5, no_repeat_ngram_size=2, early_stopping=True, num_return_sequences=5
    )

    assert len({beam.ids for beam in record.beams}) == 5
    assert record == hf_snapshot


def test_the_log_probabilities_of_a_fixed_text(transfo_xl: HFModel) -> None:
    ids = transfo_xl.tokenizer.encode(PROMPT)

    found = transfo_xl.log_probabilities([ids])[0]

    following = [found[position, word] for position, word in enumerate(ids[1:])]
    assert transfo_xl.tokenizer.convert_ids_to_tokens(ids[1:]) == list(LOG_PROBABILITIES)
    np.testing.assert_allclose(following, list(LOG_PROBABILITIES.values()), atol=1e-4)


def test_the_fixed_text_has_words_of_several_clusters(transfo_xl: HFModel) -> None:
    frequent, _ = transfo_xl.config.cutoffs
    ids = transfo_xl.tokenizer.encode(PROMPT)

    assert min(ids) < frequent <= max(ids)


def test_the_distribution_over_the_clusters_sums_to_one(transfo_xl: HFModel) -> None:
    ids = transfo_xl.tokenizer.encode(PROMPT)

    log_probabilities = transfo_xl.forward([ids]).logits

    assert log_probabilities.shape == (1, len(ids), transfo_xl.config.vocab_size)
    np.testing.assert_allclose(np.exp(log_probabilities).sum(axis=-1), 1, atol=1e-5)


def test_the_loss_is_the_mean_of_the_next_words_log_probabilities(transfo_xl: HFModel) -> None:
    ids = transfo_xl.tokenizer.encode(PROMPT)
    log_probabilities = transfo_xl.forward([ids]).logits[0]

    loss = transfo_xl.model(transfo_xl.loaded.tensor([ids]), labels=transfo_xl.loaded.tensor([ids])).loss

    expected = -np.mean([log_probabilities[position, word] for position, word in enumerate(ids[1:])])
    assert abs(float(loss.detach()) - expected) < 1e-5
