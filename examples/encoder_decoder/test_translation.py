"""A model that reads a text with an encoder and writes another."""

import pytest

pytestmark = pytest.mark.hf_model("./model")


def test_greedy(hf_model, hf_snapshot):
    assert hf_model.generate("My name is the cat.", max_new_tokens=8) == hf_snapshot


def test_beams(hf_model, hf_snapshot):
    record = hf_model.generate("We reset a small house.", num_beams=3, num_return_sequences=2, max_new_tokens=6)

    assert record == hf_snapshot


def test_outputs(hf_model, hf_snapshot):
    assert hf_model.observe(input_ids=[[5, 6, 7]], decoder_input_ids=[[0, 8]]) == hf_snapshot


def test_batch(hf_model, hf_snapshot):
    record = hf_model.generate(["My name is the cat.", "We reset a small house in blue."], max_new_tokens=6)

    assert record == hf_snapshot
