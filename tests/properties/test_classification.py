"""The checkers of classifiers see what is wrong with one, and say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels import EngineError
from pytest_hfmodels.properties import (
    LabelSet,
    PaddedTexts,
    check_classifier_loss,
    check_gradients,
    check_pooling,
    padded_texts,
)
from pytest_hfmodels.reference import Rules

from ..surroundings import needs_both_engines
from .shrinking import smallest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_hfmodels import HFModel, ModelCache

PAD = 256
CLASSES = LabelSet(None, 3, (0, 2), "int64")
NUMBERS = LabelSet("regression", 3, ((0.0, 1.0, 2.0), (0.5, 0.0, 0.0)), "float32")
RIGHT = PaddedTexts(((1, 2, 3), (4,)), PAD, "right")


@pytest.fixture
def bot(models: ModelCache) -> HFModel:
    return models.load("./model", task="text-classification", pad_token_id=PAD)


@pytest.fixture
def exact(models: ModelCache) -> HFModel:
    return models.load("./model", task="text-classification", pad_token_id=PAD, dtype="float64")


@pytest.fixture
def altered(monkeypatch: pytest.MonkeyPatch, models: ModelCache) -> Callable[[Callable[[Any], None]], None]:
    """Change what upstream's call gives."""
    del models
    from transformers import GPT2ForSequenceClassification

    call = GPT2ForSequenceClassification.forward

    def alter(change: Callable[[Any], None]) -> None:
        def forward(self: Any, *ids: Any, **given: Any) -> Any:
            output = call(self, *ids, **given)
            change(output)
            return output

        monkeypatch.setattr(GPT2ForSequenceClassification, "forward", forward)

    return alter


@pytest.fixture
def _reads_the_last_position(monkeypatch: pytest.MonkeyPatch, models: ModelCache) -> None:
    """Upstream's call knows another padding token than the configuration says."""
    del models
    from transformers import GPT2ForSequenceClassification

    call = GPT2ForSequenceClassification.forward

    def forward(self: Any, *ids: Any, **given: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.config, "pad_token_id", 255)
            return call(self, *ids, **given)

    monkeypatch.setattr(GPT2ForSequenceClassification, "forward", forward)


def test_the_library_reads_the_right_most_token(bot: HFModel) -> None:
    assert check_pooling(bot, RIGHT.ids, RIGHT.mask) is None


@needs_both_engines
def test_tensorflows_head_is_read(models: ModelCache) -> None:
    bot = models.load("./model", task="text-classification", pad_token_id=PAD, engine="tensorflow")

    assert check_pooling(bot, RIGHT.ids, RIGHT.mask) is None


@pytest.mark.usefixtures("_reads_the_last_position")
def test_a_classifier_that_reads_padding_shrinks_to_two_short_texts(bot: HFModel) -> None:
    found = smallest(
        padded_texts(20, PAD, batch=3),
        lambda batch: check_pooling(bot, batch.ids, batch.mask) is not None,
        examples=40,
    )

    violation = check_pooling(bot, found.ids, found.mask)
    assert sorted(found.texts) == [(0,), (0, 0)]
    assert str(violation) == (
        "the classifier reads position 1 instead of position 0, for [0, 256] with the padding token 256"
    )


def test_the_rules_decide_which_token_is_right(bot: HFModel) -> None:
    left = PaddedTexts(((1, 2, 3), (4,)), PAD, "left")

    violation = check_pooling(bot, left.ids, left.mask, rules=Rules(pooling="count"))

    assert violation is not None
    assert (violation.ids, violation.expected, violation.found) == ((PAD, PAD, 4), 0, (2,))


def test_logits_of_no_position_are_named(bot: HFModel, altered: Callable[..., None]) -> None:
    def shifts(output: Any) -> None:
        output.logits = output.logits + 1

    altered(shifts)

    violation = check_pooling(bot, RIGHT.ids, RIGHT.mask)

    assert "the classifier reads no position of the text instead of position 2" in str(violation)


def test_logits_of_another_shape_are_named(bot: HFModel, altered: Callable[..., None]) -> None:
    def narrows(output: Any) -> None:
        output.logits = output.logits[:, :2]

    altered(narrows)

    violation = check_pooling(bot, RIGHT.ids, RIGHT.mask)

    assert "the logits' shape is (2, 2) instead of (2, 3)" in str(violation)


