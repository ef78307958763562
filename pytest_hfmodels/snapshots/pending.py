"""The folder of pending changes in pytest's cache: the files that failing comparisons would write.

One JSON file a snapshot: workers of one run, and runs of several people, never share one half-written.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from hashlib import sha256
from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.causes import UNDETERMINED
from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.foundation.files import read_bytes, remove_leftovers, write_together
from pytest_hfmodels.foundation.shell import command, operand
from pytest_hfmodels.results.model import ReportError, decode
from pytest_hfmodels.results.pending import LARGEST, Pending
from pytest_hfmodels.session import pending_path
from pytest_hfmodels.snapshots.format import LARGEST_ARRAYS, array_digest, load, parse, too_large
from pytest_hfmodels.snapshots.location import beside
from pytest_hfmodels.snapshots.node_ids import escape_brackets, id_spellings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import pytest

FORMAT = 2
_RUN_AGAIN = "Run the tests again; they make their changes pending again. If the file is still there then, delete it."


@dataclass(frozen=True)
class PendingFolder:
    """Where pending changes are kept.

    Args:
        path: the folder; it need not be there.
    """

    path: Path

    @property
    def locked(self) -> Path | None:
        """The folder that a review locks; None if there is none."""
        return self.path

    def save(self, pending: Pending, arrays: bytes | None = None) -> bool:
        """Keep a pending change, in place of an earlier one of the same snapshot; return whether it could be written.

        An error does not change the test's result: the end of the run offers the change as a patch.

        Args:
            pending: the change.
            arrays: what the array file beside the snapshot would hold, or None if there would be none.
        """
        return self._write(pending, {beside(self._file(pending.snapshot)): arrays})

    def is_saved_since(self, snapshot: str, when: float) -> bool:
        """Return whether the pending change of a snapshot was saved after a time, in seconds since the epoch."""
        try:
            return self._file(snapshot).stat().st_mtime >= when
        except OSError:
            return False

    @property
    def is_local(self) -> bool:
        """Whether these are changes of this machine's own runs."""
        return True

    def leave_out(self, pending: Pending) -> str:
        """Return what to type to drop a change that cannot be accepted."""
        return f"Reject it: {command('hfmodels', 'reject', operand(pending.test))}"

    def arrays(self, pending: Pending) -> bytes | None:
        """Return what the array file of a pending change would hold, or None if there would be none.

        Raises:
            SnapshotError: its numbers are not there, or are not those that the change names.
        """
        wanted, file = array_digest(parse(pending.text, Path(pending.snapshot))), beside(self._file(pending.snapshot))
        if wanted is None:
            return None
        try:
            content = read_bytes(file, largest=LARGEST_ARRAYS)
        except OSError as error:
            content, what = b"", f"cannot be read: {error.strerror or error}"
        else:
            what = "is not the one that the test left"
        if sha256(content).hexdigest() != wanted:
            raise SnapshotError(f"The array file of what {pending.test} left pending {what}.", hint="Run it again.")
        return content

    def _write(self, pending: Pending, beside_it: Mapping[Path, bytes | None]) -> bool:
        file = self._file(pending.snapshot)
        values = asdict(replace(pending, arrays=""))  # they have a file of their own
        del values["arrays"]
        if not pending.gone:  # as all are when they are made
            del values["gone"]
        try:
            for path in (file, *beside_it):
                if path.is_symlink():  # a committed link would redirect the write
                    path.unlink()
            write_together({**beside_it, file: json.dumps({"format": FORMAT, **values}, indent=1)})
        except OSError:
            return False
        return True

    def delete(self, snapshot: str) -> None:
        """Drop the pending change of a snapshot, if there is one."""
        file = self._file(snapshot)
        with suppress(OSError):
            file.unlink(missing_ok=True)
            beside(file).unlink(missing_ok=True)
            remove_leftovers(file)
            remove_leftovers(beside(file))

    def flag(self, is_gone: Callable[[Pending], bool | None]) -> None:
        """Note of each pending change whether its test is gone.

        Nothing is dropped: the test may be on another branch. What cannot be read or written stays as it is.

        Args:
            is_gone: says it of one; None where it does not know.
        """
        for pending in self.read():
            gone = is_gone(pending)
            if gone is not None and gone != pending.gone:
                self._write(replace(pending, gone=gone), {})

    def read(self) -> list[Pending]:
        """Return all pending changes that can be read, by snapshot; `unreadable` tells of the others."""
        found = (one for one in self._all() if isinstance(one, Pending))
        return sorted(found, key=lambda pending: pending.snapshot)

    def unreadable(self) -> list[SnapshotError]:
        """Return a complaint about each file that is of another format version or none of ours. They stay."""
        return [found for found in self._all() if isinstance(found, SnapshotError)]

    def current(self, snapshot: str) -> Pending | None:
        """Return the pending change of a snapshot as it is kept now, or None where there is none any more.

        Raises:
            SnapshotError: its file cannot be read.
        """
        return _read(self._file(snapshot))

    def _all(self) -> Iterator[Pending | SnapshotError]:
        for path in sorted(self.path.glob("*.json")):
            try:
                found = _read(path)
            except SnapshotError as error:
                yield error
            else:
                if found is not None:
                    yield found

    def _file(self, snapshot: str) -> Path:
        digest = sha256(snapshot.encode(errors="surrogatepass")).hexdigest()
        return self.path / f"{digest[:24]}.json"


def pending_folder(config: pytest.Config) -> PendingFolder | None:
    """Return where a run keeps pending changes, or None where pytest's cache is switched off."""
    path = pending_path(config)
    return None if path is None else PendingFolder(path)


