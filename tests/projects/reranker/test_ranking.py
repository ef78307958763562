"""A reranker gives one number for a question and a text, and the order of the texts is what counts."""

import pytest

pytestmark = pytest.mark.hf_model("./model")
QUESTION = "How do I reset my password?"
TEXTS = ["You reset the password in the blue house.", "The cat and the dog", "What?"]


def test_scores(hf_model, hf_snapshot):
    assert hf_model.classify([(QUESTION, text) for text in TEXTS]) == hf_snapshot


def test_order(hf_model):
    scores = [score for (score,) in hf_model.classify([(QUESTION, text) for text in TEXTS]).logits]

    assert sorted(TEXTS, key=lambda text: scores[TEXTS.index(text)])[0] == TEXTS[0]
