"""Model regression tests for Hugging Face models: fixtures, records and readable snapshots.

The public names live here and resolve on first use (PEP 562), so that importing the package, which
pytest does in every project that has it installed, imports nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_hfmodels.checkpoints import Checkpoint
    from pytest_hfmodels.engines.availability import Engine, register_engine
    from pytest_hfmodels.fixtures.model_checks import ModelChecks
    from pytest_hfmodels.foundation.architecture import Architecture, register_architecture
    from pytest_hfmodels.foundation.errors import (
        CheckpointError,
        EngineError,
        HFModelsError,
        OptionError,
        SnapshotError,
    )
    from pytest_hfmodels.kinds import (
        BatchRecord,
        ChatRecord,
        ClassificationRecord,
        EmbeddingRecord,
        GenerationRecord,
        ScoreRecord,
        TensorsRecord,
        TokensRecord,
    )
    from pytest_hfmodels.kinds.generation.prompts import RepeatedStartWarning
    from pytest_hfmodels.models import HFModel, ModelCache
    from pytest_hfmodels.snapshots import HFSnapshot

_ERRORS = (
    *("CheckpointError", "CheckpointNotCached", "EngineError", "EngineUnavailable", "HFModelsError", "LedgerError"),
    *("OptionError", "SnapshotError", "VersionsError"),
)
_HOMES = {
    **dict.fromkeys(_ERRORS, "pytest_hfmodels.foundation.errors"),
    "Architecture": "pytest_hfmodels.foundation.architecture",
    "Checkpoint": "pytest_hfmodels.checkpoints",
    "Engine": "pytest_hfmodels.engines.availability",
    "HFModel": "pytest_hfmodels.models",
    "ModelCache": "pytest_hfmodels.models",
    "ModelChecks": "pytest_hfmodels.fixtures.model_checks",
    "BatchRecord": "pytest_hfmodels.kinds",
    "ChatRecord": "pytest_hfmodels.kinds",
    "ClassificationRecord": "pytest_hfmodels.kinds",
    "EmbeddingRecord": "pytest_hfmodels.kinds",
    "GenerationRecord": "pytest_hfmodels.kinds",
    "RepeatedStartWarning": "pytest_hfmodels.kinds.generation.prompts",
    "ScoreRecord": "pytest_hfmodels.kinds",
    "TensorsRecord": "pytest_hfmodels.kinds",
    "TokensRecord": "pytest_hfmodels.kinds",
    "HFSnapshot": "pytest_hfmodels.snapshots",
    "register_architecture": "pytest_hfmodels.foundation.architecture",
    "register_engine": "pytest_hfmodels.engines.availability",
}

__all__ = [
    "Architecture",
    "BatchRecord",
    "ChatRecord",
    "Checkpoint",
    "CheckpointError",
    "ClassificationRecord",
    "EmbeddingRecord",
    "Engine",
    "EngineError",
    "GenerationRecord",
    "HFModel",
    "HFModelsError",
    "HFSnapshot",
    "ModelCache",
    "ModelChecks",
    "OptionError",
    "RepeatedStartWarning",
    "ScoreRecord",
    "SnapshotError",
    "TensorsRecord",
    "TokensRecord",
    "register_architecture",
    "register_engine",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
