"""For each cause something that really produces it, and the answer that names it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from packaging.version import Version

from pytest_hfmodels.kinds.generation import search
from pytest_hfmodels.reference import Rules
from pytest_hfmodels.reference.spaces import clean_up_spaces
from pytest_hfmodels.snapshots import Tolerance, Verdict, compare
from pytest_hfmodels.snapshots.format import dump, load, parse

from ..surroundings import needs_both_engines
from ..tiny_gpt2 import END_OF_TEXT
from .asking import (
    BEAMS,
    CLASSIFIER,
    RELEASE,
    TEST,
    across,
    after,
    all_said,
    ask,
    blocks_shifted,
    classify,
    generate,
    needs_sdpa,
    searches,
    shifted,
    stored,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_hfmodels import HFModel, ModelCache

counts_no_prompt = pytest.mark.skipif(
    Version("4.36") > RELEASE,
    reason="install transformers>=4.36: before it the length penalty counts the prompt itself",
)


# -- faults of the library, by the cause that they have ----------------------------------------------------------------


def splits_otherwise(model: HFModel, patch: pytest.MonkeyPatch) -> None:
    kind = type(model.tokenizer)
    plain = kind.__call__
    patch.setattr(kind, "__call__", lambda self, text, **keywords: plain(self, text.replace("l", "L"), **keywords))


def spells_otherwise(model: HFModel, patch: pytest.MonkeyPatch) -> None:
    kind = type(model.tokenizer)
    plain = kind.decode
    patch.setattr(kind, "decode", lambda self, ids, **keywords: plain(self, ids, **keywords).upper())


def head_larger(model: HFModel, patch: pytest.MonkeyPatch) -> None:
    kind = type(model.model.lm_head)
    plain = kind.forward
    patch.setattr(kind, "forward", lambda self, states: 1.5 * plain(self, states))


def kernel(by: float) -> Callable[[HFModel, pytest.MonkeyPatch], None]:
    def change(_: HFModel, patch: pytest.MonkeyPatch) -> None:
        module = pytest.importorskip("transformers.models.gpt2.modeling_gpt2")
        eager = module.eager_attention_forward

        def blind(*arguments: Any, **keywords: Any) -> Any:
            output, weights = eager(*arguments, **keywords)
            return output * by, weights

        patch.setattr(module, "eager_attention_forward", blind)

    return change


def less_exact(_: HFModel, patch: pytest.MonkeyPatch) -> None:
    import torch

    addmm = torch.addmm

    def coarse(bias: Any, left: Any, right: Any, **keywords: Any) -> Any:
        if left.dtype == torch.float32:  # as with TF32: eleven bits
            left, right = (tensor.to(torch.bfloat16).to(torch.float32) for tensor in (left, right))
        return addmm(bias, left, right, **keywords)

    patch.setattr(torch, "addmm", coarse)


def worse_beams(_: HFModel, patch: pytest.MonkeyPatch) -> None:
    import torch

    topk = torch.topk

    def worse(values: Any, k: Any, *arguments: Any, **keywords: Any) -> Any:
        found = topk(values, k, *arguments, **keywords)
        return found if values.shape[-1] < 300 else (found.values.flip(-1), found.indices.flip(-1))

    patch.setattr(torch, "topk", worse)


def second_best(_: HFModel, patch: pytest.MonkeyPatch) -> None:
    import torch

    patch.setattr(torch, "argmax", lambda values, *_, **__: torch.topk(values, 2, dim=-1).indices[..., 1])


def bans_nothing(_: HFModel, patch: pytest.MonkeyPatch) -> None:
    kind = pytest.importorskip("transformers.generation.logits_process").NoRepeatNGramLogitsProcessor
    patch.setattr(kind, "__call__", lambda *seen: seen[-1])


@pytest.mark.parametrize(
    ("fault", "settings", "cause", "block", "suggested"),
    [
        (splits_otherwise, {}, "tokenizer", None, "tokenizers"),
        (spells_otherwise, {}, "decoding", None, "tokenizers"),
        (head_larger, {}, "forward", "head", "transformers"),
        (less_exact, {}, "backend", "block 1", "torch"),
        (worse_beams, BEAMS, "search", None, "transformers"),
        (second_best, {}, "search", None, "transformers"),
        (bans_nothing, {"no_repeat_ngram_size": 1, "max_new_tokens": 12}, "search", None, "transformers"),
    ],
)
def test_a_fault_of_a_release(
    model: HFModel, fault: Any, settings: dict[str, Any], cause: str, block: str | None, suggested: str
) -> None:
    versions = {"transformers": "4.28.0", "tokenizers": "0.12.1", "torch": "1.0.0"}

    found = after(fault, model, versions=versions, **settings)

    assert (found.cause, found.block, found.verdict in ("drift", "changed")) == (cause, block, True)
    assert found.suggests[0].startswith(f"hfmodels bisect {suggested} --good {versions[suggested]} --bad ")


# -- what the test asks for and what the checkpoint holds --------------------------------------------------------------


def test_another_text_and_other_settings_are_the_test_s_own(model: HFModel) -> None:
    text = ask(stored(generate(model)), model.generate("Hallo", max_new_tokens=8))
    settings = ask(stored(generate(model)), generate(model, max_new_tokens=9, repetition_penalty=1.3))

    assert (text.cause, settings.cause) == ("test", "test")
    assert "max_length, repetition_penalty" in settings.sentence


def test_a_default_that_no_release_has_changed_is_not_blamed_on_one(model: HFModel) -> None:
    found = ask(stored(generate(model, repetition_penalty=1.3), transformers="4.36.2"), generate(model))

    assert (found.cause, found.rules) == (None, ())
    assert "its default is the same in all releases" in found.sentence
    assert "repetition_penalty 1.3 -> 1.0" in all_said(found)
    assert "--good 4.36.2" in found.suggests[0]


@pytest.mark.skipif(
    Version("4.32") > RELEASE, reason="install transformers>=4.32: before it generate makes it anew from config"
)
def test_a_default_that_the_test_has_changed(model: HFModel) -> None:
    def change(model: HFModel, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(model.model.generation_config, "repetition_penalty", 1.3)

    found = after(change, model, versions={"transformers": "4.36.2"})

    assert (found.cause, found.suggests) == ("test", ())
    assert "generation_config.repetition_penalty: " in found.sentence


@pytest.mark.parametrize(
    ("change", "cause", "said"),
    [
        ({"words": "lL"}, "checkpoint:tokenizer", "token 3 was (id 108) and is 'l' (id 76)"),  # 108 was another word
        ({"eos_token_id": 10}, "checkpoint:config", "eos_token_id"),
        ({"weights": 1.5}, "checkpoint:weights", "loading the checkpoint again gives the same numbers as this test"),
    ],
)
@searches
def test_another_checkpoint(
    model: HFModel, models: ModelCache, other: Any, settings: Any, change: Any, cause: str, said: str
) -> None:
    found = ask(stored(generate(model, **settings)), generate(models.load(other(**change)), **settings))

    assert (found.cause, found.suggests, found.ablations) == (cause, (), ())
    assert said in all_said(found)


# -- dtype, attention, machine -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "now", "settings", "tolerance", "cause"),
    [
        (generate, {"dtype": "bfloat16"}, {}, 1e-4, "dtype"),
        (classify, {"dtype": "bfloat16"}, {}, 1e-6, "dtype"),
        pytest.param(generate, {"attention": "sdpa"}, {}, 2e-8, "attention", marks=needs_sdpa),
        pytest.param(generate, {"attention": "sdpa"}, BEAMS, 2e-8, "attention", marks=needs_sdpa),
        pytest.param(generate, {"engine": "tensorflow"}, {}, 1e-8, "backend", marks=needs_both_engines),
    ],
)
def test_a_model_that_is_loaded_otherwise(
    models: ModelCache, call: Any, now: dict[str, Any], settings: dict[str, Any], tolerance: float, cause: str
) -> None:
    found = across(models, {}, now, call, tolerance=tolerance, **settings)

    assert found.cause == cause
    if cause != "backend":
        assert found.ablations[-1].returns
        assert (found.ablations[-1].after or 0) < min(1e-7, found.ablations[-1].before or 0)


def test_a_dtype_that_moves_less_than_its_own_noise_floor(model: HFModel, models: ModelCache) -> None:
    """The tolerance is the finer dtype's, and the floor the coarser one's: no search is to be accused in between."""
    half, causes = models.load("./model", dtype="float16"), []
    for prompt in ("Hello", "Good dog.", "It is not easy.", "My name is"):
        recorded, observed = (one.generate(prompt, max_new_tokens=8) for one in (model, half))
        if compare(stored(recorded), observed, Tolerance(1e-6)).verdict is Verdict.DRIFT:  # the same tokens
            causes.append(ask(stored(recorded), observed, tolerance=1e-6).cause)

    assert set(causes) == {"dtype"}


def test_another_dtype_is_not_blamed_for_an_edited_beam(model: HFModel, models: ModelCache) -> None:
    recorded = stored(generate(model, num_beams=2))
    best = replace(recorded.beams[0], score=recorded.beams[0].score + 0.5)
    observed = generate(models.load("./model", dtype="float16"), num_beams=2)

    assert recorded.ids == observed.ids
    assert ask(replace(recorded, beams=(best, *recorded.beams[1:])), observed).cause is None


@pytest.mark.parametrize(("about", "cause"), [({}, None), ({"cpu": "VSX"}, "backend")])
def test_the_evidence_gives_a_tolerance_below_the_noise_floor(
    model: HFModel, about: dict[str, str], cause: str | None
) -> None:
    found = ask(shifted(generate(model), 3e-7, **about), generate(model), tolerance=1e-7)

    figures = next(one.figures for one in found.evidence if "drift" in one.figures)
    assert (found.verdict, found.cause, figures["tolerance"]) == ("drift", cause, 1e-7)
    assert 1e-7 < (figures["drift"] or 0) < (figures["noise_floor"] or 0)


def test_going_back_to_the_earlier_dtype_is_explained(model: HFModel, models: ModelCache) -> None:
    """Like a float16 checkpoint loaded without `dtype`: float32 through 4.57, float16 from 5.0, and back."""
    before, half = dump(generate(model)), generate(models.load("./model", dtype="float16"))
    assert compare(generate(model), half, Tolerance(1e-4)).verdict is Verdict.DRIFT
    text = dump(half, earlier=parse(before, Path("a.toml")), keep=Tolerance(1e-4).accepts)

    found = ask(load(text, Path("a.toml")), generate(model))

    assert found.cause == "dtype"
    assert (found.ablations[0].after or 0) < 1e-7


@pytest.mark.parametrize("amount", [0.01, 1.0])
def test_a_dtype_and_a_fault_at_once(model: HFModel, models: ModelCache, amount: float) -> None:
    recorded, half = stored(generate(model)), models.load("./model", dtype="bfloat16")

    with blocks_shifted(model.model, 1, amount):
        found = ask(recorded, generate(half))

    assert (found.cause, found.block) == ("forward", "block 2 or final norm")
    share = re.search(r"float32 explains (\d+) % of the movement; the rest remains", all_said(found))
    ablation = found.ablations[0]
    assert share is not None
    assert int(share[1]) == max(0, round(100 * (1 - (ablation.after or 0) / (ablation.before or 1))))
    assert found.sentence.endswith("the forward pass differs, starting at block 2 or the final norm")


@needs_sdpa
def test_a_dtype_and_an_attention_kernel_at_once(models: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = stored(generate(models.load("./model", attention="sdpa")))
    half = models.load("./model", dtype="bfloat16")
    kernel(0.98)(half, monkeypatch)

    found = ask(recorded, generate(half))

    assert found.cause in ("dtype", "attention")
    assert "float32 and sdpa attention together reproduce the recorded numbers" in found.sentence
    assert re.search(r"explains \d+ % of the movement", found.sentence)


@needs_sdpa
def test_a_fault_in_the_attention_kernel(model: HFModel) -> None:
    found = after(kernel(0.5), model)

    assert (found.cause, found.ablations[-1].returns) == ("attention", True)
    assert found.ablations[-1].what == "sdpa attention instead of eager"
    assert "something in this run may replace it" in found.sentence


@needs_sdpa
@pytest.mark.parametrize("switch", ["scale_attn_weights", "scale_attn_by_inverse_layer_idx"])
def test_scaling_options_that_sdpa_ignored_at_recording(models: ModelCache, other: Any, switch: str) -> None:
    usual = switch == "scale_attn_weights"
    folder = other(**{switch: not usual})
    without: dict[str, Any] = {switch: usual}  # they stand for the fault
    record = generate(models.load(folder, attention="sdpa", **without))
    recorded = stored(replace(record, checkpoint=replace(record.checkpoint, overrides="")), transformers="4.50.3")

    found = ask(recorded, generate(models.load(folder, attention="sdpa" if Version("5.4") <= RELEASE else "eager")))

    assert (found.cause, found.rules, found.suggests) == ("attention", ("sdpa_ignores_scaling",), ())
    assert f"sdpa in 4.50.3 ignores {switch}={not usual} (4.42 to 5.3)" in found.sentence


@needs_sdpa
@pytest.mark.skipif(Version("5.4") <= RELEASE, reason="install transformers<5.4: it has the fault")
def test_scaling_options_that_sdpa_ignores_now(models: ModelCache, other: Any) -> None:
    folder = other(scale_attn_weights=False)
    recorded = stored(generate(models.load(folder)), transformers="4.38.2")

    found = ask(recorded, generate(models.load(folder, attention="sdpa")))

    assert (found.cause, found.rules, found.suggests) == ("attention", ("sdpa_ignores_scaling",), ())
    assert " ignores scale_attn_weights=False (4.42 to 5.3)" in found.sentence


# -- the forward pass --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", [1e-4, 1e-2, 1.0, 10.0])
@searches
def test_a_fault_in_the_second_block_of_any_size(model: HFModel, amount: float, settings: dict[str, Any]) -> None:
    recorded = stored(generate(model, **settings), transformers="4.49.0")

    with blocks_shifted(model.model, 1, amount):
        found = ask(recorded, generate(model, **settings), tolerance=1e-6)

    assert (found.cause, found.block) == ("forward", "block 2 or final norm")
    assert found.verdict in ("drift", "changed")
    assert not any(ablation.returns for ablation in found.ablations)
    assert found.suggests[0].endswith(f"-- '{TEST}'")


@searches
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


# -- rules of releases -------------------------------------------------------------------------------------------------


def counting_the_prompt(record: Any) -> Any:
    """Return a record whose beams are scored as before 4.36."""
    prompt = len(record.prompt.ids)
    beams = (replace(beam, score=beam.score * len(beam.ids) / (prompt + len(beam.ids))) for beam in record.beams)
    return replace(record, beams=tuple(beams))


@counts_no_prompt
def test_a_length_penalty_that_counts_the_prompt(model: HFModel) -> None:
    observed = generate(model, **BEAMS)

    found = ask(stored(counting_the_prompt(observed), transformers="4.30.2"), observed)

    assert (found.cause, found.rules, found.suggests) == ("search", ("length_penalty_counts_prompt",), ())
    assert "in 4.30.2 the length penalty counts the prompt (before 4.36)" in found.sentence


@counts_no_prompt
def test_an_older_release_s_rule_is_no_longer_the_recording_one_s(
    model: HFModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def release(record: Any) -> str:
        return "4.57.6" if record.live is None else "4.30.2"

    monkeypatch.setattr(search, "release_of", release)
    monkeypatch.setattr(search, "rules_of", lambda record: Rules.of(release(record)))

    found = ask(stored(generate(model, **BEAMS)), counting_the_prompt(generate(model, **BEAMS)))

    assert "in 4.57.6 no longer: the length penalty counts the prompt (before 4.36)" in found.sentence


# -- decoding ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(Version("4.45.1") > RELEASE, reason="install transformers>=4.45.1: older releases clean up spaces")
@pytest.mark.parametrize(("then", "before"), [("4.44.2", True), ("4.45.0", True), ("4.45.1", False)])
def test_spaces_that_were_cleaned_up_by_default(model: HFModel, then: str, before: bool) -> None:
    observed = model.generate("Hello , it 's me . Are you n't ?", max_new_tokens=2)
    recorded = stored(replace(observed, text=clean_up_spaces(observed.text)), transformers=then, tokenizers="0.19.1")
    assert recorded.text != observed.text

    found = ask(recorded, observed)

    assert found.cause == "decoding"
    assert "clean_up_tokenization_spaces" in found.sentence
    assert all("tokenizers" not in command.split() for command in found.suggests)
    assert ("4.45.1" in found.sentence and found.rules == ("spaces_cleaned_up",)) is before
    assert (found.suggests == ()) is before


@pytest.mark.skipif(
    Version("4.45.1") <= RELEASE, reason="install transformers<4.45.1: newer releases leave spaces alone"
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
    text = observed.text.replace("<|endoftext|>", "")

    found = ask(stored(replace(observed, text=text), transformers="4.46.0", tokenizers="0.12.1"), observed)

    assert found.cause == "decoding"
    assert "skip_special_tokens" in found.sentence
    assert found.suggests[0].startswith("hfmodels bisect transformers --good 4.46.0 ")


def test_a_release_that_stopped_cleaning_up_spaces_for_bpe(model: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from 5.7 on, if the checkpoint's files set it."""
    name, kind = "clean_up_tokenization_spaces", type(model.tokenizer)
    plain = kind.decode
    monkeypatch.setattr(model.tokenizer, name, True)
    monkeypatch.setitem(model.tokenizer.init_kwargs, name, True)
    monkeypatch.setattr(kind, "decode", lambda self, ids, **keywords: plain(self, ids, **{**keywords, name: False}))
    observed = model.generate("Hello , it 's me .", max_new_tokens=2)
    now = replace(observed.provenance, versions={"transformers": "5.10.4", "tokenizers": "0.22.2"})
    recorded = stored(replace(observed, text=clean_up_spaces(observed.text)), transformers="5.0.0")

    found = ask(recorded, replace(observed, provenance=now))

    assert (found.cause, found.rules, found.suggests) == ("decoding", ("bpe_keeps_spaces",), ())


