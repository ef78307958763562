"""Named entities: which words are names of people or places?"""

import pytest

pytestmark = pytest.mark.hf_model("./model")
TEXTS = ["My name is Ada, and I am in the blue house.", "You and they"]


def test_tokens(hf_model, hf_snapshot):
    assert hf_model.tag(TEXTS) == hf_snapshot


def test_words(hf_model, hf_snapshot):
    assert hf_model.tag(TEXTS[0], words=True) == hf_snapshot
