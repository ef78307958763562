"""What one classifier call observed."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_hfmodels.foundation.durations import Timed
from pytest_hfmodels.foundation.errors import EngineError
from pytest_hfmodels.kinds.base import Record
from pytest_hfmodels.kinds.classification.labels import checked_labels, require_problem_type
from pytest_hfmodels.kinds.evidence import LivePass, ModelRef, fingerprint, require_finite
from pytest_hfmodels.kinds.inputs import (
    Encoded,
    ModelInput,
    batch_of,
    describe_media,
    encode,
    from_processor,
    label_names,
    model_inputs,
    no_pad_token,
    padded,
)
from pytest_hfmodels.kinds.layout import TokenId  # noqa: TC001 - msgspec reads the annotations
from pytest_hfmodels.kinds.provenance import CheckpointSeen, Provenance

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.checkpoints import Checkpoint
    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.engines.base import FloatArray
    from pytest_hfmodels.kinds.evidence import LiveModel


_NAMES = {"image": "images", "audio": "audio"}  # the processor's


@dataclass(frozen=True)
class ClassifiedInput:
    """One text of a batch and what the classifier said of it.

    Args:
        text: the input; for an image or a sound its shape, dtype and digest.
        ids: the token ids of a text, without padding.
        logits: one per label.
        label: name of the label with the largest logit (the single-label reading).
        margin: the largest logit less the second largest.
        labels: names of the labels with sigmoid(logit) > 0.5 (the multi-label reading).
        pair: the second text of a pair; empty without one.
        types: the token types; empty if all are 0.
    """

    text: str
    ids: tuple[TokenId, ...]
    logits: tuple[float, ...]
    label: str
    margin: float
    labels: tuple[str, ...]
    pair: str = ""
    types: tuple[TokenId, ...] = ()


@dataclass(frozen=True)
class Loss:
    """A loss.

    Args:
        value: the mean over the batch.
        labels: the labels that it was computed for, as the test gave them.
    """

    value: float
    labels: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True, repr=False)
class ClassificationRecord(Record):
    """What `HFModel.classify` observed; compare it with `hf_snapshot`. For the other fields see `Record`.

    Args:
        inputs: the texts, in order.
        loss: if labels were given.
        processed: what the processor made of images or sounds.
    """

    kind: ClassVar[str] = "classification"
    inputs: tuple[ClassifiedInput, ...]
    loss: Loss | None
    processed: tuple[ModelInput, ...] = ()
    live: LivePass | None = field(default=None, compare=False, repr=False)

    @property
    def logits(self) -> tuple[tuple[float, ...], ...]:
        """Logits, (batch, num_labels)."""
        return tuple(row.logits for row in self.inputs)

    @property
    def labels(self) -> tuple[str, ...]:
        """The single-label reading, one name per text."""
        return tuple(row.label for row in self.inputs)

    def __repr__(self) -> str:
        return f"<ClassificationRecord {self.checkpoint.name} on {self.provenance.engine}: {', '.join(self.labels)}>"


@Timed("evidence")
def observe_classification(
    checkpoint: Checkpoint,
    loaded: LoadedModel,
    processor: Any,
    given: Any,
    labels: Sequence[Any] | None,
    problem_type: str | None,
    *,
    media: str = "",
    rate: int | None = None,
    origin: LiveModel | None = None,
) -> ClassificationRecord:
    """Classify a batch once and return what was seen.

    Args:
        checkpoint: what `loaded` was loaded from.
        loaded: the classifier.
        processor: upstream's tokenizer, or for images and sounds its processor.
        given: one text, pair, image or sound, or a list of them; texts are padded on the tokenizer's side.
        labels: class indices or names, one per text; or rows of names or of floats, one per label (multi-label).
        problem_type: as in the configuration, or None for what upstream infers from the labels.
        media: `image` or `audio`; empty for texts.
        rate: samples a second of the sounds.
        origin: what a mismatch may ask again, see `ModelRef`.

    Raises:
        EngineError: nothing to classify, an input of another kind or too long, labels that do not fit, a batch that
            needs padding without a pad token, or a logit or loss that is not finite.
    """
    import numpy as np

    config, rows = getattr(loaded.model, "config", None), batch_of(given, media)
    problem = problem_type or getattr(config, "problem_type", None)
    require_problem_type(problem)
    if not rows:
        raise _nothing()
    if media:
        encoded = [Encoded(describe_media(row, media)) for row in rows]
        inputs = from_processor(processor, loaded, {_NAMES[media]: rows}, rate)
        settings = dict[str, Any]()
    else:
        encoded, inputs, settings = _of_texts(processor, loaded, rows)
    known = label_names(config, getattr(config, "num_labels", 1))
    wanted = None if labels is None else checked_labels(labels, len(rows), known, problem)
    with _padding_refused(loaded.model, encoded):
        seen = loaded.classify_inputs(inputs, wanted, problem_type)
    require_finite(np.append(seen.logits, [] if seen.loss is None else seen.loss), checkpoint.name, loaded.engine)
    names = label_names(config, seen.logits.shape[-1])
    asked = {} if problem_type is None else {"problem_type": problem_type}
    return ClassificationRecord(
        provenance=Provenance.of(loaded),
        checkpoint=CheckpointSeen.of(checkpoint),
        effective={"problem_type": problem or "inferred", "num_labels": int(seen.logits.shape[-1]), **settings},
        inputs=tuple(_classified(row, logits, names) for row, logits in zip(encoded, seen.logits, strict=True)),
        loss=None if wanted is None or seen.loss is None else Loss(seen.loss, tuple(wanted.tolist())),
        processed=model_inputs(inputs) if media else (),
        blocks=fingerprint(seen.hidden_states, inputs.get("attention_mask")),
        live=None if origin is None else LivePass(inputs, ModelRef(origin, asked)),
    )


def _of_texts(
    tokenizer: Any, loaded: LoadedModel, rows: Sequence[Any]
) -> tuple[list[Encoded], dict[str, Any], dict[str, Any]]:
    """Return texts or pairs as ids, as the model's inputs, and the settings that decide how they are padded."""
    encoded = [encode(tokenizer, row, loaded.model, "What is classified") for row in rows]
    if not all(row.ids for row in encoded):
        raise _nothing()
    pad = getattr(getattr(loaded.model, "config", None), "pad_token_id", None)
    side = str(tokenizer.padding_side)
    return encoded, padded(encoded, pad, side), {"pad_token_id": pad, "padding_side": side}


