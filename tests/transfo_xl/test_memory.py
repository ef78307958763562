from __future__ import annotations

import pytest
import torch

from pytest_hfmodels import transfo_xl
from pytest_hfmodels.foundation.errors import CheckpointError
from pytest_hfmodels.transfo_xl.memory import blank_memory, unseen

from .tiny_transfo_xl import language_model, text


@pytest.mark.parametrize("segment", [1, 2, 3, 5])
def test_segments_with_memory_equal_one_pass(segment: int) -> None:
    model, words = language_model(mem_len=12), text(2, 12)

    whole = transfo_xl.segment_log_probabilities(model, words, 12)
    in_parts = transfo_xl.segment_log_probabilities(model, words, segment)

    torch.testing.assert_close(in_parts, whole, rtol=0, atol=1e-5)


def test_segments_without_memory_do_not() -> None:
    model, words = language_model(mem_len=12), text(2, 12)

    whole = transfo_xl.segment_log_probabilities(model, words, 12)
    forgetful = transfo_xl.segment_log_probabilities(model, words, 4, carry=False)

    torch.testing.assert_close(forgetful[:, :3], whole[:, :3], rtol=0, atol=1e-5)
    assert (forgetful[:, 4:] - whole[:, 4:]).abs().max() > 0.1


def test_without_same_length_and_blanks_segments_equal_one_pass() -> None:
    model, words = language_model(mem_len=12, same_length=False), text(2, 12)
    nothing = blank_memory(model.config, 0, 2, like=model.crit.cluster_weight)

    whole = transfo_xl.segment_log_probabilities(model, words, 12, mems=nothing)
    in_parts = transfo_xl.segment_log_probabilities(model, words, 4, mems=nothing)

    torch.testing.assert_close(in_parts, whole, rtol=0, atol=1e-5)


def test_the_memory_is_the_last_words_of_each_layers_input() -> None:
    model, words = language_model(mem_len=4), text(2, 3)

    first = model(words, output_hidden_states=True)
    second = model(words, mems=first.mems, output_hidden_states=True)

    for layer in range(2):
        assert first.mems[layer].shape == (4, 2, 8)
        assert first.mems[layer][0].eq(0).all()
        kept = torch.cat([first.hidden_states[layer], second.hidden_states[layer]], dim=1)[:, -4:]
        torch.testing.assert_close(second.mems[layer].transpose(0, 1), kept)
        assert not second.mems[layer].requires_grad


def test_without_memory_there_are_no_mems() -> None:
    model = language_model(mem_len=0)

    assert model(text(2, 3)).mems is None


def test_the_memory_length_can_be_reset() -> None:
    model = language_model(mem_len=4)

    model.reset_memory_length(2)

    assert model(text(1, 5)).mems[0].shape[0] == 2


def test_each_word_sees_a_window_that_ends_at_itself() -> None:
    seen = ~unseen(length=3, remembered=2, window=3, device=torch.device("cpu"))

    assert seen.int().tolist() == [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1]]


def test_without_a_window_each_word_sees_all_before() -> None:
    seen = ~unseen(length=2, remembered=1, window=None, device=torch.device("cpu"))

    assert seen.int().tolist() == [[1, 1, 0], [1, 1, 1]]


def test_mems_of_a_deeper_model_are_refused() -> None:
    mems = language_model(n_layer=3)(text(2, 3)).mems

    with pytest.raises(CheckpointError, match="expected 2 tensors, one per layer, found 3"):
        language_model()(text(2, 3), mems=mems)


def test_mems_of_a_wider_model_are_refused() -> None:
    mems = language_model(d_model=12)(text(2, 3)).mems

    with pytest.raises(CheckpointError, match=r"expected \[6, 2, 8\].*for layer 0, found \[6, 2, 12\]"):
        language_model()(text(2, 3), mems=mems)


def test_mems_of_another_batch_are_refused() -> None:
    model = language_model()

    with pytest.raises(CheckpointError, match=r"expected \[6, 3, 8\].*found \[6, 2, 8\]"):
        model(text(3, 3), mems=model(text(2, 3)).mems)


def test_a_text_longer_than_the_memory_is_refused() -> None:
    with pytest.raises(CheckpointError, match="text of 7 words is longer than the memory of 6: its first 1 words"):
        transfo_xl.segment_log_probabilities(language_model(mem_len=6), text(1, 7), 3)


@pytest.mark.parametrize("read", ["in segments", "at once"])
def test_an_empty_text_is_refused(read: str) -> None:
    model, nothing = language_model(), text(1, 0)

    with pytest.raises(CheckpointError, match="text is empty"):
        transfo_xl.segment_log_probabilities(model, nothing, 3) if read == "in segments" else model(nothing)
