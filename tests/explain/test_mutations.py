"""What a test has changed of a model in memory is its own doing, if the checkpoint's own model says so."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels import ModelCache
from pytest_hfmodels.snapshots import Tolerance, compare

from .asking import BEAMS, CLASSIFIER, after, all_said, ask, bent, blocks_shifted, classify, generate, searches, stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_hfmodels import HFModel


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


def other_epsilon(model: HFModel, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(model.model.transformer.ln_f, "eps", 0.5)


def unseen_epsilon(model: HFModel, patch: pytest.MonkeyPatch) -> None:
    other_epsilon(model, patch)
    hide_changes(patch)


def hide_changes(patch: pytest.MonkeyPatch) -> None:
    """Hide every change that a test makes from the plugin."""
    patch.setattr("pytest_hfmodels.models.cached_model.CachedModel.altered", lambda *_, **__: [])


def larger_weights(model: HFModel, _: pytest.MonkeyPatch) -> None:
    import torch

    with torch.no_grad():
        for parameter in model.model.transformer.h[0].mlp.parameters():
            parameter.mul_(1.5)


def larger_weights_unseen(model: HFModel, _: pytest.MonkeyPatch) -> None:
    for parameter in model.model.transformer.h[0].mlp.parameters():
        parameter.data.mul_(1.5)


def half_precision(model: HFModel, _: pytest.MonkeyPatch) -> None:
    import torch

    model.model.to(torch.bfloat16)


def lower_case(model: HFModel, _: pytest.MonkeyPatch) -> None:
    normalizers = pytest.importorskip("tokenizers.normalizers")
    model.tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()


@searches
def test_a_hook_is_why_and_no_release(model: HFModel, settings: dict[str, Any]) -> None:
    recorded = stored(generate(model, **settings), transformers="4.49.0")

    with hooked(model.model.transformer.h[1]):
        found = ask(recorded, generate(model, **settings))

    assert (found.cause, found.block, found.suggests) == ("test", "block 2 or final norm", ())
    assert found.sentence.endswith("forward hooks of transformer.h.1: added")
    assert [(one.what, one.returns) for one in found.ablations] == [
        ("the checkpoint loaded again instead of the model in memory", True)
    ]


@pytest.mark.parametrize(
    ("change", "call", "said"),
    [
        (larger_weights, generate, "tensor transformer.h.0.mlp.c_fc.bias was replaced or written in place, and 3 more"),
        (half_precision, generate, "so that it is no longer the checkpoint's"),
        (unseen_epsilon, generate, "the plugin cannot find what"),
        (lower_case, generate, "tokenizer's backend (merges, normalizer, decoder …) was changed"),
        (other_epsilon, classify, "eps of transformer.ln_f: "),
        (unseen_epsilon, classify, "the plugin cannot find what"),
    ],
)
def test_a_change_in_memory_is_named(request: pytest.FixtureRequest, change: Any, call: Any, said: str) -> None:
    asked = request.getfixturevalue("classifier" if call is classify else "model")

    found = after(change, asked, call, versions={"transformers": "4.49.0", "tokenizers": "0.12.1"})

    assert (found.cause, found.suggests) == ("test", ())
    assert said in found.sentence


@pytest.mark.parametrize("hidden", [False, True])
def test_a_change_within_the_noise_floor_is_blamed_on_the_test(model: HFModel, hidden: bool) -> None:
    def change(model: HFModel, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(model.model.transformer.ln_f, "eps", 1.1e-5)
        if hidden:
            hide_changes(patch)

    found = after(change, model, tolerance=1e-8)

    assert (found.verdict, found.cause) == ("drift", "test")


# -- beside another checkpoint or a fault ------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["weights", "config"])
@pytest.mark.parametrize("call", [generate, lambda model: generate(model, **BEAMS), classify])
def test_another_digest_is_not_why_if_a_fresh_load_reproduces_the_numbers(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, part: str, call: Any
) -> None:
    asked = request.getfixturevalue("classifier" if call is classify else "model")
    record = call(asked)
    recorded = stored(replace(record, checkpoint=replace(record.checkpoint, **{part: "sha256:other"})))
    other_epsilon(asked, monkeypatch)

    found = ask(recorded, call(asked))

    assert found.cause == "test"
    assert "eps of transformer.ln_f: " in found.sentence
    assert [one.returns for one in found.ablations] == [True]


@pytest.mark.parametrize(("amount", "share"), [(0.0, False), (1e-5, False), (30.0, True)])
def test_other_weights_beside_a_change_in_memory(
    model: HFModel, models: ModelCache, other: Any, amount: float, share: bool
) -> None:
    recorded, changed = stored(generate(model)), models.load(other(weights=1.01))

    with hooked(changed.model.transformer.h[1], amount):
        found = ask(recorded, generate(changed))

    assert (found.cause, found.suggests) == ("checkpoint:weights", ())
    assert ("of the movement; the rest remains: " in found.sentence) is share
    assert "the model in memory has changed since it was loaded: forward hooks of transformer.h.1" in all_said(found)


def test_a_change_that_was_there_when_it_was_recorded_is_not_why(model: HFModel) -> None:
    with hooked(model.model.transformer.h[1]):
        recorded = stored(generate(model), transformers="4.49.0")
        with blocks_shifted(model.model, 0, 0.1):
            found = ask(recorded, generate(model))

    assert (found.cause, found.block) == (None, "block 1")
    said = "the forward pass differs, starting at block 1; the model in memory has changed"
    assert found.sentence.startswith(said)
    assert "the model in memory has changed since it was loaded: forward hooks of transformer.h.1" in all_said(found)
    assert "with the checkpoint loaded again instead of the model in memory the movement is" in all_said(found)
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
    assert "in memory" not in all_said(found)


@pytest.mark.parametrize("release", [None, "4.49.0"], ids=["same", "moved"])
def test_a_model_that_cannot_be_loaded_again(models: ModelCache, release: str | None) -> None:
    plain = models.load("./model")
    adopted = models.adopt(copy.deepcopy(plain.model), plain.tokenizer)
    recorded = stored(generate(adopted), **({} if release is None else {"transformers": release}))

    with hooked(adopted.model.transformer.h[1]):
        found = ask(recorded, generate(adopted))

    assert "was not tried: the model cannot be loaded a second time" in all_said(found)
    assert (found.cause, found.suggests == ()) == (("test", True) if release is None else (None, False))


@pytest.mark.parametrize("release", [None, "4.49.0"], ids=["same", "moved"])
def test_a_search_that_the_test_has_replaced(model: HFModel, release: str | None) -> None:
    def change(model: HFModel, patch: pytest.MonkeyPatch) -> None:
        plain = model.model.generate

        def worse(*arguments: Any, **keywords: Any) -> Any:
            output = plain(*arguments, **keywords)
            output.sequences[0, -1] = (output.sequences[0, -1] + 1) % 200
            return output

        patch.setattr(model.model, "generate", worse)

    found = after(change, model, versions={} if release is None else {"transformers": release})

    assert found.cause == ("test" if release is None else None)
    assert "attribute generate of the model: added" in all_said(found)


# -- tokenizers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("watched", [True, False])
def test_a_change_of_the_tokenizer_is_no_fault_of_a_release(model: HFModel, watched: bool) -> None:
    def change(model: HFModel, patch: pytest.MonkeyPatch) -> None:
        model.tokenizer.backend_tokenizer.pre_tokenizer.add_prefix_space = True
        if not watched:
            hide_changes(patch)

    found = after(change, model, versions={"tokenizers": "0.12.1"})

    assert (found.cause, found.suggests) == ("test", ())
    said = "tokenizer's backend" if watched else "something changed the tokenizer in memory"
    assert said in found.sentence
    assert "the tokenizer loaded again from the same files gives what was recorded" in all_said(found)


@pytest.mark.parametrize("added", [True, False], ids=["a word", "a setting"])
def test_a_text_that_a_changed_tokenizer_spells_otherwise(
    model: HFModel, monkeypatch: pytest.MonkeyPatch, added: bool
) -> None:
    observed = generate(model)
    recorded = stored(replace(observed, text=f"{observed.text} ."))
    if added:
        model.tokenizer.add_tokens(["ell"])
    else:
        monkeypatch.setattr(model.tokenizer, "split_special_tokens", True)

    found = ask(recorded, observed)

    assert (found.cause, found.suggests) == ("test", ())
    assert added or "tokenizer.split_special_tokens: False -> True" in found.sentence


# -- a control for each ablation ---------------------------------------------------------------------------------------


def test_without_another_kernel_the_arithmetic_is_not_blamed_either(
    model: HFModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_hfmodels.explain.ablation.OTHER_KERNEL", {})

    assert after(unseen_epsilon, model).cause == "test"


@pytest.mark.parametrize(("recorded", "observed"), [("float32", "float64"), ("bfloat16", "bfloat16")])
def test_a_changed_model_in_another_dtype_is_blamed_on_the_test(
    models: ModelCache, monkeypatch: pytest.MonkeyPatch, recorded: str, observed: str
) -> None:
    """float64 rounds to the numbers recorded in float32, so loading in float32 alone proves nothing."""
    before = stored(generate(models.load("./model", dtype=recorded)), transformers="4.49.0")
    changed = models.load("./model", dtype=observed)
    unseen_epsilon(changed, monkeypatch)

    found = ask(before, generate(changed))

    assert (found.cause, found.suggests) == ("test", ())


def test_an_adopted_model_is_not_ablated(models: ModelCache) -> None:
    plain = models.load("./model")
    adopted = models.adopt(copy.deepcopy(plain.model), plain.tokenizer)

    found = after(unseen_epsilon, adopted, versions={"transformers": "4.49.0"})

    assert (found.cause, found.ablations) == (None, ())
    assert "the forward pass differs" in found.sentence
    assert "the model could not be loaded again, so the library may not be the reason" in found.sentence
    assert "the checkpoint loaded again instead of the model in memory was not tried" in all_said(found)


@pytest.mark.parametrize("call", [generate, classify])
def test_an_adopted_model_in_another_dtype(models: ModelCache, call: Any) -> None:
    import torch

    plain = models.load("./model", **(CLASSIFIER if call is classify else {}))
    before, now = (
        call(models.adopt(copy.deepcopy(plain.model).to(dtype), plain.tokenizer))
        for dtype in (torch.float32, torch.bfloat16)
    )

    found = ask(stored(before), now, tolerance=1e-6)

    assert found.cause is None
    assert "the recorded dtype could not be tried, so the cause is unknown" in found.sentence
    assert compare(stored(before), now, Tolerance(1e-6)).notes == ("the checkpoint's weights cannot be compared",)


# -- an earlier test ---------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tiny_gpt2: Path, models: ModelCache) -> ModelCache:
    del models  # imports what it needs before an inner run does
    return ModelCache(tiny_gpt2.parent)


def test_weights_that_an_earlier_test_may_have_written(cache: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = cache.load("./model")
    recorded = stored(generate(handle))
    larger_weights_unseen(handle, monkeypatch)
    assert list(cache.dirty(test="test_first")) == []  # after each test only cheap marks are read

    found = ask(recorded, generate(handle))
    later = list(cache.dirty(test="test_second"))

    assert found.cause == "test"
    assert found.sentence.startswith("a test has changed the model in memory")
    assert found.sentence.endswith("weights or buffers were written in place (changed by this test or an earlier one)")
    assert later == []  # test_second is not accused, and the next test gets a fresh model
    assert stored(generate(handle)).steps == recorded.steps
    assert list(cache.dirty(weights=True)) == [
        ("./model (text-generation, torch)", ["weights or buffers were written in place"])
    ]


@pytest.mark.parametrize("shifted", [0.0, 0.1], ids=["alone", "beside a fault"])
def test_weights_that_were_written_under_a_hook(
    model: HFModel, monkeypatch: pytest.MonkeyPatch, shifted: float
) -> None:
    with hooked(model.model.transformer.h[1]):
        recorded = stored(generate(model), transformers="4.49.0")
        larger_weights_unseen(model, monkeypatch)
        with blocks_shifted(model.model, 0, shifted):
            found = ask(recorded, generate(model))

    assert found.cause == (None if shifted else "test")
    said = "no load of the checkpoint reproduces the recorded numbers" if shifted else "were written in place"
    assert said in found.sentence


def test_a_change_that_the_plugin_cannot_name_evicts_the_model(
    cache: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = cache.load("./model")
    recorded, changed = stored(generate(handle)), handle.model
    other_epsilon(handle, monkeypatch)
    with monkeypatch.context() as patch:
        hide_changes(patch)
        assert ask(recorded, generate(handle)).cause == "test"

    list(cache.dirty(test="test_it"))

    assert handle.model is not changed


def test_a_change_of_an_earlier_test_does_not_accuse_this_one(cache: ModelCache, models: ModelCache) -> None:
    plain = models.load("./model")
    adopted = cache.adopt(copy.deepcopy(plain.model), plain.tokenizer)
    recorded = stored(generate(adopted))
    adopted.model.transformer.ln_f.eps = 0.5
    list(cache.dirty(test="test_first"))

    found = ask(recorded, generate(adopted))

    assert found.sentence.startswith("a test has changed the model in memory")
    assert "(changed by test_first)" in found.sentence


def test_a_vocabulary_that_an_earlier_test_may_have_changed(cache: ModelCache) -> None:
    """Two words that change places leave the size of the vocabulary as it was."""
    bpe = pytest.importorskip("tokenizers.models").BPE
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
