from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_hfmodels import EngineError, HFModelsError, ModelCache


@pytest.fixture
def cache(models: ModelCache, tiny_gpt2: Path, tmp_path: Path) -> ModelCache:
    """An empty cache over a folder of its own, with a checkpoint in `./model`."""
    del models
    shutil.copytree(tiny_gpt2, tmp_path / "model")
    return ModelCache(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        ({"torch_dtype": "float16"}, "torch_dtype= is not a field of a model's configuration", 'Use dtype="float32"'),
        ({"attn_implementation": "sdpa"}, "attn_implementation= is not a field", 'Use attention="sdpa"'),
        ({"config": {}}, "config= is not a field", "num_labels=3"),
        ({"cache_dir": "x"}, "has no field cache_dir.", "hf_models.adopt"),
        ({"weights_only": False}, "has no field weights_only.", "hf_models.adopt"),
        ({"trust_remote_code": True}, "trust_remote_code= is not a field", "hf_models.adopt(model, tokenizer)"),
        ({"subfolder": "x"}, "subfolder= is not a field", "Name the folder itself"),
        (
            {"max_new_tokens": 5},
            "max_new_tokens= is a setting of generate(), not",
            "generate(prompt, max_new_tokens=5)",
        ),
        ({"num_beams": 2}, "num_beams= is a setting of generate(), not of the model.", "generate(prompt, num_beams=2)"),
        ({"do_sample": True}, "do_sample= is a setting of generate()", "Leave it out"),
        ({"n_layers": 2}, "GPT2Config of transformers", "Did you mean n_layer=?"),
        ({"hiden_size": 2}, "has no field hiden_size.", "Did you mean hidden_size=?"),
        ({"dtyp": "float16"}, "has no field dtyp.", "Did you mean dtype=?"),
        ({"frobnicate": 2}, "has no field frobnicate.", "config.json"),
        ({"pin": "no"}, "pin='no' is neither True nor False.", "dtype="),
        ({"dtype": "float"}, "Unknown dtype 'float'.", "float32, float64"),
        ({"dtype": 32}, "Unknown dtype 32.", "as text"),
        ({"attention": True}, "attention=True is not text.", '"eager"'),
        ({"revision": 5}, "revision=5 is not text.", "40 hexadecimal digits"),
        ({"digest": b"x"}, "digest=b'x' is not text.", "sha256:"),
        ({"engine": "jax"}, "Unknown engine 'jax'.", "torch and tensorflow"),
        ({"head": "old"}, "Unknown head 'old'.", "fixed"),
        ({"task": ""}, "Unknown task ''.", "text-generation, text-classification"),
    ],
)
def test_an_argument_of_another_kind_is_refused(
    cache: ModelCache, arguments: dict[str, Any], said: str, hint: str
) -> None:
    with pytest.raises(HFModelsError) as raised:
        cache.load("./model", **arguments)

    assert said in raised.value.message
    assert hint in raised.value.hint


@pytest.mark.parametrize("checkpoint", [5, None, "", b"model", ["./model"]])
def test_a_checkpoint_is_a_name_or_a_folder(cache: ModelCache, checkpoint: Any) -> None:
    with pytest.raises(HFModelsError, match="A checkpoint is a name or a folder") as raised:
        cache.load(checkpoint)

    assert "pathlib.Path" in raised.value.hint


def test_a_path_is_a_folder(cache: ModelCache, tmp_path: Path) -> None:
    by_text = cache.load("./model")

    assert cache.load(Path("./model")).model is by_text.model
    assert cache.load(Path("model")).checkpoint.name == "./model"
    assert cache.load("model").checkpoint.name == "./model"  # as --hfmodels-model takes it
    assert cache.load(tmp_path / "model").checkpoint.folder == by_text.checkpoint.folder


@pytest.mark.parametrize("architectures", [5, [5], "GPT2LMHeadModel", {"a": 1}])
def test_invalid_architectures_are_quoted(cache: ModelCache, tmp_path: Path, architectures: Any) -> None:
    file = tmp_path / "model" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "architectures": architectures}))

    with pytest.raises(HFModelsError, match=r"architectures in its config\.json is not a list of class") as raised:
        cache.load("./model")

    assert 'task="text-generation"' in raised.value.hint


@pytest.mark.parametrize("raised", [AssertionError("a"), IndexError("b"), OSError("c"), Exception("d")])
def test_an_error_of_upstream_becomes_a_sentence(
    cache: ModelCache, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    import transformers

    def fail(*_: Any, **__: Any) -> None:
        raise raised

    with monkeypatch.context() as patched:
        patched.setattr(transformers.AutoTokenizer, "from_pretrained", fail)
        with pytest.raises(HFModelsError, match=f"tokenizer of ./model cannot be .*{type(raised).__name__}: ") as told:
            cache.load("./model")
    assert told.value.__cause__ is raised

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", fail)
    with pytest.raises(EngineError, match=f"transformers cannot load .*{type(raised).__name__}: ") as told:
        cache.load("./model")
    assert told.value.__cause__ is raised


@pytest.mark.parametrize(
    "fields",
    [
        {"model_type": "bert"},
        {"n_head": 3},
        {"n_embd": "x"},
        {"vocab_size": -1},
        {"activation_function": "none such"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_an_invalid_configuration_is_reported_in_a_sentence(
    cache: ModelCache, tmp_path: Path, fields: dict[str, Any]
) -> None:
    file = tmp_path / "model" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))

    with pytest.raises(HFModelsError):
        cache.load("./model")


def test_an_invalid_tokenizer_file_is_reported_in_a_sentence(cache: ModelCache, tmp_path: Path) -> None:
    (tmp_path / "model" / "tokenizer.json").write_text("{}")

    with pytest.raises(HFModelsError, match=r"The tokenizer of ./model cannot be loaded"):
        cache.load("./model")


def test_an_invalid_model_is_not_adopted(cache: ModelCache) -> None:
    handle = cache.load("./model")
    model, tokenizer = handle.model, handle.tokenizer
    meta = type(model)(model.config).to("meta")

    for arguments, keywords, said in (
        ((model, "gpt2"), {}, "adopt() takes the model's tokenizer or processor, or None, not str."),
        ((meta, tokenizer), {}, "GPT2LMHeadModel has some on torch's meta device"),
        ((model, tokenizer), {"task": "sumarization"}, "Unknown task 'sumarization'."),
        ((model, tokenizer), {"name": ""}, "name='' is not a name."),
        ((model, tokenizer), {"name": 5}, "name=5 is not a name."),
        ((SimpleNamespace(), tokenizer), {}, "not SimpleNamespace"),
    ):
        with pytest.raises(HFModelsError) as raised:
            cache.adopt(*arguments, **keywords)
        assert said in raised.value.message
