"""A quantized decoder, loaded by its configuration."""

import pytest

pytest.importorskip("optimum.quanto", reason="this model needs optimum-quanto: pip install optimum-quanto")
pytestmark = pytest.mark.hf_model("./model")


def test_reply(hf_model, hf_snapshot):
    assert hf_model.generate("How do I reset my password?", max_new_tokens=12) == hf_snapshot


def test_score(hf_model, hf_snapshot):
    assert hf_model.score("My name is the cat.") == hf_snapshot
