"""Pending changes of another machine's run: read from its report, its folder or a zip of them, and kept in memory.

A report may come from anybody. Nothing of it is unpacked to the disk or run; what is decided goes through the same
checks as a change of this machine.
"""

from __future__ import annotations

import base64
import io
import os
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.foundation.files import read_bytes
from pytest_hfmodels.results.carried import pending_of, unpack
from pytest_hfmodels.results.model import ReportError, decode, read_results
from pytest_hfmodels.results.pending import Pending
from pytest_hfmodels.snapshots.format import array_digest, parse
from pytest_hfmodels.snapshots.pending import PendingFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MOST = 512 << 20  # bytes in all
_FILES = 20_000
_READ = (".json", ".html", ".safetensors")
_OURS = re.compile(rb'\s*\{\s*"format":')  # what our JSON files begin with


@dataclass(frozen=True)
class CarriedChanges(PendingFolder):
    """The pending changes of a report, in memory: deciding about them changes the snapshots and nothing else.

    Args:
        path: the report.
        changes: by their snapshots.
        files: the array files that came along, by SHA-256.
        local: where this machine keeps its own pending changes; a review locks it.
    """

    changes: dict[str, Pending] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    local: Path | None = None

    @property
    def locked(self) -> Path | None:
        """The folder that a review locks; None if there is none."""
        return self.local if self.local is not None and self.local.is_dir() else None

    @property
    def is_local(self) -> bool:
        """Whether these are changes of this machine's own runs."""
        return False

    def leave_out(self, pending: Pending) -> str:
        """Return how to leave a change out; `hfmodels reject` drops only those of this machine."""
        del pending
        return f"Name the tests to accept from {self.path}"

    def save(self, pending: Pending, arrays: bytes | None = None) -> bool:
        """Keep a change that was decided once more."""
        self.changes[pending.snapshot] = pending
        self.files.update({} if arrays is None else {sha256(arrays).hexdigest(): arrays})
        return True

    def arrays(self, pending: Pending) -> bytes | None:
        """Return what the array file of a pending change would hold, or None if there would be none.

        Raises:
            SnapshotError: the report does not hold it: there is room for few and small ones.
        """
        wanted = array_digest(parse(pending.text, Path(pending.snapshot)))
        if wanted is None:
            return None
        own = _decoded(pending.arrays)
        if sha256(own).hexdigest() == wanted:
            return own
        if wanted not in self.files:
            raise SnapshotError(
                f"The array file of {pending.snapshot} is not in {self.path}.",
                hint="Let the CI keep pytest's cache, .pytest_cache/d/hfmodels-pending, and name that folder.",
            )
        return self.files[wanted]

    def delete(self, snapshot: str) -> None:
        """Drop the pending change of a snapshot, if there is one."""
        self.changes.pop(snapshot, None)

    def current(self, snapshot: str) -> Pending | None:
        """Return the pending change of a snapshot, or None where it was decided."""
        return self.changes.get(snapshot)

    def _all(self) -> Iterator[Pending | SnapshotError]:
        yield from list(self.changes.values())


def carried_changes(source: Path, local: Path | None = None) -> CarriedChanges:
    """Return the pending changes of a report.

    Args:
        source: a page, a JSON report, a folder with one or with pytest's pending changes, or a zip of any of these.
        local: where this machine keeps its own.

    Raises:
        SnapshotError: there are none, it cannot be read, or it says two things of one snapshot.
    """
    found = CarriedChanges(source, local=local)
    try:
        for name, content in _files(source):
            if name.endswith(".safetensors"):
                found.files[sha256(content).hexdigest()] = content
                continue
            _add(found, list(_changes(name, content, alone=name == source.name)))
    except ReportError as error:
        raise SnapshotError(error.message, hint=error.hint) from error
    except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        said = f"{source} cannot be read: {_words(error)}."
        raise SnapshotError(said, hint="Name a report.html or report.json, a folder or a zip with it.") from error
    if not found.changes:
        raise SnapshotError(
            f"{source} holds no pending changes.",
            hint="Name a report.html or report.json of a run in which a comparison failed, or a folder or zip with it.",
        )
    return found