def _nothing() -> EngineError:
    return EngineError(
        "There is nothing to classify: no text, or one without tokens.",
        hint="Give at least one text of at least one token.",
    )


@contextmanager
def _padding_refused(model: Any, rows: Sequence[Encoded]) -> Iterator[None]:
    """Say what to do if upstream's class takes no batch without a pad token, even if nothing is padded."""
    try:
        yield
    except (ValueError, AssertionError) as error:
        if "padding token" not in str(error):
            raise
        found = no_pad_token()
        if len({len(row.ids) for row in rows}) == 1:
            one = f"{type(model).__name__} takes no batch, even of equally long texts: the model has no pad token."
            found = EngineError(one, hint=found.hint)
        raise found from error


def _classified(row: Encoded, logits: FloatArray, names: Sequence[str]) -> ClassifiedInput:
    order = [int(index) for index in logits.argsort()[::-1]]
    return ClassifiedInput(
        text=row.text,
        ids=row.ids,
        logits=tuple(float(value) for value in logits),
        label=names[order[0]],
        margin=float(logits[order[0]] - logits[order[1]]) if len(order) > 1 else float("inf"),
        labels=tuple(word for word, value in zip(names, logits, strict=True) if value > 0),  # sigmoid(x) > 0.5
        pair=row.pair,
        types=row.types,
    )
