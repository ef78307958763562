from __future__ import annotations

import json
import os
import warnings
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
import pytest

from pytest_hfmodels import CheckpointError, EngineError, ModelCache
from pytest_hfmodels.engines import upstream
from pytest_hfmodels.models.fingerprint import Fingerprint

from ..projects.drawn import save_llama
from ..tiny_gpt2 import tiny_weights, write_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

torch = pytest.importorskip("torch")

PROMPT = "Hello there"
ROWS = [[1.0, 0.0, 1.0]]


@pytest.fixture
def cache(models: ModelCache, tmp_path: Path) -> ModelCache:
    """An empty cache over a folder of its own."""
    del models
    return ModelCache(tmp_path)


@pytest.fixture
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("wanted", [{}, {"num_beams": 4, "num_return_sequences": 4}], ids=["greedy", "beam"])
def test_any_number_of_threads_gives_the_same_ids(models: ModelCache, wanted: dict[str, Any]) -> None:
    bot = models.load("./model")
    records = []

    for threads in (1, 2, os.cpu_count() or 4):
        torch.set_num_threads(threads)
        records.append(bot.generate(PROMPT, max_new_tokens=16, **wanted))

    assert len({(record.ids, tuple(beam.ids for beam in record.beams)) for record in records}) == 1


def test_a_forward_pass_does_not_use_the_cache(models: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    transformers = pytest.importorskip("transformers", "4.48")
    loaded = models.load("./model").loaded
    ids = np.array([[72, 105, 66, 121]])
    before = loaded.forward(ids).logits
    update = transformers.DynamicCache.update

    def doubled(*arguments: Any, **keywords: Any) -> Any:
        return tuple(2 * one for one in update(*arguments, **keywords))

    monkeypatch.setattr(transformers.DynamicCache, "update", doubled)

    np.testing.assert_array_equal(loaded.forward(ids).logits, before)


def test_a_device_that_is_not_there_is_named(
    cache: ModelCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_checkpoint(tmp_path / "model")
    monkeypatch.setenv("PYTEST_HFMODELS_DEVICE", "xpu")
    with pytest.raises(EngineError, match="cannot be moved to the device xpu: "):
        cache.load("./model")
    monkeypatch.setenv("PYTEST_HFMODELS_DEVICE", "cpu")

    assert cache.load("./model").generate(PROMPT, max_new_tokens=2).provenance.device == "cpu"


def test_dropout_is_off_even_in_a_model_that_trains(models: ModelCache) -> None:
    handle = models.load("./model", resid_pdrop=0.5, embd_pdrop=0.5, attn_pdrop=0.5)
    plain = handle.generate(PROMPT, max_new_tokens=8)

    handle.model.train()
    training = handle.generate(PROMPT, max_new_tokens=8)
    still_training = [module.training for module in handle.model.modules()]
    handle.model.eval()

    assert training == plain
    assert all(still_training)


def test_a_call_that_fails_leaves_nothing_on_the_model(cache: ModelCache, tmp_path: Path) -> None:
    save_llama(tmp_path / "llama")
    model = cache.load("./llama")

    with pytest.raises(EngineError, match="refuses its inputs"):
        model.observe(input_ids=[[10**6]])

    assert list(cache.dirty(test="this one")) == []


def test_a_call_with_labels_leaves_the_problem_type_open(models: ModelCache) -> None:
    classifier = models.load("./model", task="text-classification", pad_token_id=256)

    first = classifier.classify("Hi", labels=[1])
    multi = classifier.classify("Hi", labels=ROWS)
    named = classifier.classify("Hi", labels=ROWS, problem_type="multi_label_classification")
    again = classifier.classify("Hi", labels=[1])

    assert classifier.config.problem_type is None
    assert first == again
    assert multi.loss == named.loss


def test_float32_and_eager_attention_are_pinned(cache: ModelCache, tmp_path: Path) -> None:
    halves = {name: array.astype(np.float16) for name, array in tiny_weights().items()}
    write_checkpoint(tmp_path / "half", config={"torch_dtype": "float16"}, weights=halves)  # type: ignore[arg-type]

    pinned = cache.load("./half").loaded.environment()

    assert (pinned["dtype"], pinned["attention"]) == ("float32", "eager")


def test_without_pins_the_releases_defaults_run(models: ModelCache) -> None:
    free = models.load("./model", pin=False)

    assert free.loaded.environment()["attention"] == ("sdpa" if upstream.release_at_least("4.44") else "eager")
    assert free.generate(PROMPT, max_new_tokens=8).ids == models.load("./model").generate(PROMPT, max_new_tokens=8).ids


def test_another_dtype_may_be_pinned(models: ModelCache) -> None:
    double = models.load("./model", dtype="float64")

    assert double.loaded.environment()["dtype"] == "float64"
    assert (
        double.generate(PROMPT, max_new_tokens=8).ids == models.load("./model").generate(PROMPT, max_new_tokens=8).ids
    )
    assert double.model.dtype == torch.float64


def test_a_classifier_takes_labels_in_its_own_dtype(models: ModelCache) -> None:
    double = models.load("./model", task="text-classification", dtype="float64")

    loss = double.classify("Hi", labels=ROWS).loss

    single = models.load("./model", task="text-classification").classify("Hi", labels=ROWS).loss
    assert loss is not None
    assert single is not None
    assert loss.value == pytest.approx(single.value, abs=1e-5)


def test_a_trained_head_is_kept_with_head_fixed(models: ModelCache) -> None:
    trained = models.load("./model", task="text-classification")
    allowed = models.load("./model", task="text-classification", head="fixed")

    assert allowed.classify("Hi").logits == trained.classify("Hi").logits


def test_an_architecture_that_is_none_is_named(cache: ModelCache, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "strange", config={"model_type": "no-such-model"})

    with pytest.raises(EngineError, match=r"strange is a 'GPT2LMHeadModel' \('no-such-model'\), which transformers"):
        cache.load("./strange")

    (folder / "config.json").write_text(json.dumps({"model_type": "vit", "hidden_size": 32}))
    with pytest.raises(EngineError, match=r"strange is a 'vit' model, which does not run for text-generation"):
        cache.load("./strange", pad_token_id=1)


def test_weights_are_private_to_the_process(models: ModelCache, tiny_gpt2: Path) -> None:
    before = (tiny_gpt2 / "model.safetensors").read_bytes()
    handle = models.load("./model", n_inner=None, attn_pdrop=0.2)

    with torch.no_grad():
        handle.model.transformer.wte.weight.add_(1)

    assert (tiny_gpt2 / "model.safetensors").read_bytes() == before


def test_a_digest_of_weights_holds_one_tensor_at_a_time(models: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = models.load("./model").loaded
    original, copies, alive = loaded.weights, [], []

    def counted() -> Iterator[Any]:
        for entry in original():
            copies.append(ref(entry[3]))
            alive.append(sum(copy() is not None for copy in copies))
            yield entry

    monkeypatch.setattr(loaded, "weights", counted)
    Fingerprint.of(loaded, None, with_weights=True)

    assert len(alive) == len(loaded.model.state_dict())
    assert max(alive) <= 2  # the one that was digested, and the next


def quantise(model: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, but still common
        return torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear})


def test_weights_of_a_quantised_model_are_read(models: ModelCache) -> None:
    loaded = models.load("./model").loaded
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())
    quantised = type(loaded)(quantise(model))

    before = {name: bytes(raw) for name, _, _, raw in quantised.weights()}
    with torch.no_grad():
        model[0].weight[0, 0] += 1
    after = {name: bytes(raw) for name, _, _, raw in type(loaded)(quantise(model)).weights()}

    assert [*before] == sorted(before)
    assert {name for name in before if before[name] != after[name]} == {
        "0._packed_params._packed_params 0000 0",
        "0._packed_params._packed_params 0000 1",
    }


@pytest.mark.parametrize("pin", [True, False])
@pytest.mark.parametrize(("kind", "said"), [("float8_e4m3fn", "F8_E4M3"), ("float8_e5m2", "F8_E5M2"), ("int8", "I8")])
def test_weights_that_no_model_computes_with_are_named(
    models: ModelCache, tmp_path: Path, kind: str, said: str, pin: bool
) -> None:
    del models
    import torch
    from safetensors.torch import load_file, save_file

    file = write_checkpoint(tmp_path / "bot") / "model.safetensors"
    weights, name = load_file(file), "transformer.h.1.mlp.c_fc.weight"
    weights[name] = weights[name].to(getattr(torch, kind))
    save_file(weights, file, metadata={"format": "pt"})

    with pytest.raises(CheckpointError, match=f"stores '{name}' as {said}, but weights must be float32"):
        ModelCache(tmp_path).load("./bot", pin=pin)
