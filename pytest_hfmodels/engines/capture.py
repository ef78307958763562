"""What a `generate` chooses from at every step: listened to where the library hands it to the logits processors.

For `explain`, on both engines and every release: the processors are a list that is called with all sequences so far
and their next tokens' scores, before any of them has changed a score.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_PLACE = "_get_logits_processor"

StepScores = dict[tuple[int, ...], "NDArray[Any]"]


@contextmanager
def capture_scores(model: Any) -> Iterator[StepScores]:
    """Yield a table that a `generate` within fills: ids so far, prompt included -> scores of the next token, (V,).

    They are logits in greedy search and log-probabilities in beam search. The table stays empty for a model that does
    not make its processors where upstream's do.
    """
    heard: StepScores = {}
    original = getattr(model, _PLACE, None)
    if original is None:
        yield heard
        return
    model = getattr(original, "__self__", model)  # what a wrapper hands on (PEFT's do) is the inner model's to call
    own = {name: value for name, value in vars(model).items() if name == _PLACE}
    listener: Any = _TensorFlow if _is_tensorflow(model) else _Torch

    def listen(*arguments: Any, **keywords: Any) -> Any:
        processors = original(*arguments, **keywords)
        processors.insert(0, listener(heard))
        return processors

    object.__setattr__(model, _PLACE, listen)
    try:
        yield heard
    finally:
        object.__delattr__(model, _PLACE)
        for name, value in own.items():
            object.__setattr__(model, name, value)


class _Torch:
    """A logits processor that changes nothing."""

    def __init__(self, heard: StepScores) -> None:
        self._heard = heard

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        seen = scores.detach().cpu()
        # NumPy knows no bfloat16.
        _keep(self._heard, input_ids.tolist(), (seen.float() if seen.element_size() < 4 else seen).numpy())
        return scores


class _TensorFlow:
    """The same, with the number of ids that count."""

    def __init__(self, heard: StepScores) -> None:
        self._heard = heard

    def __call__(self, input_ids: Any, scores: Any, cur_len: Any) -> Any:
        _keep(self._heard, input_ids.numpy()[:, : int(cur_len)].tolist(), scores.numpy())
        return scores


def _keep(heard: StepScores, rows: Sequence[Sequence[int]], scores: NDArray[Any]) -> None:
    for ids, row in zip(rows, scores, strict=True):
        heard.setdefault(tuple(ids), np.array(row))  # the first step of a beam search has the prompt several times


def _is_tensorflow(model: Any) -> bool:
    return any(base.__module__.split(".")[0] in ("keras", "tf_keras", "tensorflow") for base in type(model).__mro__)
