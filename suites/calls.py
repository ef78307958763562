"""Calls upstream's `generate` directly, without the arguments that the plugin always passes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.engines import upstream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytest_hfmodels import HFModel


def generated(
    model: HFModel, prompts: Sequence[Sequence[int]] | NDArray[Any], *, threads: int = 1, **arguments: Any
) -> Any:
    """Return what `generate` returns for prompts of one length; its warnings about the arguments are suppressed.

    Args:
        model: a language model.
        prompts: (B, L).
        threads: number of torch's threads during the call.
        arguments: passed to `generate`; arrays become tensors.
    """
    tensors = {name: _tensor(model, value) for name, value in arguments.items()}
    with warnings.catch_warnings(), upstream.quiet():
        warnings.simplefilter("ignore")
        if model.engine == "tensorflow":
            return model.model.generate(_tensor(model, np.array(prompts)), **tensors)
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return model.model.generate(_tensor(model, np.array(prompts)), **tensors)
        finally:
            torch.set_num_threads(before)


def rows(tensor: Any) -> list[list[int]]:
    """Return a tensor of token ids as lists."""
    found: list[list[int]] = np.asarray(tensor).tolist()
    return found


def numbers(tensor: Any) -> NDArray[np.float64]:
    """Return a tensor of either engine as an array."""
    return np.asarray(tensor, np.float64)


def _tensor(model: HFModel, value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    return model.loaded.tensor(value.astype(np.int32) if model.engine == "tensorflow" else value)
