"""What a test asks for, worked out at collection: one request per model fixture and engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from pytest_hfmodels.engines.base import EngineName
    from pytest_hfmodels.foundation.errors import OptionError

BUNDLED_FIXTURES = {"gpt2": "tiny-gpt2", "transfo_xl": "tiny-transfo-xl"}
TORCH_ONLY = ("transfo_xl",)  # ours is torch, and releases must be comparable
MODEL_FIXTURES = (*BUNDLED_FIXTURES, "hf_model")


@dataclass(frozen=True)
class ModelRequest:
    """A model on an engine, as a parameter of a test.

    Args:
        fixture: the fixture that serves it.
        checkpoint: as `ModelCache.load` takes it.
        engine: which engine.
        engines_in_session: the engines that this test runs on in this session.
        keywords: the other arguments of `ModelCache.load`.
    """

    fixture: str
    checkpoint: str
    engine: EngineName
    engines_in_session: tuple[EngineName, ...] = ("torch",)
    keywords: dict[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class UnavailableModel:
    """The parameter of a test that gets no model, so that the test itself can say why.

    Args:
        engine_id: what stands in the id for the engine.
        problem: what is wrong with the marker, or None where no engine of the test is selected.
    """

    engine_id: str
    problem: OptionError | None = None


def engine_segment(item: pytest.Item) -> str | None:
    """Return what our parametrisation put first in a test's id, or None for a test that it left alone."""
    for value in getattr(getattr(item, "callspec", None), "params", {}).values():
        if isinstance(value, ModelRequest):
            return value.engine
        if isinstance(value, UnavailableModel):
            return value.engine_id
    return None


def request_of(item: pytest.Item) -> ModelRequest | None:
    """Return the request that our parametrisation gave a test, or None for a test without a model fixture."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    return next((value for value in params.values() if isinstance(value, ModelRequest)), None)


def uses_models(item: pytest.Item) -> bool:
    """Return whether a test uses any of our fixtures."""
    return request_of(item) is not None or bool({"hf_models", "hf_snapshot"} & {*getattr(item, "fixturenames", ())})


def uses_snapshot(item: pytest.Item) -> bool:
    """Return whether a test compares with a model snapshot."""
    return "hf_snapshot" in getattr(item, "fixturenames", ())
