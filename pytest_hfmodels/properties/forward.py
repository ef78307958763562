"""Checks the forward pass of a causal model: cache = no cache, batch = alone, and no token sees later ones.

The strategy needs hypothesis, which is imported inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.properties.calls import evaluating

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hypothesis.strategies import SearchStrategy

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.engines.base import FloatArray, IntArray
    from pytest_hfmodels.models import HFModel

# How far two correct computations of a small model's logits may differ, as a part of the largest.
TOLERANCES = {"float64": 1e-9, "float32": 2e-5, "float16": 2e-2, "bfloat16": 1e-1}


@dataclass(frozen=True)
class ForwardDifference:
    """A counterexample: one logit of one text.

    Args:
        text: its token ids, up to the one after which the logit differs most, that one included.
        token: the vocabulary entry.
        expected: its logit, computed the plainer way.
        found: its logit.
        what: how the two were computed.
        replay: a line of Python that finds it again; may be empty.
    """

    text: tuple[int, ...]
    token: int
    expected: float
    found: float
    what: str
    replay: str = ""

    def __str__(self) -> str:
        where = f"after {list(self.text)} the logit of token {self.token}"
        said = f"{where} is {self.found:.6g} {self.what} {self.expected:.6g}"
        return f"{said}\nagain: {self.replay}" if self.replay else said


@dataclass(frozen=True)
class Reading:
    """A batch of texts that is read piece by piece.

    Args:
        ids: (B, L).
        mask: (B, L), 0 for padding on the left.
        cuts: where the pieces after the first one begin, ascending.
    """

    ids: list[list[int]]
    mask: list[list[int]]
    cuts: list[int]


def readings(vocabulary: int, *, longest: int = 10, batch: int = 4, padded: bool = True) -> SearchStrategy[Reading]:
    """Return a strategy for batches with padding on the left and places to cut them. They shrink to one short text.

    Args:
        vocabulary: ids are drawn from `range(vocabulary)`.
        longest: the most tokens of a text; at least 2.
        batch: the most texts.
        padded: whether texts have different lengths.
    """
    from hypothesis import strategies as st

    @st.composite
    def draw_reading(draw: st.DrawFn) -> Reading:
        length = draw(st.integers(2, longest))
        rows = st.lists(st.integers(0, vocabulary - 1), min_size=length, max_size=length)
        ids = draw(st.lists(rows, min_size=1, max_size=batch))
        # At least one text has no padding: otherwise the whole batch would only be shorter.
        words = [length, *(draw(st.integers(1, length)) if padded else length for _ in ids[1:])]
        mask = [[0] * (length - count) + [1] * count for count in words]
        return Reading(ids, mask, sorted(draw(st.sets(st.integers(1, length - 1), min_size=1))))

    return draw_reading()


def run_forward(model: HFModel | LoadedModel, **inputs: Any) -> Any:
    """Call upstream's own object once, without dropout and gradients, and return its output.

    Args:
        model: a handle or its loaded model.
        inputs: arguments by upstream's names; NumPy arrays become tensors of the model's dtype.
    """
    loaded = _loaded(model)
    given = {name: _tensor(loaded, value) for name, value in inputs.items()}
    if loaded.engine == "tensorflow":
        return loaded.model(**given, training=False)
    with evaluating(loaded.model):
        return loaded.model(**given)


def logits_of(output: Any) -> FloatArray:
    """Return the logits of an output of `run_forward`; for a Transformer-XL its log-probabilities."""
    found = output["prediction_scores"] if "prediction_scores" in output else output["logits"]
    return as_array(found)


def as_array(tensor: Any) -> FloatArray:
    """Return a tensor of either engine as an array of float64."""
    found = tensor.detach().cpu().double().numpy() if hasattr(tensor, "detach") else tensor
    return np.asarray(found, np.float64)


def check_cache(
    model: HFModel | LoadedModel,
    ids: Sequence[Sequence[int]],
    mask: Sequence[Sequence[int]] | None = None,
    *,
    cuts: Sequence[int],
    tolerance: float | None = None,
    new_cache: Callable[[], Any] | None = None,
) -> ForwardDifference | None:
    """Read texts at once, and in pieces with a cache of keys and values; return where the logits differ, or None.

    Args:
        model: a causal language model that takes `past_key_values`.
        ids: (B, L).
        mask: (B, L); positions then count the tokens that are not padding. Without a mask the model counts them.
        cuts: where the pieces after the first one begin, ascending; `range(1, L)` reads token by token.
        tolerance: the largest difference, as a part of the largest logit; by default the dtype's in `TOLERANCES`.
        new_cache: returns the cache to start with, one of upstream's objects; by default the model makes its own.
    """
    texts, marks = _array(ids), None if mask is None else _array(mask)
    whole = logits_of(run_forward(model, **_inputs(texts, marks)))
    past = None if new_cache is None else new_cache()
    pieces = []
    for start, end in pairwise([0, *cuts, texts.shape[1]]):
        kept = {} if past is None else {"past_key_values": past}
        output = run_forward(model, **_inputs(texts, marks, start, end), **kept, use_cache=True)
        past = output["past_key_values"]
        pieces.append(logits_of(output))
    way = f"when it is read in pieces, cut at {list(cuts)}, and read at once it is"
    found = difference(np.concatenate(pieces, axis=1), whole, texts, marks, way, _bound(model, tolerance))
    if found is None or new_cache is not None:
        return found
    given = "" if mask is None else f", {_array(mask).tolist()}"
    return _with_replay(found, f"check_cache(hf_model, {texts.tolist()}{given}, cuts={list(cuts)})")


def check_padding(
    model: HFModel | LoadedModel,
    texts: Sequence[Sequence[int]],
    *,
    side: str = "left",
    padding: int = 0,
    tolerance: float | None = None,
) -> ForwardDifference | None:
    """Read texts of several lengths in one batch and each alone; return where the logits differ, or None.

    Args:
        model: a causal language model that takes `attention_mask` and `position_ids`.
        texts: token ids.
        side: the side of the padding, `left` or `right`.
        padding: its id, which must not matter.
        tolerance: as for `check_cache`.
    """
    length = max(len(text) for text in texts)
    rows, marks = [], []
    for text in texts:
        fill, ones = [padding] * (length - len(text)), [1] * len(text)
        rows.append([*fill, *text] if side == "left" else [*text, *fill])
        marks.append([0] * len(fill) + ones if side == "left" else ones + [0] * len(fill))
    mask = _array(marks)
    together = logits_of(run_forward(model, **_inputs(_array(rows), mask)))
    for row, text in enumerate(texts):
        alone = logits_of(run_forward(model, input_ids=_array([text])))
        way = f"in a batch padded on the {side}, and alone it is"
        bound = _bound(model, tolerance)
        found = difference(together[row : row + 1, mask[row] == 1], alone, _array([text]), None, way, bound)
        if found is not None:
            given = f"{[list(one) for one in texts]}, side={side!r}, padding={padding}"
            return _with_replay(found, f"check_padding(hf_model, {given})")
    return None


def check_causality(
    model: HFModel | LoadedModel, ids: Sequence[Sequence[int]], *, position: int, tolerance: float | None = None
) -> ForwardDifference | None:
    """Change every token from `position` on; return where a logit before it moved, or None.

    Args:
        model: a causal language model.
        ids: (B, L).
        position: the first token to change, 1 or more.
        tolerance: as for `check_cache`.
    """
    texts = _array(ids)
    other = texts.copy()
    other[:, position:] = (other[:, position:] + 1) % _loaded(model).model.config.vocab_size
    before, after = (logits_of(run_forward(model, input_ids=words))[:, :position] for words in (texts, other))
    way = f"with other tokens from {position} on, and with the text's own it is"
    found = difference(after, before, texts[:, :position], None, way, _bound(model, tolerance))
    replay = f"check_causality(hf_model, {texts.tolist()}, position={position})"
    return None if found is None else _with_replay(found, replay)


def difference(
    found: FloatArray,
    expected: FloatArray,
    ids: IntArray,
    mask: IntArray | None,
    what: str,
    tolerance: float,
) -> ForwardDifference | None:
    """Return the largest difference of two batches' logits if it is too large, or None.

    Args:
        found: (B, L, V).
        expected: (B, L, V).
        ids: (B, L).
        mask: (B, L); logits of padding do not count.
        what: the words between the found and the expected number in the counterexample's sentence.
        tolerance: as a part of the largest expected logit, but at least of 1.
    """
    counts = np.ones(ids.shape, bool) if mask is None else np.asarray(mask) == 1
    apart = np.where(counts[..., None], np.abs(found - expected), 0.0)
    apart = np.where(np.isnan(apart), np.inf, apart)
    largest = max(1.0, float(np.abs(expected[counts]).max()))
    row, position, token = (int(index) for index in np.unravel_index(int(apart.argmax()), apart.shape))
    if apart[row, position, token] <= tolerance * largest:
        return None
    text = tuple(int(word) for word, kept in zip(ids[row, : position + 1], counts[row], strict=False) if kept)
    return ForwardDifference(
        text, token, float(expected[row, position, token]), float(found[row, position, token]), what
    )


def counted_positions(mask: IntArray) -> IntArray:
    """Return the position of each token, (B, L), without counting padding; padding before a text has position 0."""
    return np.asarray(np.maximum(mask.cumsum(axis=1) - 1, 0), np.int64)


def _inputs(ids: IntArray, mask: IntArray | None, start: int = 0, end: int | None = None) -> dict[str, IntArray]:
    if mask is None:
        return {"input_ids": ids[:, start:end]}
    positions = counted_positions(mask)[:, start:end]
    return {"input_ids": ids[:, start:end], "attention_mask": mask[:, :end], "position_ids": positions}


def _bound(model: HFModel | LoadedModel, tolerance: float | None) -> float:
    return TOLERANCES[_loaded(model).environment()["dtype"]] if tolerance is None else tolerance


def _with_replay(found: ForwardDifference, replay: str) -> ForwardDifference:
    return ForwardDifference(found.text, found.token, found.expected, found.found, found.what, replay)


def _loaded(model: Any) -> LoadedModel:
    loaded: LoadedModel = getattr(model, "loaded", model)
    return loaded


def _array(values: Any) -> IntArray:
    return np.asarray(values, np.int64)


def _tensor(loaded: LoadedModel, value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    value = np.ascontiguousarray(value)  # torch takes no negative strides
    if loaded.engine == "tensorflow":
        return loaded.tensor(value.astype(np.float32 if value.dtype.kind == "f" else np.int32))
    return loaded.tensor(value).to(loaded.model.dtype) if value.dtype.kind == "f" else loaded.tensor(value)
