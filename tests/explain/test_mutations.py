"""What a test has changed of a model in memory is its own doing, where the checkpoint's own model says so."""

from __future__ import annotations

import copy
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels import ModelCache
from pytest_hfmodels.explain.mutations import differences
from pytest_hfmodels.snapshots import Tolerance, compare

from ..tiny_gpt2 import tiny_weights, write_weights
from .asking import ask, bent, blocks_shifted, other_folder, stored, told
from .test_causes import BEAMS, classify, generate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_hfmodels import HFModel


@pytest.fixture
def model(models: ModelCache) -> Iterator[HFModel]:
    yield models.load("./model")
    list(models.dirty(weights=True))  # what a test here has changed is loaded anew


@contextmanager
def hooked(module: Any, amount: float = 0.1) -> Iterator[None]:
    """Let one module in memory give something else."""

    def bend(module: Any, inputs: Any, output: Any) -> Any:
        del module, inputs
        return (bent(output[0], amount), *output[1:]) if isinstance(output, tuple) else bent(output, amount)

    hook = module.register_forward_hook(bend)
    try:
        yield
    finally:
        hook.remove()


@pytest.mark.parametrize("settings", [{}, BEAMS], ids=["greedy", "beams"])
def test_a_hook_is_why_and_no_release(model: HFModel, settings: dict[str, Any]) -> None:
    recorded = stored(generate(model, **settings), transformers="4.49.0")

    with hooked(model.model.transformer.h[1]):
        found = ask(recorded, generate(model, **settings))

    assert (found.cause, found.block, found.suggests) == ("test", "block 2", ())
    assert found.sentence == (
        "the test has changed the model in memory, so that it is no longer the checkpoint's: "
        "forward hooks of transformer.h.1: added"
    )
    assert [(swap.what, swap.returns) for swap in found.ablations] == [
        ("the checkpoint loaded again instead of the model in memory", True)
    ]


def test_weights_that_were_written_to(model: HFModel) -> None:
    import torch

    recorded = stored(generate(model))
    with torch.no_grad():
        for parameter in model.model.transformer.h[0].mlp.parameters():
            parameter.mul_(1.5)

    found = ask(recorded, generate(model))

    assert (found.cause, found.block) == ("test", "block 1")
    assert "tensor transformer.h.0.mlp.c_fc.bias was replaced or written in place" in found.sentence
    assert found.sentence.endswith(", and 3 more so")


def test_a_dtype_that_was_changed(model: HFModel) -> None:
    import torch

    recorded = stored(generate(model))
    model.model.to(torch.bfloat16)

    found = ask(recorded, generate(model))

    assert found.cause == "test"
    assert "so that it is no longer the checkpoint's" in found.sentence


def test_a_change_too_small_to_matter_is_told_where_numbers_moved(model: HFModel) -> None:
    recorded = stored(generate(model))

    with hooked(model.model.transformer.h[1], 1e-6):
        found = ask(recorded, generate(model), tolerance=1e-8)

    assert (found.verdict, found.cause) == ("drift", "test")


def test_a_classifier_s_hook(models: ModelCache) -> None:
    classifier = models.load("./model", task="text-classification", pad_token_id=0)
    recorded = stored(classify(classifier))

    with hooked(classifier.model.transformer.h[0].mlp):
        found = ask(recorded, classify(classifier))

    assert (found.cause, found.block) == ("test", "block 1")


@pytest.mark.parametrize("part", ["weights", "config"])
@pytest.mark.parametrize("settings", [{}, BEAMS], ids=["greedy", "beams"])
def test_another_digest_is_not_why_where_a_fresh_load_reproduces_the_numbers(
    model: HFModel, monkeypatch: pytest.MonkeyPatch, part: str, settings: dict[str, Any]
) -> None:
    record = generate(model, **settings)
    recorded = stored(replace(record, checkpoint=replace(record.checkpoint, **{part: "sha256:other"})))
    monkeypatch.setattr(model.model.transformer.ln_f, "eps", 0.5)

    found = ask(recorded, generate(model, **settings))

    assert found.cause == "test"
    assert "eps of transformer.ln_f: " in found.sentence
    assert [swap.returns for swap in found.ablations] == [True]


