"""One `generate` over one or more prompts, and one forward pass over what it returned, or over a row of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.engines.settings import wanted_length
from pytest_hfmodels.foundation.durations import Timed
from pytest_hfmodels.foundation.errors import EngineError
from pytest_hfmodels.kinds.evidence import NOT_COMPARABLE, ModelRef, broken_numbers, log_probabilities
from pytest_hfmodels.kinds.generation.media import Media
from pytest_hfmodels.kinds.generation.model_logits import model_logits
from pytest_hfmodels.kinds.generation.prompts import decode
from pytest_hfmodels.kinds.generation.record import Beam, GenerationRecord, LiveLogits, Prompt, Step
from pytest_hfmodels.kinds.generation.teacher import padded
from pytest_hfmodels.kinds.prompt import require_length, require_room
from pytest_hfmodels.kinds.provenance import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_hfmodels.engines import Generation, LoadedModel
    from pytest_hfmodels.engines.base import AnyFloats, IntArray, Steps
    from pytest_hfmodels.kinds.evidence import LiveModel
    from pytest_hfmodels.kinds.generation.model_logits import ModelLogits
    from pytest_hfmodels.kinds.provenance import CheckpointSeen


_DECIMALS = 6


@Timed("evidence")
def observe_generation(
    checkpoint: CheckpointSeen,
    loaded: LoadedModel,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    settings: Mapping[str, Any],
    *,
    skip_special_tokens: bool,
    add_special_tokens: bool | None = None,
    media: Media | None = None,
    origin: LiveModel | None = None,
) -> tuple[GenerationRecord, ...]:
    """Generate once from a batch, padded on the left, and look once more with a forward pass.

    The forward pass has no padding, or has it on the right, where no causal model looks: its numbers are those of each
    prompt on its own. For a batch see `model_logits`.

    Args:
        checkpoint: what `loaded` was loaded from.
        loaded: the model.
        tokenizer: upstream's tokenizer.
        prompts: one or more.
        settings: keywords of the library's `generate`.
        skip_special_tokens: how the output is decoded.
        add_special_tokens: how the texts were tokenized, if the test says so; recorded.
        media: images and sounds of the prompts.
        origin: what a mismatch may ask again, see `ModelRef`.

    Returns:
        One record a prompt, or one a window of a long sound. Each has the settings, the fingerprints, the images and
        the sounds of the whole batch.

    Raises:
        EngineError: a prompt is too long, there is no id to pad with, rows start with different ids, or the model
            returned NaN or infinite logits.
    """
    media = media or Media()
    rows, longest = [prompt.ids for prompt in prompts], max(len(prompt.ids) for prompt in prompts)
    length = 1 if loaded.has_encoder else longest  # of what comes before the first generated token
    require_length(loaded.model, longest, "The prompt")
    require_room(loaded.model, length, wanted_length(settings, length))
    pad = _pad(loaded.model, tokenizer, prompts, settings)
    given = media.of([len(row) for row in rows], left=not loaded.has_encoder)
    ids, mask = padded(rows, pad, left=not loaded.has_encoder) if longest else (None, None)
    generation = _without_forced(loaded.generate(ids, mask, settings, given))
    if generation.windows is not None:
        media = replace(media, arrays={loaded.model.main_input_name: generation.windows})
        prompts = [Prompt(f"window {number} of {prompts[0].text}", ()) for number in _numbers(generation.windows)]
        rows = [prompt.ids for prompt in prompts]
    returned = _returned(generation, tokenizer, one=len(prompts) == 1)
    firsts = returned[:: len(returned) // len(prompts)]
    start = _start(loaded, rows, generation)
    scores = _of_the_first(generation.steps, generation.beam_indices, firsts)
    seen = model_logits(loaded, rows, start, firsts, media, _searched(generation, scores, firsts))
    call = _Call(prompts, start, generation, returned, scores, seen, tokenizer, skip_special_tokens, media)
    for number in range(len(prompts)):
        _require_numbers(call, number, f"{checkpoint.name} on {loaded.engine}")
    asked = {} if add_special_tokens is None else {"add_special_tokens": add_special_tokens}
    shared: dict[str, Any] = {
        "provenance": Provenance.of(loaded),
        "checkpoint": checkpoint,
        "effective": {**generation.effective, "skip_special_tokens": skip_special_tokens, **asked},
        "blocks": seen.blocks,
        "media": media.given,
        "processed": media.processed,
    }
    made_by = None if origin is None else ModelRef(origin, settings)
    return tuple(_record(call, number, made_by, shared) for number in range(len(prompts)))


def _returned(generation: Generation, tokenizer: Any, *, one: bool) -> list[tuple[int, ...]]:
    """Return the generated ids of every returned sequence, to where the row itself ended."""
    ends, stops = generation.effective["eos_token_id"], generation.effective.get("stop_strings", ())
    returned = [_generated(row, generation.prefix, ends) for row in generation.sequences]
    if one or not stops:
        return returned
    words = [stops] if isinstance(stops, str) else stops
    return [_stopped(row, words, tokenizer) for row in returned]


@dataclass(frozen=True)
class _Call:
    """What a `generate` and the forward pass over its output returned."""

    prompts: Sequence[Prompt]
    start: tuple[int, ...]  # of a decoder that does not start with the prompt
    generation: Generation
    returned: Sequence[tuple[int, ...]]  # generated ids of every returned sequence
    scores: Sequence[Steps]  # processed ones that each prompt's first sequence was chosen from
    seen: ModelLogits
    tokenizer: Any
    skip: bool
    media: Media

    def own(self, number: int) -> range:
        """Return which of the returned sequences are those of one prompt."""
        each = len(self.returned) // len(self.prompts)
        return range(number * each, (number + 1) * each)

    def ids(self, number: int) -> tuple[int, ...]:
        """Return the first sequence of one prompt."""
        return self.returned[self.own(number)[0]]

    def prefix(self, number: int) -> tuple[int, ...]:
        """Return the ids before the first generated one."""
        return self.start or self.prompts[number].ids

    def text(self, number: int, ids: Sequence[int]) -> str:
        """Return a sequence as text, with its prompt, if that is text alone, or its decoder's start."""
        before = () if self.media and not self.start else self.prefix(number)
        return decode(self.tokenizer, (*before, *ids), skip_special_tokens=self.skip)


