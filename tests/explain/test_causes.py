"""For each cause something that really produces it, and the answer that names it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from packaging.version import Version

from pytest_hfmodels.reference.spaces import clean_up_spaces
from pytest_hfmodels.snapshots import Tolerance, Verdict, compare
from pytest_hfmodels.snapshots.format import dump, load, parse

from ..surroundings import needs_both_engines
from ..tiny_gpt2 import END_OF_TEXT, tiny_weights, write_weights
from .asking import TEST, ask, blocks_shifted, other_folder, stored, told

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel, ModelCache
    from pytest_hfmodels.kinds import ClassificationRecord, GenerationRecord

needs_sdpa = pytest.mark.skipif(
    Version(version("transformers")) < Version("4.48"), reason="transformers 4.48 made attention exchangeable"
)
counts_no_prompt = pytest.mark.skipif(
    Version(version("transformers")) < Version("4.36"),
    reason="install transformers>=4.36: before it the length penalty counts the prompt itself",
)
BEAMS: dict[str, Any] = {"num_beams": 3, "num_return_sequences": 2, "max_new_tokens": 8, "early_stopping": True}


@pytest.fixture
def model(models: ModelCache) -> HFModel:
    return models.load("./model")


@pytest.fixture
def classifier(models: ModelCache) -> HFModel:
    return models.load("./model", task="text-classification", pad_token_id=0)


def generate(model: HFModel, **settings: Any) -> GenerationRecord:
    return model.generate("Hello", **{"max_new_tokens": 8, **settings})


def classify(model: HFModel, **about: Any) -> ClassificationRecord:
    return model.classify(["Good dog.", "Bad dog, not again!"], **about)


# -- tokenizer ---------------------------------------------------------------------------------------------------------


def test_a_tokenizer_that_splits_otherwise_with_the_same_files(model: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = stored(generate(model), tokenizers="0.12.1", transformers="4.49.0")
    kind = type(model.tokenizer)
    plain = kind.__call__

    def swapped(self: Any, text: Any, **keywords: Any) -> Any:
        return plain(self, text.replace("l", "L"), **keywords)

    monkeypatch.setattr(kind, "__call__", swapped)

    found = ask(recorded, generate(model))

    assert found.cause == "tokenizer"
    assert "of 'Hello' token 3 was 'l' (id 108) and is 'L' (id 76)" in told(found)
    assert found.suggests[0].startswith("hfmodels bisect tokenizers --good 0.12.1 --bad ")


def test_other_tokenizer_files(model: HFModel, models: ModelCache, tiny_gpt2: Path, tmp_path: Path) -> None:
    folder = other_folder(tiny_gpt2, tmp_path / "model")
    vocabulary = json.loads((folder / "vocab.json").read_text())
    vocabulary["l"], vocabulary["L"] = vocabulary["L"], vocabulary["l"]
    (folder / "vocab.json").write_text(json.dumps(vocabulary))

    found = ask(stored(generate(model)), generate(models.load(folder)))

    assert found.cause == "checkpoint:tokenizer"
    assert "token 3 was (id 108) and is 'l' (id 76)" in told(found)  # what 108 was, other files do not say
    assert found.suggests == ()


def test_a_text_that_is_another_is_the_test_s_own(model: HFModel) -> None:
    found = ask(stored(generate(model)), model.generate("Hallo", max_new_tokens=8))

    assert (found.cause, found.sentence) == (
        "test",
        "the test gives the model a text that differs from the recorded one",
    )


# -- settings ----------------------------------------------------------------------------------------------------------


def test_a_default_that_no_release_has_changed_is_not_blamed_on_one(model: HFModel) -> None:
    found = ask(stored(generate(model, repetition_penalty=1.3), transformers="4.36.2"), generate(model))

    assert found.cause is None
    assert "its default is the same in all releases" in found.sentence
    assert "repetition_penalty 1.3 -> 1.0" in told(found)
    assert found.rules == ()
    assert "--good 4.36.2" in found.suggests[0]


@pytest.mark.skipif(
    Version(version("transformers")) < Version("4.32"),
    reason="install transformers>=4.32: before it generate makes it anew from config",
)
def test_a_default_that_the_test_has_changed(model: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = stored(generate(model), transformers="4.36.2")
    monkeypatch.setattr(model.model.generation_config, "repetition_penalty", 1.3)

    found = ask(recorded, generate(model))

    assert found.cause == "test"
    assert "the test has changed the model in memory" in found.sentence
    assert "generation_config.repetition_penalty: " in found.sentence
    assert found.suggests == ()


def test_settings_that_the_test_asks_for(model: HFModel) -> None:
    found = ask(stored(generate(model)), generate(model, max_new_tokens=9, repetition_penalty=1.3))

    assert found.cause == "test"
    assert "max_length" in found.sentence
    assert "repetition_penalty" in found.sentence


def test_a_configuration_with_other_settings(
    model: HFModel, models: ModelCache, tiny_gpt2: Path, tmp_path: Path
) -> None:
    folder = other_folder(tiny_gpt2, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "eos_token_id": 10}))

    found = ask(stored(generate(model)), generate(models.load(folder)))

    assert found.cause == "checkpoint:config"


# -- the forward pass --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, BEAMS], ids=["greedy", "beams"])
def test_other_weights(
    model: HFModel, models: ModelCache, tiny_gpt2: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    folder = other_folder(tiny_gpt2, tmp_path / "model")
    weights = tiny_weights()
    weights["transformer.h.0.mlp.c_fc.weight"] *= 1.5
    write_weights(folder, weights)

    found = ask(stored(generate(model, **settings)), generate(models.load(folder), **settings))

    assert found.cause == "checkpoint:weights"
    assert found.suggests == ()


def test_another_dtype(model: HFModel, models: ModelCache) -> None:
    half = models.load("./model", dtype="bfloat16")

    found = ask(stored(generate(model)), generate(half))

    assert found.cause == "dtype"
    assert found.ablations[0].returns
    after, before = found.ablations[0].after, found.ablations[0].before
    assert after is not None
    assert before is not None
    assert after < 1e-7 < before


def test_a_dtype_that_moves_less_than_its_own_noise_floor(model: HFModel, models: ModelCache) -> None:
    """The tolerance is the finer dtype's, and the floor the coarser one's: no search is to be accused in between."""
    half, causes = models.load("./model", dtype="float16"), []
    for prompt in ("Hello", "Good dog.", "It is not easy.", "My name is"):
        recorded, observed = (one.generate(prompt, max_new_tokens=8) for one in (model, half))
        if compare(stored(recorded), observed, Tolerance(1e-6)).verdict is Verdict.DRIFT:  # the same tokens
            causes.append(ask(stored(recorded), observed, tolerance=1e-6).cause)

    assert set(causes) == {"dtype"}


def test_another_dtype_is_not_blamed_for_an_edited_beam(model: HFModel, models: ModelCache) -> None:
    half = models.load("./model", dtype="float16")
    recorded = stored(generate(model, num_beams=2))
    best = replace(recorded.beams[0], score=recorded.beams[0].score + 0.5)
    observed = generate(half, num_beams=2)

    assert recorded.ids == observed.ids
    assert ask(replace(recorded, beams=(best, *recorded.beams[1:])), observed).cause is None


def test_the_sentence_about_a_dtype_does_not_contradict_the_verdict(model: HFModel, models: ModelCache) -> None:
    recorded, half = stored(generate(model)), generate(models.load("./model", dtype="float16"))
    assert compare(recorded, half, Tolerance(1e-4)).verdict is Verdict.DRIFT

    found = ask(recorded, half)

    assert found.cause == "dtype"
    assert "within the noise floor" not in told(found)
    assert "beyond the tolerance of 0.0001" in told(found)


def test_the_evidence_gives_a_tolerance_below_the_noise_floor(model: HFModel) -> None:
    recorded = stored(generate(model))
    steps = tuple(replace(step, log_probability=step.log_probability + 3e-7) for step in recorded.steps)

    found = ask(replace(recorded, steps=steps), generate(model), tolerance=1e-7)

    assert "beyond the tolerance of 1e-07 and within the noise floor of 2e-05" in told(found)
    assert "beyond this test's tolerance of 1e-07" in found.sentence


def test_going_back_to_the_earlier_dtype_is_explained(model: HFModel, models: ModelCache) -> None:
    """Like a float16 checkpoint loaded without `dtype`: float32 through 4.57, float16 from 5.0, and back."""
    before, tolerance = dump(generate(model)), Tolerance(1e-4)
    after = dump(
        generate(models.load("./model", dtype="float16")),
        earlier=parse(before, Path("a.toml")),
        keep=tolerance.accepts,
    )

    found = ask(load(after, Path("a.toml")), generate(model))

    assert found.cause == "dtype"
    assert (found.ablations[0].after or 0) < 1e-7


@pytest.mark.parametrize("amount", [0.01, 1.0])
def test_a_dtype_and_a_fault_at_once(model: HFModel, models: ModelCache, amount: float) -> None:
    recorded = stored(generate(model))
    half = models.load("./model", dtype="bfloat16")

    with blocks_shifted(model.model, 1, amount):
        found = ask(recorded, generate(half))

    assert (found.cause, found.block) == ("forward", "block 2")
    share = re.search(r"float32 explains (\d+) % of the movement; the rest remains", told(found))
    swap = found.ablations[0]
    assert share is not None
    assert int(share[1]) == max(0, round(100 * (1 - (swap.after or 0) / (swap.before or 1))))
    assert found.sentence.endswith("the forward pass differs, starting at block 2")
    assert found.suggests == () or "bisect" in found.suggests[0]


@needs_sdpa
def test_a_dtype_and_an_attention_kernel_at_once(models: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = stored(generate(models.load("./model", attention="sdpa")))
    half = models.load("./model", dtype="bfloat16")
    module = pytest.importorskip("transformers.models.gpt2.modeling_gpt2")
    eager = module.eager_attention_forward

    def blind(*arguments: Any, **keywords: Any) -> Any:
        output, weights = eager(*arguments, **keywords)
        return output * 0.98, weights

    monkeypatch.setattr(module, "eager_attention_forward", blind)

    found = ask(recorded, generate(half))

    assert found.cause in ("dtype", "attention")
    assert "float32 and sdpa attention together reproduce the recorded numbers" in found.sentence
    assert re.search(r"explains \d+ % of the movement", found.sentence)


@needs_sdpa
@pytest.mark.parametrize("settings", [{}, BEAMS], ids=["greedy", "beams"])
def test_another_attention_kernel_within_the_noise_floor(
    model: HFModel, models: ModelCache, settings: dict[str, Any]
) -> None:
    sdpa = models.load("./model", attention="sdpa")

    found = ask(stored(generate(model, **settings)), generate(sdpa, **settings), tolerance=2e-8)

    assert (found.verdict, found.cause) == ("drift", "attention")
    assert found.ablations[0].what == "eager attention instead of sdpa"
    assert "the noise floor of 2e-05" in told(found)


@needs_sdpa
def test_a_fault_in_the_attention_kernel(model: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = stored(generate(model))
    module = pytest.importorskip("transformers.models.gpt2.modeling_gpt2")
    eager = module.eager_attention_forward

    def blind(*arguments: Any, **keywords: Any) -> Any:
        output, weights = eager(*arguments, **keywords)
        return output * 0.5, weights

    monkeypatch.setattr(module, "eager_attention_forward", blind)

    found = ask(recorded, generate(model))

    assert found.cause == "attention"
    assert found.sentence.endswith("something in this run may replace it")
    assert found.ablations[0].what == "sdpa attention instead of eager"


@needs_sdpa
@pytest.mark.parametrize("switch", ["scale_attn_weights", "scale_attn_by_inverse_layer_idx"])
def test_scaling_options_that_sdpa_ignored_at_recording(
    models: ModelCache, tiny_gpt2: Path, tmp_path: Path, switch: str
) -> None:
    folder = other_folder(tiny_gpt2, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    usual = switch == "scale_attn_weights"
    (folder / "config.json").write_text(json.dumps({**config, switch: not usual}))
    without: dict[str, Any] = {switch: usual}
    faulty = models.load(folder, attention="sdpa", **without)
    record = generate(faulty)
    own = replace(record.checkpoint, overrides="")  # they stand for the fault
    recorded = stored(replace(record, checkpoint=own), transformers="4.50.3")
    mended = Version(version("transformers")) >= Version("5.4")

    found = ask(recorded, generate(models.load(folder, attention="sdpa" if mended else "eager")))

    assert (found.cause, found.rules, found.suggests) == ("attention", ("sdpa_ignores_scaling",), ())
    assert f"sdpa in 4.50.3 ignores {switch}={not usual} (4.42 to 5.3)" in found.sentence


@needs_sdpa
@pytest.mark.skipif(
    Version(version("transformers")) >= Version("5.4"), reason="install transformers<5.4: it has the fault"
)
def test_scaling_options_that_sdpa_ignores_now(models: ModelCache, tiny_gpt2: Path, tmp_path: Path) -> None:
    folder = other_folder(tiny_gpt2, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "scale_attn_weights": False}))
    recorded = stored(generate(models.load(folder)), transformers="4.38.2")

    found = ask(recorded, generate(models.load(folder, attention="sdpa")))

    assert (found.cause, found.rules, found.suggests) == ("attention", ("sdpa_ignores_scaling",), ())
    assert " ignores scale_attn_weights=False (4.42 to 5.3)" in found.sentence


def test_arithmetic_that_is_less_exact(model: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    recorded = stored(generate(model))
    addmm = torch.addmm

    def coarse(bias: Any, left: Any, right: Any, **keywords: Any) -> Any:
        if left.dtype == torch.float32:  # as with TF32: eleven bits
            left, right = (tensor.to(torch.bfloat16).to(torch.float32) for tensor in (left, right))
        return addmm(bias, left, right, **keywords)

    monkeypatch.setattr(torch, "addmm", coarse)

    found = ask(recorded, generate(model))

    assert found.cause == "backend"
    assert found.ablations[-1].what == "float64 instead of float32"


@needs_both_engines
def test_another_engine(model: HFModel, models: ModelCache) -> None:
    found = ask(stored(generate(model)), generate(models.load("./model", engine="tensorflow")), tolerance=1e-8)

    assert found.cause == "backend"
    assert "recorded with torch, run with tensorflow, whose arithmetic differs" in found.sentence


def test_another_processor(model: HFModel) -> None:
    recorded = stored(generate(model))
    steps = tuple(replace(step, log_probability=step.log_probability + 3e-7) for step in recorded.steps)
    recorded = replace(recorded, steps=steps, provenance=replace(recorded.provenance, cpu="VSX"))

    found = ask(recorded, generate(model), tolerance=1e-7)

    assert found.cause == "backend"
    assert "cpu VSX -> " in found.sentence


@pytest.mark.parametrize("amount", [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("settings", [{}, BEAMS], ids=["greedy", "beams"])
def test_a_fault_in_the_second_block_of_any_size(model: HFModel, amount: float, settings: dict[str, Any]) -> None:
    recorded = stored(generate(model, **settings), transformers="4.49.0")

    with blocks_shifted(model.model, 1, amount):
        found = ask(recorded, generate(model, **settings), tolerance=1e-6)

    assert (found.cause, found.block) == ("forward", "block 2")
    assert found.verdict in ("drift", "changed")
    assert all(not swap.returns for swap in found.ablations)
    assert found.suggests[0].endswith(f"-- '{TEST}'")


def test_a_fault_after_the_last_block(model: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = stored(generate(model))
    kind = type(model.model.lm_head)
    plain = kind.forward
    monkeypatch.setattr(kind, "forward", lambda self, states: 1.5 * plain(self, states))

    found = ask(recorded, generate(model))

    assert (found.cause, found.block) == ("forward", "head")


@pytest.mark.parametrize("settings", [{}, BEAMS], ids=["greedy", "beams"])
def test_a_cache_that_forgets(model: HFModel, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]) -> None:
    recorded = stored(generate(model, **settings))
    kind = type(model.model.transformer)
    plain = kind.forward

    def forgetful(self: Any, *arguments: Any, **keywords: Any) -> Any:
        output = plain(self, *arguments, **keywords)
        if keywords.get("use_cache", True) and keywords.get("past_key_values") is not None:
            output.last_hidden_state = output.last_hidden_state * 1.3
        return output

    monkeypatch.setattr(kind, "forward", forgetful)
    observed = generate(model, **settings)
    if abs(observed.steps[0].log_probability - recorded.steps[0].log_probability) > 1e-6:
        pytest.skip("this release hands a cache to the plain forward pass, too")

    found = ask(recorded, observed)

    assert found.cause == "forward"
    assert "with its cache" in found.sentence


# -- search ------------------------------------------------------------------------------------------------------------


def test_a_beam_search_that_prefers_the_worse(model: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    recorded = stored(generate(model, **BEAMS), transformers="4.49.0")
    topk = torch.topk

    def worse(values: Any, k: Any, *arguments: Any, **keywords: Any) -> Any:
        found = topk(values, k, *arguments, **keywords)
        if values.shape[-1] < 300:
            return found
        return found.values.flip(-1), found.indices.flip(-1)

    monkeypatch.setattr(torch, "topk", worse)

    found = ask(recorded, generate(model, **BEAMS))

    assert found.cause == "search"
    assert "the library chooses otherwise than by the rules of" in found.sentence
    assert "within the noise floor" in told(found)
    assert "--good 4.49.0" in found.suggests[0]


def test_a_greedy_search_that_takes_the_second_best(model: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    recorded = stored(generate(model))
    argmax = torch.argmax

    def second(values: Any, *arguments: Any, **keywords: Any) -> Any:
        if values.ndim == 2 and values.shape[-1] == 257:
            return torch.topk(values, 2, dim=-1).indices[..., 1]
        return argmax(values, *arguments, **keywords)

    monkeypatch.setattr(torch, "argmax", second)

    found = ask(recorded, generate(model))

    assert (found.verdict, found.cause) == ("changed", "search")
    assert "gives the recorded output" in found.sentence


def test_a_processor_that_bans_nothing(model: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = pytest.importorskip("transformers.generation.logits_process").NoRepeatNGramLogitsProcessor
    settings: dict[str, Any] = {"no_repeat_ngram_size": 1, "max_new_tokens": 12}
    recorded = stored(generate(model, **settings))
    monkeypatch.setattr(kind, "__call__", lambda *seen: seen[-1])

    found = ask(recorded, generate(model, **settings))

    assert found.cause == "search"


@counts_no_prompt
def test_a_length_penalty_that_counts_the_prompt(model: HFModel) -> None:
    """As before 4.36: the scores of the beams move, and nothing else."""
    observed = generate(model, **BEAMS)
    prompt = len(observed.prompt.ids)
    beams = tuple(replace(beam, score=beam.score * len(beam.ids) / (prompt + len(beam.ids))) for beam in observed.beams)
    recorded = stored(replace(observed, beams=beams), transformers="4.30.2")

    found = ask(recorded, observed)

    assert (found.cause, found.rules) == ("search", ("length_penalty_counts_prompt",))
    assert "in 4.30.2 the length penalty counts the prompt (before 4.36)" in found.sentence
    assert found.suggests == ()


@counts_no_prompt
def test_an_older_release_s_rule_is_no_longer_the_recording_one_s(
    model: HFModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = stored(generate(model, **BEAMS))
    prompt = len(recorded.prompt.ids)
    beams = tuple(replace(beam, score=beam.score * len(beam.ids) / (prompt + len(beam.ids))) for beam in recorded.beams)
    monkeypatch.setattr(
        "pytest_hfmodels.kinds.generation.search._release", lambda record: "4.57.6" if record.live is None else "4.30.2"
    )

    found = ask(recorded, replace(generate(model, **BEAMS), beams=beams))

    assert "in 4.57.6 no longer: the length penalty counts the prompt (before 4.36)" in found.sentence


# -- decoding ----------------------------------------------------------------------------------------------------------


def test_a_decoder_that_spells_otherwise(model: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = stored(generate(model), tokenizers="0.12.1")
    kind = type(model.tokenizer)
    plain = kind.decode
    monkeypatch.setattr(kind, "decode", lambda self, ids, **keywords: plain(self, ids, **keywords).upper())

    found = ask(recorded, generate(model))

    assert (found.verdict, found.cause) == ("changed", "decoding")
    assert "hfmodels bisect tokenizers" in found.suggests[0]


@pytest.mark.skipif(
    Version(version("transformers")) < Version("4.45.1"),
    reason="install transformers>=4.45.1: older releases clean up spaces",
)
@pytest.mark.parametrize(("then", "before"), [("4.44.2", True), ("4.45.0", True), ("4.45.1", False)])
def test_spaces_that_were_cleaned_up_by_default(model: HFModel, then: str, before: bool) -> None:
    observed = model.generate("Hello , it 's me . Are you n't ?", max_new_tokens=2)
    plain, cleaned = observed.text, clean_up_spaces(observed.text)
    assert plain != cleaned
    recorded = stored(replace(observed, text=cleaned), transformers=then, tokenizers="0.19.1")

    found = ask(recorded, observed)

    assert found.cause == "decoding"
    assert "clean_up_tokenization_spaces" in found.sentence
    assert all("tokenizers" not in command.split() for command in found.suggests)
    assert ("4.45.1" in found.sentence and found.rules == ("spaces_cleaned_up",)) is before
    assert (found.suggests == ()) is before


@pytest.mark.skipif(
    Version(version("transformers")) >= Version("4.45.1"),
    reason="install transformers<4.45.1: newer releases leave spaces alone",
)
def test_spaces_that_are_cleaned_up_again(model: HFModel) -> None:
    observed = model.generate("Hello , it 's me . Are you n't ?", max_new_tokens=2)
    ids = [*observed.prompt.ids, *observed.ids]
    plain = model.tokenizer.decode(ids, clean_up_tokenization_spaces=False)

    found = ask(stored(replace(observed, text=plain), transformers="4.57.6"), observed)

    assert (found.cause, found.rules, found.suggests) == ("decoding", ("spaces_cleaned_up",), ())
    assert "clean_up_tokenization_spaces was False at recording and is True now" in found.sentence


def test_special_tokens_that_are_skipped_are_named(model: HFModel) -> None:
    observed = model.generate([*b"Hi", END_OF_TEXT], max_new_tokens=2)
    recorded = stored(
        replace(observed, text=observed.text.replace("<|endoftext|>", "")), transformers="4.46.0", tokenizers="0.12.1"
    )

    found = ask(recorded, observed)

    assert found.cause == "decoding"
    assert "skip_special_tokens" in found.sentence
    assert found.suggests[0].startswith("hfmodels bisect transformers --good 4.46.0 ")


def test_a_release_that_stopped_cleaning_up_spaces_for_bpe(model: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from 5.7 on, if the checkpoint's files set it."""
    monkeypatch.setattr(model.tokenizer, "clean_up_tokenization_spaces", True)
    monkeypatch.setitem(model.tokenizer.init_kwargs, "clean_up_tokenization_spaces", True)
    plain = type(model.tokenizer).decode
    monkeypatch.setattr(
        type(model.tokenizer),
        "decode",
        lambda self, ids, **keywords: plain(self, ids, **{**keywords, "clean_up_tokenization_spaces": False}),
    )
    observed = model.generate("Hello , it 's me .", max_new_tokens=2)
    now = replace(observed.provenance, versions={"transformers": "5.10.4", "tokenizers": "0.22.2"})
    recorded = stored(replace(observed, text=clean_up_spaces(observed.text)), transformers="5.0.0")

    found = ask(recorded, replace(observed, provenance=now))

    assert (found.cause, found.rules, found.suggests) == ("decoding", ("bpe_keeps_spaces",), ())
    assert "from transformers 5.7 on True does nothing for byte-level BPE" in found.sentence


