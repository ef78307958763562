"""What one deterministic `generate` call observed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_hfmodels.engines.settings import wanted_length
from pytest_hfmodels.foundation.errors import CheckpointError, EngineError
from pytest_hfmodels.kinds.base import Record
from pytest_hfmodels.kinds.evidence import NOT_COMPARABLE, ModelRef, broken_numbers, fingerprint, log_softmax
from pytest_hfmodels.kinds.layout import TokenId  # noqa: TC001 - msgspec reads the annotations
from pytest_hfmodels.kinds.prompt import require_ids, require_room, require_text, vocabulary_size
from pytest_hfmodels.kinds.provenance import CheckpointSeen, Provenance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_hfmodels.checkpoints import Checkpoint
    from pytest_hfmodels.engines import Generation, LoadedModel
    from pytest_hfmodels.engines.base import FloatArray, IntArray
    from pytest_hfmodels.kinds.evidence import LiveModel

_SHOWN_IDS = 8


@dataclass(frozen=True)
class Prompt:
    """What the model was given: `text` and its token `ids`."""

    text: str
    ids: tuple[TokenId, ...]


@dataclass(frozen=True)
class Step:
    """One token of the first returned sequence.

    Args:
        id: the chosen token.
        text: the token alone, decoded.
        log_probability: of the token in the model's own distribution.
        processed: of the token in the distribution after the logits processors.
        margin: its processed score less the best other token's; negative if a beam took another way.
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

    ids: tuple[TokenId, ...]
    score: float
    text: str

    def __str__(self) -> str:
        return f"{self.score:.6g} {self.text!r}"


@dataclass(frozen=True)
class LiveLogits:
    """What is not stored: what the model says now, to look recorded tokens up.

    Args:
        logits: of the whole vocabulary at every generated position of the first sequence, without a cache, (S, V).
        scores: processed scores there, from the search itself, (S, V); banned tokens are -inf.
        made_by: the model, and what the test gave it; None for records that no model made.
        plain_scores: whether one forward pass should give the same scores; False if unknown.
        processors: the logits processors that were on, with their settings; None if unknown. A snapshot keeps only
            the test's own.
    """

    logits: FloatArray
    scores: FloatArray
    made_by: ModelRef | None = None
    plain_scores: bool = False
    processors: Mapping[str, Any] | None = None

    @cached_property
    def log_probabilities(self) -> FloatArray:
        """Of the logits, (S, V)."""
        return log_softmax(self.logits)


@dataclass(frozen=True, kw_only=True, repr=False)
class GenerationRecord(Record):
    """What `HFModel.generate` observed; compare it with `hf_snapshot`. For the other fields see `Record`.

    Args:
        prompt: text and ids.
        steps: the first returned sequence, token by token.
        beams: every returned sequence of a beam search; empty for greedy search.
        beam_cutoff_margin: by how much the last kept candidate beat the first dropped one, at every step of a beam
            search, nats.
        text: the first returned sequence decoded, prompt included.
    """

    kind: ClassVar[str] = "generation"
    prompt: Prompt
    steps: tuple[Step, ...]
    beams: tuple[Beam, ...]
    beam_cutoff_margin: tuple[float, ...]
    text: str
    live: LiveLogits | None = field(default=None, compare=False, repr=False)

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
        beam_cutoff_margin=()
        if generation.sequence_scores is None
        else cutoff_margins(generation.scores, int(effective["num_beams"]), effective["eos_token_id"]),
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

    scores, indices = generation.scores, generation.beam_indices
    rows = [0] * length if indices is None else [max(int(row), 0) for row in indices[0, :length]]
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


def cutoff_margins(scores: FloatArray, num_beams: int, eos_token_ids: Sequence[int]) -> tuple[float, ...]:
    """Return, for every step of a beam search, by how much the last kept candidate beat the first dropped one.

    Follows the running hypotheses from the processed scores alone: at each step the `num_beams` best continuations
    that do not end in eos run on (Sutskever et al. 2014, §3.2, with finished hypotheses set aside).

    Args:
        scores: processed log-probabilities of every step, (S, num_beams, V), rows in order of rank.
        num_beams: hypotheses kept.
        eos_token_ids: ids that finish a hypothesis.

    Returns:
        Differences of cumulative log-probability, one a step, `inf` if nothing was dropped.
    """
    import numpy as np

    running = np.full(num_beams, -np.inf)
    running[0] = 0.0  # all beams start equal: only the first counts
    margins = []
    for step in scores:
        candidates = running[:, None] + step
        candidates[:, list(eos_token_ids)] = -np.inf
        flat = candidates.reshape(-1)
        best = np.sort(flat[np.argpartition(flat, -(num_beams + 1))[-(num_beams + 1) :]])[::-1]
        margins.append(float(best[num_beams - 1] - best[num_beams]) if np.isfinite(best[num_beams]) else float("inf"))
        running = best[:num_beams]
    return tuple(margins)


def _decode(tokenizer: Any, ids: Sequence[int], skip_special_tokens: bool) -> str:
    try:
        return str(tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens))
    except Exception as error:  # each tokenizer has its own kinds
        raise CheckpointError(
            f"{type(tokenizer).__name__} cannot decode token ids of this model "
            f"({', '.join(map(str, ids[-_SHOWN_IDS:]))}): {type(error).__name__}: {error}",
            hint="Save the tokenizer that the model was trained with beside it: tokenizer.save_pretrained(folder).",
        ) from error
