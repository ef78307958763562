"""Greedy search: at every step it takes the token with the greatest score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_hfmodels.reference.processors import process
from pytest_hfmodels.reference.rules import Rules
from pytest_hfmodels.reference.search import TOLERANCE, Mismatch, as_prompts, grown

if TYPE_CHECKING:
    from pytest_hfmodels.reference.search import FloatArray, IntArray, Logits, Settings


@dataclass(frozen=True)
class Greedy:
    """The result of greedy search for B prompts of P tokens in S steps.

    Args:
        ids: prompts and generated tokens, (B, P + S), int64; padded after a row's eos.
        scores: the processed score of each chosen token, (B, S); NaN after a row's eos.
        margins: its distance from the second best, (B, S); NaN after a row's eos, inf if there is no other token.
    """

    ids: IntArray
    scores: FloatArray
    margins: FloatArray


def greedy_search(
    logits: Logits, ids: object, mask: object | None, settings: Settings, rules: Rules | None = None
) -> Greedy:
    """Decode prompts greedily. In an exact tie the smallest id wins.

    Args:
        logits: from ids (B, L) and mask (B, L) to the next token's logits (B, V).
        ids: prompts, int (B, P), padded on the left.
        mask: int (B, P), 0 at padding; None if there is no padding.
        settings: those of `generate`; those about beams are not read.
        rules: those of a release; by default the newest known.
    """
    rules = rules or Rules()
    whole, prompt_mask = as_prompts(ids, mask)
    rows, prompt_length = whole.shape
    scores, margins = [], []
    ended = np.zeros(rows, bool)
    while whole.shape[1] < settings.limit(prompt_length, rules) and not ended.all():
        whole_mask = grown(prompt_mask, whole.shape[1])
        processed = process(logits(whole, whole_mask), whole, whole_mask, settings, prompt_length, rules)
        best, margin = _best(processed)
        scores.append(np.where(ended, np.nan, processed[np.arange(rows), best]))
        margins.append(np.where(ended, np.nan, margin))
        chosen = np.where(ended, settings.pad, best)
        whole = np.column_stack([whole, chosen])
        ended |= np.isin(chosen, settings.eos)
    steps = np.array(scores), np.array(margins)
    return Greedy(whole, *(values.reshape(-1, rows).T for values in steps))


def check_greedy(
    logits: Logits,
    ids: object,
    mask: object | None,
    settings: Settings,
    returned: object,
    scores: object | None = None,
    rules: Rules | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> Mismatch | None:
    """Return the first thing wrong with what the library returned, or None.

    At every step, given the library's own earlier choices, its choice must be within the tolerance of the best. Padding
    must follow an eos. The output must end when all rows have ended, or at the length limit.

    Args:
        logits: see `greedy_search`, also for the next arguments.
        ids: the prompts.
        mask: their mask.
        settings: those that the library got.
        returned: the returned ids, prompts included, (B, P + S).
        scores: the processed score of each chosen token, (B, S), as in `Greedy`; must be within the tolerance.
        rules: those of its release.
        tolerance: of two scores closer than this, either may win; relative for scores above 1.
    """
    rules = rules or Rules()
    prompts, prompt_mask = as_prompts(ids, mask)
    whole = np.asarray(returned, np.int64)
    rows, prompt_length = prompts.shape
    limit = settings.limit(prompt_length, rules)

    def mismatch(row: int, what: str) -> Mismatch:
        return Mismatch(tuple(prompts[row].tolist()), (tuple(whole[row, prompt_length:].tolist()),), what)

    if len(whole) != rows or not np.array_equal(whole[:, :prompt_length], prompts):
        return mismatch(0, "the output does not begin with the prompts")
    ended = np.zeros(rows, bool)
    for length in range(prompt_length, whole.shape[1]):
        if ended.all() or length == limit:
            return mismatch(0, f"generated token {length - prompt_length + 1} comes after the end")
        so_far, so_far_mask = whole[:, :length], grown(prompt_mask, length)
        processed = process(logits(so_far, so_far_mask), so_far, so_far_mask, settings, prompt_length, rules)
        number = length - prompt_length
        for row, token in enumerate(whole[:, length].tolist()):
            score = np.nan if scores is None else float(np.asarray(scores)[row, number])
            if ended[row]:
                what = "" if token == settings.pad else f"follows the end instead of the padding {settings.pad}"
            else:
                what = _wrong(processed[row], token, score, tolerance)
            if what:
                return mismatch(row, f"generated token {number + 1} {what}")
        ended |= np.isin(whole[:, length], settings.eos)
    if whole.shape[1] < limit and not ended.all():
        return mismatch(int(ended.argmin()), f"it stops before eos and before the limit of {limit} tokens")
    return None


def _wrong(processed: FloatArray, token: int, score: float, tolerance: float) -> str:
    """Return what is wrong with a chosen token or its score; an empty string if nothing is."""
    if what := _worse(processed, token, tolerance):
        return f"is {what}"
    if np.isnan(score) or _near(score, processed[token], tolerance):
        return ""
    return f"has a score of {score:.6g} instead of {processed[token]:.6g}"


def _best(scores: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the best token of each row (NaN counts as the greatest, as in upstream) and its distance from the next."""
    best = scores.argmax(axis=1)
    two = np.sort(_comparable(scores), axis=1)[:, -2:]
    with np.errstate(invalid="ignore"):
        margin = np.where(two[:, 0] == two[:, 1], 0.0, two[:, 1] - two[:, 0])
    return best, margin


def _worse(scores: FloatArray, token: int, tolerance: float) -> str | None:
    scores = _comparable(scores)
    best = int(scores.argmax())
    if _near(scores[token], scores[best], tolerance):
        return None
    return f"{token} with {scores[token]:.6g}, though {best} has {scores[best]:.6g}"


def _near(left: float, right: float, tolerance: float) -> bool:
    return left == right or abs(left - right) <= tolerance * max(1, min(abs(left), abs(right)))


def _comparable(scores: FloatArray) -> FloatArray:
    return np.where(np.isnan(scores), np.inf, scores)