# -- classifiers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"weights": 1.5}, "checkpoint:weights"),
        (
            {"id2label": {str(n): f"other {n}" for n in range(3)}, "label2id": {f"other {n}": n for n in range(3)}},
            "checkpoint:config",
        ),
    ],
    ids=["weights", "labels"],
)
def test_a_classifier_of_another_checkpoint(
    classifier: HFModel, models: ModelCache, other: Any, change: Any, cause: str
) -> None:
    found = ask(stored(classify(classifier)), classify(models.load(other(**change), **CLASSIFIER)))

    assert (found.cause, found.suggests) == (cause, ())


def test_a_fault_in_a_classifier_s_second_block(classifier: HFModel) -> None:
    recorded = stored(classify(classifier))

    with blocks_shifted(classifier.model, 1, 0.1):
        found = ask(recorded, classify(classifier))

    assert (found.cause, found.block) == ("forward", "block 2 or final norm")


def test_a_loss_that_is_made_otherwise(classifier: HFModel) -> None:
    def double(_: HFModel, patch: pytest.MonkeyPatch) -> None:
        import torch

        plain = torch.nn.CrossEntropyLoss.forward
        patch.setattr(torch.nn.CrossEntropyLoss, "forward", lambda self, *inputs: 2 * plain(self, *inputs))

    found = after(double, classifier, classify, labels=[0, 2])

    assert (found.cause, found.block) == ("forward", "loss")
    figures = found.evidence[1].figures
    assert figures["reference"] == pytest.approx(figures["recorded"]) == pytest.approx((figures["observed"] or 0) / 2)