def _record(call: _Call, number: int, made_by: ModelRef | None, shared: Mapping[str, Any]) -> GenerationRecord:
    generation = call.generation
    known = generation.plain_scores, generation.processors
    seen = call.seen
    own: dict[str, Any] = {"media": call.media, "noise": seen.noise, "fingerprinted": seen.fingerprinted}
    live = LiveLogits(seen.rows[number], call.scores[number], made_by, *known, **own)
    return GenerationRecord(
        prompt=call.prompts[number],
        start=call.start,
        steps=_steps(call.ids(number), live, call.tokenizer),
        beams=_beams(call, number),
        beam_cutoff_margin=_cutoff_margins(call),
        text=call.text(number, call.ids(number)),
        live=live,
        **shared,
    )


def _require_numbers(call: _Call, number: int, model: str) -> None:
    logits, steps = call.seen.rows[number], call.generation.steps
    beams = len(steps[0]) // len(call.prompts)
    computed = (*logits, *(step[number * beams : (number + 1) * beams] for step in steps))
    broken = next(filter(None, map(broken_numbers, computed)), None)
    if broken is None and any(float(row.max()) == -float("inf") for row in logits):
        broken = "-infinity for every token"
    if broken is not None:
        raise EngineError(f"{model} returned {broken} after {call.prompts[number].text!r}.", hint=NOT_COMPARABLE)


def _numbers(windows: Any) -> range:
    return range(1, len(windows) + 1)


def _without_forced(generation: Generation) -> Generation:
    """Return a generation with what it had to begin with as its prefix: before 4.38 Whisper generated that, too."""
    import numpy as np

    if "ForceTokensLogitsProcessor" not in (generation.processors or {}):
        return generation
    free = [int(np.isfinite(step[0]).sum()) > 1 for step in generation.steps]
    count = free.index(True) if any(free) else len(free)
    indices, logits = generation.beam_indices, generation.logits
    return replace(
        generation,
        prefix=generation.prefix + count,
        steps=generation.steps[count:],
        logits=None if logits is None else logits[count:],
        beam_indices=None if indices is None else indices[:, count:],
    )


def _start(loaded: LoadedModel, rows: Sequence[tuple[int, ...]], generation: Generation) -> tuple[int, ...]:
    """Return what the decoder started with; empty where that is the prompt."""
    each = len(generation.sequences) // len(rows)
    begun = [tuple(map(int, row[: generation.prefix])) for row in generation.sequences[::each]]
    own = [one[len(one) - len(row) :] for one, row in zip(begun, rows, strict=True)]
    if not loaded.has_encoder and (not generation.prefix or (own == [*rows] and any(rows))):
        return ()
    if len({*begun}) > 1:
        raise EngineError(
            f"The rows of the batch start with different ids: {', '.join(map(str, dict.fromkeys(begun)))}.",
            hint="Give one row at a time; for sounds in several languages, also name the language: language='en'.",
        )
    return begun[0]


def _pad(model: Any, tokenizer: Any, prompts: Sequence[Prompt], settings: Mapping[str, Any]) -> int:
    """Return the id to pad a batch with: the model's, or else the tokenizer's, as upstream pads prompts."""
    pad = settings.get("pad_token_id", getattr(getattr(model, "generation_config", None), "pad_token_id", None))
    pad = getattr(tokenizer, "pad_token_id", None) if pad is None else pad
    if pad is None and len({len(prompt.ids) for prompt in prompts}) > 1:
        raise EngineError(
            "Prompts of different lengths need padding, but model and tokenizer have no pad token and no end of text.",
            hint="Name one: pad_token_id=….",
        )
    return 0 if pad is None else int(pad)


