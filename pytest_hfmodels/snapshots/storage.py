"""How syrupy keeps our files: one TOML file a test under one folder, written atomically, never deleted.

Imported only when a test uses `hf_snapshot`, because syrupy is. syrupy re-imports the extension by name in an xdist
controller, so that it must stay a module-level class that needs no arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syrupy.data import SnapshotCollections
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from pytest_hfmodels.errors import SnapshotError
from pytest_hfmodels.files import write_atomically
from pytest_hfmodels.kinds.comparison import Comparison, compare
from pytest_hfmodels.snapshots.format import dump, load, parse
from pytest_hfmodels.snapshots.toml_reader import read_file
from pytest_hfmodels.snapshots.variants import file_in_force

if TYPE_CHECKING:
    from collections.abc import Callable

    from syrupy.data import SnapshotCollection
    from syrupy.location import PyTestLocation
    from syrupy.types import SerializableData, SerializedData, SnapshotIndex

    from pytest_hfmodels.kinds import Record
    from pytest_hfmodels.kinds.tolerance import Tolerance
    from pytest_hfmodels.verdicts import Verdict


@dataclass
class Observation:
    """A record on its way through syrupy, with what comparing it takes.

    Args:
        record: what was observed.
        path: the file it belongs to.
        tolerance: for numbers, against a given recorded side.
        accepted: the verdicts that pass.
        recorded: filled in once there is a file to compare with.
        comparison: likewise.
    """

    record: Record
    path: Path
    tolerance: Callable[[Record], Tolerance]
    accepted: frozenset[Verdict]
    recorded: Record | None = None
    comparison: Comparison | None = None


class TomlSnapshotExtension(SingleFileSnapshotExtension):
    """Serializes an `Observation`, and compares it as a record instead of as text."""

    _write_mode = WriteMode.TEXT
    file_extension = "toml"

    _observation: Observation | None = None

    def serialize(self, data: SerializableData, **options: Any) -> SerializedData:
        """Remember what is being asserted, and return its text with the recorded digits kept where they still hold."""
        del options  # syrupy's include, exclude and matcher work on values that it prints itself
        self._observation = data
        earlier = read_file(data.path)
        if earlier is None:
            return dump(data.record)
        recorded = load(earlier, data.path)
        return dump(data.record, earlier=parse(earlier, data.path), keep=data.tolerance(recorded).accepts)

    def matches(self, *, serialized_data: SerializedData, snapshot_data: SerializedData) -> bool:
        """Compare records; also keeps syrupy from rewriting a file whose numbers moved within tolerance."""
        del serialized_data
        seen = self._observation
        assert seen is not None, "syrupy serializes before it compares"
        seen.recorded = load(str(snapshot_data), seen.path)
        seen.comparison = compare(seen.recorded, seen.record, seen.tolerance(seen.recorded))
        return seen.comparison.verdict in seen.accepted

    def read_snapshot_data_from_location(
        self, *, snapshot_location: str, snapshot_name: str, session_id: str
    ) -> SerializableData | None:
        """Read a file, or say in a sentence why it cannot be read."""
        del snapshot_name, session_id
        return read_file(Path(snapshot_location))

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        """Return the folder that mirrors the test file."""
        return str(file_in_force(test_location.item, 0).parent)

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: SnapshotIndex = 0) -> str:
        """Return the file's stem: the test's name without the engine."""
        return file_in_force(test_location.item, index).stem

    @classmethod
    def get_location(cls, *, test_location: PyTestLocation, index: SnapshotIndex) -> str:
        """Return the file."""
        return str(file_in_force(test_location.item, index))

    @classmethod
    def matches_test_location(cls, *, test_location: PyTestLocation, snapshot_location: str) -> bool:
        """Tell whether a file belongs to a test: several engines' items share one."""
        return Path(snapshot_location).parent.name == file_in_force(test_location.item, 0).parent.name

    def discover_snapshots(self, **options: Any) -> SnapshotCollections:
        """Show syrupy no files, so that it deletes none: an engine may be missing, or a test deselected."""
        del options
        return SnapshotCollections()

    def delete_snapshots(self, *, snapshot_location: str, snapshot_names: set[str]) -> None:
        """Delete nothing: orphans have their own command, `hfmodels orphans`."""

    @classmethod
    def write_snapshot_collection(cls, *, snapshot_collection: SnapshotCollection, **options: Any) -> None:
        """Write one file, whole or not at all."""
        del options  # syrupy 6 added name_order
        data = next(iter(snapshot_collection)).data
        path = Path(snapshot_collection.location)
        try:
            write_atomically(path, str(data))
        except OSError as error:
            raise SnapshotError(
                f"The snapshot {path} cannot be written: {error.strerror or error}. What was there is untouched.",
                hint="Make room, or the folder writable, and run the update again.",
            ) from error
        except UnicodeEncodeError as error:
            raise SnapshotError(
                f"The snapshot {path} cannot hold what its test observed: a lone surrogate, "
                f"{error.object[error.start]!a}, is no text. What was there is untouched.",
                hint='Compare text that UTF-8 can hold: text.encode(errors="backslashreplace").decode() spells it out.',
            ) from error