@dataclass(frozen=True)
class Problem:
    """Why a pending change cannot be accepted as it is, and what to do.

    Args:
        what: in words.
        is_stale: True if a file changed since; False if a file cannot be read.
    """

    what: str
    is_stale: bool = True


def problem(pending: Pending, root: Path) -> Problem | None:
    """Return why a pending change cannot be accepted as it is, or None where it can."""
    if pending.is_gone(root):
        return Problem("stale: the test no longer exists")
    reason = invalid_reason(pending)
    if reason is not None:
        return Problem(reason, is_stale=False)
    try:
        stale = pending.staleness(root)
    except SnapshotError as error:
        return Problem(f"unreadable: {error.message}", is_stale=False)
    return None if stale is None else Problem(f"stale: the file {stale} since it was compared; run the test again")


def invalid_reason(pending: Pending) -> str | None:
    """Return why the text of a pending change is not a valid snapshot, or None if it is."""
    return _invalid_reason(pending.text, pending.compared)


@lru_cache(maxsize=64)  # a review calls this often, and parsing megabytes takes a second
def _invalid_reason(text: str, name: str) -> str | None:
    reason = too_large(text)
    if reason is not None:
        return f"its text {reason}"
    try:
        load(text, Path(name))
    except SnapshotError as error:
        return f"its text is not a valid snapshot: {error.message}"
    return None


def forget_validity() -> None:
    """Check texts again: kinds of records have been registered since."""
    _invalid_reason.cache_clear()


def select(
    found: Iterable[Pending],
    tests: Sequence[str],
    root: Path,
    *,
    causes: Sequence[str] = (),
    verdicts: Sequence[str] = (),
) -> list[Pending]:
    """Return those of some tests, causes and verdicts.

    Args:
        found: pending changes.
        tests: node ids, test files or folders, from the current folder, or else from the root; none for all.
        root: of the project, which node ids start from.
        causes: any of these, `undetermined` for those without one; none for all.
        verdicts: any of these; none for all.

    Raises:
        SnapshotError: one of them names nothing that is pending.
    """
    chosen, narrowed = _of_tests(list(found), tests, root), bool(tests)
    for what, names, own in (("cause", causes, cause_of), ("verdict", verdicts, _verdict_of)):
        there = sorted({own(pending) for pending in chosen})
        for name in names:
            if name not in there:
                raise SnapshotError(
                    f"No pending change{' there' if narrowed else ''} has the {what} {name!r}.",
                    hint=f"The pending {what}s: {', '.join(there)}." if there else "`hfmodels pending` lists all.",
                )
        chosen = [pending for pending in chosen if not names or own(pending) in names]
        narrowed = narrowed or bool(names)
    return chosen


def cause_of(pending: Pending) -> str:
    """Return the name of its cause."""
    return UNDETERMINED if pending.cause is None else pending.cause


def _verdict_of(pending: Pending) -> str:
    return pending.verdict


def _of_tests(found: list[Pending], tests: Sequence[str], root: Path) -> list[Pending]:
    if not tests:
        return found
    chosen: dict[Pending, None] = {}
    for test in tests:
        path, separator, rest = test.partition("::")
        if not path:
            raise SnapshotError(
                f"{test!r} is not a test file, folder or node id.",
                hint="Name a file, a folder or a node id, or none for all.",
            )
        here = [f"{place}{separator}{rest}" for place in _places(path, root)]
        from_root = [f"{os.path.normpath(path)}{separator}{rest}"]  # as `hfmodels pending` and the reports print it
        named = _named(found, here) or _named(found, from_root)
        if not named:
            raise SnapshotError(f"{test} has no pending change.", hint="List the pending changes: hfmodels pending")
        chosen |= dict.fromkeys(named)
    return list(chosen)


def _named(found: list[Pending], wanted: Sequence[str]) -> list[Pending]:
    exact = [pending for pending in found if pending.test in wanted]
    return exact or [pending for pending in found if any(_is_within(pending.test, place) for place in wanted)]


def _places(path: str, root: Path) -> set[str]:
    """Return where a path may be in the project: as it is typed, and through symbolic links on the way to it.

    The last of it may be a link that pytest has collected under its own name.
    """
    folder, name = os.path.split(path.rstrip(os.sep) or path)
    real = os.path.realpath(root)
    ways = (relpath(path, root), relpath(os.path.join(os.path.realpath(folder), name), real))  # noqa: PTH118
    return {*ways, relpath(os.path.realpath(path), real)}


def _is_within(test: str, wanted: str) -> bool:
    return wanted == "." or any(
        typed == spelled or any(typed.startswith(spelled + end) for end in ("::", "/", "["))
        for spelled in {wanted, escape_brackets(wanted)}
        for typed in id_spellings(test)
    )


def _read(path: Path) -> Pending | None:
    try:
        text = read_bytes(path, largest=2 * LARGEST).decode("utf-8-sig", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SnapshotError(f"{path} cannot be read: {error.strerror or error}.", hint="See what it is.") from error
    try:
        found = decode(text, dict[str, Any]).get("format")
        if found != FORMAT:
            raise SnapshotError(
                f"{path} is a pending change of format {found!r}, and this release reads {FORMAT}.", hint=_RUN_AGAIN
            )
        pending = decode(text, Pending)
        if b"\0" in os.fsencode(pending.snapshot + pending.compared):  # which refuses half of a surrogate pair
            raise ValueError("a file's name has a NUL")
    except (ReportError, ValueError) as error:
        what = error.message if isinstance(error, ReportError) else str(error)
        raise SnapshotError(f"{path} is not a pending change: {what}", hint=_RUN_AGAIN) from error
    return pending
