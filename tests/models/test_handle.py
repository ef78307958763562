from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels import EngineError, HFModel, ModelCache

from ..tiny_gpt2 import write_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def bot(models: ModelCache) -> HFModel:
    return models.load("./model")


@pytest.fixture
def classifier(models: ModelCache) -> HFModel:
    return models.load("./model", task="text-classification", pad_token_id=256)


def test_a_handle_gives_upstreams_objects(bot: HFModel) -> None:
    assert type(bot.model).__name__ == "GPT2LMHeadModel"
    assert bot.config is bot.model.config
    assert bot.tokenizer("Hi", return_tensors=bot.return_tensors).input_ids.tolist() == [[72, 105]]
    assert (bot.engine, bot.task, bot.checkpoint.origin) == ("torch", "text-generation", "local")
    assert repr(bot) == "<HFModel ./model (text-generation, torch)>"


def test_a_prompt_is_text_or_ids(bot: HFModel) -> None:
    by_text = bot.generate("Hi", max_new_tokens=3)
    by_ids = bot.generate([72, 105], max_new_tokens=3)

    assert by_text == by_ids
    assert by_text.text.startswith("Hi")
    assert len(by_text.ids) == 3


def test_log_probabilities_are_those_that_generation_chose_from(bot: HFModel) -> None:
    record = bot.generate("Hello", max_new_tokens=3)

    table = bot.log_probabilities([[*record.prompt.ids, *record.ids]])[0, len(record.prompt.ids) - 1 :]

    np.testing.assert_allclose(np.exp(table).sum(axis=-1), 1.0, rtol=1e-9)
    for position, step in enumerate(record.steps):
        assert table[position].argmax() == step.id
        assert table[position, step.id] == pytest.approx(step.log_probability, abs=1e-6)


def test_a_batch_generates_as_its_prompts_alone(bot: HFModel) -> None:
    prompts = [[72, 105], [66, 121], [65, 65]]

    together = bot.generate_batch(prompts, max_new_tokens=4).sequences.tolist()

    assert together == [bot.generate_batch([prompt], max_new_tokens=4).sequences[0].tolist() for prompt in prompts]


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (lambda bot: bot.generate("Hi", do_sample=True), "do_sample=True draws tokens at random"),
        (lambda bot: bot.generate_batch([[1]], do_sample=True), "do_sample=True draws tokens at random"),
        (lambda bot: bot.generate(""), "The prompt '' has no tokens."),
        (lambda bot: bot.generate([]), "The prompt is an empty list."),
        (lambda bot: bot.generate(200 * "a"), "The prompt has 200 tokens, but the model has 128 positions."),
        (lambda bot: bot.generate_batch([[1, 2], [3]]), "one or more prompts of one length"),
        (lambda bot: bot.generate_batch([]), "one or more prompts of one length"),
        (lambda bot: bot.generate_batch([[]]), "one or more prompts of one length"),
        (lambda bot: bot.classify("Hi"), "classify() needs a text-classification model, but ./model was loaded for"),
    ],
)
def test_what_a_language_model_refuses(bot: HFModel, use: Callable[[HFModel], Any], said: str) -> None:
    with pytest.raises(EngineError, match=re.escape(said)):
        use(bot)


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (lambda bot: bot.generate("Hi"), "generate() needs a text-generation model, but ./model was loaded for"),
        (lambda bot: bot.classify([]), "There is nothing to classify"),
        (lambda bot: bot.classify(["Hi", ""]), "There is nothing to classify"),
    ],
)
def test_what_a_classifier_refuses(classifier: HFModel, use: Callable[[HFModel], Any], said: str) -> None:
    with pytest.raises(EngineError, match=re.escape(said)):
        use(classifier)


def test_a_classifier_by_its_architectures_is_sent_to_classify(models: ModelCache, tmp_path: Path) -> None:
    """No task would load a language model from its files."""
    del models
    write_checkpoint(tmp_path / "triage", config={"architectures": ["GPT2ForSequenceClassification"]})

    with pytest.raises(EngineError) as raised:
        ModelCache(tmp_path).load("./triage").generate("Hi")

    assert raised.value.message == (
        "generate() needs a language model, but ./triage is a classifier (GPT2ForSequenceClassification)."
    )
    assert raised.value.hint == "Use classify()."


def test_the_end_of_text_pads_if_the_model_has_no_pad_token(bot: HFModel) -> None:
    assert bot.config.pad_token_id is None
    assert bot.generate("Hi", max_new_tokens=1).effective["pad_token_id"] == 256
    assert bot.generate("Hi", max_new_tokens=1, pad_token_id=3).effective["pad_token_id"] == 3
