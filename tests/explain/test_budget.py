"""The budget of an explanation."""

from __future__ import annotations

from threading import RLock
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_hfmodels.explain.budget import FORWARD_PASSES, OutOfPassesError, Passes


def model() -> Any:
    return SimpleNamespace(
        model=SimpleNamespace(),
        forward=lambda ids: ids,
        classify=lambda *arguments: arguments,
        generate=lambda *arguments: arguments,
        lock=RLock(),
    )


def test_the_budget_is_eight_forward_passes_of_any_kind() -> None:
    origin: Any = SimpleNamespace(loaded=model())
    passes = Passes(origin, {"problem_type": "regression"})

    for number in range(FORWARD_PASSES):
        if number % 2:
            passes.forward([[1]])
        else:
            assert passes.classify([[1]], None)[-1] == "regression"  # type: ignore[arg-type, index]

    with pytest.raises(OutOfPassesError):
        passes.forward([[1]])
    with pytest.raises(OutOfPassesError):
        passes.classify([[1]], None)  # type: ignore[arg-type]


def test_one_search() -> None:
    origin: Any = SimpleNamespace(loaded=model())
    passes = Passes(origin, {})
    passes.generate([1])

    with pytest.raises(OutOfPassesError):
        passes.generate([1])
