"""A GPT-2 is the same after saving and loading, in every dtype and by every path of the release."""

from __future__ import annotations

import inspect
import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels import engines
from pytest_hfmodels.engines import LoadOptions, upstream
from pytest_hfmodels.properties.forward import as_array
from pytest_hfmodels.properties.saving import check_reloaded
from suites.drawn import gpt2_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_hfmodels import HFModel
    from pytest_hfmodels.engines import LoadedModel

IDS = np.random.Generator(np.random.PCG64(1)).integers(0, 30, (3, 7)).tolist()
DTYPES = ["float64", "float32", "float16", "bfloat16"]

torch_only = pytest.mark.hf_model("tiny-gpt2", engines=["torch"])
tensorflow_only = pytest.mark.hf_model("tiny-gpt2", engines=["tensorflow"])


@pytest.fixture(scope="session")
def untied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn GPT-2 with an untied head, so that tying it would be noticed."""
    return gpt2_checkpoint(tmp_path_factory.mktemp("loading") / "untied", tie_word_embeddings=False)


@pytest.fixture
def original(hf_model: HFModel, untied: Path) -> LoadedModel:
    """The same, loaded in float32, with generation settings that differ from all defaults."""
    return load(hf_model, untied)


def load(hf_model: HFModel, folder: Path, **options: Any) -> LoadedModel:
    engine = engines.engine(hf_model.engine, with_tensorflow=hf_model.engine == "tensorflow")
    loaded = engine.load(folder, "text-generation", LoadOptions(**options))
    loaded.model.generation_config.max_new_tokens = 7
    loaded.model.generation_config.repetition_penalty = 1.25
    loaded.model.generation_config.eos_token_id = [3, 4]
    return loaded


def keyword() -> str:
    """Return the release's name of the argument `dtype`."""
    return "dtype" if upstream.release_at_least("4.56") else "torch_dtype"


def model_class() -> Any:
    from transformers import GPT2LMHeadModel

    return GPT2LMHeadModel


def save(loaded: LoadedModel, folder: Path, **given: Any) -> None:
    """Save as safetensors; 4.30 needs an argument for it, 5 always does."""
    if not upstream.release_at_least("5"):
        given["safe_serialization"] = True
    loaded.model.save_pretrained(folder, **given)


# Saving and loading


@torch_only
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_every_dtype_survives_saving(hf_model: HFModel, tmp_path: Path, dtype: str, tied: bool) -> None:
    folder = gpt2_checkpoint(tmp_path / "drawn", tie_word_embeddings=tied)
    model = load(hf_model, folder, dtype=dtype)

    save(model, tmp_path / "saved")
    reloaded = load_class(tmp_path / "saved", dtype)

    fault = check_reloaded(model, reloaded, IDS)
    assert fault is None, str(fault)


def load_class(folder: Path, dtype: str | None = None, **given: Any) -> Any:
    import torch

    wanted = {} if dtype is None else {keyword(): getattr(torch, dtype)}
    return model_class().from_pretrained(str(folder), **wanted, **given)


@torch_only
@pytest.mark.parametrize("dtype", DTYPES)
def test_auto_is_the_dtype_that_was_saved(hf_model: HFModel, untied: Path, tmp_path: Path, dtype: str) -> None:
    model = load(hf_model, untied, dtype=dtype)

    save(model, tmp_path)
    reloaded = model_class().from_pretrained(str(tmp_path), **{keyword(): "auto"})

    fault = check_reloaded(model, reloaded, IDS)
    assert fault is None, str(fault)


@torch_only
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_requested_dtype_is_used(original: LoadedModel, untied: Path, dtype: str) -> None:
    import torch

    wanted = getattr(torch, dtype)
    expected = {name: tensor.to(wanted) for name, tensor in original.model.state_dict().items()}

    reloaded = load_class(untied, dtype)

    assert {tensor.dtype for tensor in reloaded.parameters()} == {wanted}
    for name, tensor in reloaded.named_parameters():
        np.testing.assert_array_equal(as_array(tensor), as_array(expected[name]))
    assert reloaded.dtype == wanted


