"""Natural-language inference: which of three labels does a pair of texts have?"""

import pytest

pytestmark = pytest.mark.hf_model("./model")
PAIRS = [("The cat is in the red house.", "The cat is in a house."), ("I am small", "You are what?")]


def test_pairs(hf_model, hf_snapshot):
    assert hf_model.classify(PAIRS) == hf_snapshot


def test_loss(hf_model, hf_snapshot):
    assert hf_model.classify(PAIRS, labels=[0, 2]) == hf_snapshot


def test_outputs(hf_model, hf_snapshot):
    assert hf_model.observe(text="My dog is blue.", output_attentions=True) == hf_snapshot
