"""Greedy and beam search that say how close their decisions were.

Imported by the training scripts only; any language model will do.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor

Scores: TypeAlias = Callable[[Sequence[list[int]]], Tensor]
"""Takes sequences of one length and returns log-probabilities of their next token, (sequences, vocabulary)."""


@dataclass(frozen=True)
class Beam:
    """A sequence and its summed log-probability; `score` is that per new token."""

    ids: list[int]
    total: float
    score: float = 0.0


@dataclass(frozen=True)
class Search:
    """What is searched for.

    Args:
        scores: the language model.
        length: of a sequence, the prompt included.
        end: the token that ends a sequence.
        beams: how many are kept.
    """

    scores: Scores
    length: int
    end: int
    beams: int

    @torch.no_grad()
    def greedy(self, prompt: list[int], *, blocked: bool) -> tuple[list[int], float]:
        """Return the greedy path and its smallest margin over the runner-up.

        With `blocked`, no pair of tokens comes twice.
        """
        ids, margins = prompt, []
        while len(ids) < self.length and ids[-1] != self.end:
            best = self._next([ids], blocked=blocked)[0].topk(2)
            margins.append(float(best.values[0] - best.values[1]))
            ids = [*ids, int(best.indices[0])]
        return ids, min(margins)

    @torch.no_grad()
    def beam(self, prompt: list[int]) -> tuple[list[Beam], list[float]]:
        """Return the best beams, best first, and the gap of every decision on the way.

        Pairs of tokens are not repeated and the search stops early. A decision is which
        candidates are kept, which of them end, and how the finished beams are ordered.
        """
        running, finished, gaps = [Beam(prompt, 0.0)], list[Beam](), list[float]()
        for new in range(1, self.length - len(prompt) + 1):
            best = self._extensions(running, new)
            going = [beam for beam in best if beam.ids[-1] != self.end]
            gaps.append(going[self.beams - 1].total - going[self.beams].total)
            for rank, beam in enumerate(best):
                if beam.ids[-1] == self.end:
                    rival = best[self.beams] if rank < self.beams else best[self.beams - 1]
                    gaps.append(abs(beam.total - rival.total))
                    finished += [beam] if rank < self.beams else []
            running = going[: self.beams]
            if len(finished) >= self.beams:
                break
        else:
            finished += running
        ordered = sorted(finished, key=lambda beam: beam.score, reverse=True)
        gaps += [better.score - worse.score for better, worse in pairwise(ordered)]
        return ordered[: self.beams], gaps

    def _extensions(self, running: Sequence[Beam], new: int) -> list[Beam]:
        """Return the best one-token extensions: two a beam, and one to measure the gap.

        `new` is how many tokens beyond the prompt the extensions have.
        """
        totals = torch.tensor([[beam.total] for beam in running])
        scores = self._next([beam.ids for beam in running], blocked=True) + totals
        best = scores.flatten().topk(2 * self.beams + 1)
        found = []
        for total, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            beam, token = divmod(place, scores.shape[1])
            found.append(Beam([*running[beam].ids, token], total, total / new))
        return found

    def _next(self, sequences: Sequence[list[int]], *, blocked: bool) -> Tensor:
        scores = self.scores(sequences)
        if blocked:
            for row, ids in zip(scores, sequences, strict=True):
                repeats = [after for before, after in pairwise(ids) if before == ids[-1]]
                row[repeats] = -math.inf
        return scores


def loop_length(ids: Sequence[int]) -> int | None:
    """Return the length of the phrase that the ids end with twice, if there is one."""
    for length in range(4, len(ids) // 2 + 1):
        if ids[-length:] == ids[-2 * length : -length]:
            return length
    return None


def word_pairs(text: str) -> set[tuple[str, str]]:
    """Return all pairs of neighbouring words."""
    return set(pairwise(text.split()))


def strange_pairs(text: str, known: set[tuple[str, str]]) -> list[str]:
    """Return the neighbouring words that the corpus does not have.

    The last word does not count unless it ends a sentence: it may have been cut off.
    """
    if not text.endswith("."):
        text = text.rpartition(" ")[0]
    return sorted(" ".join(pair) for pair in word_pairs(text) - known)
