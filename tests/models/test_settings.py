from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_hfmodels import EngineError, HFModel, ModelCache
from pytest_hfmodels.engines import upstream
from pytest_hfmodels.snapshots.format import dump, load

from ..surroundings import needs_both_engines

FUNCTION = {"prefix_allowed_tokens_fn": lambda *_: [1]}


@pytest.fixture
def bot(models: ModelCache) -> HFModel:
    return models.load("./model")


@pytest.mark.parametrize("call", ["generate", "generate_batch"])
@pytest.mark.parametrize(
    ("settings", "said", "hint"),
    [
        ({"max_new_token": 5}, "knows no max_new_token= in the installed", "Did you mean max_new_tokens=?"),
        ({"num_beems": 2, "lenght_penalty": 1.0}, "no num_beems=, lenght_penalty=", "num_beams= and length_penalty=?"),
        ({"frobnicate": 1}, "GPT2LMHeadModel knows no frobnicate=", "the fields of transformers.GenerationConfig"),
    ],
)
def test_a_setting_that_the_release_does_not_know_is_named_with_the_one_that_is_meant(
    bot: HFModel, call: str, settings: dict[str, Any], said: str, hint: str
) -> None:
    with pytest.raises(EngineError) as raised:
        getattr(bot, call)("Hi" if call == "generate" else [[1, 2]], **settings)

    assert said in raised.value.message
    assert hint in raised.value.hint
    assert isinstance(raised.value.__cause__, ValueError)


@needs_both_engines
def test_a_setting_that_tensorflow_does_not_know_is_named_too(models: ModelCache) -> None:
    with pytest.raises(EngineError, match="knows no num_beems="):
        models.load("./model", engine="tensorflow").generate("Hi", num_beems=2)


def test_what_else_upstream_refuses_stays_in_its_own_words(bot: HFModel) -> None:
    with pytest.raises(ValueError, match="num_return_sequences"):
        bot.generate("Hi", num_return_sequences=2, max_new_tokens=2)


def generation_config(**fields: Any) -> Any:
    import transformers

    return transformers.GenerationConfig(**fields)


@pytest.mark.parametrize(
    ("settings", "said", "hint"),
    [
        (
            {"return_dict_in_generate": False},
            "return_dict_in_generate= is set by the plugin's own call",
            "Leave it out",
        ),
        ({"output_scores": False}, "output_scores= is set by the plugin's own call", "a record has the scores"),
        ({"output_logits": True}, "output_logits= is set by the plugin's own call", "a record has the scores"),
        ({"attention_mask": [[1]]}, "attention_mask= is set by the plugin's own call", "the first argument"),
        ({"input_ids": [[1]]}, "input_ids= is set by the plugin's own call", "the first argument"),
        ({"inputs": [[1]]}, "inputs= is set by the plugin's own call", "the first argument"),
        ({"logits_processor": [print]}, "A record cannot hold logits_processor= (a list)", "an assertion of your own"),
        (FUNCTION, "A record cannot hold prefix_allowed_tokens_fn= (a function)", "an assertion of your own"),
        ({"assistant_model": object()}, "A record cannot hold assistant_model= (a object)", "generate(…)"),
        ({"stopping_criteria": [len]}, "A record cannot hold stopping_criteria= (a list)", "library's own keyword"),
        ({"streamer": object()}, "A record cannot hold streamer= (a object)", "hf_model.model.generate"),
        (
            {"generation_config": {"max_length": 3}},
            "generation_config= takes a GenerationConfig, not a dict.",
            "as key",
        ),
        ({"custom_generate": "org/repo"}, "custom_generate= makes generate run code", "Leave custom_generate out"),
        ({"trust_remote_code": True}, "trust_remote_code= makes generate run code", "hf_model.model.generate"),
        ({"stop_strings": ["."]}, "stop_strings= needs the tokenizer", "eos_token_id="),
        ({"token_healing": True}, "token_healing= needs the tokenizer", "eos_token_id="),
        ({"eos_token_id": []}, "eos_token_id is [], which is no token id.", "generation_config.json"),
        ({"eos_token_id": "x"}, "eos_token_id is 'x', which is no token id.", "generation_config.json"),
    ],
)
def test_a_setting_that_no_record_can_hold_is_refused(
    bot: HFModel, settings: dict[str, Any], said: str, hint: str
) -> None:
    with pytest.raises(EngineError) as raised:
        bot.generate("Hi", **settings)

    assert said in raised.value.message
    assert hint in raised.value.hint


