"""After a model of ours is loaded, transformers' auto classes find the implementation that works here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels.engines import upstream
from pytest_hfmodels.transfo_xl import working_implementation
from suites.transfo_xl import NAME

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel

pytestmark = pytest.mark.hf_model("tiny-transfo-xl", task="text-classification")


def found(hf_model: HFModel, auto: str) -> Any:
    import transformers

    with upstream.quiet():
        return getattr(transformers, auto).from_pretrained(str(hf_model.checkpoint.folder))


def package(value: object) -> str:
    return type(value).__module__.split(".")[0].replace("_", "-")


def test_auto_config(hf_model: HFModel) -> None:
    assert package(found(hf_model, "AutoConfig")) == working_implementation().name


def test_auto_tokenizer(hf_model: HFModel) -> None:
    assert dict(found(hf_model, "AutoTokenizer")(NAME)) == {"input_ids": [16, 42, 13, 79]}


def test_auto_model_for_sequence_classification(hf_model: HFModel) -> None:
    model = found(hf_model, "AutoModelForSequenceClassification").eval()

    logits = model(**hf_model.tokenizer(NAME, return_tensors="pt")).logits

    assert package(model) == working_implementation().name
    np.testing.assert_allclose(logits.detach().numpy(), hf_model.classify(NAME).logits, atol=1e-5)


def test_auto_model_for_causal_lm(hf_model: HFModel) -> None:
    model = found(hf_model, "AutoModelForCausalLM").eval()

    logits = model(**hf_model.tokenizer(NAME, return_tensors="pt")).logits

    assert package(model) == working_implementation().name
    assert logits.shape == (1, 4, hf_model.config.vocab_size)
