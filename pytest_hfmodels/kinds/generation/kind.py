"""The kind `generation`: one prompt, and the sequences that greedy or beam search generates."""

from __future__ import annotations

import math
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from pytest_hfmodels.kinds.base import Kind
from pytest_hfmodels.kinds.comparison import Difference, first_divergence, largest_movement
from pytest_hfmodels.kinds.evidence import log_softmax
from pytest_hfmodels.kinds.generation import show
from pytest_hfmodels.kinds.generation.consistency import contradiction, contradiction_sentence
from pytest_hfmodels.kinds.generation.record import Beam, GenerationRecord, Prompt, Step
from pytest_hfmodels.kinds.inputs import ModelInput, inputs_differ, inputs_table
from pytest_hfmodels.kinds.layout import TokenId, as_table, rounded, sentences, settings_table
from pytest_hfmodels.kinds.tolerance import Tie, floor_of_tie

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_hfmodels.explain.explainer import Explainer
    from pytest_hfmodels.kinds.base import Course
    from pytest_hfmodels.kinds.comparison import Comparison, Detail
    from pytest_hfmodels.kinds.tolerance import Tolerance
    from pytest_hfmodels.snapshots.toml_reader import TomlFile

DECODER_START = "decoder_start_token_id"
G = TypeVar("G", bound=GenerationRecord)
STEPS = ["id", "text", "log-probability", "processed", "margin", "runner-up", "runner-up text"]
StepRow = tuple[TokenId, str, float, float, float, TokenId, str]


class _Output(msgspec.Struct):
    text: list[str]


class _Steps(msgspec.Struct):
    columns: list[str]
    rows: list[StepRow]


class StoredBeam(msgspec.Struct):
    """A returned beam in a file."""

    ids: tuple[TokenId, ...]
    score: float
    text: list[str]

    def record(self) -> Beam:
        """Return the beam."""
        return Beam(self.ids, self.score, "".join(self.text))


class _Frontier(msgspec.Struct):
    gaps: tuple[float, ...] = ()


class _Decoder(msgspec.Struct):
    start: tuple[TokenId, ...] = ()


class StoredMedia(msgspec.Struct, kw_only=True):
    """Images and sounds in a file, and what a processor made of them."""

    media: tuple[str, ...] = ()
    processed: tuple[ModelInput, ...] = ()


class StoredOutput(StoredMedia, kw_only=True):
    """What a generation stores besides its prompt."""

    decoder: _Decoder = msgspec.field(default_factory=lambda: _Decoder())
    effective: dict[str, Any]
    output: _Output
    steps: _Steps
    beams: list[StoredBeam] = []
    # The format's word for the beam's cutoff margins: another one would rewrite every file of a beam search.
    frontier: _Frontier = msgspec.field(default_factory=_Frontier)


class _Stored(StoredOutput, kw_only=True):
    prompt: Prompt


