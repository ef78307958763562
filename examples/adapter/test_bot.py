"""An adapter as PEFT saves it, on the marker."""

import pytest

pytest.importorskip("peft", reason="adapters need PEFT: pip install peft")


@pytest.mark.hf_model("./model")
def test_reply(hf_model, hf_snapshot):
    assert hf_model.generate("How do I reset my password?", max_new_tokens=12) == hf_snapshot


@pytest.mark.hf_model("./model")
def test_score(hf_model, hf_snapshot):
    assert hf_model.score("My name is the cat.") == hf_snapshot


@pytest.mark.hf_model("./base")
def test_base(hf_model, hf_snapshot):
    assert hf_model.score("My name is the cat.") == hf_snapshot
