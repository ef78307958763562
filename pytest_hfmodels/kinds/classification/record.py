"""What one classifier call observed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_hfmodels.foundation.errors import EngineError
from pytest_hfmodels.kinds.base import Record
from pytest_hfmodels.kinds.classification.labels import checked_labels, require_problem_type
from pytest_hfmodels.kinds.evidence import NOT_COMPARABLE, LivePass, ModelRef, fingerprint
from pytest_hfmodels.kinds.layout import TokenId  # noqa: TC001 - msgspec reads the annotations
from pytest_hfmodels.kinds.prompt import listed, require_ids, require_length, require_text, vocabulary_size
from pytest_hfmodels.kinds.provenance import CheckpointSeen, Provenance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_hfmodels.checkpoints import Checkpoint
    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.engines.base import FloatArray, IntArray
    from pytest_hfmodels.kinds.evidence import LiveModel


@dataclass(frozen=True)
class ClassifiedInput:
    """One text of a batch and what the classifier said of it.

    Args:
        text: the input.
        ids: its token ids, without padding.
        logits: one a label.
        label: name of the label with the largest logit (the single-label reading).
        margin: the largest logit less the second largest.
        labels: names of the labels with sigmoid(logit) > 0.5 (the multi-label reading).
    """

    text: str
    ids: tuple[TokenId, ...]
    logits: tuple[float, ...]
    label: str
    margin: float
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Loss:
    """The mean loss over a batch and the labels it was computed for."""

    value: float
    labels: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True, repr=False)
class ClassificationRecord(Record):
    """What `HFModel.classify` observed; compare it with `hf_snapshot`. For the other fields see `Record`.

    Args:
        inputs: the texts, in order.
        loss: if labels were given.
    """

    kind: ClassVar[str] = "classification"
    inputs: tuple[ClassifiedInput, ...]
    loss: Loss | None
    live: LivePass | None = field(default=None, compare=False, repr=False)

    @property
    def logits(self) -> tuple[tuple[float, ...], ...]:
        """Logits, (batch, num_labels)."""
        return tuple(row.logits for row in self.inputs)

    @property
    def labels(self) -> tuple[str, ...]:
        """The single-label reading, one name a text."""
        return tuple(row.label for row in self.inputs)

    def __repr__(self) -> str:
        return f"<ClassificationRecord {self.checkpoint.name} on {self.provenance.engine}: {', '.join(self.labels)}>"


def observe_classification(
    checkpoint: Checkpoint,
    loaded: LoadedModel,
    tokenizer: Any,
    texts: str | Sequence[str],
    labels: Sequence[Any] | None,
    problem_type: str | None,
    origin: LiveModel | None = None,
) -> ClassificationRecord:
    """Classify a batch once and return what was seen.

    Args:
        checkpoint: what `loaded` was loaded from.
        loaded: the classifier.
        tokenizer: upstream's tokenizer.
        texts: one text or several, padded on the tokenizer's side.
        labels: class indices, one a text; or rows of floats, one a label (multi-label).
        problem_type: as in the configuration, or None for what upstream infers from the labels.
        origin: what a mismatch may ask again, see `ModelRef`.

    Raises:
        EngineError: no text, an empty or too long one, labels that do not fit, a batch that needs padding
            without a pad token, or a logit or loss that is not finite.
    """
    import numpy as np

    config = loaded.model.config
    rows = _texts(texts)
    encoded = _encode(tokenizer, rows, loaded.model)
    ids, mask = _padded(encoded, config.pad_token_id, tokenizer.padding_side)
    problem = problem_type or getattr(config, "problem_type", None)
    require_problem_type(problem)
    given = None if labels is None else checked_labels(labels, len(rows), config.num_labels, problem)
    seen = loaded.classify(ids, mask, given, problem_type)
    numbers = np.append(seen.logits, [] if seen.loss is None else seen.loss)
    if not np.isfinite(numbers).all():
        what = "NaN" if np.isnan(numbers).any() else "infinity"
        raise EngineError(f"{checkpoint.name} on {loaded.engine} returned {what}.", hint=NOT_COMPARABLE)
    names = {int(index): str(name) for index, name in config.id2label.items()}
    inputs = {"input_ids": ids} if mask is None else {"input_ids": ids, "attention_mask": mask}
    asked = {} if problem_type is None else {"problem_type": problem_type}
    return ClassificationRecord(
        provenance=Provenance.of(loaded),
        checkpoint=CheckpointSeen.of(checkpoint),
        effective={
            "problem_type": problem or "inferred",
            "num_labels": int(seen.logits.shape[-1]),
            "pad_token_id": config.pad_token_id,
            "padding_side": str(tokenizer.padding_side),
        },
        inputs=tuple(
            _classified(text, own, logits, names) for text, own, logits in zip(rows, encoded, seen.logits, strict=True)
        ),
        loss=None if given is None or seen.loss is None else Loss(seen.loss, tuple(given.tolist())),
        blocks=fingerprint(seen.hidden_states, mask),
        live=None if origin is None else LivePass(inputs, ModelRef(origin, asked)),
    )


def _texts(texts: str | Sequence[str]) -> list[str]:
    values = listed(texts)
    alone = isinstance(values, str | bytes) or not isinstance(values, Sequence)
    return [require_text(text, "What is classified") for text in ([values] if alone else values)]


def _encode(tokenizer: Any, rows: Sequence[str], model: Any) -> list[tuple[int, ...]]:
    encoded = [require_ids(tokenizer(text)["input_ids"], vocabulary_size(model.config)) for text in rows]
    if not encoded or not all(encoded):
        raise EngineError(
            "There is nothing to classify: no text, or one without tokens.",
            hint="Give at least one text of at least one token.",
        )
    require_length(model, max(map(len, encoded)), "A text")
    return encoded


def _padded(encoded: Sequence[tuple[int, ...]], pad: int | None, side: str) -> tuple[IntArray, IntArray | None]:
    import numpy as np

    if pad is None and len(encoded) > 1:  # upstream refuses any batch then, padded or not
        raise EngineError(
            "Several texts need padding, and the model has no pad token.",
            hint="Give one at load: pad_token_id=… on the hf_model marker or in hf_models.load.",
        )
    length = max(map(len, encoded))
    if pad is None or all(len(row) == length for row in encoded):
        return np.asarray(encoded, dtype=np.int64), None
    ids = np.full((len(encoded), length), pad, dtype=np.int64)
    mask = np.zeros((len(encoded), length), dtype=np.int64)
    for row, own in enumerate(encoded):
        span = slice(length - len(own), length) if side == "left" else slice(0, len(own))
        ids[row, span], mask[row, span] = own, 1
    return ids, mask


def _classified(text: str, ids: tuple[int, ...], logits: FloatArray, names: Mapping[int, str]) -> ClassifiedInput:
    order = logits.argsort()[::-1]
    return ClassifiedInput(
        text=text,
        ids=ids,
        logits=tuple(float(value) for value in logits),
        label=names[int(order[0])],
        margin=float(logits[order[0]] - logits[order[1]]) if len(order) > 1 else float("inf"),
        labels=tuple(names[index] for index, value in enumerate(logits) if value > 0),  # sigmoid(x) > 0.5 iff x > 0
    )