# -- classifiers -------------------------------------------------------------------------------------------------------


def test_a_classifier_in_another_dtype(classifier: HFModel, models: ModelCache) -> None:
    half = models.load("./model", task="text-classification", pad_token_id=0, dtype="bfloat16")

    found = ask(stored(classify(classifier)), classify(half), tolerance=1e-6)

    assert found.cause == "dtype"


def test_a_classifier_of_other_weights(
    classifier: HFModel, models: ModelCache, tiny_gpt2: Path, tmp_path: Path
) -> None:
    folder = other_folder(tiny_gpt2, tmp_path / "model")
    weights = tiny_weights()
    weights["transformer.h.0.mlp.c_fc.weight"] *= 1.5
    write_weights(folder, weights)
    other = models.load(folder, task="text-classification", pad_token_id=0)

    found = ask(stored(classify(classifier)), classify(other))

    assert (found.cause, found.suggests) == ("checkpoint:weights", ())


def test_a_fault_in_a_classifier_s_second_block(classifier: HFModel) -> None:
    recorded = stored(classify(classifier))

    with blocks_shifted(classifier.model, 1, 0.1):
        found = ask(recorded, classify(classifier))

    assert (found.cause, found.block) == ("forward", "block 2")


def test_a_loss_that_is_made_otherwise(classifier: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    recorded = stored(classify(classifier, labels=[0, 2]))
    plain = torch.nn.CrossEntropyLoss.forward
    monkeypatch.setattr(torch.nn.CrossEntropyLoss, "forward", lambda self, *inputs: 2 * plain(self, *inputs))

    found = ask(recorded, classify(classifier, labels=[0, 2]))

    assert (found.cause, found.block) == ("forward", "loss")
    assert recorded.loss is not None
    assert f"the reference computes a loss of {recorded.loss.value:.6g}" in told(found)


def test_labels_that_are_read_otherwise(classifier: HFModel) -> None:
    record = classify(classifier)
    rows = tuple(replace(row, label=f"other {row.label}") for row in record.inputs)

    found = ask(stored(replace(record, inputs=rows)), record)

    assert (found.cause, found.sentence) == ("decoding", "the same logits give other labels")
    assert f"'{rows[0].label}' is '{record.inputs[0].label}' now" in told(found)


def test_labels_that_the_test_has_renamed(classifier: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = stored(classify(classifier))
    monkeypatch.setattr(classifier.config, "id2label", {index: f"other {index}" for index in range(3)})

    found = ask(recorded, classify(classifier))

    assert found.cause == "test"
    assert "config.id2label: " in found.sentence


def test_a_configuration_that_names_the_labels_otherwise(
    classifier: HFModel, models: ModelCache, tiny_gpt2: Path, tmp_path: Path
) -> None:
    folder = other_folder(tiny_gpt2, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    names = {str(index): f"other {index}" for index in range(3)}
    (folder / "config.json").write_text(
        json.dumps({**config, "id2label": names, "label2id": {name: int(index) for index, name in names.items()}})
    )
    other = models.load(folder, task="text-classification", pad_token_id=0)

    found = ask(stored(classify(classifier)), classify(other))

    assert found.cause == "checkpoint:config"
    assert "names the labels otherwise (id2label)" in found.sentence
    assert "is 'other " in told(found)


def test_a_classifier_s_padding_side(classifier: HFModel) -> None:
    record = classify(classifier)
    recorded = stored(replace(record, effective={**record.effective, "padding_side": "left"}))

    found = ask(recorded, record)

    assert found.cause == "settings"
    assert found.sentence == "the classifier's settings differ from the recorded ones: padding_side"


def test_a_padding_side_that_the_test_has_changed(classifier: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = stored(classify(classifier), transformers="4.49.0")
    monkeypatch.setattr(classifier.tokenizer, "padding_side", "left")

    found = ask(recorded, classify(classifier))

    assert found.cause == "test"
    assert "tokenizer.padding_side: right -> left" in found.sentence


@pytest.mark.skipif(
    Version(version("transformers")) < Version("4.49"),
    reason="install transformers>=4.49: older releases read that word",
)
@pytest.mark.parametrize("texts", [["Good xdog"], ["Good xdog", "Calm!"]], ids=["one text", "a batch"])
def test_the_word_that_a_classifier_read_before(models: ModelCache, texts: list[str]) -> None:
    classifier = models.load("./model", task="text-classification", pad_token_id=ord("x"))
    observed = classifier.classify(texts)
    ids = np.asarray([list(b"Good ")])
    logits = tuple(classifier.loaded.classify(ids, None, None, None).logits[0].tolist())
    inputs = (replace(observed.inputs[0], logits=logits), *observed.inputs[1:])
    recorded = stored(replace(observed, inputs=inputs), transformers="4.45.0")

    found = ask(recorded, observed)

    assert (found.cause, found.block, found.rules) == ("forward", "pooling", ("pooling",))
    assert found.sentence == (
        "the classifier reads a different word: now the right-most that is no padding (from 4.49 on); in 4.45.0 "
        "the one before the first padding (4.32 to 4.48)"
    )


# -- nothing -----------------------------------------------------------------------------------------------------------


def test_where_nothing_has_changed_nothing_differs(model: HFModel, classifier: HFModel) -> None:
    for record, again in (
        (generate(model), generate(model)),
        (generate(model, **BEAMS), generate(model, **BEAMS)),
        (classify(classifier), classify(classifier)),
    ):
        assert compare(stored(record), again, Tolerance(1e-4)).verdict is Verdict.SAME
