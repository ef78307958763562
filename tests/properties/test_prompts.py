from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_hfmodels.properties import prompt_batches

from .shrinking import smallest


@settings(deadline=None)
@given(data=st.data(), vocabulary=st.integers(1, 300), shortest=st.integers(1, 3), more=st.integers(0, 4))
def test_a_batch_has_prompts_of_one_length_in_the_vocabulary(
    data: st.DataObject, vocabulary: int, shortest: int, more: int
) -> None:
    prompts = data.draw(prompt_batches(vocabulary, lengths=(shortest, shortest + more), batch=5))

    assert 1 <= len(prompts) <= 5
    assert len({len(prompt) for prompt in prompts}) == 1
    assert shortest <= len(prompts[0]) <= shortest + more
    assert all(0 <= token < vocabulary for prompt in prompts for token in prompt)


def test_the_smallest_batch_is_one_prompt_of_one_small_token() -> None:
    assert smallest(prompt_batches(300), lambda _: True) == [[0]]


def test_prompts_that_repeat_themselves_are_drawn_and_shrink() -> None:
    def repeats(batch: list[list[int]]) -> bool:
        return any(len(prompt) > 2 and len({*prompt}) < len(prompt) for prompt in batch)

    assert smallest(prompt_batches(100_000), repeats) == [[0, 0, 0]]
