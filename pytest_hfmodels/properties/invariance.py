"""Checks that `generate` returns the same with other prompts beside one, padding, a cache or a shorter limit.

Like the checkers of `decoding`, they allow ties: two outputs may differ if the reference allows both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.properties.decoding import (
    Counterexample,
    as_rows,
    cut,
    difference,
    installed_rules,
    observed,
    resolved,
    stripped,
)
from pytest_hfmodels.properties.settings import READING_PADDING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.engines import Generation
    from pytest_hfmodels.engines.base import FloatArray
    from pytest_hfmodels.models import HFModel
    from pytest_hfmodels.reference import Settings

    Rows = tuple[tuple[int, ...], ...]
    Answer = tuple[list[list[int]], list[float]]


def check_alone(
    model: HFModel,
    ids: Sequence[Sequence[int]],
    mask: Sequence[Sequence[int]] | None,
    settings: Settings,
    *,
    tolerance: float | None = None,
) -> Counterexample | None:
    """Return a prompt whose continuation in a batch differs from that of the prompt alone without padding, or None.

    Args:
        model: a language model.
        ids: prompts, (B, L), padded on the left; all of one length if the model takes no mask.
        mask: (B, L), 0 at padding; None if there is no padding.
        settings: with lengths in new tokens; with padding, without those that read or count it (`READING_PADDING`).
        tolerance: of scores; see `check_decoding`.

    Raises:
        ValueError: the settings read padding, and there is padding.
    """
    rows, ones = as_rows(ids, mask)
    if any(0 in one for one in ones):
        _refuse_reading(settings)
    together = observed(model, rows, ones, settings)
    for at, (row, one) in enumerate(zip(rows, ones, strict=True)):
        bare = (stripped(row, one),)
        alone = observed(model, bare, None, settings)
        asked = resolved(model, settings)
        in_batch, by_itself = _answer(together, len(row), asked, at), _answer(alone, len(bare[0]), asked, 0)
        what = _unlike(in_batch, by_itself, tolerance)
        if what is None or _allowed(
            model, bare[0], _trimmed(together, len(row), bare[0], asked, at), settings, tolerance
        ):
            continue
        what = (
            f"after {list(bare[0])} alone {what} in the batch{_known(model, rows, ones, together, settings, tolerance)}"
        )
        return Counterexample(rows, ones, settings, what, "check_alone")
    return None


def check_unchanged(
    model: HFModel,
    ids: Sequence[Sequence[int]],
    mask: Sequence[Sequence[int]] | None,
    settings: Settings,
    *,
    tolerance: float | None = None,
    **arguments: Any,
) -> Counterexample | None:
    """Return a prompt whose continuation differs with an argument that should change nothing, or None.

    Args:
        model: a language model.
        ids: prompts, (B, L), padded on the left; all of one length if the model takes no mask.
        mask: (B, L), 0 at padding; None if there is no padding.
        settings: what to ask for.
        tolerance: of scores; see `check_decoding`.
        **arguments: keywords of `generate`, such as `use_cache=False` or `cache_implementation="static"`.
    """
    rows, ones = as_rows(ids, mask)
    plain, other = observed(model, rows, ones, settings), observed(model, rows, ones, settings, **arguments)
    asked = resolved(model, settings)
    for at, row in enumerate(rows):
        what = _unlike(_answer(plain, len(row), asked, at), _answer(other, len(row), asked, at), tolerance)
        if what is None or all(_right(model, rows, ones, run, settings, tolerance) for run in (plain, other)):
            continue
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        what = f"after {list(row)} with {given} {what} without"
        return Counterexample(rows, ones, settings, what, "check_unchanged", tuple(arguments.items()))
    return None


def check_prefix(
    model: HFModel,
    ids: Sequence[Sequence[int]],
    mask: Sequence[Sequence[int]] | None,
    settings: Settings,
    shorter: int,
    *,
    tolerance: float | None = None,
) -> Counterexample | None:
    """Return a prompt whose greedy continuation does not begin with the shorter one, or None.

    Args:
        model: a language model.
        ids: prompts, (B, L), padded on the left; all of one length if the model takes no mask.
        mask: (B, L), 0 at padding; None if there is no padding.
        settings: greedy, with `max_new_tokens`, without a forced end.
        shorter: a smaller `max_new_tokens`.
        tolerance: of scores; see `check_decoding`.
    """
    rows, ones = as_rows(ids, mask)
    long, short = (
        observed(model, rows, ones, asked) for asked in (settings, replace(settings, max_new_tokens=shorter))
    )
    width, ends = len(rows[0]), resolved(model, settings).eos
    for at, row in enumerate(rows):
        whole, start = (cut(one.sequences[at, width:].tolist(), ends) for one in (long, short))
        if start == whole[: len(start)] and len(start) == min(shorter, len(whole)):
            continue
        if _parts_at_a_tie(long.scores[:, at], whole, start, tolerance):
            continue
        what = f"after {list(row)} came {whole}, and {start} where it was cut off after {shorter} tokens"
        return Counterexample(rows, ones, settings, what, "check_prefix", (("shorter", shorter),))
    return None


def _parts_at_a_tie(scores: FloatArray, whole: Sequence[int], start: Sequence[int], tolerance: float | None) -> bool:
    """Return whether the first step at which two greedy continuations differ is a tie."""
    from pytest_hfmodels.reference import TOLERANCE

    for step, (one, other) in enumerate(zip(whole, start, strict=False)):
        if one != other:
            gap, size = abs(scores[step, one] - scores[step, other]), max(1, abs(scores[step, one]))
            return bool(gap <= (tolerance or TOLERANCE) * size)
    return False


def _unlike(one: Answer, other: Answer, tolerance: float | None) -> str | None:
    """Return how the second output differs from the first, or None."""
    from pytest_hfmodels.reference import TOLERANCE

    (sequences, scores), (others, other_scores) = one, other
    if sequences != others:
        return f"comes {_listed(others)}, and {_listed(sequences)}"
    for score, another in zip(scores, other_scores, strict=True):
        if abs(score - another) > (tolerance or TOLERANCE) * max(1, abs(score)):
            return f"comes {_listed(others)} with a score of {another:.6g}, and of {score:.6g}"
    return None


def _answer(generation: Generation, width: int, asked: Settings, at: int) -> Answer:
    """Return the continuations of a prompt up to their ends, with the scores of beams."""
    mine = _rows_of(asked, at)
    sequences = [cut(row, asked.eos) for row in generation.sequences[mine, width:].tolist()]
    scores = [] if generation.sequence_scores is None else generation.sequence_scores[mine].tolist()
    return sequences, scores


def _rows_of(asked: Settings, at: int) -> slice:
    return slice(at * asked.num_return_sequences, (at + 1) * asked.num_return_sequences)


def _listed(sequences: Sequence[Sequence[int]]) -> str:
    return " and ".join(str(list(ids)) for ids in sequences)


def _trimmed(generation: Generation, width: int, bare: Sequence[int], asked: Settings, at: int) -> Generation:
    """Return the output for one prompt of a batch: without its padding, as wide as the longest sequence."""
    mine = _rows_of(asked, at)
    longest = max(len(sequence) for sequence in _answer(generation, width, asked, at)[0])
    scores = generation.sequence_scores
    return replace(
        generation,
        sequences=generation.sequences[mine, width - len(bare) : width + longest],
        steps=generation.steps[:0],  # other rows have steps too
        beam_indices=None,
        sequence_scores=None if scores is None else scores[mine],
    )


def _allowed(
    model: HFModel, bare: tuple[int, ...], generation: Generation, settings: Settings, tolerance: float | None
) -> bool:
    """Return whether the reference allows this output for the prompt alone: then the two differ by a tie."""
    rules = replace(installed_rules(model), rows_stop_together=False, padded_to_the_last_step=False)
    mask = [[1] * len(bare)]
    return difference(model, [bare], mask, settings, generation, rules, tolerance=tolerance) is None


def _known(
    model: HFModel, rows: Rows, ones: Rows, together: Generation, settings: Settings, tolerance: float | None
) -> str:
    """Return the release's rule that makes beams depend on their neighbours, if it explains this batch."""
    if settings.num_beams == 1 or not installed_rules(model).rows_stop_together:
        return ""
    if not _right(model, rows, ones, together, settings, tolerance):
        return ""
    releases = "4.50 to 4.53" if model.engine == "torch" else "TensorFlow"
    return f": a known rule, all prompts of a batch stop together ({releases})"


def _right(
    model: HFModel, rows: Rows, ones: Rows, generation: Generation, settings: Settings, tolerance: float | None
) -> bool:
    """Return whether the reference allows an output: two outputs that it allows differ by a tie."""
    rules = installed_rules(model)
    return difference(model, rows, ones, settings, generation, rules, tolerance=tolerance) is None


def _refuse_reading(settings: Settings) -> None:
    reading = sorted(settings.given.keys() & {*READING_PADDING, "max_length"})
    if reading:
        raise ValueError(f"{', '.join(reading)} read or count padding: give prompts of one length")
