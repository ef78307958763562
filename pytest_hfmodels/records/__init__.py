"""What a test observed: plain, frozen records made from an engine, ready to be stored and compared.

May import engines and checkpoints; snapshots, explain and reports stand on it.
"""

from pytest_hfmodels.records.classification import ClassificationRecord, ClassifiedInput, Loss, observe_classification
from pytest_hfmodels.records.evidence import Block, Live, LiveClassifier, MadeBy
from pytest_hfmodels.records.generation import Beam, GenerationRecord, Prompt, Step, observe_generation
from pytest_hfmodels.records.provenance import CheckpointSeen, Provenance

Record = GenerationRecord | ClassificationRecord

__all__ = [
    "Beam",
    "Block",
    "CheckpointSeen",
    "ClassificationRecord",
    "ClassifiedInput",
    "GenerationRecord",
    "Live",
    "LiveClassifier",
    "Loss",
    "MadeBy",
    "Prompt",
    "Provenance",
    "Record",
    "Step",
    "observe_classification",
    "observe_generation",
]
