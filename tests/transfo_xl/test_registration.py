"""`register` changes the process, so that each test has one of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels import transfo_xl

from .tiny_transfo_xl import classifier, language_model, vocabulary_file

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


def test_the_probe_says_what_it_saw() -> None:
    import transformers

    found = transfo_xl.working_implementation()

    assert found.reason.startswith(f"transformers {transformers.__version__} ".rstrip())
    assert found is transfo_xl.working_implementation()


def test_the_probe_leaves_the_random_numbers_alone() -> None:
    import torch

    before = torch.get_rng_state()
    transfo_xl.working_implementation.__wrapped__()  # past the cache

    assert torch.get_rng_state().equal(before)
