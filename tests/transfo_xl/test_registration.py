"""`register` changes the process, so it is called in a subprocess."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from typing import Any

import pytest

from pytest_hfmodels import transfo_xl
from pytest_hfmodels.engines.upstream import release_at_least

from .tiny_transfo_xl import WORDS, classifier, language_model, vocabulary_file

PROGRAM = """
import json, sys, warnings
warnings.simplefilter("ignore")
import transformers
from pytest_hfmodels import transfo_xl

def package(instance):
    return type(instance).__module__.split(".")[0]

def load_model(auto, folder):
    model = getattr(transformers, auto).from_pretrained(folder)
    return package(transformers.AutoConfig.from_pretrained(folder)), package(model), type(model).__name__

def load_tokenizer(folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return package(tokenizer), tokenizer("My name is Hasnain")["input_ids"]

models, tokenizers = json.loads(sys.argv[1])
print(json.dumps({
    "registered": [transfo_xl.register(), transfo_xl.register()],
    "models": {auto: load_model(auto, folder) for auto, folder in models.items()},
    "tokenizers": {name: load_tokenizer(folder) for name, folder in tokenizers.items()},
}))
"""
MODELS = {
    "AutoModelForCausalLM": "TransfoXLLMHeadModel",
    "AutoModelForSequenceClassification": "TransfoXLForSequenceClassification",
}


@pytest.fixture(scope="module")
def ours() -> bool:
    """Whether this release needs our Transformer-XL."""
    return transfo_xl.working_implementation().name == "pytest-hfmodels"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, ours: bool) -> dict[str, Any]:
    """What the Auto classes find after `register`, in a subprocess."""
    folder = tmp_path_factory.mktemp("registered")
    models = {auto: folder / auto for auto in MODELS}
    for auto, make in zip(MODELS, (language_model, classifier), strict=True):
        make().save_pretrained(models[auto])
    tokenizers = {name: folder / name for name in ("named", "unnamed", "pickled")}
    for path in tokenizers.values():
        language_model().config.save_pretrained(path)
    transfo_xl.TransfoXLTokenizer(vocab_file=vocabulary_file(tokenizers["unnamed"])).save_pretrained(
        tokenizers["named"]
    )
    ids = {word: index for index, word in enumerate(WORDS)}
    (tokenizers["pickled"] / "vocab.pkl").write_bytes(pickle.dumps({"sym2idx": ids, "idx2sym": list(WORDS)}))
    if not ours:
        del tokenizers["pickled"]  # upstream's would ask to unpickle it
    asked = json.dumps([models, tokenizers], default=str)
    done = subprocess.run([sys.executable, "-c", PROGRAM, asked], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def test_the_auto_classes_find_what_works(found: dict[str, Any], ours: bool) -> None:
    package = "pytest_hfmodels" if ours else "transformers"

    assert found["registered"] == [ours, ours]
    assert found["models"] == {auto: [package, package, name] for auto, name in MODELS.items()}


def test_auto_tokenizer_finds_one_that_reads_the_words(found: dict[str, Any], ours: bool) -> None:
    # Through 4.57 upstream's tokenizer works, and a name in tokenizer_config.json comes first.
    first = "pytest_hfmodels" if release_at_least("5.0") else "transformers"
    rest = "pytest_hfmodels" if ours else "transformers"
    packages = {"named": first, "unnamed": rest, **({"pickled": rest} if ours else {})}

    assert found["tokenizers"] == {name: [package, [9, 5, 6, 7]] for name, package in packages.items()}


def test_the_probe_reports_the_error() -> None:
    import transformers

    found = transfo_xl.working_implementation()

    assert found.reason.startswith(f"transformers {transformers.__version__} ".rstrip())
    assert found is transfo_xl.working_implementation()


def test_the_probe_keeps_the_random_state() -> None:
    import torch

    before = torch.get_rng_state()
    transfo_xl.working_implementation.__wrapped__()  # past the cache

    assert torch.get_rng_state().equal(before)
