"""Which part of the model is named, from fingerprints made by hand; test_causes has whole models."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_hfmodels.explain import forward_pass
from pytest_hfmodels.explain.case import Case
from pytest_hfmodels.kinds import Block, LiveLogits
from pytest_hfmodels.kinds.generation import explain, teacher
from pytest_hfmodels.kinds.generation.teacher import TeacherForcedPass
from pytest_hfmodels.snapshots import NOISE_FLOOR, Tolerance, compare

from ..example_records import BLOCKS, STEPS, generation

FLOOR = NOISE_FLOOR["same_engine"]


def test_a_movement_that_is_no_number_is_the_largest() -> None:
    assert [forward_pass.largest(values) for values in ([1.0, math.nan, 2.0], [1.0, 2.0], [])] == [math.inf, 2.0, 0.0]


def test_a_token_beyond_the_vocabulary_has_moved_without_end() -> None:
    moved = TeacherForcedPass(np.zeros((3, 14)), ()).moved(generation())

    assert moved[2] == math.inf
    assert moved[0] == pytest.approx(math.log(14) - 0.25)


@pytest.mark.parametrize(
    ("moved", "tolerance", "said"),
    [
        (
            [1e-6, 1e-3, 1e-5],
            1e-4,
            "0.001, at token 2 ' and': beyond the tolerance of 0.0001 and beyond the noise floor",
        ),
        ([1e-6], 1e-7, "1e-06, at token 1 ' Ada': beyond the tolerance of 1e-07 and within the noise floor of 2e-05"),
        ([1.0, math.nan], 1e-4, "nan, at token 2 ' and': beyond the tolerance of 0.0001 and beyond the noise floor"),
    ],
)
def test_the_worst_of_the_recorded_tokens_is_named(moved: list[float], tolerance: float, said: str) -> None:
    record = generation()
    case = Case.of(compare(record, record, Tolerance(tolerance)), record, record)

    (found,) = explain._moved(case, moved)

    assert f"by at most {said}" in found.what


def scores(size: int = 20, **tokens: float) -> Any:
    table = np.full((3, size), -30.0)
    for position, step in enumerate(STEPS):
        for token, value in ((step.id, step.processed), (step.runner_up, step.processed - step.margin)):
            if token < size:
                table[position, token] = value
        table[position, 0] = math.log(1 - np.exp(table[position, 1:]).sum())
    for name, value in tokens.items():
        table[1, int(name.removeprefix("t"))] = value
    return table


def test_processed_scores_and_margins_that_moved_while_generating() -> None:
    def moved(table: Any) -> list[float]:
        return teacher.scores_moved(generation(), generation(live=LiveLogits(table, table)), 3)

    assert max(moved(scores())) < 1e-12
    assert moved(scores(t14=-4.0))[1] > 1  # the runner-up's: hardly anything of the token's own
    assert moved(scores(16))[2] == math.inf  # a runner-up beyond the vocabulary
    banned = replace(STEPS[0], processed=-math.inf, margin=-math.inf)
    table = scores()
    table[0, 11] = -math.inf
    assert teacher.scores_moved(generation((banned,)), generation(live=LiveLogits(table, table)), 1) == [0.0]


def blocks(*moved: float) -> tuple[Block, ...]:
    """Return blocks as earlier versions wrote them, each with its mean moved by a part of its size."""
    return tuple(Block(f"block {number}", 0.1 + by, 1.0, 0.3) for number, by in enumerate(moved))


def normalized(*moved: float) -> tuple[Block, ...]:
    """Return blocks whose normalised tokens moved by these amounts."""
    return tuple(Block(f"block {number}", 9.0, 9.0, 9.0, (0.1, 0.2 + by)) for number, by in enumerate(moved))


@pytest.mark.parametrize(
    ("made", "moved", "first", "certain"),
    [
        (blocks, (0.0, 0.2, 0.5), "block 1", True),
        (blocks, (1e-7, 0.0, 1e-6), "block 2", False),  # the first is rounding, beside what comes
        (blocks, (0.001, 0.2, 0.5), "block 1", False),  # a twentieth of the largest is quiet
        (blocks, (1e-7, 1e-7, 0.0), None, True),
        (blocks, (0.0, math.nan, 0.0), "block 1", True),
        (normalized, (0.0, 1e-4, 1e-3), "block 1", True),
        (normalized, (0.0, 1e-4, 1.0), "block 1", True),  # nothing before has moved at all
        (normalized, (1e-7, 1e-3, 1e-2), "block 1", True),  # rounding before, and a jump
        (normalized, (1e-6, 1e-5, 1e-3), "block 1", False),  # a tenth of it has moved before
        (normalized, (1e-7, 3e-6, 1e-2), "block 2", True),  # rounding that later blocks amplified
        (normalized, (1e-7, 1e-6, 5e-7), None, True),
        (normalized, (1e-7, math.nan, 0.0), "block 1", True),
    ],
)
def test_the_first_block_that_differs(made: Any, moved: tuple[float, ...], first: str | None, certain: bool) -> None:
    part = forward_pass.first_block(made(0.0, 0.0, 0.0), made(*moved), FLOOR)

    assert (part.name, part.certain) == (first, certain)


def test_a_coarser_dtype_rounds_more() -> None:
    moved = normalized(0.0, 1e-4, 0.5)

    assert forward_pass.first_block(normalized(0.0, 0.0, 0.0), moved, 4e-3).name == "block 2"


@pytest.mark.parametrize(
    ("recorded", "observed", "block", "said"),
    [
        ((), BLOCKS, None, "the model returns no hidden states"),
        (blocks(0, 0), blocks(0, 0, 0), None, "the model has 3 blocks, but 2 were recorded"),
        (BLOCKS, BLOCKS, "head", "the difference comes after the last block"),
        (
            blocks(0, 0),
            blocks(0, 0.5),
            "block 1 or final norm",
            "the first block whose output differs is block 1, by 0.5 of its size",
        ),
        (
            blocks(0, 0),
            blocks(0.5, 0),
            "block 0",
            "the first block whose output differs is block 0, by 0.5 of its size",
        ),
    ],
)
def test_where_outputs_part(recorded: Any, observed: Any, block: str | None, said: str) -> None:
    found, evidence = forward_pass.where(recorded, observed, FLOOR)

    assert found == block
    assert said in evidence[0].what


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (None, ""),
        ("block 2", ", starting at block 2"),
        ("head", ", starting at the head"),
        ("block 2 or final norm", ", starting at block 2 or the final norm"),
        ("at or shortly before block 2", ", starting at or shortly before block 2"),
    ],
)
def test_a_part_of_the_model_in_words(block: str | None, words: str) -> None:
    assert forward_pass.from_there_on(block) == words