def _generated(row: IntArray, prompt_length: int, eos_token_ids: Sequence[int]) -> tuple[int, ...]:
    """Return the generated part of one returned row, up to and with its first eos: what follows is padding."""
    ids = [int(i) for i in row[prompt_length:]]
    ends = [ids.index(eos) + 1 for eos in eos_token_ids if eos in ids]
    return tuple(ids[: min(ends)] if ends else ids)


def _stopped(ids: tuple[int, ...], words: Sequence[str], tokenizer: Any) -> tuple[int, ...]:
    """Return the ids up to the first stop string: what follows in a batch is padding."""
    for length in range(1, len(ids) + 1):
        text = decode(tokenizer, ids[:length], skip_special_tokens=False)
        if any(word in text for word in words):
            return ids[:length]
    return ids


def _of_the_first(
    steps: Sequence[AnyFloats], indices: IntArray | None, firsts: Sequence[tuple[int, ...]]
) -> Sequence[Steps]:
    """Return for each prompt the numbers that its first sequence was chosen from, (V,) a step.

    Those of greedy search are views. A beam's are copies, so that the other beams can be freed.
    """
    if indices is None:
        return [[step[row] for step in steps[: len(ids)]] for row, ids in enumerate(firsts)]
    own = indices[:: len(indices) // len(firsts)]
    return [
        [step[max(int(row), 0)].copy() for step, row in zip(steps[: len(ids)], rows, strict=False)]
        for ids, rows in zip(firsts, own, strict=True)
    ]


def _searched(
    generation: Generation, scores: Sequence[Steps], firsts: Sequence[tuple[int, ...]]
) -> Sequence[Steps] | None:
    """Return the logits of the search as `_of_the_first` does; None if they are unknown."""
    if generation.logits is generation.steps:  # the same objects, so that nothing is computed twice
        return scores
    return None if generation.logits is None else _of_the_first(generation.logits, generation.beam_indices, firsts)


def _steps(ids: Sequence[int], live: LiveLogits, tokenizer: Any) -> tuple[Step, ...]:
    scores = live.scores
    processed = log_probabilities(scores, ids)
    raw = processed if live.logits is scores else log_probabilities(live.logits, ids)
    steps = []
    for position, chosen in enumerate(ids):
        others = scores[position].copy()
        others[chosen] = -float("inf")
        runner_up = int(others.argmax())
        steps.append(
            Step(
                id=chosen,
                text=decode(tokenizer, (chosen,), skip_special_tokens=False),
                log_probability=float(raw[position]),
                processed=float(processed[position]),
                margin=float(scores[position][chosen]) - float(others[runner_up]),  # NaN if every token is suppressed
                runner_up=runner_up,
                runner_up_text=decode(tokenizer, (runner_up,), skip_special_tokens=False),
            )
        )
    return tuple(steps)


def _beams(call: _Call, number: int) -> tuple[Beam, ...]:
    scores = call.generation.sequence_scores
    if scores is None:
        return ()
    return tuple(
        Beam(call.returned[one], float(scores[one]), call.text(number, call.returned[one])) for one in call.own(number)
    )


def _cutoff_margins(call: _Call) -> tuple[float, ...]:
    """Return those of a single prompt: a batch goes on until its slowest row ends, whatever the others do."""
    generation = call.generation
    if generation.sequence_scores is None or len(call.prompts) > 1:
        return ()
    effective = generation.effective
    beams = int(effective["num_beams"])  # Whisper runs a search of its own for each returned sequence
    own = (step[:beams] for step in generation.steps)
    found = cutoff_margins(own, beams, effective["eos_token_id"])
    return tuple(round(margin, _DECIMALS) for margin in found)  # evidence: the noise floor is twenty times as large


def cutoff_margins(scores: Iterable[AnyFloats], num_beams: int, eos_token_ids: Sequence[int]) -> tuple[float, ...]:
    """Return, for every step of a beam search, by how much the last kept candidate beat the first dropped one.

    Follows the running hypotheses from the processed scores alone: at each step the `num_beams` best continuations
    that do not end in eos run on (Sutskever et al. 2014, §3.2, with finished hypotheses set aside).

    Args:
        scores: processed log-probabilities of every step, (num_beams, V) each, rows in order of rank.
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
        free = np.array(step)
        # A config may keep the default eos_token_id of its class, which can be outside a smaller vocabulary.
        free[:, [eos for eos in eos_token_ids if 0 <= eos < free.shape[1]]] = -np.inf
        likeliest = []
        # num_beams + 1 candidates of each beam are enough; finding them one by one is ten times as fast as sorting.
        for _ in range(min(num_beams + 1, free.shape[1])):
            places = np.arange(num_beams), free.argmax(axis=1)
            likeliest.append(running + free[places])
            free[places] = -np.inf
        best = np.sort(np.concatenate(likeliest))[::-1]
        margins.append(float(best[num_beams - 1] - best[num_beams]) if np.isfinite(best[num_beams]) else float("inf"))
        running = best[:num_beams]
    return tuple(margins)