@torch_only
@pytest.mark.usefixtures("hf_model")
def test_the_old_name_of_dtype_is_still_accepted(untied: Path) -> None:
    import torch

    reloaded = model_class().from_pretrained(str(untied), torch_dtype=torch.bfloat16)

    assert reloaded.dtype == torch.bfloat16


# Paths


@torch_only
def test_shards(original: LoadedModel, tmp_path: Path) -> None:
    save(original, tmp_path, max_shard_size="4KB")

    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    assert (tmp_path / "model.safetensors.index.json").is_file()
    assert_same(original, load_class(tmp_path))


@torch_only
def test_a_variant(original: LoadedModel, tmp_path: Path) -> None:
    save(original, tmp_path, variant="mine")

    assert (tmp_path / "model.mine.safetensors").is_file()
    assert_same(original, load_class(tmp_path, variant="mine"))


@torch_only
def test_the_auto_class_is_the_class(original: LoadedModel, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    save(original, tmp_path)

    reloaded = AutoModelForCausalLM.from_pretrained(str(tmp_path))

    assert type(reloaded) is model_class()
    assert_same(original, reloaded)


@torch_only
def test_a_subfolder(original: LoadedModel, tmp_path: Path) -> None:
    save(original, tmp_path / "inner")

    assert_same(original, load_class(tmp_path, subfolder="inner"))


@torch_only
def test_a_passed_configuration_is_used(original: LoadedModel, tmp_path: Path) -> None:
    save(original, tmp_path)
    config = type(original.model.config).from_pretrained(str(tmp_path))
    config.layer_norm_epsilon = 0.5

    reloaded = load_class(tmp_path, config=config)

    fault = check_reloaded(original, reloaded, IDS)
    assert fault is not None
    assert fault.what == "layer_norm_epsilon is 0.5 and was 1e-05"


@torch_only
def test_passed_weights_are_used(original: LoadedModel) -> None:
    weights = {name: tensor.clone() for name, tensor in original.model.state_dict().items()}

    reloaded = model_class().from_pretrained(None, config=original.model.config, state_dict=weights)
    reloaded.generation_config = original.model.generation_config

    assert_same(original, reloaded)


@torch_only
def test_passed_weights_are_saved(original: LoadedModel, tmp_path: Path) -> None:
    weights = {name: tensor.clone() for name, tensor in original.model.state_dict().items()}
    weights["lm_head.weight"] += 1

    save(original, tmp_path, state_dict=weights)

    reloaded = load_class(tmp_path).state_dict()
    assert reloaded.keys() == weights.keys()
    for name, tensor in reloaded.items():
        np.testing.assert_array_equal(as_array(tensor), as_array(weights[name]))


@torch_only
def test_a_file_that_is_not_mapped(original: LoadedModel, tmp_path: Path) -> None:
    if "disable_mmap" not in inspect.signature(model_class().from_pretrained).parameters:
        pytest.skip("from_pretrained always maps files here: install transformers>=5.23")
    save(original, tmp_path)

    assert_same(original, load_class(tmp_path, disable_mmap=True))


@torch_only
def test_weights_for_a_built_model(original: LoadedModel) -> None:
    built = model_class()(original.model.config)

    missing, unexpected = built.load_state_dict(original.model.state_dict())
    built.generation_config = original.model.generation_config

    assert (missing, unexpected) == ([], [])
    assert_same(original, built.eval())


@torch_only
def test_a_model_without_a_head_finds_its_weights(original: LoadedModel, tmp_path: Path) -> None:
    from transformers import AutoModel

    save(original, tmp_path)

    body = AutoModel.from_pretrained(str(tmp_path))

    weights = dict(original.model.transformer.named_parameters())
    assert dict(body.named_parameters()).keys() == weights.keys()
    for name, tensor in body.named_parameters():
        np.testing.assert_array_equal(as_array(tensor), as_array(weights[name]))
    assert not body.training


@torch_only
@pytest.mark.usefixtures("hf_model")
def test_a_tied_head_is_the_embedding_although_the_file_has_another(untied: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(untied, tmp_path / "tied")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}), encoding="utf-8")

    reloaded = load_class(folder)

    head, embedding = (as_array(part.weight) for part in (reloaded.lm_head, reloaded.transformer.wte))
    assert (head == embedding).all(), "the head is the one in the file"


