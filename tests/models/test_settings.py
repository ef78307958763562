from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_hfmodels import EngineError, GenerateSettings, HFModel, ModelCache
from pytest_hfmodels.engines import upstream
from pytest_hfmodels.engines.settings import OURS
from pytest_hfmodels.kinds.registry import kind_of
from pytest_hfmodels.snapshots import Tolerance, compare
from pytest_hfmodels.snapshots.format import dump, load

from ..surroundings import needs_both_engines

FUNCTION: dict[str, Any] = {"prefix_allowed_tokens_fn": lambda *_: [1]}


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
        models.load("./model", engine="tensorflow").generate("Hi", num_beems=2)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"num_return_sequences": 2}, "num_return_sequences=2"),
        ({"num_beams": 0}, "num_beams=0"),
        ({"repetition_penalty": "high"}, "repetition_penalty='high'"),
        ({"logits_processor": 5}, "logits_processor=5"),
        ({"stop_strings": "x", "tokenizer": 3}, "stop_strings='x', tokenizer=3"),
        ({"num_beams": 2, "length_penalty": "long"}, "num_beams=2, length_penalty='long'"),
    ],
)
def test_what_else_upstream_refuses_is_named_with_its_reason(bot: HFModel, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(EngineError) as raised:
        bot.generate("Hi", max_new_tokens=2, **settings)

    assert raised.value.message.startswith(f"generate fails with max_new_tokens=2, {said}, and works without: ")
    assert raised.value.__cause__ is not None


def test_a_model_that_fails_whatever_the_settings_are_fails_in_its_own_words(
    bot: HFModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("of the model")

    monkeypatch.setattr(bot.model.transformer, "forward", forward)

    with pytest.raises(ZeroDivisionError, match="of the model"):
        bot.generate("Hi", num_beams=2, max_new_tokens=2)


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
        (
            {"generation_config": {"max_length": 3}},
            "generation_config= takes a GenerationConfig, not a dict.",
            "as key",
        ),
        ({"custom_generate": "org/repo"}, "custom_generate= makes generate run code", "Leave custom_generate out"),
        ({"trust_remote_code": True}, "trust_remote_code= makes generate run code", "hf_model.model.generate"),
        ({"do_sample": True}, "do_sample=True draws tokens at random", "seed=0"),
        ({"do_sample": True, "seed": "x"}, "seed='x' is not a whole number", "seed=0"),
        ({"seed": 1}, "seed= has an effect only where tokens are drawn", "do_sample=True"),
        ({"max_new_tokens": float("nan")}, "max_new_tokens= is nan, which is not a whole number", "max_new_tokens=4"),
        ({"max_new_tokens": "3"}, "max_new_tokens= is '3', which is not a whole number", "max_new_tokens=4"),
        ({"num_beams": 2.0}, "num_beams= is 2.0, which is not a whole number", "num_beams=4"),
        ({"repetition_penalty": float("nan")}, "repetition_penalty= is not a number", "leave it out"),
        ({"stop_strings": 5}, "stop_strings= is 5, which is neither a text nor a list of texts", "stop_strings=["),
        ({"stop_strings": []}, "stop_strings= is [], which is neither", "stop_strings=["),
        ({"stop_strings": [""]}, "stop_strings= is [''], which is neither", "stop_strings=["),
        ({"skip_special_tokens": "x"}, "skip_special_tokens= is 'x', which is neither True nor False", "Give True"),
        ({"eos_token_id": []}, "eos_token_id is [], which is not a token id.", "generation_config.json"),
        ({"eos_token_id": "x"}, "eos_token_id is 'x', which is not a token id.", "generation_config.json"),
    ],
)
def test_a_setting_that_no_record_can_hold_is_refused(
    bot: HFModel, settings: dict[str, Any], said: str, hint: str
) -> None:
    with pytest.raises(EngineError) as raised:
        bot.generate("Hi", **settings)

    assert said in raised.value.message
    assert hint in raised.value.hint


needs_stop_strings = pytest.mark.skipif(not upstream.release_at_least("4.39"), reason="install transformers>=4.39")


@needs_stop_strings
def test_a_string_stops_each_row_where_it_stops_the_prompt_alone(bot: HFModel) -> None:
    free = bot.generate("Hello", max_new_tokens=8)
    settings: dict[str, Any] = {"max_new_tokens": 8, "stop_strings": [free.steps[2].text]}

    alone = [bot.generate(prompt, **settings) for prompt in ("Hello", "Hi")]
    batch = bot.generate(["Hello", "Hi"], **settings)

    assert len(alone[0].ids) <= 3
    assert [row.ids for row in batch.rows] == [record.ids for record in alone]
    assert alone[0].effective["stop_strings"] == settings["stop_strings"]
    assert bot.generate_batch([list(b"Hello")], **settings).sequences.shape[1] == 5 + len(alone[0].ids)


def test_own_criteria_end_one_prompt_and_no_batch(bot: HFModel) -> None:
    import transformers

    criteria = transformers.StoppingCriteriaList([transformers.MaxLengthCriteria(4)])

    record = bot.generate("Hi", stopping_criteria=criteria, max_new_tokens=8)
    assert (len(record.ids), record.effective["stopping_criteria"]) == (2, ["MaxLengthCriteria"])
    with pytest.raises(EngineError, match="stopping_criteria= ends rows of a batch at different tokens"):
        bot.generate(["Hi", "Hello"], stopping_criteria=criteria)