def test_a_string_stops_a_batch_that_is_given_the_tokenizer(bot: HFModel) -> None:
    if not upstream.release_at_least("4.39"):
        pytest.skip("generate has no stop_strings here: install transformers>=4.39")
    with pytest.raises(EngineError, match="stop_strings= needs the tokenizer"):
        bot.generate_batch([[72, 105]], stop_strings=["."])

    given = {"stop_strings": ["nowhere"], "tokenizer": bot.tokenizer}

    assert bot.generate_batch([[72, 105]], max_new_tokens=2, **given).sequences.shape == (1, 4)


@pytest.mark.parametrize("eos", [[], "x"])
def test_an_end_of_text_that_is_none_is_named(models: ModelCache, tiny_gpt2: Path, eos: Any) -> None:
    del models
    handle = ModelCache(tiny_gpt2.parent).load("./model")
    handle.model.generation_config.eos_token_id = eos

    with pytest.raises(EngineError, match="which is no token id"):
        handle.generate("Hi", max_new_tokens=1)


def test_a_generation_config_is_recorded_as_its_settings(bot: HFModel) -> None:
    config = generation_config(max_new_tokens=3, num_beams=2, no_repeat_ngram_size=2, renormalize_logits=True)

    record = bot.generate("Hi", generation_config=config, num_beams=3)

    assert {**record.effective} == {
        **bot.generate(
            "Hi",
            max_new_tokens=3,
            num_beams=3,
            no_repeat_ngram_size=2,
            renormalize_logits=True,
            eos_token_id=record.effective["eos_token_id"] or None,
        ).effective
    }
    assert record.effective["renormalize_logits"] is True
    assert "generation_config" not in record.effective


def test_a_generation_config_may_not_sample_or_outgrow_the_model(bot: HFModel) -> None:
    with pytest.raises(EngineError, match="do_sample=True draws tokens at random"):
        bot.generate("Hi", generation_config=generation_config(do_sample=True))
    with pytest.raises(EngineError, match="The settings allow 202 tokens"):
        bot.generate("Hi", generation_config=generation_config(max_new_tokens=200))


@pytest.mark.parametrize("call", ["generate", "generate_batch"])
def test_a_time_limit_is_refused(bot: HFModel, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(**settings: Any) -> Any:
        return getattr(bot, call)("Hi" if call == "generate" else [[1, 2]], max_new_tokens=1, **settings)

    with pytest.raises(EngineError, match=r"^max_time=60 stops generation after that many seconds"):
        run(max_time=60)
    with pytest.raises(EngineError, match=r"^max_time=60 stops generation"):
        run(generation_config=generation_config(max_time=60))
    run(max_time=None)
    monkeypatch.setattr(bot.model.generation_config, "max_time", 60)
    with pytest.raises(EngineError, match=r"^The model's max_time of 60 stops generation"):
        run()


@pytest.mark.parametrize(
    "settings",
    [
        {"exponential_decay_length_penalty": (2, 1.5)},
        {"bad_words_ids": [[65], [66, 67]]},
        {"suppress_tokens": (65, 66)},
        pytest.param(
            {"sequence_bias": {(72,): -5.0, (65, 66): 2.0}},
            marks=pytest.mark.skipif(not upstream.release_at_least("4.31"), reason="4.30 has no sequence_bias"),
        ),
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_settings_equal_what_their_snapshot_reads_back(bot: HFModel, settings: dict[str, Any]) -> None:
    record = bot.generate("Hi", max_new_tokens=3, **settings)

    read = load(dump(record), Path("a.toml"))

    assert {*settings} <= {*record.effective}
    assert read.effective == record.effective


def test_a_property_may_use_what_no_record_holds(bot: HFModel) -> None:
    generation = bot.generate_batch([[72]], max_new_tokens=1, **FUNCTION)

    assert generation.sequences.tolist() == [[72, 1]]
    assert "prefix_allowed_tokens_fn" not in generation.effective
