"""Whether the last block or the norm behind it differs: upstream takes its last hidden state after both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.kinds.evidence import fingerprint
from pytest_hfmodels.kinds.explanation import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from pytest_hfmodels.kinds import Block

FINAL_NORM = "final norm"
_SAME = 1e-6  # of its size: a fingerprint of the same states
_SETTLES = 4  # a replacement for a part explains a movement if less than a quarter of it is left


def separate_final_norm(
    recorded: Block, observed: Block, model: Any, run: Callable[[], object]
) -> tuple[str, Evidence | None]:
    """Return the part that changed the last hidden state, and the evidence.

    The model runs once more (`run`), and hooks capture its norms: the one whose output is the last hidden state is the
    final norm. A layer norm of its input is computed here. The part is the block, if no norm is behind it or that norm
    is right; `final norm`; or `block 2 or final norm` if that is unknown.
    """
    either = f"{recorded.name} or {FINAL_NORM}"
    if not hasattr(model, "named_modules"):  # TensorFlow's layers take no hooks
        body = getattr(model, getattr(model, "base_model_prefix", ""), None)
        return (recorded.name if getattr(body, "ln_f", None) is None else either), None
    norms = norms_outside_blocks(model)
    if not norms:
        return recorded.name, None
    try:
        calls = _calls(norms, run)
    except Exception:  # then it stays open
        calls = []
    final = next((call for call in reversed(calls) if block_diff(call[2], observed) <= _SAME), None)
    if not calls or (final is not None and not _is_layer_norm(final[0])):
        return either, None
    if final is None:
        return recorded.name, None
    norm, given, _ = final
    return _judged(recorded, observed, fingerprint([layer_norm(norm, given, _epsilon(model, norm))])[0])


def _judged(recorded: Block, observed: Block, stated: Block) -> tuple[str, Evidence | None]:
    """Compare `stated`, a correct layer norm of the block's present output, with both sides."""
    size, before, now = (block_diff(*pair) for pair in ((recorded, observed), (recorded, stated), (stated, observed)))
    said = f"{recorded.name} was recorded after the final norm; a correct layer norm of its present output gives"
    if before <= size / _SETTLES:
        return FINAL_NORM, Evidence(f"{said} the recorded numbers", {"relative": before})
    if now <= size / _SETTLES:
        return recorded.name, Evidence(f"{said} what the norm itself gives", {"relative": now})
    return f"{recorded.name} or {FINAL_NORM}", Evidence(f"{said} neither of the two")


def block_diff(before: Block, now: Block) -> float:
    """Return the difference of a block's output as a part of its size; infinite if it is not a number."""
    moved = max(abs(before.mean - now.mean), abs(before.rms - now.rms), abs(before.projection - now.projection) / 4)
    return float("inf") if np.isnan(moved) else moved / max(before.rms, 1e-12)


def norms_outside_blocks(model: Any) -> list[Any]:
    """Return the modules of a torch model that may be norms (a weight of one dimension) outside its numbered blocks."""
    return [
        module
        for name, module in model.named_modules()
        if not any(part.isdigit() for part in name.split("."))
        and getattr(getattr(module, "weight", None), "ndim", None) == 1
    ]


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
    """Return the configuration's value: the fault may be in how a release applies it."""
    config = getattr(model, "config", None)
    values = (getattr(config, name, None) for name in ("layer_norm_epsilon", "layer_norm_eps"))
    return float(next((value for value in values if value is not None), norm.eps))


def _array(tensor: Any) -> NDArray[Any]:
    result: NDArray[Any] = tensor.detach().double().cpu().numpy()
    return result


def _calls(norms: Sequence[Any], run: Callable[[], object]) -> list[tuple[Any, NDArray[Any], Block]]:
    """Run a model; return for each call of a norm the norm, its input (B, L, C) and the fingerprint of its output."""
    calls: list[tuple[Any, NDArray[Any], Block]] = []

    def capture(module: Any, inputs: tuple[Any, ...], output: Any) -> None:
        if inputs and all(hasattr(states, "detach") and states.ndim == 3 for states in (inputs[0], output)):
            calls.append((module, _array(inputs[0]), fingerprint([_array(output)])[0]))

    handles = [norm.register_forward_hook(capture) for norm in norms]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return calls
