"""Whether the last block or the norm behind it differs: the last hidden state that upstream returns is behind both."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.records.evidence import fingerprint
from pytest_hfmodels.snapshots.explanation import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from pytest_hfmodels.records import Block

FINAL_NORM = "final norm"
_SETTLES = 4  # what stands in for a part accounts for a movement if less than a fourth of it is left


def told_apart(recorded: Block, observed: Block, model: Any, run: Callable[[], object]) -> tuple[str, Evidence | None]:
    """Return which part gives another last hidden state than recorded, and what shows it.

    The model runs once more and its final norm is listened to: a layer norm of what goes in is computed here.

    Args:
        recorded: the fingerprint of the last hidden state.
        observed: the same, now.
        model: upstream's.
        run: runs it as it ran for `observed`.

    Returns:
        The block's name, where there is no norm behind it or that does what it should; `final norm`; or
        `block 2 or final norm` where it cannot be told.
    """
    norm = final_norm(model)
    if norm is None:
        return recorded.name, None
    either = f"{recorded.name} or {FINAL_NORM}"
    if not hasattr(norm, "register_forward_hook"):  # TensorFlow's layers cannot be listened to
        return either, None
    with _heard(norm) as given:
        run()
    if not given or not _is_layer_norm(norm):
        return either, None
    stated = fingerprint([layer_norm(norm, given[-1], _epsilon(model, norm))])[0]
    size = apart(recorded, observed)
    told = f"{recorded.name} is recorded behind the final norm; a layer norm of what the block gives now is"
    if apart(recorded, stated) <= size / _SETTLES:
        return FINAL_NORM, Evidence(f"{told} as recorded", {"relative": apart(recorded, stated)})
    if apart(stated, observed) <= size / _SETTLES:
        return recorded.name, Evidence(f"{told} what the norm gives", {"relative": apart(stated, observed)})
    return either, Evidence(f"{told} neither as recorded nor what the norm gives")


def apart(before: Block, now: Block) -> float:
    """Return by how much of its size a block's output differs; infinite where it is no number."""
    size = max(before.rms, 1e-12)
    moved = max(abs(before.mean - now.mean), abs(before.rms - now.rms), abs(before.probe - now.probe) / 4)
    return float("inf") if np.isnan(moved) else moved / size


def final_norm(model: Any) -> Any:
    """Return the norm that stands behind all blocks, or None.

    Blocks are numbered, and what is in one belongs to it; of the rest only norms have a weight of one dimension, and
    those of the embeddings come first.
    """
    if not hasattr(model, "named_modules"):
        return getattr(getattr(model, getattr(model, "base_model_prefix", ""), None), "ln_f", None)
    numbered = False
    found = None
    for name, module in model.named_modules():
        if any(part.isdigit() for part in name.split(".")):
            numbered, found = True, None  # what came before stands in front of the blocks
        elif numbered and getattr(getattr(module, "weight", None), "ndim", None) == 1:
            found = module
    return found


def layer_norm(norm: Any, states: NDArray[Any], epsilon: float) -> NDArray[Any]:
    """Return the layer norm of states (B, L, C) with a module's weight and bias (Ba et al. 2016, eq. 4)."""
    centred = states - states.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon) * _array(norm.weight)
    bias = getattr(norm, "bias", None)
    result: NDArray[Any] = scaled if bias is None else scaled + _array(bias)
    return result


def _is_layer_norm(norm: Any) -> bool:
    return any(base.__module__.startswith("torch.") and base.__name__ == "LayerNorm" for base in type(norm).__mro__)


def _epsilon(model: Any, norm: Any) -> float:
    """Return what the configuration says: what a release makes of it may be what is at fault."""
    values = (getattr(model.config, name, None) for name in ("layer_norm_epsilon", "layer_norm_eps"))
    return float(next((value for value in values if value is not None), norm.eps))


def _array(tensor: Any) -> NDArray[Any]:
    result: NDArray[Any] = tensor.detach().double().cpu().numpy()
    return result


@contextmanager
def _heard(norm: Any) -> Iterator[list[NDArray[Any]]]:
    """Listen to what a module is given."""
    given: list[NDArray[Any]] = []

    def listen(module: Any, inputs: tuple[Any, ...]) -> None:
        del module
        given.extend(_array(states) for states in inputs[:1])

    handle = norm.register_forward_pre_hook(listen)
    try:
        yield given
    finally:
        handle.remove()