def only_a(*_: object) -> list[int]:
    return [65]


def test_functions_and_objects_are_recorded_by_name(bot: HFModel) -> None:
    import transformers

    processors = transformers.LogitsProcessorList([transformers.TemperatureLogitsWarper(2.0)])
    asked: list[tuple[dict[str, Any], object]] = [
        ({"prefix_allowed_tokens_fn": only_a}, f"{__name__}.only_a"),
        ({"logits_processor": processors}, ["TemperatureLogitsWarper"]),
    ]

    for settings, name in asked:
        record = bot.generate("Hi", max_new_tokens=3, **settings)
        assert record.effective[next(iter(settings))] == name
        read = load(dump(record), Path("a.toml"))
        assert read.effective == record.effective
    assert bot.generate("Hi", max_new_tokens=3, prefix_allowed_tokens_fn=only_a).ids == (65, 65, 65)


@pytest.mark.parametrize("helper", ["assistant_model", "prompt_lookup_num_tokens"])
def test_a_helper_changes_nothing_but_is_recorded(bot: HFModel, helper: str) -> None:
    if helper == "prompt_lookup_num_tokens" and not upstream.release_at_least("4.37"):
        pytest.skip("generate looks nothing up in the prompt here: install transformers>=4.37")
    plain = bot.generate("Hello", max_new_tokens=8)

    settings: dict[str, Any] = {helper: bot.model if helper == "assistant_model" else 2}
    record = bot.generate("Hello", max_new_tokens=8, **settings)

    assert record.effective[helper] == ("GPT2LMHeadModel" if helper == "assistant_model" else 2)
    assert record.ids == plain.ids
    for step, other in zip(record.steps, plain.steps, strict=True):
        assert step.processed == pytest.approx(other.processed, abs=1e-5)


SAMPLED: dict[str, Any] = {"do_sample": True, "max_new_tokens": 8, "temperature": 1.5, "top_k": 50, "seed": 3}


def test_a_seed_draws_the_same_tokens_and_leaves_the_random_state_alone(bot: HFModel) -> None:
    import torch

    before = torch.get_rng_state()
    record = bot.generate("Hello", **SAMPLED)

    assert torch.equal(torch.get_rng_state(), before)
    assert bot.generate("Hello", **SAMPLED) == record
    assert bot.generate("Hello", **{**SAMPLED, "seed": 4}).ids != record.ids
    assert record.ids != bot.generate("Hello", max_new_tokens=8).ids
    assert {name: record.effective[name] for name in ("seed", "temperature", "top_k")} == {
        "seed": 3,
        "temperature": 1.5,
        "top_k": 50,
    }
    assert kind_of(record).contradiction(record, Tolerance(1e-4)) is None
    assert load(dump(record), Path("a.toml")).effective == record.effective
    assert len(bot.generate(["Hello", "Hi"], **SAMPLED).rows) == 2


def test_draws_are_compared_by_ids_on_one_backend_and_by_their_distributions_on_two(bot: HFModel) -> None:
    record = bot.generate("Hello", **SAMPLED)
    other: Any = bot.generate("Hello", **{**SAMPLED, "seed": 4})
    other = replace(other, effective=record.effective)  # as if other random numbers came from the same seed
    elsewhere = replace(other.provenance, versions={**other.provenance.versions, "torch": "1.0"})

    assert compare(other, record, Tolerance(1e-4)).verdict == "changed"
    assert compare(replace(other, provenance=elsewhere), record, Tolerance(1e-4)).verdict == "same"
    step = replace(other.steps[0], log_probability=-0.001)
    moved = replace(other, provenance=elsewhere, steps=(step, *other.steps[1:]))
    assert compare(moved, record, Tolerance(1e-4)).verdict == "drift"


@needs_both_engines
def test_tensorflow_draws_from_a_seed_too(models: ModelCache) -> None:
    bot = models.load("./model", engine="tensorflow")

    assert bot.generate("Hello", **SAMPLED) == bot.generate("Hello", **SAMPLED)


@pytest.mark.parametrize("eos", [[], "x"])
def test_an_end_of_text_that_is_none_is_named(models: ModelCache, tiny_gpt2: Path, eos: Any) -> None:
    del models
    handle = ModelCache(tiny_gpt2.parent).load("./model")
    handle.model.generation_config.eos_token_id = eos

    with pytest.raises(EngineError, match="which is not a token id"):
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
def test_settings_equal_those_of_their_snapshot(bot: HFModel, settings: dict[str, Any]) -> None:
    record = bot.generate("Hi", max_new_tokens=3, **settings)

    read = load(dump(record), Path("a.toml"))

    assert {*settings} <= {*record.effective}
    assert read.effective == record.effective


def test_every_field_of_a_generation_config_that_is_not_refused_is_a_typed_keyword(models: ModelCache) -> None:
    from transformers import GenerationConfig

    del models
    fields = {name for name in vars(GenerationConfig()) if not name.startswith("_")}

    assert fields - {*GenerateSettings.__annotations__} - {*OURS, "max_time", "transformers_version"} == set()


def test_a_property_may_use_functions_too(bot: HFModel) -> None:
    assert bot.generate_batch([[72]], max_new_tokens=1, **FUNCTION).sequences.tolist() == [[72, 1]]
