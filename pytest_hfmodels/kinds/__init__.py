"""Kinds of records: what a test observed, and what is particular to storing, comparing, showing and explaining it.

May import engines and checkpoints; snapshots, explain and reports stand on it.
"""

from pytest_hfmodels.kinds.base import Kind, Record
from pytest_hfmodels.kinds.classification.record import (
    ClassificationRecord,
    ClassifiedInput,
    Loss,
    observe_classification,
)
from pytest_hfmodels.kinds.evidence import Block, LivePass, ModelRef
from pytest_hfmodels.kinds.generation.record import (
    Beam,
    GenerationRecord,
    LiveLogits,
    Prompt,
    Step,
    observe_generation,
)
from pytest_hfmodels.kinds.provenance import CheckpointSeen, Provenance
from pytest_hfmodels.kinds.registry import register_kind
from pytest_hfmodels.kinds.score.record import ScoredText, ScoredToken, ScoreRecord, observe_score

__all__ = [
    "Beam",
    "Block",
    "CheckpointSeen",
    "ClassificationRecord",
    "ClassifiedInput",
    "GenerationRecord",
    "Kind",
    "LiveLogits",
    "LivePass",
    "Loss",
    "ModelRef",
    "Prompt",
    "Provenance",
    "Record",
    "ScoreRecord",
    "ScoredText",
    "ScoredToken",
    "Step",
    "observe_classification",
    "observe_generation",
    "observe_score",
    "register_kind",
]
