"""What runs a checkpoint: torch or TensorFlow behind one small interface, deterministically.

`base` says what an engine gives, `availability` which ones this environment has (without importing
any of them), `upstream` imports transformers the right way. Above it: models, records.
"""

from pytest_hfmodels.engines import upstream
from pytest_hfmodels.engines.availability import missing, require_known, usable
from pytest_hfmodels.engines.base import (
    ENGINE_NAMES,
    Classification,
    Engine,
    EngineName,
    ForwardPass,
    Generation,
    LoadedModel,
    LoadOptions,
    Task,
    TransfoXLChoice,
)
from pytest_hfmodels.errors import EngineUnavailable

__all__ = [
    "ENGINE_NAMES",
    "Classification",
    "Engine",
    "EngineName",
    "ForwardPass",
    "Generation",
    "LoadOptions",
    "LoadedModel",
    "Task",
    "TransfoXLChoice",
    "engine",
    "missing",
    "require_known",
    "usable",
]


def engine(name: EngineName, *, with_tensorflow: bool) -> Engine:
    """Import and return the engine `name`.

    Args:
        name: which one.
        with_tensorflow: whether this run uses TensorFlow at all; without, transformers is imported without it.

    Raises:
        EngineUnavailable: it is not installed, or importing it fails (a broken build, a missing library).
    """
    reason = missing(name)
    if reason is not None:
        raise EngineUnavailable(f"The {name} engine is not available: {reason}.", hint=_INSTALL[name])
    try:
        # Seconds of import each: only here, when a test has really asked for a model.
        upstream.transformers(with_tensorflow=with_tensorflow)
        if name == "torch":
            from pytest_hfmodels.engines.torch import TorchEngine

            return TorchEngine()
        from pytest_hfmodels.engines.tensorflow import TensorFlowEngine

        return TensorFlowEngine()
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineUnavailable(
            f"The {name} engine is installed but cannot be imported: {_first_line(error)}.",
            hint=f"Try `python -c 'import {name}, transformers'`, mend that, and run again.",
        ) from error


_INSTALL: dict[EngineName, str] = {
    "torch": 'Install it with `python -m pip install "pytest-hfmodels[torch]"`.',
    "tensorflow": 'Install it with `python -m pip install "pytest-hfmodels[tensorflow]"` (transformers 5 has none).',
}


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
