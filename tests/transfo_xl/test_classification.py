from __future__ import annotations

import pytest
import torch

from pytest_hfmodels.foundation.errors import CheckpointError

from .tiny_transfo_xl import classifier, text


def test_a_single_label() -> None:
    model, words = classifier(num_labels=3), text(2, 4)

    output = model(words, labels=torch.tensor([1, 2]))

    expected = torch.nn.functional.cross_entropy(output.logits, torch.tensor([1, 2]))
    assert output.logits.shape == (2, 3)
    torch.testing.assert_close(output.loss, expected)


def test_several_labels_after_a_single_one() -> None:
    model, words = classifier(num_labels=3), text(2, 4)

    model(words, labels=torch.tensor([1, 2]))
    output = model(words, labels=torch.tensor([[1.0, 0, 1], [0, 0, 0]]))

    wanted = torch.nn.functional.binary_cross_entropy_with_logits(output.logits, torch.tensor([[1.0, 0, 1], [0, 0, 0]]))
    torch.testing.assert_close(output.loss, wanted)
    assert model.config.problem_type is None


def test_a_regression() -> None:
    model, words = classifier(num_labels=1), text(2, 4)

    output = model(words, labels=torch.tensor([0.5, -1.0]))

    torch.testing.assert_close(output.loss, ((output.logits[:, 0] - torch.tensor([0.5, -1.0])) ** 2).mean())


def test_padding_on_the_right_changes_nothing() -> None:
    model, words = classifier(), text(1, 4)
    longer = torch.cat([words, torch.full((1, 3), 1)], dim=1)

    torch.testing.assert_close(model(longer).logits, model(words).logits)


def test_padding_on_the_left_is_read_as_words_and_the_last_word_counts() -> None:
    model, words = classifier(), text(1, 4)
    longer = torch.cat([torch.full((1, 2), 1), words], dim=1)

    found = model(longer).logits

    speaking = model.score(model.transformer(longer).last_hidden_state[:, -1])
    torch.testing.assert_close(found, speaking)
    assert not torch.allclose(found, model(words).logits)


def test_a_batch_needs_a_padding_token() -> None:
    model = classifier(pad_token_id=None)

    assert model(text(1, 4)).logits.shape == (1, 2)
    with pytest.raises(CheckpointError, match="batch of 2 texts cannot be classified without a padding token"):
        model(text(2, 4))


def test_labels_out_of_range_are_refused() -> None:
    with pytest.raises(IndexError, match="Target 5 is out of bounds"):
        classifier(num_labels=3)(text(1, 4), labels=torch.tensor([5]))


def test_labels_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="size"):
        classifier(num_labels=3)(text(1, 4), labels=torch.tensor([[1.0, 0.0]]))


def test_memory_reaches_the_classifier() -> None:
    model = classifier()
    before = model(text(1, 5, seed=3)).mems

    assert not torch.allclose(model(text(1, 4), mems=before).logits, model(text(1, 4)).logits)


def test_widths_that_the_head_cannot_read_are_refused() -> None:
    with pytest.raises(CheckpointError, match="reads d_embed=12 numbers, and its layers give d_model=8"):
        classifier(d_embed=12)
