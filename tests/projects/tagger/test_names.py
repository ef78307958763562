"""Named entities: which words are names of people or places?"""

import pytest
from transformers import pipeline

pytestmark = pytest.mark.hf_model("./model")
TEXTS = ["My name is Ada, and I am in the blue house.", "You and they"]


def test_tokens(hf_model, hf_snapshot):
    assert hf_model.tag(TEXTS) == hf_snapshot


def test_entities(hf_model, hf_snapshot):
    find = pipeline(
        "token-classification", model=hf_model.model, tokenizer=hf_model.tokenizer, aggregation_strategy="simple"
    )

    assert find(TEXTS) == hf_snapshot


def test_words(hf_model, hf_snapshot):
    assert hf_model.tag(TEXTS[0], words=True) == hf_snapshot