@torch_only
def test_a_bin_file_is_read_as_plain_weights(original: LoadedModel, tmp_path: Path) -> None:
    import torch

    save(original, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(original.model.state_dict(), tmp_path / "pytorch_model.bin")
    only: dict[str, Any] = (
        {"weights_only": True} if "weights_only" in inspect.signature(model_class().from_pretrained).parameters else {}
    )

    assert_same(original, load_class(tmp_path, use_safetensors=False, **only))


@torch_only
def test_key_mapping_renames_weights(original: LoadedModel, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save(original, tmp_path)
    if "key_mapping" not in (model_class().from_pretrained.__doc__ or ""):
        pytest.skip("from_pretrained has no key_mapping here: install transformers>=4.53")
    path = tmp_path / "model.safetensors"
    weights = {name.replace("transformer.h.", "transformer.block."): one for name, one in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})

    assert_same(original, load_class(tmp_path, key_mapping={r"transformer\.block\.": "transformer.h."}))


@torch_only
@pytest.mark.usefixtures("hf_model")
def test_what_was_loaded_is_reported(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = gpt2_checkpoint(tmp_path / "drawn", tie_word_embeddings=False)
    path = folder / "model.safetensors"
    weights = load_file(path)
    del weights["transformer.ln_f.bias"]
    weights["lm_head.weight"] = weights["lm_head.weight"][:5].clone()
    save_file(weights, path, metadata={"format": "pt"})

    with upstream.quiet():
        _, report = load_class(folder, ignore_mismatched_sizes=True, output_loading_info=True)

    mismatched = [one if isinstance(one, str) else one[0] for one in report["mismatched_keys"]]
    assert "transformer.ln_f.bias" in report["missing_keys"]
    assert "score.weight" in report["unexpected_keys"]
    assert mismatched == ["lm_head.weight"]


def assert_same(original: LoadedModel, reloaded: Any) -> None:
    fault = check_reloaded(original, reloaded, IDS)
    assert fault is None, str(fault)


# Settings


@torch_only
def test_generation_settings_are_saved(original: LoadedModel, tmp_path: Path) -> None:
    from transformers import GenerationConfig

    save(original, tmp_path)

    kept = GenerationConfig.from_pretrained(str(tmp_path))
    assert (kept.max_new_tokens, kept.repetition_penalty, kept.eos_token_id) == (7, 1.25, [3, 4])
    assert load_class(tmp_path).generation_config.repetition_penalty == 1.25


@torch_only
def test_the_trained_model_survives_saving(hf_model: HFModel, tmp_path: Path) -> None:
    model = load(hf_model, hf_model.checkpoint.folder)  # not the session's model, because saving may change it

    save(model, tmp_path)

    assert_same(model, load_class(tmp_path, "float32"))


# TensorFlow


@tensorflow_only
@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "h5"])
def test_tensorflow_survives_saving(hf_model: HFModel, tmp_path: Path, safe: bool) -> None:
    from transformers import TFGPT2LMHeadModel

    model = load(hf_model, gpt2_checkpoint(tmp_path / "drawn"))
    model.model.save_pretrained(tmp_path / "saved", safe_serialization=safe)

    reloaded = TFGPT2LMHeadModel.from_pretrained(str(tmp_path / "saved"))

    fault = check_reloaded(model, reloaded, IDS)
    assert fault is None, str(fault)


@tensorflow_only
def test_torch_reads_what_tensorflow_saved(hf_model: HFModel, tmp_path: Path) -> None:
    if engines.missing("torch") is not None:
        pytest.skip('needs torch: python -m pip install "pytest-hfmodels[torch]"')
    model = load(hf_model, gpt2_checkpoint(tmp_path / "drawn"))
    save(model, tmp_path / "saved")

    reloaded = engines.engine("torch", with_tensorflow=True).adopt(load_class(tmp_path / "saved"))

    ids = np.asarray(IDS)
    np.testing.assert_allclose(reloaded.forward(ids).logits, model.forward(ids).logits, atol=1e-4)
