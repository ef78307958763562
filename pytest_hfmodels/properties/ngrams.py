"""Checks `no_repeat_ngram_size` without the library: no n-gram twice, and no other score changed.

Paulus et al. 2017 (arXiv:1705.04304, §2.5) block any n-gram that was decoded already; the library also counts the
prompt, and so do these checkers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pytest_hfmodels.engines import Generation
    from pytest_hfmodels.models import HFModel


@dataclass(frozen=True)
class NgramViolation:
    """A counterexample: one prompt.

    Args:
        prompt: its token ids.
        output: the generated ids, cut after the first eos.
        position: its index in `output`.
        what: the violation, in words.
    """

    prompt: tuple[int, ...]
    output: tuple[int, ...]
    position: int
    what: str

    def __str__(self) -> str:
        return f"{self.what}, at generated token {self.position + 1} of {list(self.output)} after {list(self.prompt)}"


def banned_tokens(ids: Sequence[int], size: int) -> set[int]:
    """Return the tokens that would end an n-gram of `size` which already occurs in `ids`.

    Args:
        ids: all ids so far, prompt included.
        size: n; 0 bans nothing.
    """
    if size <= 0 or len(ids) + 1 < size:
        return set()
    start = tuple(ids[len(ids) - size + 1 :])
    return {ids[end] for end in range(size - 1, len(ids)) if tuple(ids[end - size + 1 : end]) == start}


def repeated_ngram(prompt: Sequence[int], output: Sequence[int], size: int) -> int | None:
    """Return the first index in `output` where an n-gram ends that occurs earlier in prompt + output, or None.

    Args:
        prompt: token ids.
        output: generated token ids, already cut after the first eos.
        size: n.
    """
    whole = [*prompt, *output]
    for position in range(len(output)):
        if output[position] in banned_tokens(whole[: len(prompt) + position], size):
            return position
    return None


def check_blocking(
    model: HFModel, prompts: Sequence[Sequence[int]], size: int, *, tolerance: float = 1e-3, **settings: Any
) -> NgramViolation | None:
    """Generate once for a batch of prompts of one length and return the first violation, or None.

    Two things must hold for every returned sequence: no n-gram repeats, and at each of its tokens the processed scores
    are -inf exactly where a repetition would end and the model's own log-probabilities everywhere else.

    Args:
        model: a language model.
        prompts: token ids, (B, L).
        size: `no_repeat_ngram_size`.
        tolerance: how far processed scores may differ from a separate forward pass over the output, nats.
        settings: more settings of `generate`, such as `num_beams` and `max_new_tokens`.
    """
    generation = model.generate_batch(prompts, no_repeat_ngram_size=size, **settings)
    returned = len(generation.sequences) // len(prompts)
    outputs = [
        _cut(row[len(prompts[0]) :], generation.effective["eos_token_id"]) for row in generation.sequences.tolist()
    ]
    owners = [prompts[index // returned] for index in range(len(outputs))]
    for prompt, output in zip(owners, outputs, strict=True):
        position = repeated_ngram(prompt, output, size)
        if position is not None:
            return NgramViolation(tuple(prompt), tuple(output), position, f"a repeated {size}-gram ends here")
    return _check_untouched(model, generation, owners, outputs, size, tolerance)


def _check_untouched(
    model: HFModel,
    generation: Generation,
    prompts: Sequence[Sequence[int]],
    outputs: Sequence[Sequence[int]],
    size: int,
    tolerance: float,
) -> NgramViolation | None:
    import numpy as np

    from pytest_hfmodels.kinds.evidence import log_softmax

    own = log_softmax(model.forward(generation.sequences.tolist()).logits)
    for index, (prompt, output) in enumerate(zip(prompts, outputs, strict=True)):
        for position in range(len(output)):
            whole = [*prompt, *output[:position]]
            expected = own[index, len(whole) - 1]
            scores = generation.scores[position, _row(generation, index, position)]
            banned = sorted(banned_tokens(whole, size))
            wrong = _wrongly_banned(scores, banned)
            if wrong is not None:
                return NgramViolation(tuple(prompt), tuple(output), position, wrong)
            allowed = np.isfinite(scores)
            if not allowed.any():
                continue
            # Greedy scores are logits and beam scores log-probabilities: compare distances to the best allowed token.
            moved = np.abs((scores - scores[allowed].max())[allowed] - (expected - expected[allowed].max())[allowed])
            if float(moved.max()) > tolerance:
                token = int(np.flatnonzero(allowed)[int(moved.argmax())])
                what = f"the score of token {token}, which is not banned, was changed by {float(moved.max()):.3g}"
                return NgramViolation(tuple(prompt), tuple(output), position, what)
    return None


def _wrongly_banned(scores: object, banned: Sequence[int]) -> str | None:
    import numpy as np

    found = set(np.flatnonzero(np.isneginf(np.asarray(scores))).tolist())
    if extra := sorted(found - set(banned)):
        return f"token {extra[0]} is banned and repeats nothing"
    if spared := sorted(set(banned) - found):
        return f"token {spared[0]} would repeat an n-gram and is not banned"
    return None


def _row(generation: Generation, index: int, position: int) -> int:
    return index if generation.beam_indices is None else int(generation.beam_indices[index, position])


def _cut(output: Sequence[int], eos_token_ids: Sequence[int]) -> list[int]:
    """Return `output` up to its first eos, included; padding follows."""
    ends = [output.index(eos) + 1 for eos in eos_token_ids if eos in output]
    return list(output[: min(ends)] if ends else output)