def test_a_head_that_is_not_one_linear_map_is_refused(bot: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "pytest_hfmodels.properties.classification.is_head", lambda name: "wte" in name or "wpe" in name
    )

    with pytest.raises(EngineError, match="has 2 weights in its head"):
        check_pooling(bot, RIGHT.ids)


@pytest.mark.parametrize("labels", [CLASSES, NUMBERS], ids=["classes", "regression"])
def test_the_librarys_loss_is_the_reference_loss(bot: HFModel, labels: LabelSet) -> None:
    assert check_classifier_loss(bot, RIGHT.ids, labels, mask=RIGHT.mask) is None
    assert bot.config.problem_type is None


def test_a_loss_that_is_too_large_is_named(bot: HFModel, altered: Callable[..., None]) -> None:
    def doubles(output: Any) -> None:
        if output.loss is not None:
            output.loss = 2 * output.loss

    altered(doubles)

    violation = check_classifier_loss(bot, RIGHT.ids, CLASSES, mask=RIGHT.mask)

    assert violation is not None
    assert violation.found == pytest.approx(2 * violation.expected)
    assert str(violation).startswith("the loss (inferred) is: ")
    assert str(violation).endswith("for [[1, 2, 3], [4, 256, 256]] with the labels [0, 2]")


def test_a_loss_that_is_missing_is_named(bot: HFModel, altered: Callable[..., None]) -> None:
    def forgets(output: Any) -> None:
        output.loss = None

    altered(forgets)

    violation = check_classifier_loss(bot, RIGHT.ids, NUMBERS, mask=RIGHT.mask)

    assert "the call gives no loss (regression)" in str(violation)


def test_labels_that_change_the_logits_are_named(bot: HFModel, altered: Callable[..., None]) -> None:
    def nudges(output: Any) -> None:
        output.logits = output.logits + 0.5 * (output.loss is not None)

    altered(nudges)

    violation = check_classifier_loss(bot, RIGHT.ids, CLASSES, mask=RIGHT.mask)

    assert "labels move the logits by: 0.5 " in str(violation)


def test_gradients_of_the_library_pass_and_the_model_is_unchanged(exact: HFModel) -> None:
    frozen = exact.model.score.weight.requires_grad_(False)
    before = [(name, tensor.clone()) for name, tensor in exact.model.state_dict().items()]
    try:
        violation = check_gradients(exact, RIGHT.ids, CLASSES.array, mask=RIGHT.mask)

        assert violation is None, str(violation)
        assert not frozen.requires_grad
        assert all(parameter.grad is None for parameter in exact.model.parameters())
        assert exact.config.problem_type is None
        assert all(exact.model.state_dict()[name].equal(tensor) for name, tensor in before)
    finally:
        frozen.requires_grad_(True)


def test_a_wrong_bias_of_two_classes_is_found(models: ModelCache) -> None:
    """Its gradients are g and -g, so their sum is zero whatever factor is wrong."""
    import torch
    import transformers

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.BertConfig(vocab_size=50, pad_token_id=0, **sizes)
        bert = transformers.BertForSequenceClassification(config).double().eval()
    model = models.adopt(bert, None)
    bert.classifier.bias.register_hook(lambda gradient: -gradient)

    violation = check_gradients(model, np.asarray([[5, 6, 7], [8, 9, 10]]), np.asarray([0, 0]))

    assert violation is not None
    assert violation.parameter == "classifier.bias"


@pytest.mark.parametrize("factor", [1.01, 0.0, float("nan")])
def test_a_wrong_gradient_is_named(exact: HFModel, factor: float) -> None:
    hook = exact.model.transformer.wpe.weight.register_hook(lambda gradient: gradient * factor)
    try:
        violation = check_gradients(exact, RIGHT.ids, CLASSES.array, mask=RIGHT.mask)
    finally:
        hook.remove()

    assert violation is not None
    assert violation.parameter == "transformer.wpe.weight"
    assert len(violation.index) == 2
    assert np.isfinite(violation.expected)
    assert str(violation).startswith(f"the gradient of transformer.wpe.weight[{violation.index[0]}, ")


def test_a_slope_needs_float64(bot: HFModel) -> None:
    with pytest.raises(EngineError, match="is float32 on torch") as raised:
        check_gradients(bot, RIGHT.ids, CLASSES.array)

    assert 'dtype="float64"' in raised.value.hint
