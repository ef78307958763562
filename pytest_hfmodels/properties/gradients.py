"""Compares gradients with finite differences; torch only."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.errors import EngineError
from pytest_hfmodels.properties.calls import evaluating, takes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from pytest_hfmodels.engines.base import IntArray
    from pytest_hfmodels.models import HFModel


# How far two entries move together. The gradients of a bias with two classes are g and -g, so equal moves would cancel.
_FAR = (1.0, 0.4142)


@dataclass(frozen=True)
class GradientViolation:
    """A counterexample: one entry of one parameter.

    Args:
        parameter: its name.
        index: of the entry.
        found: the gradient.
        expected: the finite difference.
    """

    parameter: str
    index: tuple[int, ...]
    found: float
    expected: float

    def __str__(self) -> str:
        entry = f"{self.parameter}[{', '.join(map(str, self.index))}]"
        return f"the gradient of {entry} is {self.found:.9g}, and the finite difference is {self.expected:.9g}"


def check_gradients(
    model: HFModel,
    ids: IntArray,
    labels: NDArray[Any],
    *,
    mask: IntArray | None = None,
    seed: int = 0,
    step: float = 1e-5,
    tolerance: float = 1e-6,
) -> GradientViolation | None:
    """Return a number of a parameter whose gradient is not the slope of the loss, or None.

    Of every parameter, two entries move together by different amounts: the one with the largest gradient and a random
    one. The slope of the loss (central difference, float64) must equal the sum of their gradients, weighted by these
    amounts; if it does not, each entry moves alone. Gradients must be finite everywhere. The model and its
    configuration are restored.

    Args:
        model: a torch model that was loaded with `dtype="float64"`.
        ids: (B, L).
        labels: as the model takes them.
        mask: (B, L), if the model takes one.
        seed: chooses the random number.
        step: how far a number is moved in both directions.
        tolerance: absolute below 1, relative above.

    Raises:
        EngineError: it is not a torch model in float64.
    """
    _require_float64(model)
    arguments = {"input_ids": ids, "labels": labels}
    if mask is not None and takes(model, "attention_mask"):
        arguments["attention_mask"] = mask
    inner, config = model.model, model.config
    problem_type = getattr(config, "problem_type", None)

    def loss() -> Any:
        tensors = {name: model.loaded.tensor(values.copy()) for name, values in arguments.items()}
        return inner(**tensors).loss

    try:
        with evaluating(inner, gradients=True), _unfrozen(inner):
            return _check(inner, loss, seed, step, tolerance)
    finally:
        config.problem_type = problem_type  # upstream keeps what it infers
        inner.zero_grad(set_to_none=True)


def _check(inner: Any, loss: Callable[[], Any], seed: int, step: float, tolerance: float) -> GradientViolation | None:
    import torch

    close = partial(math.isclose, rel_tol=tolerance, abs_tol=tolerance)
    inner.zero_grad(set_to_none=True)
    loss().backward()
    for name, parameter in inner.named_parameters():
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        flat, indices = gradient.reshape(-1), _indices(gradient, seed)
        together = float(sum(far * flat[index] for index, far in zip(indices, _FAR, strict=False)))
        if close(together, _slope(parameter, indices, loss, step)):
            continue
        for index in indices:
            found, expected = float(flat[index]), _slope(parameter, [index], loss, step)
            if not close(found, expected):
                axes = torch.unravel_index(torch.tensor(index), parameter.shape)
                return GradientViolation(name, tuple(int(axis) for axis in axes), found, expected)
    return None


def _indices(gradient: Any, seed: int) -> list[int]:
    """Return, sorted, the flat indices of the entry with the largest (or a non-finite) gradient and of a random one."""
    flat = gradient.abs().reshape(-1).nan_to_num(nan=float("inf"))
    return sorted({int(flat.argmax()), (seed * 7919 + 1) % flat.numel()})


def _slope(parameter: Any, indices: list[int], loss: Callable[[], Any], step: float) -> float:
    """Return the slope of the loss (central difference) as these entries move by `_FAR` times the step."""
    import torch

    with torch.no_grad():
        flat = parameter.data.view(-1)
        before, move = flat[indices], step * torch.tensor(_FAR[: len(indices)], dtype=flat.dtype)
        try:
            flat[indices] = before + move
            above = loss().item()
            flat[indices] = before - move
            below = loss().item()
        finally:
            flat[indices] = before
    return float((above - below) / (2 * step))


@contextmanager
def _unfrozen(inner: Any) -> Iterator[None]:
    """Give frozen parameters gradients during the block."""
    frozen = [parameter for parameter in inner.parameters() if not parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)


def _require_float64(model: HFModel) -> None:
    dtype = model.loaded.environment().get("dtype")
    if model.engine != "torch" or dtype != "float64":
        raise EngineError(
            f"A finite difference needs a torch model in float64, and {model.checkpoint.name} is {dtype} "
            f"on {model.engine}.",
            hint='Load it with engine="torch", dtype="float64".',
        )
