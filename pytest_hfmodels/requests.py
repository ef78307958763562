"""What a test asks for, worked out at collection: one request per model fixture and engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from pytest_hfmodels.engines.base import EngineName


@dataclass(frozen=True)
class ModelRequest:
    """A model on an engine, as a parameter of a test.

    Args:
        fixture: the fixture that serves it.
        checkpoint: as `ModelCache.load` takes it.
        engine: which engine.
        siblings: the engines that this test runs on in this session.
        keywords: the other arguments of `ModelCache.load`.
    """

    fixture: str
    checkpoint: str
    engine: EngineName
    siblings: tuple[EngineName, ...] = ("torch",)
    keywords: dict[str, Any] = field(default_factory=dict, hash=False)


def request_of(item: pytest.Item) -> ModelRequest | None:
    """Return the request that our parametrisation gave a test, or None for a test without a model fixture."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    return next((value for value in params.values() if isinstance(value, ModelRequest)), None)
