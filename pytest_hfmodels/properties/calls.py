"""One labelled call of upstream's own object on either engine, NumPy in and out; for the checkers of this folder."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.engines.base import FloatArray, IntArray
    from pytest_hfmodels.models import HFModel


def labelled(
    model: HFModel, ids: IntArray, mask: IntArray | None, labels: IntArray, **given: Any
) -> dict[str, FloatArray]:
    """Return the arrays that a labelled call gives: `loss`, and `logits` or `losses` if it has them.

    Args:
        model: a language model.
        ids: (B, L).
        mask: (B, L), if the model takes one.
        labels: (B, L).
        given: more arguments of the call.
    """
    inner = model.model
    arguments = {"input_ids": ids, "labels": labels}
    if mask is not None and takes(model, "attention_mask"):
        arguments["attention_mask"] = mask
    if model.engine == "tensorflow":
        small = {name: model.loaded.tensor(values.astype(np.int32)) for name, values in arguments.items()}
        output = inner(small, training=False, **given)
    else:
        # Labels are copied: upstream's Transformer-XL writes into them.
        tensors = {name: model.loaded.tensor(values.copy()) for name, values in arguments.items()}
        with evaluating(inner):
            output = inner(**tensors, return_dict=True, **given)
    values = {name: output.get(name) for name in ("loss", "logits", "losses")}
    return {name: _array(value) for name, value in values.items() if value is not None}


def takes(model: HFModel, name: str) -> bool:
    """Return whether the model's call takes an argument of this name."""
    call = model.model.call if model.engine == "tensorflow" else model.model.forward
    parameters = inspect.signature(call).parameters
    return name in parameters or any(found.kind is found.VAR_KEYWORD for found in parameters.values())


@contextmanager
def evaluating(model: Any, *, gradients: bool = False) -> Iterator[None]:
    """Run a torch model without dropout, and on one thread if it is small; restore its mode and the threads."""
    from pytest_hfmodels.engines.torch import inference_mode  # imports torch

    with inference_mode(model, gradients=gradients):
        yield


def _array(value: Any) -> FloatArray:
    found = value.detach().cpu().double().numpy() if hasattr(value, "detach") else value
    return np.asarray(found, np.float64)
