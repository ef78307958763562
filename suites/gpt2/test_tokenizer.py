"""Text to ids and back: the first step that a release can change."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from suites.gpt2 import EOS, PROMPT

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel, ModelCache

PROMPT_IDS = [306, 406, 286, 793, 280, 77, 685, 279, 262, 378, 257, 730, 931, 13]


def test_end_of_text_is_the_last_id(gpt2: HFModel) -> None:
    assert gpt2.tokenizer.eos_token == "<|endoftext|>"
    assert gpt2.tokenizer.eos_token_id == EOS == len(gpt2.tokenizer) - 1


def test_prompt_has_these_ids(gpt2: HFModel) -> None:
    assert gpt2.tokenizer.encode(PROMPT) == PROMPT_IDS


def test_prompt_survives_a_round_trip(gpt2: HFModel) -> None:
    assert gpt2.tokenizer.decode(gpt2.tokenizer.encode(PROMPT)) == PROMPT


@pytest.mark.parametrize("text", ["", " ", "Grüße, 世界!\n\t🐕", "<|endoftext|>", "a  b   c"])
def test_any_text_survives_a_round_trip(gpt2: HFModel, text: str) -> None:
    ids = gpt2.tokenizer.encode(text)

    assert gpt2.tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


def test_return_tensors_gives_tensors_of_the_engine(gpt2: HFModel) -> None:
    ids = gpt2.tokenizer.encode(PROMPT, return_tensors=gpt2.return_tensors)

    assert type(ids) is type(gpt2.loaded.tensor([[0]]))
    assert tuple(ids.shape) == (1, len(PROMPT_IDS))
    assert [int(token) for token in ids[0]] == PROMPT_IDS


def test_pad_is_eos_when_given_at_load(gpt2: HFModel, hf_models: ModelCache) -> None:
    padded = hf_models.load("tiny-gpt2", engine=gpt2.engine, pad_token_id=gpt2.tokenizer.eos_token_id)

    assert gpt2.config.pad_token_id is None
    assert padded.config.pad_token_id == EOS
    assert padded.model.generation_config.pad_token_id == EOS


def test_generate_does_not_warn_if_pad_is_given_at_load(
    gpt2: HFModel, hf_models: ModelCache, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    padded = hf_models.load("tiny-gpt2", engine=gpt2.engine, pad_token_id=EOS)
    inputs = padded.tokenizer(PROMPT, return_tensors=padded.return_tensors)

    with caplog.at_level(logging.WARNING):
        logging.getLogger("transformers").addHandler(caplog.handler)
        try:
            padded.model.generate(**inputs, max_length=16)
        finally:
            logging.getLogger("transformers").removeHandler(caplog.handler)

    assert [message for message in caplog.messages if "pad" in message or "attention mask" in message] == []
    assert [str(warning.message) for warning in recwarn] == []
