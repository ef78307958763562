"""The checker of language models' losses sees a wrong one, and says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_hfmodels.properties import PaddedTexts, check_language_model_loss, next_token_labels, padded_texts
from suites.drawn import transfo_xl_checkpoint

from ..surroundings import needs_both_engines
from .shrinking import smallest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_hfmodels import HFModel, ModelCache
    from pytest_hfmodels.engines.base import IntArray

PAD, IGNORED = 256, -100
IDS = np.asarray([[1, 2, 3, 4], [5, 6, 7, 8]])
LABELS = np.asarray([[1, IGNORED, 3, 4], [5, 6, IGNORED, IGNORED]])


@pytest.fixture
def bot(models: ModelCache) -> HFModel:
    return models.load("./model")


@pytest.fixture(scope="module")
def transfo_xl(models: ModelCache, tmp_path_factory: pytest.TempPathFactory) -> HFModel:
    return models.load(transfo_xl_checkpoint(tmp_path_factory.mktemp("drawn") / "transfo-xl"))


@pytest.fixture
def labels_altered(monkeypatch: pytest.MonkeyPatch, models: ModelCache) -> Callable[[Callable[[Any], Any]], None]:
    """Give upstream's call other labels than it was passed."""
    del models
    from transformers import GPT2LMHeadModel

    call = GPT2LMHeadModel.forward

    def alter(how: Callable[[Any], Any]) -> None:
        def forward(self: Any, *ids: Any, labels: Any = None, **given: Any) -> Any:
            return call(self, *ids, labels=None if labels is None else how(labels), **given)

        monkeypatch.setattr(GPT2LMHeadModel, "forward", forward)

    return alter


@settings(deadline=None, derandomize=True, database=None)
@given(data=st.data(), batch=padded_texts(30, 7, lengths=(2, 6), batch=4, pad_inside=True))
def test_labels_ignore_padding_and_leave_the_first_text_one_that_counts(
    data: st.DataObject, batch: PaddedTexts
) -> None:
    labels = data.draw(next_token_labels(batch))

    assert labels.shape == batch.ids.shape
    assert (labels[batch.mask == 0] == IGNORED).all()
    assert ((labels == IGNORED) | ((labels >= 0) & (labels < 30))).all()
    assert (labels[0, 1:] != IGNORED).any()


def test_labels_shrink_to_the_text_itself() -> None:
    batch = PaddedTexts(((1, 2), (3, 4, 5)), 7, "right")

    found = smallest(next_token_labels(batch), lambda _: True)

    assert found.tolist() == [[1, 2, IGNORED], [3, 4, 5]]


def test_ignored_and_other_labels_are_drawn() -> None:
    batch = PaddedTexts(((1, 2, 3),), 7, "right")

    assert smallest(next_token_labels(batch), lambda labels: labels[0, 2] == IGNORED).tolist() == [[1, 2, IGNORED]]
    assert smallest(next_token_labels(batch), lambda labels: labels[0, 1] == 0).tolist() == [[1, 0, 3]]


def test_the_librarys_loss_is_the_mean_over_the_counted_labels(bot: HFModel) -> None:
    assert check_language_model_loss(bot, IDS, LABELS) is None


@needs_both_engines
def test_tensorflows_loss_is_the_mean_over_the_counted_labels(models: ModelCache) -> None:
    assert check_language_model_loss(models.load("./model", engine="tensorflow"), IDS, LABELS) is None


def test_losses_of_transformer_xl_are_compared_word_by_word(
    transfo_xl: HFModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = np.asarray([[2, 20, 3, 9]])
    call = type(transfo_xl.model).forward

    def moves_two(self: Any, *ids: Any, **given: Any) -> Any:
        output = call(self, *ids, **given)
        if output.losses is not None:
            output.losses = output.losses + output.losses.new_tensor([0.5, -0.5, 0.0])  # the mean does not notice
        return output

    assert check_language_model_loss(transfo_xl, ids, ids) is None
    monkeypatch.setattr(type(transfo_xl.model), "forward", moves_two)

    violation = check_language_model_loss(transfo_xl, ids, ids)

    assert "of the words' losses, smallest first, is" in str(violation)


def test_labels_that_are_shifted_twice_shrink_to_a_short_text(
    bot: HFModel, labels_altered: Callable[..., None]
) -> None:
    labels_altered(lambda labels: labels.roll(-1, dims=1))

    def wrong(example: tuple[PaddedTexts, IntArray]) -> bool:
        batch, labels = example
        return check_language_model_loss(bot, batch.ids, labels, mask=batch.mask) is not None

    texts = padded_texts(20, PAD, lengths=(2, 5), batch=3)
    batch, labels = smallest(
        texts.flatmap(lambda batch: st.tuples(st.just(batch), next_token_labels(batch))), wrong, examples=30
    )

    assert len(batch.texts) == 1
    assert len(batch.texts[0]) <= 3
    violation = check_language_model_loss(bot, batch.ids, labels, mask=batch.mask)
    assert str(violation).startswith("the loss is: ")
    assert str(violation).endswith(f"for {batch.ids.tolist()} with the labels {labels.tolist()}")


def test_ignored_labels_that_are_counted_are_found(bot: HFModel, labels_altered: Callable[..., None]) -> None:
    labels_altered(lambda labels: labels.clamp(min=0))

    assert check_language_model_loss(bot, IDS, LABELS) is not None


def test_a_model_without_a_loss_is_named(bot: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_hfmodels.properties.losses.labelled", lambda *_, **__: {})

    violation = check_language_model_loss(bot, IDS, LABELS)

    assert str(violation).startswith("the call gives no loss: nan instead of ")


def test_the_divisor_of_the_sum_can_be_given(bot: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def mean_of_everything(*_: Any, **settings: Any) -> dict[str, Any]:
        given.update(settings)
        return {"loss": np.asarray(1.0)}

    monkeypatch.setattr("pytest_hfmodels.properties.losses.labelled", mean_of_everything)

    whole = check_language_model_loss(bot, IDS, LABELS, num_items_in_batch=3)
    shared = check_language_model_loss(bot, IDS, LABELS, num_items_in_batch=6)

    assert given == {"num_items_in_batch": 6}
    assert whole is not None
    assert shared is not None
    assert whole.expected == pytest.approx(2 * shared.expected)
