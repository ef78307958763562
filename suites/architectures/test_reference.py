"""Llama and its relatives, BERT and T5 against their forward passes in NumPy, with padding and under each switch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels.checkpoints import read_weights
from pytest_hfmodels.reference import T5, Bert, Llama
from suites.architectures import test_bert, test_llama, test_mistral, test_qwen2, test_qwen3, test_t5

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_hfmodels.models import ModelCache
    from suites.architectures.checks import ArchitectureChecks

IDS = np.array([[4, 30, 18, 10, 4, 29, 19, 9, 35, 5], [6, 8, 9, 31, 22, 7, 16, 12, 0, 0]])
MASK = (IDS != 0).astype(np.int64)
DECODED = np.array([[0, 7, 22, 13], [0, 31, 4, 17]])
LLAMAS = (test_llama.TestLlama, test_mistral.TestMistral, test_qwen2.TestQwen2, test_qwen3.TestQwen3)
CLASSES = (*((checks, Llama) for checks in LLAMAS), (test_bert.TestBert, Bert), (test_t5.TestT5, T5))


@pytest.mark.hf_model(engines=["torch"])
@pytest.mark.usefixtures("hf_models")  # so that the ledger's entries about it apply
@pytest.mark.parametrize("switched", [False, True], ids=["plain", "switched"])
@pytest.mark.parametrize(("checks", "reference"), CLASSES, ids=[checks.model_type for checks, _ in CLASSES])
def test_the_forward_pass_is_the_references(
    checks: type[ArchitectureChecks],
    reference: Any,
    switched: bool,
    drawn_models: ModelCache,
    drawn_root: Path,
    written: Callable[..., str],
) -> None:
    checks.require_class()
    fields = dict(checks.switch) if switched else {}
    model = drawn_models.load(written(checks, switched=switched), dtype="float64")
    weights = read_weights(drawn_root / checks.checkpoint_name())
    inputs: dict[str, Any] = {"input_ids": IDS, "attention_mask": MASK}
    if reference is T5:
        inputs["decoder_input_ids"] = DECODED
    found = np.asarray(model.loaded.observe(inputs).outputs["logits"], np.float64)

    expected = _expected(reference({**checks.fields, **fields}, weights))

    if reference is Llama:  # a decoder's outputs at padding are undefined
        found, expected = found[MASK == 1], expected[MASK == 1]
    part = 1e-9 if reference is Bert else 1e-5  # the others compute norms and angles in float32
    assert np.abs(found - expected).max() <= part * max(1.0, float(np.abs(expected).max()))


def _expected(reference: Any) -> Any:
    if isinstance(reference, T5):
        return reference.forward(IDS, DECODED, MASK).logits
    return reference.forward(IDS, MASK).logits
