"""What one `generate` from several prompts observed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_hfmodels.kinds.base import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.kinds.generation.record import GenerationRecord


@dataclass(frozen=True, kw_only=True, repr=False)
class BatchRecord(Record):
    """What `HFModel.generate` observed of a list of prompts; compare it with `hf_snapshot`. See also `Record`.

    Args:
        rows: one record per prompt, in order. Each has the settings and the fingerprints of the batch.
        fingerprinted: the row that the fingerprints are of; None if they are of all rows.
    """

    kind: ClassVar[str] = "batch"
    rows: tuple[GenerationRecord, ...]
    fingerprinted: int | None = field(default=None, compare=False)

    @classmethod
    def of(cls, rows: Sequence[GenerationRecord]) -> BatchRecord:
        """Return the record of rows that one `generate` made."""
        first = rows[0]
        shared: dict[str, Any] = {"provenance": first.provenance, "checkpoint": first.checkpoint}
        shared["fingerprinted"] = None if first.live is None else first.live.fingerprinted
        return cls(rows=tuple(rows), effective=first.effective, blocks=first.blocks, live=first.live, **shared)

    @property
    def length(self) -> int:
        """How many tokens the longest prompt has; the others are padded to it."""
        return max(len(row.prompt.ids) for row in self.rows)

    @property
    def texts(self) -> tuple[str, ...]:
        """The decoded outputs, in order."""
        return tuple(row.text for row in self.rows)

    def __repr__(self) -> str:
        return f"<BatchRecord {self.checkpoint.name} on {self.provenance.engine}: {len(self.rows)} rows>"


def rows_of(record: GenerationRecord | BatchRecord) -> tuple[GenerationRecord, ...]:
    """Return the rows of what `generate` returned: those of a batch, or the one record."""
    return record.rows if isinstance(record, BatchRecord) else (record,)
