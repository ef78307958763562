"""Classifiers that read one token of a text: which token they read, and their loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_hfmodels.engines.skeleton import is_head
from pytest_hfmodels.foundation.errors import EngineError
from pytest_hfmodels.properties.losses import LossViolation, close
from pytest_hfmodels.reference import classifier_loss, pooled_positions

if TYPE_CHECKING:
    from pytest_hfmodels.engines.base import FloatArray, IntArray
    from pytest_hfmodels.models import HFModel
    from pytest_hfmodels.properties.labels import LabelSet
    from pytest_hfmodels.reference import Rules

_FLOATS = {"F64": "<f8", "F32": "<f4", "float64": "<f8", "float32": "<f4"}


@dataclass(frozen=True)
class PoolingViolation:
    """A counterexample: one text.

    Args:
        ids: the text as the model read it, padding included.
        pad: the id of the padding token.
        expected: the position that should be read.
        found: the positions whose logits were returned instead; empty if they are the logits of no position.
        what: the difference, in words.
    """

    ids: tuple[int, ...]
    pad: int | None
    expected: int
    found: tuple[int, ...]
    what: str

    def __str__(self) -> str:
        return f"{self.what}, for {list(self.ids)} with the padding token {self.pad}"


def check_pooling(
    model: HFModel,
    ids: IntArray,
    mask: IntArray | None = None,
    *,
    rules: Rules | None = None,
    tolerance: float = 1e-4,
) -> PoolingViolation | None:
    """Classify a batch and return the first text whose logits are not its right-most token's, or None.

    The logits of every position are computed from the last hidden states and the head's weights, so that only the
    position is checked. There must be one row a text and one column a label.

    Args:
        model: a classifier whose head is one linear map of one position, like GPT-2's and Transformer-XL's.
        ids: padded on either side, (B, L).
        mask: (B, L), if the model takes one.
        rules: which token is read; by default the right-most that is not padding.
        tolerance: of a logit.

    Raises:
        EngineError: the head is not one linear map.
    """
    found = model.loaded.classify(ids, mask, None, None)
    pad = model.config.pad_token_id
    positions = pooled_positions(ids, pad, rules)
    wanted = (len(ids), int(model.config.num_labels))
    if found.logits.shape != wanted:
        what = f"the logits' shape is {found.logits.shape} instead of {wanted}"
        return PoolingViolation(tuple(ids[0].tolist()), pad, int(positions[0]), (), what)
    every = found.hidden_states[-1] @ _head(model).T
    for row, position in enumerate(positions.tolist()):
        moved = np.abs(every[row] - found.logits[row]).max(axis=-1)
        if not moved[position] <= tolerance:
            read = tuple(np.flatnonzero(moved <= tolerance).tolist())
            what = f"the classifier reads {_places(read)} instead of position {position}"
            return PoolingViolation(tuple(ids[row].tolist()), pad, position, read, what)
    return None


def check_classifier_loss(
    model: HFModel,
    ids: IntArray,
    labels: LabelSet,
    *,
    mask: IntArray | None = None,
    tolerance: float = 2e-5,
) -> LossViolation | None:
    """Return how a labelled call's loss differs from the reference loss of the logits without labels, or None.

    Args:
        model: a classifier of `labels.num_labels` labels.
        ids: (B, L).
        labels: one a text; the configuration has their `problem_type` during the call, None leaves it to be inferred.
        mask: (B, L), if the model takes one.
        tolerance: absolute below 1, relative above.
    """
    logits = model.loaded.classify(ids, mask, None, None).logits
    given = labels.array
    expected = float(classifier_loss(logits, given, labels.problem_type))
    found = model.loaded.classify(ids, mask, given, labels.problem_type)
    kind = labels.problem_type or "inferred"
    if found.loss is None:
        return LossViolation.of(f"the call gives no loss ({kind})", ids, given, np.nan, expected)
    if not np.allclose(found.logits, logits, atol=1e-5):
        moved = float(np.abs(found.logits - logits).max())
        return LossViolation.of("labels move the logits by", ids, given, moved, 0.0)
    if not close(found.loss, expected, tolerance):
        return LossViolation.of(f"the loss ({kind}) is", ids, given, found.loss, expected)
    return None


def _head(model: HFModel) -> FloatArray:
    """Return the head's weights, (labels, C)."""
    heads = [entry for entry in model.loaded.weights() if is_head(entry[0]) and len(entry[2]) == 2]
    if len(heads) != 1:
        raise EngineError(
            f"The classifier of {model.checkpoint.name} has {len(heads)} weights in its head: this check needs one.",
            hint="Check models whose head is one linear map, such as GPT-2's.",
        )
    _, dtype, shape, data = heads[0]
    values: FloatArray = np.frombuffer(data, _FLOATS[dtype]).reshape(shape).astype(np.float64)
    return values.T if model.engine == "tensorflow" else values  # Keras keeps a kernel transposed


def _places(read: tuple[int, ...]) -> str:
    if not read:
        return "no position of the text"
    return f"position {read[0]}" if len(read) == 1 else f"one of the positions {list(read)}"
