from __future__ import annotations

from typing import Any

import pytest
import torch

from .tiny_transfo_xl import language_model, text

HOW: dict[str, Any] = {"do_sample": False, "max_new_tokens": 6, "eos_token_id": 23, "pad_token_id": 1}

# Upstream's class of transformers 4.37.2, on the same weights (`test_parity` compares the two there).
GREEDY = [[4, 5, 1, 7, 13, 3], [4, 5, 1, 3, 15, 14]]
BEAM = [[4, 5, 1, 7, 13, 3], [4, 1, 5, 3, 15, 14]]


def greedy_by_hand(model: Any, words: torch.Tensor, mems: Any = None) -> torch.Tensor:
    given = words
    for _ in range(6):
        output = model(given, mems=mems)
        given, mems = output.logits[:, -1:].argmax(dim=-1), output.mems
        words = torch.cat([words, given], dim=1)
    return words


@pytest.mark.parametrize("mem_len", [4, 16])
def test_greedy_carries_the_memory(mem_len: int) -> None:
    model, words = language_model(mem_len=mem_len), text(2, 5)

    found = model.generate(words, **HOW)

    assert found.tolist() == greedy_by_hand(model, words).tolist()


def test_without_memory_all_words_are_read_again() -> None:
    model, words = language_model(mem_len=0, same_length=False), text(2, 5)

    found = model.generate(words, **HOW)

    for step in range(5, 11):
        assert found[:, step].tolist() == model(found[:, :step]).logits[:, -1].argmax(dim=-1).tolist()


def test_a_beam_keeps_its_own_memory() -> None:
    model, words = language_model(mem_len=16), text(2, 5)

    found = model.generate(
        words, **HOW, num_beams=4, num_return_sequences=4, return_dict_in_generate=True, output_scores=True
    )

    # A score is the mean log-probability of the words: read in one pass, they have the same.
    sums = model(found.sequences).logits[:, :-1].gather(2, found.sequences[:, 1:, None])[:, 4:].sum(dim=(1, 2))
    scores = found.sequences_scores.view(2, 4)
    ratios = sums.view(2, 4) / scores
    torch.testing.assert_close(ratios, ratios[:1, :1].expand(2, 4), rtol=1e-4, atol=0)
    assert (scores.diff(dim=1) <= 1e-6).all()


def test_generation_can_start_from_a_memory() -> None:
    model, told, words = language_model(seed=1, mem_len=16), text(2, 6, seed=5), text(2, 3)

    found = model.generate(words, **HOW, mems=model(told).mems)

    assert found.tolist() == greedy_by_hand(model, words, model(told).mems).tolist()


def test_every_beam_starts_from_the_memory() -> None:
    model, told, words = language_model(seed=1, mem_len=16), text(2, 6, seed=5), text(2, 3)
    how = {**HOW, "num_beams": 3, "no_repeat_ngram_size": 1}

    found = model.generate(words, **how, mems=model(told).mems)

    one_by_one = [
        model.generate(words[row : row + 1], **how, mems=model(told[row : row + 1]).mems)[0].tolist() for row in (0, 1)
    ]
    assert found.tolist() == one_by_one
    assert found.tolist() != model.generate(words, **how).tolist()


def test_the_same_words_on_every_release() -> None:
    model, words = language_model(seed=23, mem_len=8), text(2, 4, seed=23)
    how = {**HOW, "no_repeat_ngram_size": 1}

    assert model.generate(words, **how)[:, 4:].tolist() == GREEDY
    assert model.generate(words, **how, num_beams=3, length_penalty=0.0)[:, 4:].tolist() == BEAM


def test_words_and_states_of_each_step_are_returned_on_request() -> None:
    found = language_model().generate(
        text(1, 3), **HOW, return_dict_in_generate=True, output_hidden_states=True, output_attentions=True
    )

    assert [step[0].shape[1] for step in found.hidden_states] == [3, 1, 1, 1, 1, 1]
    assert found.attentions[0][0].shape == (1, 2, 3, 9)
