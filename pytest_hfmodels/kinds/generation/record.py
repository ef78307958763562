"""The record of one prompt and what `generate` made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_hfmodels.kinds.base import Record
from pytest_hfmodels.kinds.evidence import log_softmax
from pytest_hfmodels.kinds.generation.media import Media
from pytest_hfmodels.kinds.layout import TokenId  # noqa: TC001 - msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_hfmodels.engines.base import FloatArray, Steps
    from pytest_hfmodels.kinds.evidence import ModelRef
    from pytest_hfmodels.kinds.inputs import ModelInput


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
        margin: its processed score minus that of the best other token; negative if a beam continued differently.
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
    """What is not stored: the model's present scores, to look recorded tokens up, in the precision it computes in.

    Args:
        logits: of the whole vocabulary at every generated position of the first sequence, (V,) each. They come from a
            pass without a cache; in a batch from the search itself, if such a pass over one row agrees with it.
        scores: processed scores there, from the search itself, (V,) each; banned tokens are -inf.
        made_by: the model, and what the test gave it; None for records that no model made.
        plain_scores: whether one forward pass should give the same scores; False if unknown.
        processors: the logits processors that were on, with their settings; None if unknown. A snapshot keeps only
            the test's own.
        media: what the model gets beside ids.
        noise: how far log-probabilities of the search are from those without a cache, if `logits` are of the search.
        fingerprinted: the row of a batch that the fingerprints are of; None if they are of all rows.
    """

    logits: Steps
    scores: Steps
    made_by: ModelRef | None = None
    plain_scores: bool = False
    processors: Mapping[str, Any] | None = None
    media: Media = field(default_factory=Media)
    noise: float = 0.0
    fingerprinted: int | None = None

    @cached_property
    def log_probabilities(self) -> FloatArray:
        """Of the logits, (S, V)."""
        return log_softmax(self.logits)


@dataclass(frozen=True, kw_only=True, repr=False)
class GenerationRecord(Record):
    """What `HFModel.generate` observed; compare it with `hf_snapshot`. For the other fields see `Record`.

    Args:
        prompt: text and ids; of an encoder-decoder what the encoder is given. Without a text its images or sounds in
            words, and no ids.
        start: the ids that an encoder-decoder's decoder starts with; empty for a decoder that starts with the prompt.
        steps: the first returned sequence, token by token.
        beams: every returned sequence of a beam search; empty for greedy search.
        beam_cutoff_margin: by how much the last kept candidate beat the first dropped one, at every step of a beam
            search, nats.
        text: the first returned sequence decoded, prompt included; of a decoder with images or sounds without it.
        media: the images and sounds of the call, in words with their digests.
        processed: what the processor made of them.
    """

    kind: ClassVar[str] = "generation"
    prompt: Prompt
    start: tuple[int, ...] = ()
    steps: tuple[Step, ...]
    beams: tuple[Beam, ...]
    beam_cutoff_margin: tuple[float, ...]
    text: str
    media: tuple[str, ...] = ()
    processed: tuple[ModelInput, ...] = ()
    live: LiveLogits | None = field(default=None, compare=False, repr=False)

    @property
    def ids(self) -> tuple[int, ...]:
        """The generated token ids of the first returned sequence."""
        return tuple(step.id for step in self.steps)

    @property
    def prefix(self) -> tuple[int, ...]:
        """The ids before the first generated one: the prompt's, or the start of an encoder-decoder's decoder."""
        return self.start or self.prompt.ids

    @property
    def decoded_ids(self) -> tuple[int, ...]:
        """The token ids that `text` spells; after a prompt with images or sounds it is the continuation alone."""
        return self.ids if self.processed and not self.start else (*self.prefix, *self.ids)

    def __repr__(self) -> str:
        return f"<GenerationRecord {self.checkpoint.name} on {self.provenance.engine}: {self.text!r}>"
