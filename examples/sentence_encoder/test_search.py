"""A sentence encoder behind a search, guarded by its vectors and by what a pipeline says."""

import pytest

pytestmark = pytest.mark.hf_model("./model")
TEXTS = ["How do I reset my password?", "What is your name?", "the small red cat"]


def test_vectors(hf_model, hf_snapshot):
    assert hf_model.embed(TEXTS) == hf_snapshot


def test_one_text(hf_model, hf_snapshot):
    assert hf_model.embed("a dog in the house", pooling="cls") == hf_snapshot


def test_order(hf_model):
    record = hf_model.embed(["the small red cat", "the small green cat", "my password"])

    assert record.cosine(0, 1) > record.cosine(0, 2)


@pytest.mark.hf_model("./model", engines=["torch"])
def test_pipeline(hf_model, hf_snapshot):
    from transformers import pipeline

    extract = pipeline("feature-extraction", model=hf_model.model, tokenizer=hf_model.tokenizer)

    assert {"text": TEXTS[2], "states": extract(TEXTS[2])} == hf_snapshot
