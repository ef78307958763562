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
        AccuracyRecord,
        BatchRecord,
        ChatRecord,
        ClassificationRecord,
        EmbeddingRecord,
        GenerationRecord,
        ScoreRecord,
        TensorsRecord,
        TokensRecord,
        ValuesRecord,
    )
    from pytest_hfmodels.kinds.generation.prompts import RepeatedStartWarning
    from pytest_hfmodels.models import HFModel, ModelCache
    from pytest_hfmodels.models.fingerprint import DirtyModelWarning
    from pytest_hfmodels.models.keywords import GenerateSettings
    from pytest_hfmodels.snapshots import HFSnapshot
    from pytest_hfmodels.snapshots.assertion import InconsistentRecordWarning, NearTieWarning, UnusedSnapshotWarning

_ERRORS = (
    *("CheckpointError", "CheckpointNotCached", "EngineError", "EngineUnavailable", "HFModelsError", "LedgerError"),
    *("OptionError", "SnapshotError", "VersionsError"),
)
_HOMES = {
    **dict.fromkeys(_ERRORS, "pytest_hfmodels.foundation.errors"),
    "AccuracyRecord": "pytest_hfmodels.kinds",
    "Architecture": "pytest_hfmodels.foundation.architecture",
    "BatchRecord": "pytest_hfmodels.kinds",
    "ChatRecord": "pytest_hfmodels.kinds",
    "Checkpoint": "pytest_hfmodels.checkpoints",
    "ClassificationRecord": "pytest_hfmodels.kinds",
    "DirtyModelWarning": "pytest_hfmodels.models.fingerprint",
    "EmbeddingRecord": "pytest_hfmodels.kinds",
    "Engine": "pytest_hfmodels.engines.availability",
    "GenerateSettings": "pytest_hfmodels.models.keywords",
    "GenerationRecord": "pytest_hfmodels.kinds",
    "HFModel": "pytest_hfmodels.models",
    "HFSnapshot": "pytest_hfmodels.snapshots",
    "InconsistentRecordWarning": "pytest_hfmodels.snapshots.assertion",
    "ModelCache": "pytest_hfmodels.models",
    "ModelChecks": "pytest_hfmodels.fixtures.model_checks",
    "NearTieWarning": "pytest_hfmodels.snapshots.assertion",
    "RepeatedStartWarning": "pytest_hfmodels.kinds.generation.prompts",
    "ScoreRecord": "pytest_hfmodels.kinds",
    "TensorsRecord": "pytest_hfmodels.kinds",
    "TokensRecord": "pytest_hfmodels.kinds",
    "UnusedSnapshotWarning": "pytest_hfmodels.snapshots.assertion",
    "ValuesRecord": "pytest_hfmodels.kinds",
    "register_architecture": "pytest_hfmodels.foundation.architecture",
    "register_engine": "pytest_hfmodels.engines.availability",
}

__all__ = [
    "AccuracyRecord",
    "Architecture",
    "BatchRecord",
    "ChatRecord",
    "Checkpoint",
    "CheckpointError",
    "ClassificationRecord",
    "DirtyModelWarning",
    "EmbeddingRecord",
    "Engine",
    "EngineError",
    "GenerateSettings",
    "GenerationRecord",
    "HFModel",
    "HFModelsError",
    "HFSnapshot",
    "InconsistentRecordWarning",
    "ModelCache",
    "ModelChecks",
    "NearTieWarning",
    "OptionError",
    "RepeatedStartWarning",
    "ScoreRecord",
    "SnapshotError",
    "TensorsRecord",
    "TokensRecord",
    "UnusedSnapshotWarning",
    "ValuesRecord",
    "register_architecture",
    "register_engine",
]


if not TYPE_CHECKING:  # for a checker, a name that is not imported above does not exist

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)
