"""What one deterministic `generate` call observed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_hfmodels.engines.settings import wanted_length
from pytest_hfmodels.errors import CheckpointError, EngineError
from pytest_hfmodels.kinds.evidence import (
    NOT_COMPARABLE,
    Block,
    LiveLogits,
    ModelRef,
    broken_numbers,
    fingerprint,
    frontier_gaps,
    log_softmax,
)
from pytest_hfmodels.kinds.prompt import require_ids, require_room, require_text, vocabulary_size
from pytest_hfmodels.kinds.provenance import CheckpointSeen, Provenance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_hfmodels.checkpoints import Checkpoint
    from pytest_hfmodels.engines import Generation, LoadedModel
    from pytest_hfmodels.engines.base import FloatArray, IntArray
    from pytest_hfmodels.kinds.evidence import LiveModel


@dataclass(frozen=True)
class Prompt:
    """What the model was given: `text` and its token `ids`."""

    text: str
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """One token of the first returned sequence.

    Args:
        id: the chosen token.
        text: the token alone, decoded.
        log_probability: of the token in the model's own distribution.
        processed: of the token in the distribution after the logits processors.
        margin: its processed score less the best other token's; negative where a beam took another way.
        runner_up: the best other token.
        runner_up_text: decoded.
    """

    id: int
    text: str
    log_probability: float
    processed: float
    margin: float
    runner_up: int
    runner_up_text: str

    def __str__(self) -> str:
        return f"{self.text!r} (id {self.id})"


@dataclass(frozen=True)
class Beam:
    """One returned sequence of a beam search: generated `ids`, `score` as the library gives it, and the `text`."""

    ids: tuple[int, ...]
    score: float
    text: str

    def __str__(self) -> str:
        return f"{self.score:.6g} {self.text!r}"


@dataclass(frozen=True)
class GenerationRecord:
    """What `HFModel.generate` observed; compare it with `hf_snapshot`.

    Args:
        provenance: never compared.
        checkpoint: never fails by itself.
        prompt: text and ids.
        effective: settings as the library resolved them, by release-independent names.
        steps: the first returned sequence, token by token.
        beams: every returned sequence of a beam search; empty for greedy search.
        frontier: gap between the last kept and the first dropped candidate at every step of a beam search.
        blocks: fingerprints of the forward pass over the first returned sequence.
        text: the first returned sequence decoded, prompt included.
        live: what is not stored; None for a record that was read from a file.
    """

    provenance: Provenance
    checkpoint: CheckpointSeen
    prompt: Prompt
    effective: dict[str, Any]
    steps: tuple[Step, ...]
    beams: tuple[Beam, ...]
    frontier: tuple[float, ...]
    blocks: tuple[Block, ...]
    text: str
    live: LiveLogits | None = field(default=None, compare=False, repr=False)
    kind: ClassVar[str] = "generation"

    @property
    def ids(self) -> tuple[int, ...]:
        """The generated token ids of the first returned sequence."""
        return tuple(step.id for step in self.steps)

    def __repr__(self) -> str:
        return f"<GenerationRecord {self.checkpoint.name} on {self.provenance.engine}: {self.text!r}>"


def observe_generation(
    checkpoint: Checkpoint,
    loaded: LoadedModel,
    tokenizer: Any,
    prompt: str | Sequence[int],
    settings: Mapping[str, Any],
    *,
    skip_special_tokens: bool,
    origin: LiveModel | None = None,
) -> GenerationRecord:
    """Generate once, look once more with a forward pass over the result, and return what was seen.

    Args:
        checkpoint: what `loaded` was loaded from.
        loaded: the model.
        tokenizer: upstream's tokenizer.
        prompt: text, or token ids.
        settings: keywords of the library's `generate`.
        skip_special_tokens: how the output is decoded.
        origin: what a mismatch may ask again, see `ModelRef`.

    Raises:
        EngineError: the prompt is not valid or too long, or the model returned NaN or infinite logits.
    """
    import numpy as np

    given = _prompt(prompt, tokenizer, loaded.model.config)
    require_room(loaded.model, len(given.ids), wanted_length(settings, len(given.ids)))
    generation = loaded.generate(np.asarray([given.ids], dtype=np.int64), None, settings)
    effective = dict(generation.effective)
    returned = [_generated(row, len(given.ids), effective["eos_token_id"]) for row in generation.sequences]
    forward = loaded.forward(np.asarray([[*given.ids, *returned[0]]], dtype=np.int64))
    logits = forward.logits[0, len(given.ids) - 1 : -1]
    broken = broken_numbers(logits) or broken_numbers(generation.scores)
    if broken is None and np.isneginf(logits).all(axis=-1).any():
        broken = "-infinity for every token"
    if broken is not None:
        raise EngineError(
            f"{checkpoint.name} on {loaded.engine} returned {broken} after {given.text!r}.", hint=NOT_COMPARABLE
        )
    scores = _score_rows(generation, len(returned[0]))
    made_by = None if origin is None else ModelRef(origin, settings)
    live = LiveLogits(logits, scores, made_by, generation.plain_scores, generation.processors)
    return GenerationRecord(
        provenance=Provenance.of(loaded),
        checkpoint=CheckpointSeen.of(checkpoint),
        prompt=given,
        effective={**effective, "skip_special_tokens": skip_special_tokens},
        steps=_steps(returned[0], live.log_probabilities, scores, tokenizer),
        beams=_beams(generation, given, returned, tokenizer, skip_special_tokens),
        frontier=_frontier(generation, effective),
        blocks=fingerprint(forward.hidden_states),
        text=_decode(tokenizer, (*given.ids, *returned[0]), skip_special_tokens),
        live=live,
    )


def _prompt(prompt: str | Sequence[int], tokenizer: Any, config: Any) -> Prompt:
    size = vocabulary_size(config)
    if isinstance(prompt, str):
        ids = require_ids(tokenizer(require_text(prompt, "The prompt"))["input_ids"], size)
        given = Prompt(text=prompt, ids=ids)
    else:
        ids = require_ids(prompt, size)
        given = Prompt(text=_decode(tokenizer, ids, skip_special_tokens=False), ids=ids)
    if not given.ids:
        raise EngineError(
            f"The prompt {given.text!r} has no tokens.",
            hint="Generation needs one: start from the tokenizer's bos token, generate([tokenizer.bos_token_id]).",
        )
    return given


def _generated(row: IntArray, prompt_length: int, eos_token_ids: Sequence[int]) -> tuple[int, ...]:
    """Return the generated part of one returned row, up to and with its first eos: what follows is padding."""
    ids = [int(i) for i in row[prompt_length:]]
    ends = [ids.index(eos) + 1 for eos in eos_token_ids if eos in ids]
    return tuple(ids[: min(ends)] if ends else ids)


def _score_rows(generation: Generation, length: int) -> FloatArray:
    """Return the processed scores that the tokens of the first returned sequence were chosen from, (S, V)."""
    import numpy as np

    if generation.beam_indices is None:
        rows = [0] * length
    else:
        rows = [max(int(row), 0) for row in generation.beam_indices[0, :length]]
    scores = generation.scores
    return np.stack([scores[step, row] for step, row in enumerate(rows)]) if rows else scores[:0, 0]


def _steps(ids: Sequence[int], raw: FloatArray, scores: FloatArray, tokenizer: Any) -> tuple[Step, ...]:
    processed = log_softmax(scores)
    steps = []
    for position, chosen in enumerate(ids):
        others = scores[position].copy()
        others[chosen] = -float("inf")
        runner_up = int(others.argmax())
        steps.append(
            Step(
                id=chosen,
                text=_decode(tokenizer, (chosen,), skip_special_tokens=False),
                log_probability=float(raw[position, chosen]),
                processed=float(processed[position, chosen]),
                margin=float(scores[position, chosen]) - float(others[runner_up]),  # NaN if every token is suppressed
                runner_up=runner_up,
                runner_up_text=_decode(tokenizer, (runner_up,), skip_special_tokens=False),
            )
        )
    return tuple(steps)


def _beams(
    generation: Generation, prompt: Prompt, returned: Sequence[tuple[int, ...]], tokenizer: Any, skip: bool
) -> tuple[Beam, ...]:
    if generation.sequence_scores is None:
        return ()
    return tuple(
        Beam(ids=ids, score=float(score), text=_decode(tokenizer, (*prompt.ids, *ids), skip))
        for ids, score in zip(returned, generation.sequence_scores, strict=True)
    )


def _frontier(generation: Generation, effective: Mapping[str, Any]) -> tuple[float, ...]:
    if generation.sequence_scores is None:
        return ()
    return frontier_gaps(generation.scores, int(effective["num_beams"]), effective["eos_token_id"])


def _decode(tokenizer: Any, ids: Sequence[int], skip_special_tokens: bool) -> str:
    try:
        return str(tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens))
    except Exception as error:  # each tokenizer has its own kinds
        raise CheckpointError(
            f"{type(tokenizer).__name__} cannot decode token ids of this model "
            f"({', '.join(map(str, ids[-_SHOWN_IDS:]))}): {type(error).__name__}: {error}",
            hint="Save the tokenizer that the model was trained with beside it: tokenizer.save_pretrained(folder).",
        ) from error


_SHOWN_IDS = 8