class GenerationKind(Kind[G]):
    """What is particular to a prompt and what `generate` made of it; see `Kind` for each method."""

    # ruff: noqa: D102
    tolerant = ("steps", "beams", "frontier", "processed")

    def tables(self, record: G) -> dict[str, Any]:
        found: dict[str, Any] = {
            "prompt": as_table(record.prompt, "text", "ids"),
            **({"decoder": {"start": list(record.start)}} if record.start else {}),
            **media_tables(record),
            "effective": settings_table(record.effective),
            "output": {"text": sentences(record.text)},
            "steps": {"columns": STEPS, "rows": [rounded(astuple(step)) for step in record.steps]},
        }
        if record.beams:
            found["beams"] = [{**as_table(beam, "ids", "score"), "text": sentences(beam.text)} for beam in record.beams]
            found["frontier"] = {"gaps": rounded(record.beam_cutoff_margin)}
        return found

    def output_fields(self, file: TomlFile, stored: StoredOutput) -> dict[str, Any]:
        """Return the fields of a record that its output fills."""
        text = "".join(stored.output.text)
        if stored.steps.columns != STEPS:
            raise file.error(f"the columns are not {', '.join(STEPS)}", "steps", "columns")
        for beam in stored.beams[:1]:  # a recorded one is always the output: the file was edited
            if list(beam.ids) != [row[0] for row in stored.steps.rows]:
                raise file.error("the ids of the first beam are not the ids in steps.rows", "beams", "0", "ids")
            if "".join(beam.text) != text:
                raise file.error("the text of the first beam is not output.text", "beams", "0", "text")
        return {
            "start": stored.decoder.start,
            "effective": stored.effective,
            "steps": tuple(Step(*row) for row in stored.steps.rows),
            "beams": tuple(beam.record() for beam in stored.beams),
            "beam_cutoff_margin": stored.frontier.gaps,
            "text": text,
            "media": stored.media,
            "processed": stored.processed,
        }

    def differences(self, recorded: G, observed: G) -> Iterator[Difference]:
        yield from media_differ(recorded, observed)
        yield from self.row_differences(recorded, observed)

    def row_differences(self, recorded: GenerationRecord, observed: GenerationRecord) -> Iterator[Difference]:
        """Yield what differs, except the images and sounds that rows of a batch share."""
        if recorded.prompt.ids != observed.prompt.ids:
            position = first_divergence(recorded.prompt.ids, observed.prompt.ids)
            yield Difference("prompt", "prompt ids", recorded.prompt.ids, observed.prompt.ids, position)
        elif recorded.prompt.text != observed.prompt.text:
            # A prompt given as ids is decoded. If its text differs, so does the text of the output.
            stage = "prompt" if recorded.text == observed.text else "text"
            yield Difference(stage, "prompt text", recorded.prompt.text, observed.prompt.text)
        named = {**recorded.effective, **observed.effective}  # a test that asks for it has it there
        if recorded.start != observed.start and DECODER_START not in named:
            yield Difference("settings", DECODER_START, recorded.start, observed.start)
        if drawn_elsewhere(recorded, observed):
            return
        split = first_divergence(recorded.ids, observed.ids)
        if split is not None:
            before, now = (record.steps[split : split + 1] or (None,) for record in (recorded, observed))
            yield Difference("ids", "generated token", before[0], now[0], split)
        yield from _beam_ids(recorded, observed)
        yield from _token_texts(recorded, observed)
        if recorded.text != observed.text:
            yield Difference("text", "decoded text", recorded.text, observed.text)

    def numbers(self, recorded: G, observed: G) -> Iterator[tuple[str, int, float, float]]:
        split = first_divergence(recorded.ids, observed.ids)
        pairs = zip(recorded.steps[:split], observed.steps[:split], strict=True)
        for position, (before, now) in enumerate(pairs):
            yield "log-probability", position, before.log_probability, now.log_probability
            # If every token of a step is suppressed, all scores are -inf: there is no distribution and no difference.
            if not (math.isnan(before.processed) and math.isnan(now.processed)):
                yield "processed log-probability", position, before.processed, now.processed
            if not (math.isnan(before.margin) and math.isnan(now.margin)):
                yield "margin", position, before.margin, now.margin
        if drawn_elsewhere(recorded, observed):
            yield from _at_the_draw(recorded, observed, split)
            return
        for position, (beam, beam_now) in enumerate(zip(recorded.beams, observed.beams, strict=False)):
            if beam.ids == beam_now.ids:
                yield "beam score", position, beam.score, beam_now.score

    def texts(self, record: G) -> dict[str, str]:
        beams = {f"returned beam {number}": beam.text for number, beam in enumerate(record.beams, 1)}
        return {"text": record.text, **beams}

    def features(self, record: G) -> tuple[str, ...]:
        return features_of(record.effective)

    def inputs(self, record: G) -> list[tuple[str, tuple[int, ...]]]:
        return [(record.prompt.text, record.prompt.ids), *media_texts(record)]

    def is_near_tie(self, recorded: G, observed: G, differences: Sequence[Difference]) -> bool:
        if any(difference.stage in ("template", "prompt", "inputs", "settings") for difference in differences):
            return False
        tie = token_tie(recorded, observed)
        return tie is not None and tie.proven

    def contradiction(self, record: G, tolerance: Tolerance) -> str | None:
        found = contradiction(record, tolerance=tolerance)
        if found is None:
            return None
        advice = " If they agree with use_cache=False, the cache of this release is broken."
        return f"{contradiction_sentence(*found)}.{'' if record.effective.get('use_cache') is False else advice}"

    def course(self, recorded: G | None, observed: G) -> Course:
        return show.course(recorded, observed)

    def movement(self, recorded: G, observed: G, comparison: Comparison) -> float | None:
        return show.movement(recorded, observed, comparison.drift)

    def detail(self, difference: Difference, recorded: G, observed: G) -> Detail | None:
        if difference.stage == "ids":
            return show.token(difference, recorded, observed)
        if difference.stage == "beams" and not isinstance(difference.recorded, int):
            return show.beam(difference)
        return None

    def explainer(self) -> Explainer[Any]:
        from pytest_hfmodels.kinds.generation.explain import EXPLAINER  # computes with NumPy

        return EXPLAINER


