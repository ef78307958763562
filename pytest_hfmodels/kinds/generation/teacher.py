"""One forward pass over the prompt and the recorded tokens, and how far their numbers moved."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.kinds.comparison import abs_diff
from pytest_hfmodels.kinds.evidence import fingerprint, log_softmax
from pytest_hfmodels.kinds.generation.media import Media

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_hfmodels.engines import ForwardPass, LoadedModel
    from pytest_hfmodels.engines.base import AnyFloats, IntArray, Steps
    from pytest_hfmodels.explain.case import Passes
    from pytest_hfmodels.kinds.evidence import Block
    from pytest_hfmodels.kinds.generation.record import GenerationRecord


_LIKELIEST = 5  # the recorded tokens alone are too few: by chance they moved a quarter as far as on another machine


@dataclass(frozen=True)
class ForwardInputs:
    """What `LoadedModel.forward` takes."""

    ids: IntArray | None
    mask: IntArray | None = None
    decoder: IntArray | None = None
    media: Mapping[str, Any] = field(default_factory=dict)
    last: int | None = None

    def continued(self, seen: ForwardPass, row: int, prefix: int, length: int) -> AnyFloats:
        """Return the logits of one row from its last given token on, (S, V).

        Some models put images before the text, or into it: the places of tokens count from the end.
        """
        ids: Any = self.ids if self.decoder is None else self.decoder
        start = seen.logits.shape[1] - ids.shape[1] + prefix - 1
        return seen.logits[row, start : start + length]


@dataclass(frozen=True)
class TeacherForcedPass:
    """One forward pass over the prompt and the recorded tokens.

    Args:
        logits: after the prompt and each recorded token but the last, (S, V).
        blocks: fingerprints, comparable with the recorded ones.
    """

    logits: Steps
    blocks: tuple[Block, ...]

    def moved(self, recorded: GenerationRecord) -> list[float]:
        """Return how far the log-probability of each recorded token is from what was recorded."""
        table = log_softmax(self.logits)
        return [
            abs(step.log_probability - float(table[position, step.id])) if step.id < table.shape[1] else math.inf
            for position, step in enumerate(recorded.steps)
        ]


def teacher_forced(
    passes: Passes,
    recorded: Sequence[GenerationRecord],
    media: Media,
    loaded: LoadedModel | None = None,
    fingerprinted: int | None = None,
) -> list[TeacherForcedPass]:
    """Run the model over the recorded tokens of a batch, without a cache.

    The blocks are those of the whole batch, or of the `fingerprinted` row.
    """
    given = inputs(
        [row.prompt.ids for row in recorded],
        recorded[0].start,
        [row.ids for row in recorded],
        media,
        encoder=passes.origin.loaded.has_encoder,
    )
    seen = passes.forward(given.ids, loaded, given.mask, given.decoder, given.media, given.last)
    if fingerprinted is None:
        blocks = blocks_of(seen, given.mask)
    else:
        blocks = blocks_of(_row_of(seen, recorded[fingerprinted], fingerprinted), None)
    return [
        TeacherForcedPass(given.continued(seen, number, len(row.prefix), len(row.ids)), blocks)
        for number, row in enumerate(recorded)
    ]


def _row_of(seen: ForwardPass, record: GenerationRecord, number: int) -> ForwardPass:
    """Return one row of a forward pass, without its padding."""
    text = len(record.prefix) + len(record.ids)
    lengths = [len(record.prompt.ids)] * seen.encoder + [text] * (len(seen.hidden_states) - seen.encoder)
    states = tuple(
        state[number : number + 1, :length] for state, length in zip(seen.hidden_states, lengths, strict=True)
    )
    return replace(seen, hidden_states=states)


def rounding(passes: Passes, rows: Sequence[GenerationRecord], loaded: LoadedModel) -> float:
    """Run these rows again with a load; return how far the log-probabilities of the likeliest tokens moved at most."""
    seen = teacher_forced(passes, rows, media_of(rows[0]), loaded)
    pairs = zip(rows, seen, strict=True)
    return max(likeliest_moved(row.live.logits, one.logits) for row, one in pairs if row.live is not None)


def rounding_of_the_cache(rows: Sequence[GenerationRecord]) -> float:
    """Return how far the log-probabilities of `generate`, which uses a cache, are from those of a forward pass.

    Raises:
        LookupError: a logits processor has changed them.
    """
    live = [row.live for row in rows if row.live is not None]
    searched = [one for one in live if one.fingerprinted is not None]  # a batch's logits are those of generating
    if searched:
        return max(one.noise for one in searched)
    if len(live) < len(rows) or not all(one.plain_scores for one in live):
        raise LookupError("the scores of generating are not those of the model")
    return max(likeliest_moved(one.logits, one.scores) for one in live)


def likeliest_moved(before: Steps, now: Steps) -> float:
    """Return how far the log-probabilities of each position's likeliest tokens moved at most, given logits (V,) each.

    The unlikely ones move further: a bfloat16 logit of 50 has steps of a quarter.
    """
    import numpy as np

    largest = 0.0
    for then, here in zip(map(log_softmax, before), map(log_softmax, now), strict=True):
        likeliest = np.argsort(then)[-_LIKELIEST:]
        largest = max(largest, float(np.abs(then[likeliest] - here[likeliest]).max()))
    return largest


def media_of(observed: GenerationRecord) -> Media:
    """Return what the model got beside ids; nothing if that is no longer in memory."""
    return Media() if observed.live is None else observed.live.media


def inputs(
    prompts: Sequence[tuple[int, ...]],
    start: tuple[int, ...],
    outputs: Sequence[tuple[int, ...]],
    media: Media,
    *,
    encoder: bool,
) -> ForwardInputs:
    """Return what one forward pass over prompts and what was generated is given.

    Args:
        prompts: their ids; empty where images or sounds stand for them.
        start: what the decoder starts with if that is not the prompt.
        outputs: what was generated.
        media: images and sounds; of a single prompt they are repeated for each output.
        encoder: whether the prompt goes to an encoder.
    """
    copies = len(outputs) if len(prompts) == 1 else 1
    prompts = [*prompts] * copies
    if encoder:
        ids, mask = padded(prompts) if any(prompts) else (None, None)
        decoder = padded([(*start, *output) for output in outputs])[0]
        arrays = media.of([len(prompt) for prompt in prompts], copies=copies)
        return ForwardInputs(ids, mask, decoder, arrays, decoder.shape[1] - len(start) + 1)
    rows = [(*(start or prompt), *output) for prompt, output in zip(prompts, outputs, strict=True)]
    ids, mask = padded(rows)
    before = min(len(start or prompt) for prompt in prompts)  # only the logits that an output is chosen from
    return ForwardInputs(
        ids, mask, None, media.of([len(row) for row in rows], copies=copies), ids.shape[1] - before + 1
    )


def blocks_of(seen: ForwardPass, mask: IntArray | None) -> tuple[Block, ...]:
    """Return the fingerprints of a forward pass."""
    return fingerprint(seen.hidden_states, None if seen.encoder else mask, seen.encoder)


def padded(rows: Sequence[Sequence[int]], pad: int = 0, *, left: bool = False) -> tuple[IntArray, IntArray | None]:
    """Return rows of ids as one batch (B, L), padded on the right, or on the left for `generate`, and its mask.

    The mask is None if all have one length.
    """
    import numpy as np

    length = max(map(len, rows))
    if all(len(row) == length for row in rows):
        return np.asarray(rows, dtype=np.int64), None
    ids, mask = np.full((len(rows), length), pad, np.int64), np.zeros((len(rows), length), np.int64)
    for number, row in enumerate(rows):
        own = slice(length - len(row), None) if left else slice(0, len(row))
        ids[number, own], mask[number, own] = row, 1
    return ids, mask


def scores_moved(recorded: GenerationRecord, observed: GenerationRecord, count: int) -> list[float]:
    """Return how far the recorded tokens' processed scores moved in `generate`, for the first `count` steps.

    Both sides must have the same tokens before each of these steps.
    """
    live: Any = observed.live
    table, found = log_softmax(live.scores[:count]), []
    for position, step in enumerate(recorded.steps[:count]):
        if max(step.id, step.runner_up) >= table.shape[1]:
            found.append(math.inf)
            continue
        margin = float(live.scores[position][step.id]) - float(live.scores[position][step.runner_up])
        found.append(max(abs_diff(step.processed, float(table[position, step.id])), abs_diff(step.margin, margin)))
    return found
