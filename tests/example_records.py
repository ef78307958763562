"""Records made by hand, for tests that run no model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_hfmodels.kinds import (
    Beam,
    Block,
    CheckpointSeen,
    ClassificationRecord,
    ClassifiedInput,
    GenerationRecord,
    Kind,
    LiveLogits,
    Loss,
    Prompt,
    Provenance,
    Record,
    Step,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_hfmodels.engines import EngineName
    from pytest_hfmodels.kinds.comparison import Difference
    from pytest_hfmodels.snapshots.toml_reader import TomlFile

PROMPT = Prompt("My name is", (5, 6, 7))
EFFECTIVE: dict[str, Any] = {
    "max_length": 6,
    "num_beams": 1,
    "early_stopping": False,
    "length_penalty": 1.0,
    "eos_token_id": [50],
    "pad_token_id": 50,
    "skip_special_tokens": False,
}
CHECKPOINT = CheckpointSeen("./model", "local", None, "sha256:w", "sha256:c", "sha256:t")
BLOCKS = (Block("embeddings", 0.1, 0.2, 0.3), Block("block 1", 0.4, 0.5, 0.6))
STEPS = (
    Step(11, " Ada", -0.25, -0.25, 2.0, 12, " Bob"),
    Step(13, " and", -0.5, -0.5, 1.5, 14, " but"),
    Step(15, " I", -0.75, -0.75, 0.5, 16, " you"),
)


def provenance(engine: EngineName = "torch", *, dtype: str = "float32") -> Provenance:
    return Provenance(
        engine, "transformers", dtype, "eager", "cpu", "AVX512", {"transformers": "4.57.6", engine: "2.0.0"}
    )


def generation(steps: Sequence[Step] = STEPS, *, engine: EngineName = "torch", **changes: Any) -> GenerationRecord:
    """Return a greedy record; `text` follows from the steps."""
    record = GenerationRecord(
        provenance=provenance(engine),
        checkpoint=CHECKPOINT,
        prompt=PROMPT,
        effective=dict(EFFECTIVE),
        steps=tuple(steps),
        beams=(),
        beam_cutoff_margin=(),
        blocks=BLOCKS,
        text=PROMPT.text + "".join(step.text for step in steps),
    )
    return replace(record, **changes)


def moved(position: int, *, by: float, steps: Sequence[Step] = STEPS) -> tuple[Step, ...]:
    """Return the steps with one log-probability moved, raw and processed."""
    changed = list(steps)
    step = changed[position]
    changed[position] = replace(step, log_probability=step.log_probability + by, processed=step.processed + by)
    return tuple(changed)


def swapped(position: int, step: Step) -> tuple[Step, ...]:
    """Return the steps with another token at `position`."""
    return (*STEPS[:position], step, *STEPS[position + 1 :])


def live(
    steps: Sequence[Step], *, vocabulary: int = 60, drift: float = 0.0, told: Sequence[Step] = STEPS
) -> LiveLogits:
    """Return live distributions that give the recorded tokens their recorded log-probabilities, moved by `drift`."""
    import numpy as np

    table = np.full((len(steps), vocabulary), -20.0)
    for position, (step, recorded) in enumerate(zip(steps, told, strict=False)):
        table[position, recorded.id] = recorded.log_probability + drift
        table[position, step.id] = max(table[position, step.id], step.log_probability)
    found = LiveLogits(logits=table, scores=table)
    vars(found)["log_probabilities"] = table  # these steps are no distribution: normalising would move their figures
    return found


def beams(*, engine: EngineName = "torch", **changes: Any) -> GenerationRecord:
    """Return a beam-search record of two returned beams."""
    first = Beam(tuple(step.id for step in STEPS), -0.5, f"{PROMPT.text} Ada and I")
    second = Beam((11, 13, 16), -0.625, f"{PROMPT.text} Ada and you")
    settings = {**EFFECTIVE, "num_beams": 2, "num_return_sequences": 2, "early_stopping": True}
    own = {"beams": (first, second), "beam_cutoff_margin": (0.5, float("inf"), 0.25), "effective": settings}
    return generation(engine=engine, **{**own, **changes})


def classification(*, engine: EngineName = "torch", **changes: Any) -> ClassificationRecord:
    """Return a record of two texts with a loss."""
    record = ClassificationRecord(
        provenance=provenance(engine),
        checkpoint=CHECKPOINT,
        effective={"problem_type": "inferred", "num_labels": 3, "padding_side": "right"},
        inputs=(
            ClassifiedInput("Good dog.", (1, 2), (1.5, -0.5, 0.25), "calm", 1.25, ("calm", "cross")),
            ClassifiedInput("Bad dog.", (3, 4), (-1.5, -0.5, 0.75), "cross", 1.25, ("cross",)),
        ),
        loss=Loss(0.875, (0, 2)),
        blocks=BLOCKS,
    )
    return replace(record, **changes)


@dataclass(frozen=True, kw_only=True)
class OfArrays(Record):
    kind: ClassVar[str] = "of-arrays"


class _OfArrays(Kind[OfArrays]):
    name = "of-arrays"
    relative = 0.1

    def tables(self, record: OfArrays) -> dict[str, Any]:
        del record
        return {}

    def load(self, file: TomlFile, shared: Mapping[str, Any]) -> OfArrays:
        del file
        return OfArrays(**shared)

    def differences(self, recorded: OfArrays, observed: OfArrays) -> Iterator[Difference]:
        del recorded, observed
        return iter(())

    def texts(self, record: OfArrays) -> dict[str, str]:
        return {"arrays": "\n".join(f"{name}: {array}" for name, array in record.arrays.items())}


ARRAYS = _OfArrays()


def arrays(**values: Any) -> OfArrays:
    """Return a record that holds nothing but arrays."""
    from pytest_hfmodels.kinds.arrays import Array

    found = {name: Array.of(value, name) for name, value in values.items()}
    return OfArrays(provenance=provenance(), checkpoint=CHECKPOINT, arrays=found)
