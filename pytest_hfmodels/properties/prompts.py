"""Strategies for prompts. hypothesis is imported inside: the checkers of this folder work without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypothesis.strategies import SearchStrategy


def prompt_batches(
    vocabulary: int, *, lengths: tuple[int, int] = (1, 8), batch: int = 16, alphabet: int = 4
) -> SearchStrategy[list[list[int]]]:
    """Return a strategy for batches of prompts of one length, as token ids.

    They have one length, so that a batch needs no padding and a logits processor reads the same in a batch as alone.
    Half of the prompts use only a few ids, so that they repeat themselves. Examples shrink to one short prompt of
    small ids, so that a failure is readable; unshrunk ones are large, so that few `generate` calls see many prompts.

    Args:
        vocabulary: ids are drawn from `range(vocabulary)`.
        lengths: shortest and longest prompt, tokens.
        batch: the most prompts in a batch; the mean is half of it.
        alphabet: the most different ids of a repetitive prompt.
    """
    from hypothesis import strategies as st

    # Small first, so that failures shrink to one prompt; mostly large, so that a call sees many.
    large = st.integers(max(batch // 2, 1), batch)
    sizes = st.one_of(st.integers(1, min(4, batch)), large, large)

    @st.composite
    def batches(draw: st.DrawFn) -> list[list[int]]:
        length = draw(st.integers(*lengths))
        size = draw(sizes)
        free = st.integers(0, vocabulary - 1)
        prompts = []
        for _ in range(size):
            few = draw(st.lists(free, min_size=1, max_size=alphabet))
            token = st.sampled_from(few) if draw(st.booleans()) else free
            prompts.append(draw(st.lists(token, min_size=length, max_size=length)))
        return prompts

    return batches()


def padded_batches(
    vocabulary: int | Sequence[int], *, lengths: tuple[int, int] = (1, 6), batch: int = 8, alphabet: int = 3
) -> SearchStrategy[tuple[list[list[int]], list[list[int]]]]:
    """Return a strategy for batches of prompts of several lengths, padded on the left: ids and mask, both (B, L).

    Half of the prompts use only a few ids, so that they repeat themselves. The ids at padding are drawn too: any token,
    which only the mask makes padding. Examples shrink to one short prompt of small ids.

    Args:
        vocabulary: the ids that are drawn, or how many there are.
        lengths: shortest and longest prompt, tokens.
        batch: the most prompts in a batch; the mean is about three quarters of it.
        alphabet: the most different ids of a repetitive prompt.
    """
    from hypothesis import strategies as st

    ids = range(vocabulary) if isinstance(vocabulary, int) else list(vocabulary)
    free = st.sampled_from(ids)
    large = st.integers(max(batch // 2, 1), batch)
    sizes = st.one_of(st.integers(1, min(2, batch)), large, large)

    @st.composite
    def batches(draw: st.DrawFn) -> tuple[list[list[int]], list[list[int]]]:
        prompts = []
        for _ in range(draw(sizes)):
            few = draw(st.lists(free, min_size=1, max_size=alphabet))
            token = st.sampled_from(few) if draw(st.booleans()) else free
            prompts.append(draw(st.lists(token, min_size=lengths[0], max_size=lengths[1])))
        length, padding = max(map(len, prompts)), draw(free)
        missing = [length - len(prompt) for prompt in prompts]
        rows = [[padding] * count + prompt for count, prompt in zip(missing, prompts, strict=True)]
        return rows, [[0] * count + [1] * (length - count) for count in missing]

    return batches()
