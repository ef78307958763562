"""Upstream's own classes, called as documented."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.engines import missing

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel

NAME = "My name is Hasnain"


@pytest.mark.hf_model("tiny-gpt2", engines=["tensorflow"])
def test_tensorflow_reads_torch_weights(hf_model: HFModel) -> None:
    from transformers import TFGPT2LMHeadModel

    model = TFGPT2LMHeadModel.from_pretrained(str(hf_model.checkpoint.folder))

    inputs = hf_model.tokenizer(NAME, return_tensors="tf")
    assert model(**inputs).logits.shape == (1, inputs["input_ids"].shape[1], model.config.vocab_size)


@pytest.mark.skipif(missing("torch") is not None, reason="install torch")
@pytest.mark.hf_model("tiny-gpt2", task="text-classification")
def test_the_first_labels_fix_the_problem_type(hf_model: HFModel) -> None:
    import torch
    from transformers import GPT2ForSequenceClassification

    model = GPT2ForSequenceClassification.from_pretrained(str(hf_model.checkpoint.folder))
    inputs = hf_model.tokenizer(NAME, return_tensors="pt")
    model(**inputs, labels=torch.tensor([1]))

    assert model.config.problem_type == "single_label_classification"
    with pytest.raises((ValueError, RuntimeError)):
        model(**inputs, labels=torch.ones(1, model.config.num_labels))
