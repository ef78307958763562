from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels import EngineError, HFModel, ModelCache

from ..other_checkpoints import save_model

if TYPE_CHECKING:
    from pathlib import Path

KIND = "A prompt is text or a sequence of token ids"


@pytest.fixture
def bot(models: ModelCache) -> HFModel:
    return models.load("./model")


@pytest.fixture
def classifier(models: ModelCache) -> HFModel:
    return models.load("./model", task="text-classification", pad_token_id=256)


@pytest.mark.parametrize(
    ("prompt", "said", "hint"),
    [
        ("a\ud800b", r"The prompt holds a lone surrogate, '\ud800'", "errors='replace'"),
        ([72, -1], "Token id -1 is outside of the model's vocabulary.", "0 to 256"),
        ([72, 257], "Token id 257 is outside of the model's vocabulary.", "0 to 256"),
        (["Hi", 72], f"{KIND}, not an int.", "a batch as in"),
        (["Hi", None], f"{KIND}, not None.", "a batch as in"),
        ([], "The prompt is an empty list.", "a batch as in"),
        ({"input_ids": [[1, 2]], "attention_mask": [[1]]}, "attention_mask has another shape", "Write it as in"),
        (["Hi", [72, 257]], "Token id 257 is outside of the model's vocabulary.", "0 to 256"),
        (["Hi", ""], "The prompt '' has no tokens.", "bos token"),
        (
            {"attention_mask": [1]},
            "A prompt that a tokenizer made has input_ids, and this dict has none.",
            "tokenizer(",
        ),
        (b"Hi", f"{KIND}, not a bytes.", "Write it as in"),
        ([72.0], f"{KIND}, and 72.0 is a float.", "Write it as in"),
        ([True], f"{KIND}, and True is a bool.", "Write it as in"),
        ([None], f"{KIND}, and None is None.", "Write it as in"),
        ({72}, f"{KIND}, not a set.", "Write it as in"),
        (72, f"{KIND}, not an int.", "Write it as in"),
        (None, "There is nothing to generate from.", "Give a text"),
    ],
)
def test_what_is_no_prompt_is_said(bot: HFModel, prompt: Any, said: str, hint: str) -> None:
    with pytest.raises(EngineError) as raised:
        bot.generate(prompt, max_new_tokens=1)

    assert said in raised.value.message
    assert hint in raised.value.hint


def test_ids_come_as_any_sequence_of_integers(bot: HFModel) -> None:
    wanted = bot.generate([72, 105], max_new_tokens=1)

    padded = {"input_ids": np.array([[256, 72, 105]]), "attention_mask": np.array([[0, 1, 1]])}
    encoded = (bot.tokenizer("Hi"), bot.tokenizer("Hi", return_tensors="np"), padded)
    for prompt in ((72, 105), np.array([72, 105]), np.array([[72, 105]]), [np.int64(72), 105], *encoded):
        assert bot.generate(prompt, max_new_tokens=1) == wanted  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_new_tokens": 127}, "The settings allow 129 tokens, 2 of them the prompt, and the model has 128 pos"),
        ({"max_length": 129}, "The settings allow 129 tokens, 2 of them the prompt, and the model has 128 positions"),
    ],
)
def test_a_run_past_the_last_position_is_refused(bot: HFModel, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(EngineError, match=said) as raised:
        bot.generate("Hi", **settings)
    with pytest.raises(EngineError, match=said):
        bot.generate_batch([[72, 105]], **settings)

    assert "Lower max_new_tokens to 126 or max_length to 128" in raised.value.hint
    assert len(bot.generate("Hi", max_new_tokens=126, eos_token_id=0).prompt.ids) == 2


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[72, 257]], "Token id 257 is outside of the model's vocabulary."),
        (["Hi"], f"{KIND}, not a str."),
        ([72], f"{KIND}, not an int."),
        ("Hi", "A batch is a list of rows of token ids, not a str."),
        ([[0.5]], f"{KIND}, and 0.5 is a float."),
    ],
)
def test_what_is_no_batch_is_said(bot: HFModel, rows: Any, said: str) -> None:
    for use in (bot.generate_batch, bot.forward):
        with pytest.raises(EngineError) as raised:
            use(rows)
        assert said in raised.value.message


def test_rows_for_a_forward_pass_are_of_one_length_that_fits(bot: HFModel) -> None:
    with pytest.raises(EngineError, match="rows of token ids of one length"):
        bot.forward([[1, 2], [3]])
    with pytest.raises(EngineError, match="A row has 129 tokens, but the model has 128 positions"):
        bot.forward([[1] * 129])


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (129 * "a", "A text has 129 tokens, but the model has 128 positions."),
        (["a\udc00"], r"What is classified holds a lone surrogate, '\udc00'"),
        ([5], "What is classified is text, not an int."),
        (b"Hi", "What is classified is text, not a bytes."),
        (None, "What is classified is text, not None."),
        ({"Hi"}, "What is classified is text, not a set."),
    ],
)
def test_what_cannot_be_classified_is_said(classifier: HFModel, texts: Any, said: str) -> None:
    with pytest.raises(EngineError) as raised:
        classifier.classify(texts)

    assert said in raised.value.message


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("name", "usable"),
    [
        ("RobertaForSequenceClassification", 30),
        ("XLMRobertaForSequenceClassification", 30),
        ("CamembertForSequenceClassification", 30),
        ("MPNetForSequenceClassification", 30),
        ("RobertaForCausalLM", 30),
    ],
)
def test_reserved_positions_do_not_count(tmp_path: Path, name: str, usable: int) -> None:
    causal = name.endswith("CausalLM")
    save_model(tmp_path / "bot", name, **({"is_decoder": True} if causal else {}))
    bot = ModelCache(tmp_path).load("./bot", head="fixed")
    said = f"has {usable + 1} tokens, but the model has {usable} positions"

    with pytest.raises(EngineError, match=said):
        bot.forward([[72] * (usable + 1)])
    if causal:
        with pytest.raises(EngineError, match=f"the model has {usable} positions"):
            bot.generate([72] * 3, max_new_tokens=usable - 2)
        assert bot.generate([72] * 3, max_new_tokens=usable - 3, eos_token_id=0).ids
    else:
        with pytest.raises(EngineError, match=said):
            bot.classify("a" * (usable + 1))
        assert bot.classify("a" * usable).logits


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("name", ["OPTForCausalLM", "BartForCausalLM", "BertForSequenceClassification"])
def test_positions_on_top_of_the_limit_take_nothing_away(tmp_path: Path, name: str) -> None:
    save_model(tmp_path / "bot", name, word_embed_proj_dim=16, ffn_dim=16)
    bot = ModelCache(tmp_path).load("./bot")

    with pytest.raises(EngineError, match="has 33 tokens, but the model has 32 positions"):
        bot.forward([[72] * 33])
    assert bot.forward([[72] * 32]).logits.size
