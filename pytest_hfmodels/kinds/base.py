"""The protocol of a kind: a `Record` is what a test observed; its `Kind` says how it is stored, compared and shown.

May import the other modules at the top of `kinds`; `registry` finds the kind of a record.
"""

# ruff: noqa: ARG002 - defaults ignore what overrides read

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from pytest_hfmodels.kinds.comparison import largest_movement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_hfmodels.explain.explainer import Explainer
    from pytest_hfmodels.kinds.arrays import Array
    from pytest_hfmodels.kinds.comparison import Comparison, Detail, Difference
    from pytest_hfmodels.kinds.evidence import Block
    from pytest_hfmodels.kinds.provenance import CheckpointSeen, Provenance
    from pytest_hfmodels.kinds.tolerance import Tolerance
    from pytest_hfmodels.snapshots.toml_reader import TomlFile


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a test observed. A kind adds its fields; two records are equal if everything that is stored is equal.

    Args:
        provenance: the environment that made it; never compared.
        checkpoint: the checkpoint; never fails by itself.
        effective: settings as the library resolved them; compared exactly.
        blocks: fingerprints of the forward pass; empty if there was none.
        arrays: arrays by their names, which are stored and compared for every kind. Numbers beyond the first few stand
            in a file beside the snapshot.
        live: what is not stored, with the model as `made_by` (`ModelRef`); None for a record from a file.
    """

    kind: ClassVar[str]
    provenance: Provenance
    checkpoint: CheckpointSeen
    effective: dict[str, Any] = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()
    arrays: Mapping[str, Array] = field(default_factory=dict)
    live: Any = field(default=None, compare=False, repr=False)


R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Part:
    """One decision of a record: a token, a classified text.

    Args:
        margin: by how much it was taken. This and `log_probability` are None in a JSON report if they are not finite.
        id: the token's; None if the decision is not a token.
        text: of the token.
        log_probability: of the token, nats.
    """

    margin: float | None
    id: int | None = None
    text: str = ""
    log_probability: float | None = math.nan


@dataclass(frozen=True)
class Course:
    """Two records decision by decision, for a plot and a table.

    Args:
        unit: what a part is, such as `token`.
        divergence: index of the first part that differs, for a kind in which later parts depend on earlier ones.
        recorded: the parts of the snapshot.
        observed: the parts of this run.
        drift: how far the numbers of each part moved; None where that is unknown.
        start: parts left out before these, in a report.
    """

    unit: str
    divergence: int | None
    recorded: tuple[Part, ...]
    observed: tuple[Part, ...]
    drift: tuple[float | None, ...]
    start: int = 0

    @classmethod
    def independent(
        cls,
        unit: str,
        recorded: Iterable[tuple[float, Sequence[float]]],
        observed: Iterable[tuple[float, Sequence[float]]],
    ) -> Course:
        """Return two lists of (margin, numbers) in which no part depends on an earlier one."""
        before, now = list(recorded), list(observed)
        pairs = [(then, here) for (_, then), (_, here) in zip(before, now, strict=False)]
        return cls(
            unit=unit,
            divergence=None,
            recorded=tuple(Part(margin) for margin, _ in before),
            observed=tuple(Part(margin) for margin, _ in now),
            drift=tuple(largest_movement(then, here) if len(then) == len(here) else None for then, here in pairs),
        )


class Kind(ABC, Generic[R]):
    """What is particular to a kind of record. Every method is pure; the defaults suit a record without a model.

    `name` is the snapshot's `kind`. `tolerant` names the tables, or `table.key`, whose numbers are compared within the
    tolerance: in a rewritten file they keep their digits if they are still within it. `relative` is the part of the
    tolerance that is added for each unit of a number's size: 0.1 allows a number of 50 to move by 6 tolerances. Where
    it is set, numbers are of any size, and small ones may move by less (`Tolerance.at`).
    """

    name: ClassVar[str]
    tolerant: ClassVar[tuple[str, ...]] = ()
    relative: ClassVar[float] = 0.0

    @abstractmethod
    def tables(self, record: R) -> dict[str, Any]:
        """Return what a snapshot stores besides provenance, checkpoint, blocks and arrays: TOML's types, in order."""

    @abstractmethod
    def load(self, file: TomlFile, shared: Mapping[str, Any]) -> R:
        """Return the record that `tables` stored; `shared` has its provenance, checkpoint, blocks and arrays.

        Raises:
            SnapshotError: a table is not what `tables` makes; `file.convert` and `file.error` name the line.
        """

    @abstractmethod
    def differences(self, recorded: R, observed: R) -> Iterable[Difference]:
        """Return what differs, except numbers and settings."""

    @abstractmethod
    def texts(self, record: R) -> dict[str, str]:
        """Return the output as texts to read side by side, by their names; the most important one first."""

    def numbers(self, recorded: R, observed: R) -> Iterable[tuple[str, int | None, float, float]]:
        """Return the numbers to compare within the tolerance: what, position, recorded, observed."""
        return ()

    def scale(self, what: str, record: R) -> str:
        """Return a name that numbers of one scale share, where `relative` is set: by default all of a record do."""
        return ""

    def inputs(self, record: R) -> list[tuple[str, tuple[int, ...]]]:
        """Return each text that the model was given, with its token ids."""
        return []

    def features(self, record: R) -> Iterable[str]:
        """Return what of transformers made the record, by names of `reference.known_changes.FEATURES`."""
        return ()

    def is_near_tie(self, recorded: R, observed: R, differences: Sequence[Difference]) -> bool:
        """Return whether close decisions explain every difference."""
        return False

    def contradiction(self, record: R, tolerance: Tolerance) -> str | None:
        """Return a sentence if a record contradicts itself."""
        return None

    def course(self, recorded: R | None, observed: R) -> Course | None:
        """Return the two decision by decision; there may be no recorded one."""
        return None

    def movement(self, recorded: R, observed: R, comparison: Comparison) -> float | None:
        """Return how far numbers moved at most; None if none can be compared."""
        numbers = bool(recorded.arrays) or any(True for _ in self.numbers(recorded, observed))
        return comparison.drift if numbers else None

    def detail(self, difference: Difference, recorded: R, observed: R) -> Detail | None:
        """Return a difference for a reader; None if both values say enough."""
        return None

    def explainer(self) -> Explainer[R] | None:
        """Return what the kind adds to explaining. Called for a failing test only, so that it may import NumPy."""
        return None