def _add(found: CarriedChanges, changes: Sequence[Pending]) -> None:
    """Add the changes of one file; the last repetition of a test counts, as on the machine where it ran.

    Raises:
        SnapshotError: another file holds a different output for the same snapshot.
    """
    last = {pending.snapshot: pending for pending in changes}
    for snapshot, pending in last.items():
        if found.changes.setdefault(snapshot, pending).text != pending.text:
            raise SnapshotError(
                f"{found.path} holds two outputs for {snapshot}: it mixes several runs.",
                hint="Name the report of one run.",
            )


def _changes(name: str, content: bytes, *, alone: bool) -> Iterator[Pending]:
    """Yield the pending changes that a file holds: a page, a JSON report, or one pending change.

    Args:
        name: of the file.
        content: of the file.
        alone: whether somebody named this file; a folder of artefacts holds other files, too.

    Raises:
        ReportError: it is damaged.
    """
    text = content.decode("utf-8-sig", errors="replace")
    if name.endswith(".html"):
        yield from unpack(text, name, most=_MOST)
        return
    try:
        found = decode(text, dict[str, Any], name)
    except ReportError:
        if alone or _OURS.match(content):
            raise
        return
    if "tests" in found and "run" in found:
        yield from pending_of(read_results(text, name))
    elif "rows" in found and "planned" in found:
        yield from _of_grid(decode(text, _Grid, name))
    elif "snapshot" in found and "compared" in found:
        yield decode(text, Pending, name)


@dataclass(frozen=True)
class _Row:
    name: str
    pending: tuple[Pending, ...] = ()
    exit_code: int | None = None


@dataclass(frozen=True)
class _Grid:
    rows: tuple[_Row, ...]


def _of_grid(grid: _Grid) -> tuple[Pending, ...]:
    """Return the changes of one row of a matrix, as its patch has them: of the current environment, or the last run."""
    ran = [row for row in grid.rows if row.exit_code is not None]
    return next((row.pending for row in ran if row.name == "current"), ran[-1].pending if ran else ())


def _files(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file that may hold changes, within limits; links are not followed."""
    if source.is_dir():
        yield from _in_folder(source)
        return
    content = read_bytes(source, largest=_MOST)
    if zipfile.is_zipfile(io.BytesIO(content)):
        yield from _in_zip(source, content)
        return
    if source.suffix == ".zip" or content.startswith(b"PK\x03\x04"):
        raise SnapshotError(f"{source} is damaged: the zip is incomplete.", hint="Download it again.")
    yield source.name if source.suffix in _READ else f"{source.name}.html", content


def _in_folder(source: Path) -> Iterator[tuple[str, bytes]]:
    named = (Path(folder, name) for folder, _, names in os.walk(source) for name in sorted(names))
    paths = [path for path in named if path.suffix in _READ and not path.is_symlink()]
    _require_few(source, len(paths))
    left = _MOST
    for path in paths:
        content = read_bytes(path, largest=left)
        left -= len(content)
        yield path.name, content


def _in_zip(source: Path, content: bytes) -> Iterator[tuple[str, bytes]]:
    left = _MOST
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = [entry for entry in archive.infolist() if PurePosixPath(entry.filename).suffix in _READ]
        _require_few(source, len(entries))
        for entry in entries:
            with archive.open(entry) as file:
                inner = file.read(left + 1)  # what the archive says of the size is not trusted
            left -= len(inner)
            if left < 0:
                raise SnapshotError(f"{source} unpacks to more than {_MOST >> 20} MB.", hint="Do not trust it.")
            yield PurePosixPath(entry.filename).name, inner


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def _require_few(source: Path, count: int) -> None:
    if count > _FILES:
        raise SnapshotError(f"{source} holds more than {_FILES:,} files.", hint="Name the report in it.")


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
