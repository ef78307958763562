"""What a test asks for, worked out at collection: an engine, and the model that `hf_model` hands out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_hfmodels.engines.base import EngineName
    from pytest_hfmodels.foundation.errors import OptionError

BUNDLED_FIXTURES = {"gpt2": "tiny-gpt2", "transfo_xl": "tiny-transfo-xl"}
TORCH_ONLY = ("transfo_xl",)  # ours is torch, and releases must be comparable
MODEL_FIXTURES = (*BUNDLED_FIXTURES, "hf_model")
ON = "@"  # between the engine and the device in a test's id
REQUEST = "_hf_request"  # the fixture that the others build on; tests are parametrised by it alone
MODELS = "hfmodels"  # the folder in the ids of models that are checked without a test, and of their snapshots
# What the command line calls those of them that no folder of the project is, by the file in their ids.
TYPED = pytest.StashKey[dict[str, str]]()


def options_of(nodeid: str, config: pytest.Config) -> tuple[str, ...]:
    """Return the options without which pytest does not find a test."""
    typed = config.stash.get(TYPED, {}).get(nodeid.partition("::")[0])
    return () if typed is None else (f"--hfmodels-model={typed}",)


@dataclass(frozen=True)
class ModelRequest:
    """What a test runs on. Equal requests get the same model.

    Args:
        engine: which engine; the first segment of the test's id.
        engines_in_session: the engines that this test runs on in this session.
        checkpoint: what `hf_model` hands out, as `ModelCache.load` takes it; empty if nothing names one.
        keywords: the other arguments of `ModelCache.load`.
        devices: the devices that this test runs on with this engine; the first writes the snapshots.
        device: the device of this request; None if nothing names one.
    """

    engine: EngineName
    engines_in_session: tuple[EngineName, ...] = ("torch",)
    checkpoint: str = ""
    keywords: dict[str, Any] = field(default_factory=dict, hash=False)
    devices: tuple[str, ...] = ()
    device: str | None = None

    @property
    def engine_id(self) -> str:
        """The engine in a test's id: `torch`, or `torch@cuda` if the test runs on several devices."""
        return f"{self.engine}{ON}{self.device}" if len(self.devices) > 1 else self.engine


@dataclass(frozen=True)
class UnavailableModel:
    """The request of a test that gets no model, so that the test itself can say why.

    Args:
        engine_id: what stands in the id for the engine.
        problem: what is wrong with its marker or parameter, or None where no engine of the test is selected.
    """

    engine_id: str
    problem: OptionError | None = None


def engine_segment(item: pytest.Item) -> str | None:
    """Return what our parametrisation put first in a test's id, or None for a test that it left alone."""
    request = _parameter(item)
    return getattr(request, "engine_id", None)


def request_of(item: pytest.Item) -> ModelRequest | None:
    """Return the request of a test, or None for a test without a model fixture or without a model."""
    request = _parameter(item)
    return request if isinstance(request, ModelRequest) else None


def uses_models(item: pytest.Item) -> bool:
    """Return whether a test uses any of our fixtures."""
    return request_of(item) is not None or bool({"hf_models", "hf_snapshot"} & {*getattr(item, "fixturenames", ())})


def uses_snapshot(item: pytest.Item) -> bool:
    """Return whether a test compares with a model snapshot."""
    return "hf_snapshot" in getattr(item, "fixturenames", ())


def _parameter(item: pytest.Item) -> Any:
    return getattr(getattr(item, "callspec", None), "params", {}).get(REQUEST)
