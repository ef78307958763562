"""A number that may not fall: how many messages of a file the model sorts correctly."""

import pytest


@pytest.mark.hf_model("./model")
def test_accuracy(hf_model, hf_snapshot):
    assert hf_model.accuracy("data/messages.jsonl", may_fall=0.05) == hf_snapshot
