"""A test that compares a record of the project's own kind."""

import pytest
from word_counts import count_words


@pytest.mark.hf_model("tiny-gpt2")
def test_words(hf_model, hf_snapshot):
    record = hf_model.generate("My name is Hasnain and I am a software engineer.", max_new_tokens=30)
    assert count_words(record) == hf_snapshot
