"""A decoder as most projects have one."""

import pytest

pytestmark = pytest.mark.hf_model("./model")


def test_greedy(hf_model, hf_snapshot):
    assert hf_model.generate("How do I reset my password?", max_new_tokens=12) == hf_snapshot


def test_beams(hf_model, hf_snapshot):
    record = hf_model.generate("My name is", num_beams=3, num_return_sequences=2, max_new_tokens=8)

    assert record == hf_snapshot
