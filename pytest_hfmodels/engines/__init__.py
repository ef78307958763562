"""What runs a checkpoint: torch or TensorFlow behind one small interface, deterministically.

`availability` describes the engines without importing them, `upstream` imports transformers the right way. Above it:
kinds and models.
"""

from importlib import import_module
from typing import TYPE_CHECKING, cast

from pytest_hfmodels.engines import threads, upstream
from pytest_hfmodels.engines.availability import (
    Engine,
    EngineModule,
    described,
    missing,
    register_engine,
    require_known,
    usable,
)
from pytest_hfmodels.engines.base import Classification, EngineName, ForwardPass, Generation, LoadOptions, Task
from pytest_hfmodels.foundation.errors import EngineUnavailable

if TYPE_CHECKING:  # it imports NumPy
    from pytest_hfmodels.engines.loaded_model import LoadedModel as LoadedModel

__all__ = [
    "Classification",
    "Engine",
    "EngineName",
    "ForwardPass",
    "Generation",
    "LoadOptions",
    "Task",
    "engine",
    "missing",
    "register_engine",
    "require_known",
    "usable",
]


def engine(name: EngineName, *, with_tensorflow: bool = False) -> EngineModule:
    """Import and return the module of an engine, with `load(folder, task, options)` and `adopt(model)`.

    Args:
        name: which one.
        with_tensorflow: whether another engine of this run needs TensorFlow: transformers is imported once.

    Raises:
        EngineUnavailable: it is not installed, or importing it fails (a broken build, a missing library).
    """
    wanted, reason = described(name), missing(name)
    if reason is not None:
        raise EngineUnavailable(f"The {name} engine is not available: {reason}.", hint=wanted.install)
    try:
        with upstream.environment(threads.sleeping()):
            upstream.transformers(with_tensorflow=with_tensorflow or wanted.with_tensorflow)
            return cast("EngineModule", import_module(wanted.module))
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineUnavailable(
            f"The {name} engine is installed but cannot be imported: {upstream.error_text(error).splitlines()[0]}.",
            hint=f"Try `python -c 'import {wanted.package}, transformers'`, fix that, and run again.",
        ) from error
