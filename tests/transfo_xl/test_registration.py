"""`register` changes the process, so that each test has one of its own."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels import transfo_xl
from pytest_hfmodels.engines.upstream import release_at_least

from .tiny_transfo_xl import WORDS, classifier, language_model, vocabulary_file

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import sys, warnings
warnings.simplefilter("ignore")
import transformers
from pytest_hfmodels import transfo_xl
print(transfo_xl.register(), transfo_xl.register())
config = transformers.AutoConfig.from_pretrained(sys.argv[1])
tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
model = getattr(transformers, sys.argv[2]).from_pretrained(sys.argv[1])
print(type(config).__module__.split(".")[0], type(model).__module__.split(".")[0], type(model).__name__)
print(tokenizer("My name is Hasnain")["input_ids"])
"""


@pytest.mark.parametrize(
    ("auto", "name"),
    [
        ("AutoModelForCausalLM", "TransfoXLLMHeadModel"),
        ("AutoModelForSequenceClassification", "TransfoXLForSequenceClassification"),
    ],
)
def test_the_auto_classes_find_what_works(auto: str, name: str, tmp_path: Path) -> None:
    (classifier() if "Sequence" in auto else language_model()).save_pretrained(tmp_path)
    transfo_xl.TransfoXLTokenizer(vocab_file=vocabulary_file(tmp_path)).save_pretrained(tmp_path)

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path, auto], capture_output=True, text=True, check=True, cwd=tmp_path
    )

    ours = transfo_xl.working_implementation().name == "pytest-hfmodels"
    package = "pytest_hfmodels" if ours else "transformers"
    assert done.stdout.splitlines() == [f"{ours} {ours}", f"{package} {package} {name}", "[9, 5, 6, 7]"]


TOKENIZERS = """
import sys, warnings
warnings.simplefilter("ignore")
import transformers
from pytest_hfmodels import transfo_xl
transfo_xl.register()
for folder in sys.argv[1:]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    print(type(tokenizer).__module__.split(".")[0], tokenizer("My name is Hasnain")["input_ids"])
"""


def test_auto_tokenizer_finds_one_that_reads_the_words(tmp_path: Path) -> None:
    named, unnamed, pickled = (tmp_path / name for name in ("named", "unnamed", "pickled"))
    for folder in (named, unnamed, pickled):
        language_model().config.save_pretrained(folder)
    transfo_xl.TransfoXLTokenizer(vocab_file=vocabulary_file(unnamed)).save_pretrained(named)
    ids = {word: index for index, word in enumerate(WORDS)}
    (pickled / "vocab.pkl").write_bytes(pickle.dumps({"sym2idx": ids, "idx2sym": list(WORDS)}))
    ours = transfo_xl.working_implementation().name == "pytest-hfmodels"
    folders = [named, unnamed, *([pickled] if ours else [])]  # upstream's would ask to unpickle it

    done = subprocess.run(
        [sys.executable, "-c", TOKENIZERS, *folders], capture_output=True, text=True, check=True, cwd=tmp_path
    )

    # Through 4.57 upstream's tokenizer works, and a name in tokenizer_config.json comes first.
    first = "pytest_hfmodels" if release_at_least("5.0") else "transformers"
    rest = "pytest_hfmodels" if ours else "transformers"
    assert done.stdout.splitlines() == [f"{package} [9, 5, 6, 7]" for package in [first, rest, rest][: len(folders)]]


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
