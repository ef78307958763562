"""Properties of `no_repeat_ngram_size`: no n-gram comes twice, and all other tokens keep their scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("hypothesis", reason='needs the extra: python -m pip install "pytest-hfmodels[properties]"')

from hypothesis import given
from hypothesis import strategies as st

from pytest_hfmodels.properties import check_blocking, examples, prompt_batches

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel


# Some 200 prompts per engine in few `generate` calls, because a call costs the same for one prompt as for many.
@pytest.mark.hf_model("tiny-gpt2", engines=["torch"])
@examples(12)
@given(prompts=prompt_batches(1024, batch=60), size=st.integers(1, 4), beams=st.sampled_from([1, 2]))
def test_no_ngram_repeats_in_torch(hf_model: HFModel, prompts: list[list[int]], size: int, beams: int) -> None:
    violation = check_blocking(hf_model, prompts, size, num_beams=beams, max_new_tokens=6)

    assert violation is None, str(violation)


@pytest.mark.hf_model("tiny-gpt2", engines=["tensorflow"])
@examples(8)
@given(prompts=prompt_batches(1024, batch=64), size=st.integers(1, 4), beams=st.sampled_from([1, 2]))
def test_no_ngram_repeats_in_tensorflow(hf_model: HFModel, prompts: list[list[int]], size: int, beams: int) -> None:
    violation = check_blocking(hf_model, prompts, size, num_beams=beams, max_new_tokens=6)

    assert violation is None, str(violation)
