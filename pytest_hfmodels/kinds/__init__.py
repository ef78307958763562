"""Kinds of records: what a test observed, and what is particular to storing, comparing, showing and explaining it.

May import engines and checkpoints; snapshots, explain and reports stand on it.
"""

from pytest_hfmodels.kinds.accuracy.record import AccuracyRecord
from pytest_hfmodels.kinds.base import Kind, Record
from pytest_hfmodels.kinds.batch.record import BatchRecord
from pytest_hfmodels.kinds.chat.record import ChatRecord
from pytest_hfmodels.kinds.classification.record import (
    ClassificationRecord,
    ClassifiedInput,
    Loss,
    observe_classification,
)
from pytest_hfmodels.kinds.embedding.record import EmbeddedInput, EmbeddingRecord, observe_embedding
from pytest_hfmodels.kinds.evidence import Block, LivePass, ModelRef
from pytest_hfmodels.kinds.generation.observe import observe_generation
from pytest_hfmodels.kinds.generation.record import (
    Beam,
    GenerationRecord,
    LiveLogits,
    Prompt,
    Step,
)
from pytest_hfmodels.kinds.provenance import CheckpointSeen, Provenance
from pytest_hfmodels.kinds.registry import register_kind
from pytest_hfmodels.kinds.score.record import ScoredText, ScoredToken, ScoreRecord, observe_score
from pytest_hfmodels.kinds.tensors.record import TensorsRecord, observe_tensors
from pytest_hfmodels.kinds.tokens.record import TaggedText, TaggedToken, TokensRecord, observe_tokens
from pytest_hfmodels.kinds.values.record import ValuesRecord, observe_values

__all__ = [
    "AccuracyRecord",
    "BatchRecord",
    "Beam",
    "Block",
    "ChatRecord",
    "CheckpointSeen",
    "ClassificationRecord",
    "ClassifiedInput",
    "EmbeddedInput",
    "EmbeddingRecord",
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
    "TaggedText",
    "TaggedToken",
    "TensorsRecord",
    "TokensRecord",
    "ValuesRecord",
    "observe_classification",
    "observe_embedding",
    "observe_generation",
    "observe_score",
    "observe_tensors",
    "observe_tokens",
    "observe_values",
    "register_kind",
]
