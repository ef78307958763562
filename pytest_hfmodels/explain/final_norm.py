"""Whether the last block or the norm behind it differs: the last hidden state that upstream returns is behind both."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.kinds.evidence import fingerprint
from pytest_hfmodels.kinds.explanation import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from pytest_hfmodels.kinds import Block

FINAL_NORM = "final norm"
_SAME = 1e-6  # of its size: a fingerprint of the same states
_SETTLES = 4  # what stands in for a part accounts for a movement if less than a fourth of it is left


def separate_final_norm(
    recorded: Block, observed: Block, model: Any, run: Callable[[], object]
) -> tuple[str, Evidence | None]:
    """Return which part gives another last hidden state than recorded, and what shows it.

    The model runs once more and its norms are listened to: the one that gives the last hidden state is the final norm,
    and a layer norm of what goes into it is computed here.

    Args:
        recorded: the fingerprint of the last hidden state.
        observed: the same, now.
        model: upstream's.
        run: runs it as it ran for `observed`.

    Returns:
        The block's name, where no norm is behind it or that does what it should; `final norm`; or
        `block 2 or final norm` where it cannot be told.
    """
    either = f"{recorded.name} or {FINAL_NORM}"
    if not hasattr(model, "named_modules"):  # TensorFlow's layers cannot be listened to
        return (recorded.name if _tensorflow_s(model) is None else either), None
    norms = norms_outside_blocks(model)
    if not norms:
        return recorded.name, None
    try:
        with _heard(norms) as calls:
            run()
    except Exception:  # what is known already is worth more than this
        return either, None
    if not calls:
        return either, None
    final = next((call for call in reversed(calls) if apart(call.gives, observed) <= _SAME), None)
    if final is None:
        return recorded.name, None
    if not _is_layer_norm(final.norm):
        return either, None
    stated = fingerprint([layer_norm(final.norm, final.given, _epsilon(model, final.norm))])[0]
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


def norms_outside_blocks(model: Any) -> list[Any]:
    """Return the modules of a torch model that may be norms and stand in none of its numbered blocks.

    Only norms have a weight of one dimension.
    """
    return [
        module
        for name, module in model.named_modules()
        if not any(part.isdigit() for part in name.split("."))
        and getattr(getattr(module, "weight", None), "ndim", None) == 1
    ]


def _tensorflow_s(model: Any) -> Any:
    return getattr(getattr(model, getattr(model, "base_model_prefix", ""), None), "ln_f", None)


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


@dataclass(frozen=True)
class _Call:
    """What a norm was given, (B, L, C), and the fingerprint of what it gave."""

    norm: Any
    given: NDArray[Any]
    gives: Block


@contextmanager
def _heard(norms: Sequence[Any]) -> Iterator[list[_Call]]:
    """Listen to what modules are given and give."""
    calls: list[_Call] = []

    def listen(module: Any, inputs: tuple[Any, ...], output: Any) -> None:
        if inputs and all(hasattr(states, "detach") and states.ndim == 3 for states in (inputs[0], output)):
            calls.append(_Call(module, _array(inputs[0]), fingerprint([_array(output)])[0]))

    handles = [norm.register_forward_hook(listen) for norm in norms]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
