"""What a kind of record is: a `Kind` says how its records are stored, compared, shown and explained.

May import the other modules at the top of `kinds`; `registry` finds the kind of a record.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pytest_hfmodels.explain.explainer import Explainer
    from pytest_hfmodels.kinds.comparison import Comparison, Difference
    from pytest_hfmodels.kinds.evidence import Block
    from pytest_hfmodels.kinds.provenance import CheckpointSeen, Provenance
    from pytest_hfmodels.kinds.tolerance import Tolerance
    from pytest_hfmodels.snapshots.toml_reader import TomlFile


class Record(Protocol):
    """What a test observed. A record is frozen, and equal to another one if everything that is stored is equal."""

    @property
    def kind(self) -> str:
        """Name of its kind."""
        ...

    @property
    def provenance(self) -> Provenance:
        """The environment that made it; never compared."""
        ...

    @property
    def checkpoint(self) -> CheckpointSeen:
        """The checkpoint; never fails by itself."""
        ...

    @property
    def effective(self) -> dict[str, Any]:
        """Settings as the library resolved them."""
        ...

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Fingerprints of the forward pass; empty if there was none."""
        ...

    @property
    def live(self) -> Any:
        """What is not stored; None for a record from a file."""
        ...


R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Part:
    """One decision that a record consists of: a token, a classified text.

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


@dataclass(frozen=True)
class Passage:
    """A part of a text that differs, within its surroundings. `label` goes before it, such as a score."""

    before: str
    different: str
    after: str = ""
    label: str = ""


@dataclass(frozen=True)
class Detail:
    """One difference for a reader: both sides of a text, and sentences with its figures."""

    recorded: Passage
    observed: Passage
    title: str = ""
    figures: tuple[str, ...] = ()


def _never(_recorded: Any, _observed: Any, _differences: Sequence[Difference]) -> bool:
    return False


def _no_inputs(_record: Any) -> list[tuple[str, tuple[int, ...]]]:
    return []


def _nothing(*_: Any) -> None:
    return None


def _drift(_recorded: Any, _observed: Any, comparison: Comparison) -> float:
    return comparison.drift


@dataclass(frozen=True)
class Kind(Generic[R]):
    """What is particular to a kind of record. All functions are pure; the defaults suit a record without a model.

    Args:
        name: in the snapshot's `kind`.
        tables: of a record: what a snapshot stores besides provenance, checkpoint and blocks: TOML's types, in order.
        load: of a file and of `provenance`, `checkpoint` and `blocks` as keywords: the record that `tables` stored.
            Raises `SnapshotError` (`file.convert`, `file.error`) if a table is not what `tables` makes.
        tolerant: names of the tables, or `table.key`, whose numbers are compared within the tolerance. In a rewritten
            file they keep their digits if they are still within it; all others are written anew.
        differences: of a recorded and an observed record: what differs, except numbers and settings.
        numbers: of both: the numbers that are compared within the tolerance: what, position, recorded, observed.
        summary: of a record: the output on one line, for a terminal.
        texts: of a record: the output as texts to be read side by side, by their names; the most important first.
        inputs: of a record: each text that the model was given, with its token ids.
        is_near_tie: of both and of all differences: whether close decisions explain every difference.
        contradiction: of a record and the tolerance: a sentence if it contradicts itself.
        course: of both (the recorded one may be None): the two decision by decision.
        movement: of both and their comparison: how far numbers moved at most; None if none can be compared.
        detail: of a difference and of both: the difference for a reader; None if both values say enough.
        explainer: returns what the kind adds to explaining. It is called for a test that fails, and may import NumPy.
    """

    name: str
    tables: Callable[[R], dict[str, Any]]
    load: Callable[[TomlFile, Mapping[str, Any]], R]
    differences: Callable[[R, R], Iterator[Difference]]
    numbers: Callable[[R, R], Iterator[tuple[str, int, float, float]]]
    summary: Callable[[R], str]
    texts: Callable[[R], dict[str, str]]
    inputs: Callable[[R], list[tuple[str, tuple[int, ...]]]] = _no_inputs
    tolerant: tuple[str, ...] = ()
    is_near_tie: Callable[[R, R, Sequence[Difference]], bool] = _never
    contradiction: Callable[[R, Tolerance], str | None] = _nothing
    course: Callable[[R | None, R], Course | None] = _nothing
    movement: Callable[[R, R, Comparison], float | None] = _drift
    detail: Callable[[Difference, R, R], Detail | None] = _nothing
    explainer: Callable[[], Explainer[R] | None] = _nothing
