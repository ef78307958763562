"""Your own fine-tuned model in a folder."""

import pytest

pytestmark = pytest.mark.hf_model("./model")


@pytest.mark.parametrize("question", ["How do I reset my password?", "Where is my order?"], ids=["password", "order"])
def test_answer(hf_model, hf_snapshot, question):
    assert hf_model.generate(question, num_beams=4, max_new_tokens=24) == hf_snapshot


def test_the_fine_tuned_answer_is_likelier_than_another(hf_model):
    right, other = hf_model.score(
        [("My screen is dark.", " Turn it off and on again."), ("My screen is dark.", " We send it back.")]
    ).total

    assert right > other