@pytest.mark.parametrize(("field", "cause"), [("inputs", "decoding"), ("effective", "settings")])
def test_a_classifier_that_reads_or_pads_otherwise(classifier: HFModel, field: str, cause: str) -> None:
    record = classify(classifier)
    changes: dict[str, Any] = {
        "inputs": tuple(replace(row, label=f"other {row.label}") for row in record.inputs),
        "effective": {**record.effective, "padding_side": "left"},
    }

    assert ask(stored(replace(record, **{field: changes[field]})), record).cause == cause


@pytest.mark.parametrize(
    ("owner", "name", "value", "said"),
    [
        ("config", "id2label", {index: f"other {index}" for index in range(3)}, "config.id2label: "),
        ("tokenizer", "padding_side", "left", "tokenizer.padding_side: right -> left"),
    ],
)
def test_a_setting_of_a_classifier_that_the_test_has_changed(
    classifier: HFModel, owner: str, name: str, value: Any, said: str
) -> None:
    def change(model: HFModel, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(getattr(model, owner), name, value)

    found = after(change, classifier, classify, versions={"transformers": "4.49.0"})

    assert found.cause == "test"
    assert said in found.sentence


@pytest.mark.skipif(Version("4.49") > RELEASE, reason="install transformers>=4.49: older releases read that word")
@pytest.mark.parametrize("texts", [["Good xdog"], ["Good xdog", "Calm!"]], ids=["one text", "a batch"])
def test_the_word_that_a_classifier_read_before(models: ModelCache, texts: list[str]) -> None:
    classifier = models.load("./model", task="text-classification", pad_token_id=ord("x"))
    observed = classifier.classify(texts)
    ids = np.asarray([list(b"Good ")])
    logits = tuple(classifier.loaded.classify(ids, None, None, None).logits[0].tolist())
    inputs = (replace(observed.inputs[0], logits=logits), *observed.inputs[1:])

    found = ask(stored(replace(observed, inputs=inputs), transformers="4.45.0"), observed)

    assert (found.cause, found.block, found.rules) == ("forward", "pooling", ("pooling",))
    assert "in 4.45.0 the one before the first padding (4.32 to 4.48)" in found.sentence


def test_where_nothing_has_changed_nothing_differs(model: HFModel, classifier: HFModel) -> None:
    for call in (lambda: generate(model), lambda: generate(model, **BEAMS), lambda: classify(classifier)):
        assert compare(stored(call()), call(), Tolerance(1e-4)).verdict is Verdict.SAME
