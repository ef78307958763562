from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_hfmodels.kinds.evidence import fingerprint, log_softmax
from pytest_hfmodels.kinds.generation.observe import cutoff_margins

RANDOM = np.random.Generator(np.random.PCG64(1))


def followed(scores: list[list[list[float]]], beams: int, eos: list[int]) -> list[float]:
    """Return the gap at every step by sorting all candidates of all hypotheses."""
    running, gaps = [0.0], []
    for step in scores:
        candidates = sorted(
            (
                total + step[row][token]
                for (row, total), token in product(enumerate(running), range(len(step[0])))
                if token not in eos and math.isfinite(total + step[row][token])
            ),
            reverse=True,
        )
        gaps.append(candidates[beams - 1] - candidates[beams] if len(candidates) > beams else math.inf)
        running = candidates[:beams]
    return gaps


@settings(deadline=None)
@given(
    beams=st.integers(1, 3),
    vocabulary=st.integers(5, 8),
    steps=st.integers(1, 4),
    eos=st.lists(st.integers(0, 4), max_size=1),
    banned=st.integers(0, 2),
    seed=st.integers(0, 1000),
)
def test_cutoff_margins_are_those_of_sorting_every_candidate(
    beams: int, vocabulary: int, steps: int, eos: list[int], banned: int, seed: int
) -> None:
    random = np.random.Generator(np.random.PCG64(seed))
    scores = log_softmax(random.standard_normal((steps, beams, vocabulary)))
    scores[:, :, vocabulary - banned :] = -np.inf  # what a logits processor bans

    gaps = cutoff_margins(scores.copy(), beams, eos)

    assert gaps == pytest.approx(followed(scores.tolist(), beams, eos), abs=1e-12)


def test_a_tie_at_the_cutoff_has_no_margin() -> None:
    step = np.array([[0.0, -1.0, -1.0, -3.0], [0.0, -1.0, -1.0, -3.0]])

    assert cutoff_margins(step[None], 2, []) == (0.0,)


def test_nothing_dropped_is_an_infinite_margin() -> None:
    step = np.array([[0.0, -1.0, -np.inf, -np.inf], [0.0, 0.0, 0.0, 0.0]])

    assert cutoff_margins(step[None], 2, []) == (math.inf,)
    assert cutoff_margins(np.zeros((0, 2, 4)), 2, []) == ()


def test_an_eos_token_id_outside_the_vocabulary_is_ignored() -> None:
    step = np.array([[0.0, -1.0, -2.5, -4.0], [0.0, -1.0, -2.5, -4.0]])

    assert cutoff_margins(step[None], 2, [151329, -1]) == cutoff_margins(step[None], 2, []) == (1.5,)


def test_cutoff_margins_leave_their_scores_alone() -> None:
    scores = log_softmax(RANDOM.standard_normal((3, 2, 6)))
    before = scores.copy()

    cutoff_margins(scores, 2, [1])

    np.testing.assert_array_equal(scores, before)


@pytest.mark.parametrize("shift", [0.0, 1000.0, -1000.0])
def test_log_softmax_is_a_distribution_at_any_height(shift: float) -> None:
    values = RANDOM.standard_normal((2, 3, 7))

    result = log_softmax(values + shift)

    np.testing.assert_allclose(np.exp(result).sum(axis=-1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(result, np.log(np.exp(values) / np.exp(values).sum(-1, keepdims=True)), atol=1e-9)


def test_log_softmax_keeps_what_is_banned() -> None:
    result = log_softmax(np.array([0.0, -np.inf, 0.0]))

    assert result.tolist() == pytest.approx([-math.log(2), -math.inf, -math.log(2)])


def test_every_block_has_a_fingerprint() -> None:
    states = [RANDOM.standard_normal((1, 4, 8)) for _ in range(3)]

    blocks = fingerprint(states)

    assert [block.name for block in blocks] == ["embeddings", "block 1", "block 2"]
    assert blocks[1].mean == pytest.approx(float(states[1].mean()))
    assert blocks[2].rms == pytest.approx(float(np.sqrt((states[2] ** 2).mean())))
    assert fingerprint([]) == ()


def test_a_permutation_of_channels_moves_the_probe_alone() -> None:
    state = RANDOM.standard_normal((1, 4, 8))

    (before,), (after,) = fingerprint([state]), fingerprint([state[..., ::-1]])

    assert after.mean == pytest.approx(before.mean)
    assert after.rms == pytest.approx(before.rms)
    assert abs(after.projection - before.projection) > 0.01


@pytest.mark.parametrize(("change", "moved"), [(lambda x: x + 0.1, "mean"), (lambda x: 1.1 * x, "rms")])
def test_a_shift_and_a_scale_move_a_fingerprint(change: object, moved: str) -> None:
    state = RANDOM.standard_normal((1, 4, 8))

    (before,), (after,) = fingerprint([state]), fingerprint([change(state)])  # type: ignore[operator]

    assert abs(getattr(after, moved) - getattr(before, moved)) > 0.01


def test_massive_activations_do_not_hide_changes_of_normalised_tokens() -> None:
    states = RANDOM.standard_normal((1, 6, 32))
    states[0, 0, :2] = [3000.0, -1200.0]
    moved = states * (1 + 1e-4 * RANDOM.standard_normal(states.shape))
    moved[0, 0] = states[0, 0]

    (before,), (after,) = fingerprint([states]), fingerprint([moved])

    assert abs(after.rms - before.rms) / before.rms < 1e-8
    assert max(abs(a - b) for a, b in zip(before.normalized, after.normalized, strict=True)) > 1e-6


@pytest.mark.parametrize("change", [lambda x: 1.1 * x, lambda x: x[..., ::-1], lambda x: x[:, :-1]])
def test_changes_that_move_normalised_tokens(change: object) -> None:
    state = RANDOM.standard_normal((1, 4, 8))

    (before,), (after,) = fingerprint([state]), fingerprint([change(state)])  # type: ignore[operator]

    assert max(abs(a - b) for a, b in zip(before.normalized, after.normalized, strict=True)) > 0.01


def test_padding_is_not_a_normalised_token() -> None:
    states, mask = RANDOM.standard_normal((2, 3, 8)), np.array([[0, 1, 1], [1, 1, 1]])
    other = states.copy()
    other[0, 0] = 7.0

    assert fingerprint([states], mask)[0].normalized == fingerprint([other], mask)[0].normalized
    assert fingerprint([states])[0].normalized != fingerprint([other])[0].normalized
    assert all(np.isfinite(fingerprint([np.zeros((1, 2, 4))])[0].normalized))