def test_a_classifier_s_other_digest_is_not_why_where_a_fresh_load_reproduces_the_numbers(models: ModelCache) -> None:
    classifier = models.load("./model", task="text-classification", pad_token_id=0)
    record = classify(classifier)
    recorded = stored(replace(record, checkpoint=replace(record.checkpoint, weights="sha256:other")))

    with hooked(classifier.model.transformer.h[0].mlp):
        found = ask(recorded, classify(classifier))

    assert found.cause == "test"


@pytest.mark.parametrize(("amount", "share"), [(0.0, None), (1e-5, None), (30.0, True)])
def test_other_weights_beside_a_change_in_memory(
    model: HFModel, models: ModelCache, tiny_gpt2: Path, tmp_path: Path, amount: float, share: bool | None
) -> None:
    folder = other_folder(tiny_gpt2, tmp_path / "model")
    weights = tiny_weights()
    weights["transformer.h.0.mlp.c_fc.weight"] *= 1.01
    write_weights(folder, weights)
    recorded, other = stored(generate(model)), models.load(folder)

    with hooked(other.model.transformer.h[1], amount):
        found = ask(recorded, generate(other))

    assert (found.cause, found.suggests) == ("checkpoint:weights", ())
    assert "the checkpoint's weights differ from the recorded ones" in found.sentence
    assert ("of the movement; the rest remains: " in found.sentence) is bool(share)
    assert "the model in memory has changed since it was loaded: forward hooks of transformer.h.1" in told(found)


def test_other_weights_alone_give_the_same_numbers_when_they_are_loaded_again(
    model: HFModel, models: ModelCache, tiny_gpt2: Path, tmp_path: Path
) -> None:
    folder = other_folder(tiny_gpt2, tmp_path / "model")
    weights = tiny_weights()
    weights["transformer.h.0.mlp.c_fc.weight"] *= 1.5
    write_weights(folder, weights)

    found = ask(stored(generate(model)), generate(models.load(folder)))

    assert (found.cause, found.ablations) == ("checkpoint:weights", ())
    assert "loading the checkpoint again gives the same numbers as this test" in told(found)


def test_a_change_that_was_there_when_it_was_recorded_is_not_why(model: HFModel) -> None:
    with hooked(model.model.transformer.h[1]):
        recorded = stored(generate(model), transformers="4.49.0")
        with blocks_shifted(model.model, 0, 0.1):
            found = ask(recorded, generate(model))

    assert (found.cause, found.block) == ("forward", "block 1")
    assert "the model in memory has changed since it was loaded: forward hooks of transformer.h.1" in told(found)
    assert "with the checkpoint loaded again instead of the model in memory the movement is" in told(found)
    assert found.suggests[0].startswith("hfmodels bisect transformers --good 4.49.0")