def features_of(effective: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what an output of `generate` used, by its effective settings; see `Kind.features`."""
    return ("generation", "beams") if effective.get("num_beams", 1) > 1 else ("generation",)


class _Generation(GenerationKind[GenerationRecord]):
    name = "generation"

    def load(self, file: TomlFile, shared: Mapping[str, Any]) -> GenerationRecord:
        stored = file.convert(_Stored)
        return GenerationRecord(prompt=stored.prompt, **self.output_fields(file, stored), **shared)


def media_tables(record: GenerationRecord) -> dict[str, Any]:
    """Return the images and sounds of a call as a snapshot stores them."""
    found = {"media": list(record.media), "processed": inputs_table(record.processed)}
    return {name: value for name, value in found.items() if value}


def media_texts(record: GenerationRecord) -> list[tuple[str, tuple[int, ...]]]:
    """Return the images and sounds that do not stand for a text themselves, as a kind's `inputs` does."""
    return [(one, ()) for one in record.media if one != record.prompt.text]


def media_differ(recorded: GenerationRecord, observed: GenerationRecord) -> Iterator[Difference]:
    """Yield how the images and sounds of two calls differ, and what was made of them."""
    if recorded.media != observed.media:
        yield Difference("prompt", "images or sounds", recorded.media, observed.media)
    yield from inputs_differ(recorded.processed, observed.processed)


def token_tie(recorded: GenerationRecord, observed: GenerationRecord) -> Tie | None:
    """Return the figures of a greedy search's first token that differs, or None if they are unknown.

    Numbers are looked up for the recorded tokens up to and with it, in what the model now says of the whole vocabulary.
    """
    split, live = first_divergence(recorded.ids, observed.ids), observed.live
    if (
        split is None
        or recorded.beams
        or observed.effective.get("do_sample")
        or live is None
        or split >= min(len(recorded.steps), len(observed.steps))
    ):
        return None
    if max(recorded.ids[: split + 1]) >= live.log_probabilities.shape[1]:
        return None  # the vocabulary has shrunk
    steps, scores = recorded.steps[: split + 1], live.scores[split]
    now = [float(live.log_probabilities[position, step.id]) for position, step in enumerate(steps)]
    return Tie(
        position=split,
        drift=largest_movement([step.log_probability for step in steps], now),
        floor=floor_of_tie(recorded, observed),
        margin=steps[split].margin,
        gap=float(scores[observed.ids[split]]) - float(scores[recorded.ids[split]]),
    )


def drawn_elsewhere(recorded: GenerationRecord, observed: GenerationRecord) -> bool:
    """Return whether two backends drew the tokens: their random numbers differ, so only distributions are compared."""
    backends = {
        (now.engine, now.device, now.dtype, now.versions.get(now.engine))
        for now in (recorded.provenance, observed.provenance)
    }
    return bool(recorded.effective.get("do_sample") and observed.effective.get("do_sample")) and len(backends) > 1


def _at_the_draw(
    recorded: GenerationRecord, observed: GenerationRecord, split: int | None
) -> Iterator[tuple[str, int, float, float]]:
    """Yield the recorded token's numbers where another one was drawn: what comes after it has another past."""
    live = observed.live
    if split is None or live is None or split >= min(len(recorded.steps), len(observed.steps)):
        return
    step = recorded.steps[split]
    known = step.id < live.log_probabilities.shape[1]
    yield (
        "log-probability",
        split,
        step.log_probability,
        (float(live.log_probabilities[split, step.id]) if known else -math.inf),
    )
    yield (
        "processed log-probability",
        split,
        step.processed,
        (float(log_softmax(live.scores[split])[step.id]) if known else -math.inf),
    )


def _beam_ids(recorded: GenerationRecord, observed: GenerationRecord) -> Iterator[Difference]:
    if len(recorded.beams) != len(observed.beams):
        yield Difference("beams", "number of returned beams", len(recorded.beams), len(observed.beams))
    # The first beam is the sequence whose steps are compared above; if they differ, do not report it again.
    reported = recorded.ids != observed.ids
    for position, (beam, now) in enumerate(zip(recorded.beams, observed.beams, strict=False)):
        if beam.ids != now.ids and not (reported and position == 0):
            yield Difference("beams", "returned beam", beam, now, position)


def _token_texts(recorded: GenerationRecord, observed: GenerationRecord) -> Iterator[Difference]:
    """Yield the first token and the first beam whose texts differ although the ids are equal."""
    for position, (step, now) in enumerate(zip(recorded.steps, observed.steps, strict=False)):
        if step.id == now.id and step.text != now.text:
            yield Difference("text", f"text of token {position + 1}", step.text, now.text, position)
            break
    for position, (beam, other) in enumerate(zip(recorded.beams, observed.beams, strict=False)):
        reported = position == 0 and recorded.text != observed.text  # the first beam is the output
        if beam.ids == other.ids and beam.text != other.text and not reported:
            yield Difference("text", f"text of beam {position + 1}", beam.text, other.text, position)
            break


KIND = _Generation()
