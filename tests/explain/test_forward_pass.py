"""Numbers that moved, piece by piece; test_causes has whole models."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pytest_hfmodels.explain import forward_pass
from pytest_hfmodels.explain.ablation import AblationResult, DriftProbe, Measured, ablate
from pytest_hfmodels.kinds import Block, LiveLogits
from pytest_hfmodels.kinds.generation import teacher
from pytest_hfmodels.kinds.generation.teacher import TeacherForcedPass
from pytest_hfmodels.snapshots import Tolerance

from ..example_records import BLOCKS, STEPS, generation, provenance

FLOOR = 2e-5


def passes(*returned: Any, altered: tuple[str, ...] = ()) -> Any:
    """Return a model that is loaded as these, one after the other, and knows what it was asked for."""
    left, asked = list(returned), []

    def again(**changes: str) -> Any:
        asked.append(changes)
        return left.pop(0) if left else None

    def changed(*, weights: bool = True) -> list[str]:
        del weights
        return list(altered)

    loaded = SimpleNamespace(model=SimpleNamespace(config=SimpleNamespace()))
    origin = SimpleNamespace(again=again, altered=changed, loaded=loaded, distrust=lambda: None)
    return SimpleNamespace(origin=origin, asked=asked)


def ablated(before: float, model: Any, recorded: Any, observed: Any, after: float = 1.0) -> tuple[Any, DriftProbe]:
    found = DriftProbe(before, FLOOR, lambda _: Measured(after))
    return ablate(found, recorded, observed, model), found


@pytest.mark.parametrize(
    ("before", "after", "returns"),
    [
        (1e-3, 1e-6, True),
        (1e-3, 1e-4, False),  # a tenth is left, and that is beyond the noise floor
        (1e-5, 9e-6, False),  # within the noise floor, and hardly less
        (1e-5, 2e-6, True),
        (1e-9, 9e-9, True),  # a snapshot keeps nine digits
        (1e-3, math.nan, False),
    ],
)
def test_an_exchange_counts_if_it_leaves_little_of_the_movement(before: float, after: float, returns: bool) -> None:
    found = DriftProbe(before, FLOOR, lambda _: Measured(after))
    loaded: Any = object()

    assert found.reproduced_by("this instead of that", lambda: loaded) is returns
    assert (found.ablations[0].what, found.ablations[0].returns) == ("this instead of that", returns)


def test_an_exchange_that_cannot_be_made_is_told() -> None:
    def broken() -> Any:
        raise RuntimeError("no such kernel\nand more")

    found = DriftProbe(1.0, FLOOR, lambda _: Measured(0.0))

    assert not found.reproduced_by("flash attention", broken)
    assert not found.reproduced_by("float64", lambda: None)
    assert [told.what for told in found.evidence] == [
        "flash attention could not be tried: RuntimeError: no such kernel",
        "float64 was not tried: the model cannot be loaded a second time",
    ]
    assert found.ablations == []


def test_what_is_exchanged_and_in_which_order() -> None:
    recorded = generation(provenance=replace(provenance(dtype="float16"), attention="sdpa"))
    model, alike = passes(1, 2, 3, 4), passes(1, 2, 3, 4)

    ablated(1.0, model, recorded, generation())
    ablated(1.0, alike, generation(), generation())

    assert model.asked == [{}, {"dtype": "float16"}, {"dtype": "float16", "attention": "sdpa"}]
    assert alike.asked == [{}, {"attention": "sdpa"}, {"dtype": "float64"}]


def test_numbers_that_have_not_moved_prove_nothing() -> None:
    recorded = generation(provenance=provenance(dtype="float16"))
    model = passes(1, 2, 3)

    assert ablated(0.0, model, recorded, generation(), after=0.0)[0] is None
    assert model.asked == []


def test_an_infinite_movement_has_shares() -> None:
    recorded = generation(provenance=provenance(dtype="float64"))

    _, finite = ablated(math.inf, passes(1, 2, 3), recorded, generation())
    _, endless = ablated(math.inf, passes(1, 2, 3), recorded, generation(), after=math.inf)

    assert "loading the checkpoint again explains 100 % of the movement" in (finite.shares_sentence() or "")
    assert endless.shares_sentence() == "float64 explains 0 % of the movement; the rest remains"


def test_without_a_control_nothing_is_ablated() -> None:
    recorded = generation(provenance=replace(provenance(dtype="float16"), attention="sdpa"))
    model = passes()

    found, movement = ablated(1.0, model, recorded, generation(), after=0.0)

    assert (found, model.asked, movement.ablations) == (None, [{}], [])
    assert "cannot be loaded a second time" in movement.evidence[0].what


def test_a_fresh_load_that_reproduces_the_numbers_blames_the_test_even_if_nothing_is_named() -> None:
    found, movement = ablated(1.0, passes(SimpleNamespace(model=object())), generation(), generation(), after=0.0)

    assert found.cause == "test"
    assert "something changed the model in memory; the plugin cannot find what" in found.sentence
    assert [swap.returns for swap in movement.ablations] == [True]


@pytest.mark.parametrize(("floor", "known"), [(FLOOR, True), (FLOOR / 10, False)])
def test_the_rest_of_a_movement_may_be_rounding(floor: float, known: bool) -> None:
    recorded = generation(provenance=replace(provenance(dtype="float64"), cpu="AVX2"))
    left = iter([1.0, 1e-4, 1e-4])
    found = DriftProbe(1.0, floor, lambda _: Measured(next(left)))

    proven = ablate(found, recorded, generation(), passes(1, 2, 3))

    said = "float64 explains 100 % of the movement; the rest remains"
    assert found.shares_sentence() == said
    rounding = f"{said}: rounding: the backend differs from the recorded one: cpu AVX2 -> AVX512"
    assert proven == (AblationResult("dtype", rounding) if known else None)


def test_within_the_noise_floor_precision_is_not_ablated() -> None:
    model = passes(1, 2, 3)

    ablated(1e-6, model, generation(), generation())

    assert model.asked == [{}, {"attention": "sdpa"}]


def test_tensorflow_models_are_not_ablated() -> None:
    model = passes(1, 2)

    found, _ = ablated(1.0, model, generation(engine="tensorflow"), generation(engine="tensorflow"))

    assert (found, model.asked) == (None, [{}])


@pytest.mark.parametrize(("before", "release", "cause"), [(1.0, "4.57.6", "backend"), (1e-4, "4.30", "backend")])
def test_another_engine_computes_otherwise(before: float, release: str, cause: str) -> None:
    recorded = generation(provenance=replace(provenance(), versions={"transformers": release}))

    found, _ = ablated(before, passes(), recorded, generation(engine="tensorflow"))

    assert found is not None
    assert found.cause == cause


def test_another_engine_of_another_release_may_be_more_than_rounding() -> None:
    recorded = generation(provenance=replace(provenance(), versions={"transformers": "4.30"}))

    assert ablated(1.0, passes(), recorded, generation(engine="tensorflow"))[0] is None


@pytest.mark.parametrize(("before", "known"), [(1e-4, True), (1e-2, False)])
@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"cpu": "AVX2"}, "cpu AVX2 -> AVX512"),
        ({"device": "cuda"}, "device cuda -> cpu"),
        ({"versions": {"torch": "1.0"}}, "torch 1.0 -> 2.0.0"),
    ],
)
def test_another_machine_accounts_for_what_is_of_rounding_s_size(
    before: float, known: bool, about: dict[str, Any], said: str
) -> None:
    recorded = generation(provenance=replace(provenance(), **about))

    found, _ = ablated(before, passes(), recorded, generation())

    assert found == (
        AblationResult("backend", f"rounding: the backend differs from the recorded one: {said}") if known else None
    )


def test_a_movement_that_is_no_number_is_the_largest() -> None:
    assert forward_pass.largest([1.0, math.nan, 2.0]) == math.inf
    assert forward_pass.largest([1.0, 2.0]) == 2.0
    assert forward_pass.largest([]) == 0.0


def test_a_token_beyond_the_vocabulary_has_moved_without_end() -> None:
    logits = np.zeros((3, 14))

    assert TeacherForcedPass(logits, ()).moved(generation())[2] == math.inf
    assert TeacherForcedPass(logits, ()).moved(generation())[0] == pytest.approx(math.log(14) - 0.25)


def test_the_worst_of_the_recorded_tokens_is_told() -> None:
    said = forward_pass.as_evidence([1e-6, 1e-3, 1e-5], FLOOR, Tolerance(1e-4), ["a", "b", "c"])
    small = forward_pass.as_evidence([1e-6], FLOOR, Tolerance(1e-7), ["a"])
    none = forward_pass.as_evidence([1.0, math.nan], FLOOR, Tolerance(1e-4), ["a", "b"])

    assert "by at most 0.001, at token 2 'b': beyond the tolerance of 0.0001 and beyond the noise floor" in said.what
    assert "beyond the tolerance of 1e-07 and within the noise floor of 2e-05" in small.what
    assert "by at most nan, at token 2 'b': beyond" in none.what


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


# -- blocks ------------------------------------------------------------------------------------------------------------


def blocks(*moved: float) -> tuple[Block, ...]:
    """Return three blocks, each with its mean moved by a part of its size."""
    return tuple(Block(f"block {number}", 0.1 + by, 1.0, 0.3) for number, by in enumerate(moved))


@pytest.mark.parametrize(
    ("moved", "first"),
    [
        ((0.0, 0.2, 0.5), "block 1"),
        ((1e-7, 0.0, 1e-6), "block 2"),  # the first is rounding, beside what comes
        ((0.001, 0.2, 0.5), "block 1"),  # a twentieth of the largest is quiet
        ((1e-7, 1e-7, 0.0), None),
        ((0.0, math.nan, 0.0), "block 1"),
    ],
)
def test_the_first_block_that_differs(moved: tuple[float, ...], first: str | None) -> None:
    assert forward_pass.first_block(blocks(0.0, 0.0, 0.0), blocks(*moved)).name == first


def normalized(*moved: float) -> tuple[Block, ...]:
    """Return blocks whose normalised tokens moved by these amounts."""
    return tuple(Block(f"block {number}", 9.0, 9.0, 9.0, (0.1, 0.2 + by)) for number, by in enumerate(moved))


@pytest.mark.parametrize(
    ("moved", "first", "certain"),
    [
        ((0.0, 1e-4, 1e-3), "block 1", True),
        ((0.0, 1e-4, 1.0), "block 1", True),  # nothing before has moved at all
        ((1e-7, 1e-3, 1e-2), "block 1", True),  # rounding before, and a jump
        ((1e-6, 1e-5, 1e-3), "block 1", False),  # a tenth of it has moved before
        ((1e-7, 3e-6, 1e-2), "block 2", True),  # rounding that later blocks amplified
        ((1e-7, 1e-6, 5e-7), None, True),
        ((1e-7, math.nan, 0.0), "block 1", True),
    ],
)
def test_the_first_block_of_normalised_tokens(moved: tuple[float, ...], first: str | None, certain: bool) -> None:
    part = forward_pass.first_block(normalized(0.0, 0.0, 0.0), normalized(*moved))

    assert (part.name, part.certain) == (first, certain)


def test_a_coarser_dtype_rounds_more() -> None:
    moved = normalized(0.0, 1e-4, 0.5)

    assert forward_pass.first_block(normalized(0.0, 0.0, 0.0), moved, 4e-3).name == "block 2"


def test_where_outputs_part() -> None:
    def told(recorded: Any, observed: Any) -> tuple[str | None, str]:
        block, evidence = forward_pass.where(recorded, observed, SimpleNamespace(), lambda: None)
        return block, evidence[0].what

    assert told((), BLOCKS) == (None, "the block that differs is unknown: the model returns no hidden states")
    assert told(blocks(0, 0), blocks(0, 0, 0)) == (None, "the model has 3 blocks, but 2 were recorded")
    assert told(BLOCKS, BLOCKS)[0] == "head"
    assert told(blocks(0, 0), blocks(0.5, 0)) == (
        "block 0",
        "the first block whose output differs is block 0, by 0.5 of its size",
    )


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (None, ""),
        ("block 2", ", starting at block 2"),
        ("head", ", starting at the head"),
        ("embeddings", ", starting at the embeddings"),
        ("block 2 or final norm", ", starting at block 2 or the final norm"),
        ("at or shortly before block 2", ", starting at or shortly before block 2"),
    ],
)
def test_a_part_of_the_model_in_words(block: str | None, words: str) -> None:
    assert forward_pass.from_there_on(block) == words