@pytest.mark.filterwarnings("ignore:You have modified the pretrained model configuration:UserWarning")  # before 4.32
def test_settings_that_were_changed_are_not_why_the_forward_pass_is_another(
    model: HFModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = stored(generate(model))
    monkeypatch.setattr(model.model.generation_config, "bos_token_id", 7)

    with blocks_shifted(model.model, 0, 0.1):
        found = ask(recorded, generate(model))

    assert (found.cause, found.block) == ("forward", "block 1")
    assert found.ablations[-1].what == "float64 instead of float32"
    assert "in memory" not in told(found)


@pytest.mark.parametrize("release", [None, "4.49.0"], ids=["same", "moved"])
def test_what_cannot_be_loaded_again_is_the_test_s_where_no_release_has_moved(
    models: ModelCache, release: str | None
) -> None:
    plain = models.load("./model")
    adopted = models.adopt(copy.deepcopy(plain.model), plain.tokenizer)
    recorded = stored(generate(adopted), **({} if release is None else {"transformers": release}))

    with hooked(adopted.model.transformer.h[1]):
        found = ask(recorded, generate(adopted))

    assert "was not tried: the model cannot be loaded a second time" in told(found)
    if release is None:
        assert (found.cause, found.suggests) == ("test", ())
    else:
        assert found.cause is None
        assert "either this or a new package version is the reason" in found.sentence
        assert found.suggests


@pytest.mark.parametrize("release", [None, "4.49.0"], ids=["same", "moved"])
def test_a_search_that_the_test_has_replaced(
    model: HFModel, monkeypatch: pytest.MonkeyPatch, release: str | None
) -> None:
    recorded = stored(generate(model), **({} if release is None else {"transformers": release}))
    plain = model.model.generate

    def worse(*arguments: Any, **keywords: Any) -> Any:
        output = plain(*arguments, **keywords)
        output.sequences[0, -1] = (output.sequences[0, -1] + 1) % 200
        return output

    monkeypatch.setattr(model.model, "generate", worse)

    found = ask(recorded, generate(model))

    assert found.cause == ("test" if release is None else None)
    assert "attribute generate of the model: added" in told(found)


@pytest.mark.parametrize("release", [None, "0.12.1"], ids=["same", "moved"])
def test_a_tokenizer_that_the_test_has_changed(model: HFModel, release: str | None) -> None:
    recorded = stored(generate(model), **({} if release is None else {"tokenizers": release}))
    normalizers = pytest.importorskip("tokenizers.normalizers")
    model.tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()

    found = ask(recorded, generate(model))

    assert "tokenizer's backend (merges, normalizer, decoder …) was changed" in told(found)
    assert (found.cause, found.suggests) == ("test", ())
    assert found.sentence.startswith("the test has changed the tokenizer in memory")
    assert "the tokenizer loaded again from the same files gives what was recorded" in told(found)


@pytest.mark.parametrize("watched", [True, False])
def test_a_change_of_the_tokenizer_is_no_fault_of_a_release(
    model: HFModel, monkeypatch: pytest.MonkeyPatch, watched: bool
) -> None:
    recorded = stored(generate(model), tokenizers="0.12.1")
    model.tokenizer.backend_tokenizer.pre_tokenizer.add_prefix_space = True

    with nullcontext() if watched else unwatched(monkeypatch):
        found = ask(recorded, generate(model))

    assert (found.cause, found.suggests) == ("test", ())
    said = "tokenizer's backend" if watched else "something changed the tokenizer in memory"
    assert said in found.sentence


def test_a_text_that_a_changed_tokenizer_spells_otherwise(model: HFModel) -> None:
    observed = generate(model)
    recorded = stored(replace(observed, text=observed.text.upper()))
    model.tokenizer.add_tokens(["ell"])

    found = ask(recorded, observed)

    assert found.cause == "test"


def test_a_setting_of_the_tokenizer_that_the_test_has_changed(model: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    observed = generate(model)
    recorded = stored(replace(observed, text=f"{observed.text} ."))
    monkeypatch.setattr(model.tokenizer, "split_special_tokens", True)

    found = ask(recorded, observed)

    assert (found.cause, found.suggests) == ("test", ())
    assert "tokenizer.split_special_tokens: False -> True" in found.sentence


# -- a control for each ablation ------------------------------------------------------------------------------------


@contextmanager
def unwatched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide every change that a test makes from the plugin."""
    with monkeypatch.context() as patch:
        patch.setattr("pytest_hfmodels.models.cached_model.CachedModel.altered", lambda *_, **__: [])
        yield


def test_an_unwatched_attribute_is_blamed_on_the_test(model: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = stored(generate(model), transformers="4.49.0")
    monkeypatch.setattr(model.model.transformer.ln_f, "eps", 0.5)

    with unwatched(monkeypatch):
        found = ask(recorded, generate(model))

    assert (found.cause, found.suggests) == ("test", ())
    assert "transformer.ln_f.eps: 1e-05 -> 0.5" in found.sentence


def test_a_buffer_that_the_test_has_written_is_named(model: HFModel) -> None:
    buffer = getattr(model.model.transformer.h[0].attn, "bias", None)
    if buffer is None:
        pytest.skip("this release keeps no causal mask in the model")
    fresh = copy.deepcopy(model.model)
    fresh.transformer.name_or_path = "/elsewhere"

    unchanged = differences(model.model, fresh)
    fresh.transformer.h[0].attn.bias.data.zero_()

    assert unchanged == []
    assert differences(model.model, fresh) == ["buffer transformer.h.0.attn.bias has other values"]


def test_a_loaded_model_carries_its_checkpoint_s_folder_everywhere(model: HFModel) -> None:
    inner = model.model.transformer

    assert inner.name_or_path == inner.config._name_or_path == model.model.name_or_path
    assert model.model.name_or_path == str(model.checkpoint.folder)


def test_without_another_kernel_the_arithmetic_is_not_blamed_either(
    model: HFModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = stored(generate(model))
    monkeypatch.setattr(model.model.transformer.ln_f, "eps", 0.5)
    monkeypatch.setattr("pytest_hfmodels.explain.ablation._attentions", lambda *_: [])

    with unwatched(monkeypatch):
        found = ask(recorded, generate(model))

    assert found.cause == "test"


def test_a_changed_model_in_another_dtype_is_blamed_on_the_test(
    models: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """float64 rounds to the numbers recorded in float32, so loading in float32 alone proves nothing."""
    recorded = stored(generate(models.load("./model")))
    double = models.load("./model", dtype="float64")
    monkeypatch.setattr(double.model.transformer.ln_f, "eps", 0.5)

    with unwatched(monkeypatch):
        found = ask(recorded, generate(double))

    assert found.cause == "test"


def test_a_change_that_no_ablation_reproduces_is_blamed_on_the_test(
    models: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = models.load("./model", dtype="bfloat16")
    recorded = stored(generate(half), transformers="4.49.0")
    monkeypatch.setattr(half.model.transformer.ln_f, "eps", 0.5)

    with unwatched(monkeypatch):
        found = ask(recorded, generate(half))

    assert (found.cause, found.suggests) == ("test", ())


def test_a_change_within_the_noise_floor_is_blamed_on_the_test(model: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = stored(generate(model))
    monkeypatch.setattr(model.model.transformer.ln_f, "eps", 1.1e-5)

    with unwatched(monkeypatch):
        found = ask(recorded, generate(model), tolerance=1e-8)

    assert (found.verdict, found.cause) == ("drift", "test")


def test_an_attribute_of_a_classifier_is_blamed_on_the_test(
    models: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = models.load("./model", task="text-classification", pad_token_id=0)
    recorded = stored(classify(classifier))
    monkeypatch.setattr(classifier.model.transformer.ln_f, "eps", 0.5)

    with unwatched(monkeypatch):
        found = ask(recorded, classify(classifier))

    assert found.cause == "test"


def test_an_adopted_model_is_not_ablated(models: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = models.load("./model")
    adopted = models.adopt(copy.deepcopy(plain.model), plain.tokenizer)
    recorded = stored(generate(adopted), transformers="4.49.0")
    monkeypatch.setattr(adopted.model.transformer.ln_f, "eps", 0.5)

    with unwatched(monkeypatch):
        found = ask(recorded, generate(adopted))

    assert (found.cause, found.ablations) == ("forward", ())
    assert "the checkpoint loaded again instead of the model in memory was not tried" in told(found)


# -- what no load could try -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["generate", "classify"])
def test_an_adopted_model_in_another_dtype(models: ModelCache, task: str) -> None:
    import torch

    ask_model: Any = {"generate": generate, "classify": classify}[task]
    about: dict[str, Any] = {"classify": {"task": "text-classification", "pad_token_id": 0}}.get(task, {})
    plain = models.load("./model", **about)
    before, now = (
        ask_model(models.adopt(copy.deepcopy(plain.model).to(dtype), plain.tokenizer))
        for dtype in (torch.float32, torch.bfloat16)
    )

    found = ask(stored(before), now, tolerance=1e-6)
    notes = compare(stored(before), now, Tolerance(1e-6)).notes

    assert found.cause is None
    assert found.sentence == (
        "loaded with dtype bfloat16 (recorded: float32); the recorded dtype could not be tried, so the cause is unknown"
    )
    assert "the checkpoint's weights cannot be compared" in notes
    assert not any(note.endswith("changed") for note in notes)


# -- an earlier test ------------------------------------------------------------------------------------------------


def write_weights_unseen(model: Any) -> None:
    for parameter in model.transformer.h[0].mlp.parameters():
        parameter.data.mul_(1.5)


def test_weights_that_an_earlier_test_may_have_written(tiny_gpt2: Path, models: ModelCache) -> None:
    del models
    cache = ModelCache(tiny_gpt2.parent)
    handle = cache.load("./model")
    recorded = stored(generate(handle))
    write_weights_unseen(handle.model)
    assert list(cache.dirty(test="test_first")) == []  # after each test only cheap marks are read

    found = ask(recorded, generate(handle))
    after = list(cache.dirty(test="test_second"))

    assert found.cause == "test"
    assert found.sentence == (
        "a test has changed the model in memory, so that it is no longer the checkpoint's: weights or buffers were "
        "written in place (changed by this test or an earlier one)"
    )
    assert after == []  # test_second is not accused, and the next test gets a fresh model
    assert stored(generate(handle)).steps == recorded.steps
    assert list(cache.dirty(weights=True)) == [
        ("./model (text-generation, torch)", ["weights or buffers were written in place"])
    ]


@pytest.mark.parametrize("shifted", [0.0, 0.1], ids=["alone", "beside a fault"])
def test_weights_that_were_written_under_a_hook(model: HFModel, shifted: float) -> None:
    with hooked(model.model.transformer.h[1]):
        recorded = stored(generate(model), transformers="4.49.0")
        write_weights_unseen(model.model)
        with blocks_shifted(model.model, 0, shifted):
            found = ask(recorded, generate(model))

    if shifted:
        assert found.cause is None
        assert "no load of the checkpoint reproduces the recorded numbers" in found.sentence
    else:
        assert (found.cause, found.suggests) == ("test", ())
        assert "weights or buffers were written in place" in found.sentence


def test_a_change_that_the_plugin_cannot_name_evicts_the_model(
    tiny_gpt2: Path, models: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    del models
    cache = ModelCache(tiny_gpt2.parent)
    handle = cache.load("./model")
    recorded, changed = stored(generate(handle)), handle.model
    monkeypatch.setattr(changed.transformer.ln_f, "eps", 0.5)

    with unwatched(monkeypatch):
        found = ask(recorded, generate(handle))

    assert found.cause == "test"
    list(cache.dirty(test="test_it"))
    assert handle.model is not changed


def test_a_change_of_an_earlier_test_does_not_accuse_this_one(tiny_gpt2: Path, models: ModelCache) -> None:
    plain = models.load("./model")
    cache = ModelCache(tiny_gpt2.parent)
    adopted = cache.adopt(copy.deepcopy(plain.model), plain.tokenizer)
    recorded = stored(generate(adopted))
    adopted.model.transformer.ln_f.eps = 0.5
    list(cache.dirty(test="test_first"))

    found = ask(recorded, generate(adopted))

    assert found.sentence.startswith("a test has changed the model in memory")
    assert "(changed by test_first)" in found.sentence


def test_a_vocabulary_that_an_earlier_test_may_have_changed(tiny_gpt2: Path, models: ModelCache) -> None:
    """Two words that change places leave the size of the vocabulary as it was."""
    bpe = pytest.importorskip("tokenizers.models").BPE
    del models
    cache = ModelCache(tiny_gpt2.parent)
    handle = cache.load("./model")
    recorded = stored(handle.generate("A B", max_new_tokens=2))
    words = handle.tokenizer.get_vocab()
    others = {**words, "B": words["C"], "C": words["B"]}
    handle.tokenizer.backend_tokenizer.model = bpe(others, [], continuing_subword_prefix="", end_of_word_suffix="")
    list(cache.dirty(test="test_first"))
    changed = handle.tokenizer

    found = ask(recorded, handle.generate("A B", max_new_tokens=2))

    assert found.cause == "test"
    assert found.sentence.startswith("a test has changed the tokenizer in memory")
    assert "(changed by this test or an earlier one)" in found.sentence
    assert list(cache.dirty(test="test_second")) == []
    assert handle.tokenizer is not changed
