"""The model's own logits of generated tokens: those of the search if a pass without a cache agrees, or of the pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_hfmodels.kinds.evidence import log_probabilities
from pytest_hfmodels.kinds.generation.teacher import blocks_of, inputs
from pytest_hfmodels.kinds.tolerance import noise_floor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.engines.base import Steps
    from pytest_hfmodels.kinds.evidence import Block
    from pytest_hfmodels.kinds.generation.media import Media

    Ids = Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class ModelLogits:
    """What the model says of generated tokens, before any logits processor.

    Args:
        rows: for each prompt the logits of every step of its first sequence, (V,) each.
        blocks: fingerprints of the pass without a cache.
        noise: how far the two ways are apart, nats, if `rows` are those of the search.
        fingerprinted: the row that the pass ran over; None if it was all of them.
    """

    rows: Sequence[Steps]
    blocks: tuple[Block, ...]
    noise: float = 0.0
    fingerprinted: int | None = None


def model_logits(
    loaded: LoadedModel,
    prompts: Ids,
    start: tuple[int, ...],
    outputs: Ids,
    media: Media,
    searched: Sequence[Steps] | None,
) -> ModelLogits:
    """Run the model without a cache, over one row of a batch, or over all of them if that row does not agree.

    Args:
        loaded: the model.
        prompts: their ids.
        start: what the decoder starts with if that is not the prompt.
        outputs: the first sequence of each prompt.
        media: images and sounds: nobody knows which belong to one row.
        searched: the logits of the search, as `ModelLogits.rows`; None if they are unknown.
    """
    if searched is not None and len(prompts) > 1 and not media:
        found = _of_the_search(loaded, prompts, start, outputs, media, searched)
        if found is not None:
            return found
    given = inputs(prompts, start, outputs, media, encoder=loaded.has_encoder)
    seen = loaded.forward(given.ids, given.mask, given.decoder, given.media, given.last, as_computed=True)
    rows = [
        given.continued(seen, number, len(start or prompt), len(output))
        for number, (prompt, output) in enumerate(zip(prompts, outputs, strict=True))
    ]
    return ModelLogits(rows, blocks_of(seen, given.mask))


def _of_the_search(
    loaded: LoadedModel,
    prompts: Ids,
    start: tuple[int, ...],
    outputs: Ids,
    media: Media,
    searched: Sequence[Steps],
) -> ModelLogits | None:
    """Return the logits of the search if the row with the most padding has the same without it and without a cache."""
    number = min(range(len(prompts)), key=lambda row: len(prompts[row]))
    alone = model_logits(loaded, prompts[number : number + 1], start, outputs[number : number + 1], media, None)
    sides = (log_probabilities(side, outputs[number]) for side in (alone.rows[0], searched[number]))
    noise = max((float(abs(own - other)) for own, other in zip(*sides, strict=True)), default=0.0)
    # The dtype's own floor, not the one that a snapshot states: that one may be twenty times as large, so a file could
    # hide a fault of the cache or of the padding. A bfloat16 model that rounds more runs all rows again.
    if not noise <= 2 * noise_floor(loaded.environment()["dtype"], same_engine=True):  # NaN is no agreement
        return None
    return ModelLogits(searched, alone.blocks, noise, number)
