"""A default that changed between releases, in a project that supports both sides."""

import pytest


@pytest.mark.hf_model("tiny-gpt2")
@pytest.mark.filterwarnings("ignore:.*max_length:UserWarning")  # the default that is tested, in the releases' words
def test_default_length(hf_model, hf_snapshot):
    assert hf_model.generate("My name is Hasnain") == hf_snapshot


@pytest.mark.hf_model("tiny-gpt2")
def test_own_length(hf_model, hf_snapshot):
    assert hf_model.generate("My name is Hasnain", max_new_tokens=8) == hf_snapshot
