"""Direct calls on the drawn checkpoints of `suites/architectures`, for the faults of other architectures than GPT-2."""

from __future__ import annotations

import functools
import importlib
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from tests.mutations.observations import plain, quiet

TEXTS = ("the large cat and the small dog is", "my name")
IMAGES = 2
_KEPT = ExitStack()  # folders, until the process ends


def outputs(name: str, *, attention: str = "eager", padded: bool = False, **fields: Any) -> object:
    """Return the floating-point outputs of a forward pass.

    Args:
        name: of the file in `suites/architectures`, without `test_`.
        attention: the implementation.
        padded: whether texts keep their lengths, padded on the right with a mask.
        fields: of the configuration.
    """
    from pytest_hfmodels.fixtures.model_checks.inputs import example_inputs
    from pytest_hfmodels.fixtures.model_checks.statements import numbers

    model = _model(name, attention, fields)
    return _listed(numbers(model, example_inputs(model, TEXTS, padded=padded)))


def image_outputs(name: str) -> object:
    """Return the logits of a text with an image."""
    from suites.architectures.checkpoint import numbers

    inputs = {"input_ids": [[4, 18, 35, 35, 35, 35, 9, 30]], "pixel_values": numbers("image", (1, 3, 16, 16))}
    return plain([np_plain(_model(name, "eager", {}).loaded.observe(inputs).outputs["logits"])])


def generated(name: str, *, attention: str = "eager", settings: dict[str, Any] | None = None, **fields: Any) -> object:
    """Return the ids and the scores of ten generated words.

    Args:
        name: see `outputs`.
        attention: the implementation.
        settings: of `generate`.
        fields: of the configuration.
    """
    model = _model(name, attention, fields)
    with quiet():
        found = model.generate_batch([[4, 30, 18, 10, 4, 29, 19, 9]], max_new_tokens=10, **(settings or {}))
    return [np_plain(found.sequences), np_plain(found.scores)]


def np_plain(values: Any) -> object:
    """Return an array as lists."""
    found: object = np.asarray(values).tolist()
    return found


def _listed(found: dict[str, Any]) -> object:
    return [[path, np_plain(values)] for path, values in sorted(found.items())]


def _model(name: str, attention: str, fields: dict[str, Any]) -> Any:
    """Load a checkpoint anew, because a fault may change how a model is built."""
    from pytest_hfmodels.engines import usable
    from pytest_hfmodels.models import ModelCache

    cache = ModelCache(_folder(), with_tensorflow="tensorflow" in usable())
    return cache.load(_written(name), attention=attention, **fields)


@functools.cache
def _folder() -> Path:
    return Path(_KEPT.enter_context(tempfile.TemporaryDirectory(prefix="architectures-")))


@functools.cache
def _written(name: str) -> str:
    module = importlib.import_module(f"suites.architectures.test_{name}")
    checks = next(value for key, value in vars(module).items() if key.startswith("Test"))
    return f"./{checks.write(_folder() / checks.checkpoint_name()).name}"
