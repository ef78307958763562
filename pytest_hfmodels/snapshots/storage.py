"""How syrupy keeps our files: one TOML file a test under one folder, written atomically, never deleted.

Imported only when a test uses `hf_snapshot`, because syrupy is. syrupy re-imports the extension by name in an xdist
controller, so it must stay a module-level class that needs no arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syrupy.data import SnapshotCollections
from syrupy.extensions.single_file import SingleFileSnapshotExtension

from pytest_hfmodels.foundation.durations import Timed
from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.foundation.files import write_together
from pytest_hfmodels.kinds.arrays import settled
from pytest_hfmodels.kinds.comparison import Comparison, compare
from pytest_hfmodels.kinds.registry import kind_of
from pytest_hfmodels.snapshots.format import Files, files, parse_snapshot
from pytest_hfmodels.snapshots.location import beside, file_in_force

if TYPE_CHECKING:
    from collections.abc import Callable

    from syrupy.data import SnapshotCollection
    from syrupy.location import PyTestLocation
    from syrupy.types import SerializableData, SerializedData, SnapshotIndex

    from pytest_hfmodels.foundation.verdicts import Verdict
    from pytest_hfmodels.kinds import Record
    from pytest_hfmodels.kinds.tolerance import Tolerance
    from pytest_hfmodels.snapshots.format import Snapshot


@dataclass
class Observation:
    """A record, and the file that it is compared with; `stored` is None if there is no file.

    `measure` returns the noise floor of the record, for a file that may be written; None where none may.
    """

    record: Record
    path: Path
    stored: Snapshot | None
    tolerance: Tolerance
    accepted: frozenset[Verdict]
    measure: Callable[[Record], float | None] | None = None

    @property
    def recorded(self) -> Record | None:
        """The record in the file."""
        return None if self.stored is None else self.stored.record

    @cached_property
    def comparison(self) -> Comparison | None:
        """The verdict and what differs; None if there is no file."""
        return None if self.stored is None else compare(self.stored.record, self.record, self.tolerance)

    @cached_property
    def files(self) -> Files:
        """What an update writes: numbers within the tolerance keep their digits."""
        record = replace(self.record, provenance=replace(self.record.provenance, noise_floor=self.noise_floor))
        if self.stored is None:
            return files(record)
        then, tolerance = self.stored.record, self.tolerance
        if then.arrays and then.provenance.computed_alike(record.provenance):
            record = replace(record, arrays=settled(then.arrays, record.arrays, tolerance))

        def keep(before: float, now: float) -> bool:
            return (tolerance.at(abs(before)) if kind_of(record).relative else tolerance).accepts(before, now)

        return files(record, earlier=self.stored.file.values, keep=keep)

    @cached_property
    def noise_floor(self) -> float | None:
        """What an update writes: the recorded one for the same model, so that no update writes another machine's."""
        now, then = self.record, self.recorded
        if then is not None and (
            self.is_accepted
            or (then.provenance.computed_alike(now.provenance) and then.checkpoint.weights == now.checkpoint.weights)
        ):
            return then.provenance.noise_floor
        return None if self.measure is None else self.measure(now)

    @property
    def is_accepted(self) -> bool:
        """Whether the comparison passes, so that no file is written."""
        return self.comparison is not None and self.comparison.verdict in self.accepted

    @property
    def text(self) -> str:
        """The text of the snapshot that an update writes."""
        return self.files.text


class _Text(str):
    """The text of a snapshot, with its array file: syrupy hands it from `serialize` to where it is written."""

    arrays: bytes | None

    def __new__(cls, files: Files) -> _Text:
        """Return the text of these files."""
        self = super().__new__(cls, files.text)
        self.arrays = files.arrays
        return self


class TomlSnapshotExtension(SingleFileSnapshotExtension):
    """Stores and compares an `Observation`; `hf_snapshot` sets it before it lets syrupy compare."""

    file_extension = "toml"

    observation: Observation

    def serialize(self, data: SerializableData, **options: Any) -> SerializedData:
        """Return what an update writes, or what the file holds if that stays: writing the text takes milliseconds."""
        del data, options  # syrupy's include, exclude and matcher work on values that it prints itself
        seen = self.observation
        return _Text(seen.files) if seen.stored is None or not seen.is_accepted else seen.stored.file.text

    def read_snapshot_data_from_location(self, **location: str) -> SerializableData | None:
        """Return the text that was read; None if there is no file."""
        del location
        stored = self.observation.stored
        return None if stored is None else stored.file.text

    def matches(self, *, serialized_data: SerializedData, snapshot_data: SerializedData) -> bool:
        """Compare records; also keeps syrupy from rewriting a file whose numbers moved within tolerance."""
        del serialized_data
        seen = self.observation
        if seen.stored is None:  # syrupy 5 may not have written an earlier run of the test in this session
            seen.stored = parse_snapshot(str(snapshot_data), seen.path, getattr(snapshot_data, "arrays", None))
        return seen.is_accepted

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: SnapshotIndex = 0) -> str:
        """Return the file's stem: the test's name without the engine."""
        return file_in_force(test_location.item, index).stem

    @classmethod
    def get_location(cls, *, test_location: PyTestLocation, index: SnapshotIndex) -> str:
        """Return the file."""
        return str(file_in_force(test_location.item, index))

    @classmethod
    def matches_test_location(cls, **locations: Any) -> bool:
        """Return True: several engines' items share one file, and none of them has its name."""
        del locations
        return True

    def discover_snapshots(self, **options: Any) -> SnapshotCollections:
        """Show syrupy no files, so that it deletes none: an engine may be missing, or a test deselected."""
        del options
        return SnapshotCollections()

    def delete_snapshots(self, *, snapshot_location: str, snapshot_names: set[str]) -> None:
        """Delete nothing: orphans have their own command, `hfmodels orphans`."""

    @classmethod
    @Timed("write")
    def write_snapshot_collection(cls, *, snapshot_collection: SnapshotCollection, **options: Any) -> None:
        """Write one snapshot, with its array file, whole or not at all."""
        del options  # syrupy 6 added name_order
        data = next(iter(snapshot_collection)).data
        path = Path(snapshot_collection.location)
        try:
            # The array file first: a snapshot that names another one is an error, and one that is not named is none.
            write_together({beside(path): getattr(data, "arrays", None), path: str(data)})
        except OSError as error:
            raise SnapshotError(
                f"The snapshot {path} cannot be written: {error.strerror or error}. What was there is untouched.",
                hint="Make room, or make the folder writable, and run the update again.",
            ) from error
        except UnicodeEncodeError as error:
            raise SnapshotError(
                f"The snapshot {path} cannot hold what its test observed: a lone surrogate, "
                f"{error.object[error.start]!a}, is not text. What was there is untouched.",
                hint='Compare text that UTF-8 can hold: text.encode(errors="backslashreplace").decode() spells it out.',
            ) from error
