"""`no_repeat_ngram_size` as a property: no n-gram twice, and what is not banned is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("hypothesis", reason='needs the extra: python -m pip install "pytest-hfmodels[properties]"')

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_hfmodels.properties import check_blocking, prompt_batches

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel

# 200 prompts or so an engine: TensorFlow runs eagerly at seconds a call, so it gets few and large batches.
TORCH = settings(max_examples=30, deadline=None, derandomize=True, database=None)
TENSORFLOW = settings(max_examples=8, deadline=None, derandomize=True, database=None)


@pytest.mark.hf_model("tiny-gpt2", engines=["torch"])
@TORCH
@given(prompts=prompt_batches(1024, batch=16), size=st.integers(1, 4), beams=st.sampled_from([1, 3]))
def test_no_ngram_repeats_in_torch(hf_model: HFModel, prompts: list[list[int]], size: int, beams: int) -> None:
    violation = check_blocking(hf_model, prompts, size, num_beams=beams, max_new_tokens=12)

    assert violation is None, str(violation)


@pytest.mark.hf_model("tiny-gpt2", engines=["tensorflow"])
@TENSORFLOW
@given(prompts=prompt_batches(1024, batch=64), size=st.integers(1, 4), beams=st.sampled_from([1, 3]))
def test_no_ngram_repeats_in_tensorflow(hf_model: HFModel, prompts: list[list[int]], size: int, beams: int) -> None:
    violation = check_blocking(hf_model, prompts, size, num_beams=beams, max_new_tokens=8)

    assert violation is None, str(violation)
