"""Pending changes: what a failing comparison would have written, kept in pytest's cache folder until somebody decides.

One JSON file a snapshot: workers of one run, and runs of several people, never share one half-written.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.errors import SnapshotError
from pytest_hfmodels.files import read_bytes, remove_leftovers, write_atomically
from pytest_hfmodels.node_ids import escape_brackets, id_spellings
from pytest_hfmodels.snapshots.format import load
from pytest_hfmodels.snapshots.location import pending_path
from pytest_hfmodels.snapshots.toml_reader import LARGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

FORMAT = 2
UNDETERMINED = "undetermined"  # what a selection calls the cause of a change that has none


@dataclass(frozen=True)
class Problem:
    """Why a pending change cannot be accepted as it is, and what to do.

    Args:
        what: in words.
        is_stale: True if a file changed since; False if a file cannot be read.
    """

    what: str
    is_stale: bool = True


@dataclass(frozen=True)
class Pending:
    """One snapshot that a test would change.

    Args:
        test: its node id.
        verdict: of the comparison.
        snapshot: the base file, relative to the project's root.
        compared: the file that it was compared with: the base or a variant, relative to the root.
        entry: the ledger entry that put the variant in force, or None.
        digest: SHA-256 of `compared` as it was, or None where there was no file.
        text: what the file would hold.
        cause: why it differs, or None where nobody can tell.
        why: the same in words, a line each, and what it rests on.
        gone: whether a run that collected the whole of its test's file did not find the test.
    """

    test: str
    verdict: str
    snapshot: str
    compared: str
    entry: str | None
    digest: str | None
    text: str
    cause: str | None = None
    why: tuple[str, ...] = ()
    gone: bool = False

    def is_stale(self, root: Path) -> bool:
        """Tell whether the file it was compared with has changed since."""
        return self.staleness(root) is not None

    def staleness(self, root: Path) -> str | None:
        """Return what happened to the file since the comparison (`was deleted`), or None if it is unchanged.

        A file that already holds the text counts as unchanged: an earlier accept was killed after writing it.
        """
        found = digest_of(root / self.compared)
        if found == self.digest or self.is_written(root):
            return None
        return "was deleted" if found is None else "was created" if self.digest is None else "has changed"

    def is_gone(self, root: Path) -> bool:
        """Tell whether there is no such test any more: a run did not find it, or its file is not there."""
        return self.gone or not os.path.exists(root / self.test.partition("::")[0])  # noqa: PTH110 - any text will do

    def is_written(self, root: Path) -> bool:
        """Return whether the file already holds the text."""
        return self.earlier(root) == self.content(root)

    def invalid_reason(self) -> str | None:
        """Return why the text is not a valid snapshot, or None if it is."""
        return _invalid_reason(self.text, self.compared)

    def trouble(self, root: Path) -> Problem | None:
        """Return why it cannot be accepted as it is, or None where it can."""
        if self.is_gone(root):
            return Problem("stale: the test no longer exists; reject it")
        invalid_reason = self.invalid_reason()
        if invalid_reason is not None:
            return Problem(f"{invalid_reason}; reject it", is_stale=False)
        try:
            stale = self.staleness(root)
        except SnapshotError as error:
            return Problem(f"unreadable: {error.message}", is_stale=False)
        return None if stale is None else Problem(f"stale: the file {stale} since it was compared; run the test again")

    def remains(self, root: Path) -> str:
        """Return what becomes of its file where it is rejected."""
        there = os.path.lexists(root / self.compared)
        return f"{self.compared} stays as it is" if there else f"there is still no {self.compared}"

    def content(self, root: Path) -> str:
        """Return what the file shall hold: `text`, with the line ends that the file has."""
        earlier = self.earlier(root)
        crlf = earlier is not None and "\r\n" in earlier and earlier.count("\n") == earlier.count("\r\n")
        return self.text.replace("\n", "\r\n") if crlf else self.text

    def earlier(self, root: Path) -> str | None:
        """Return what the file holds, line ends as they are, or None where there is none.

        Raises:
            SnapshotError: it cannot be read.
        """
        path = root / self.compared
        try:
            return read_bytes(path, largest=LARGEST).decode()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise SnapshotError(f"{path} cannot be read: {error}.", hint="See what it is.") from error


@dataclass(frozen=True)
class PendingFolder:
    """Where pending changes are kept.

    Args:
        path: the folder; it need not be there.
        carried: collects the changes of this process if they travel in reports; else None.
        unsaved: filled with the changes that this process could not write.
    """

    path: Path
    carried: list[Pending] | None = None
    unsaved: list[Pending] = field(default_factory=list)


def pending_folder(config: pytest.Config) -> PendingFolder | None:
    """Return where a run keeps pending changes, or None where pytest's cache is switched off."""
    path = pending_path(config)
    if path is None:
        return None
    if _KEY not in config.stash:
        config.stash[_KEY] = PendingFolder(path)
    return config.stash[_KEY]


def carry(config: pytest.Config) -> list[Pending]:
    """Have what this process keeps put into a list, too, and return the list. Needs pytest's cache."""
    folder = pending_folder(config)
    assert folder is not None, "the caller has looked"
    carried: list[Pending] = []
    config.stash[_KEY] = replace(folder, carried=carried)
    return carried


def keep(folder: PendingFolder, pending: Pending) -> None:
    """Keep a pending change, in place of an earlier one of the same snapshot.

    A write error in the cache folder does not change the test's result; the change is added to `folder.unsaved`, and
    the end of the run offers it as a patch.
    """
    if folder.carried is not None:
        folder.carried.append(pending)
    try:
        _write(folder, pending)
    except OSError:
        folder.unsaved.append(pending)


def packed(pending: Pending) -> str:
    """Return a pending change as JSON, in ASCII: a text may hold what UTF-8 cannot."""
    values = asdict(pending)
    if not values["gone"]:  # as all are when they are made
        del values["gone"]
    return json.dumps({"format": FORMAT, **values}, indent=1)


def unpacked(text: str, path: Path) -> Pending:
    """Return what `packed` was given.

    Args:
        text: the JSON.
        path: the file that it is from.

    Raises:
        SnapshotError: it is of another format version, or nothing of ours.
    """
    mend = "Run the tests again, which works out anew what is pending; delete the file if it is still there then."
    try:
        values = json.loads(text)
        found = values.pop("format")
        if found != FORMAT:
            raise SnapshotError(
                f"{path} is a pending change of format {found!r}, and this release reads {FORMAT}.", hint=mend
            )
        return _checked(Pending(**{**values, "why": tuple(values["why"])}))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SnapshotError(f"{path} is no pending change: {error!r}.", hint=mend) from error


def forget(folder: PendingFolder, snapshot: str) -> None:
    """Drop the pending change of a snapshot, if there is one."""
    file = _file(folder, snapshot)
    with suppress(OSError):
        file.unlink(missing_ok=True)
        remove_leftovers(file)


def mark(folder: PendingFolder, is_gone: Callable[[Pending], bool | None]) -> None:
    """Note of each pending change whether its test is gone.

    Nothing is dropped: the test may be on another branch. What cannot be read or written stays as it is.

    Args:
        folder: where they are kept.
        is_gone: says it of one; None where it does not know.
    """
    for pending in read_pending(folder):
        gone = is_gone(pending)
        if gone is not None and gone != pending.gone:
            with suppress(OSError):
                _write(folder, replace(pending, gone=gone))


def read_pending(folder: PendingFolder) -> list[Pending]:
    """Return all pending changes that can be read, by snapshot; `unreadable` tells of the others."""
    return sorted((found for found in _all(folder) if isinstance(found, Pending)), key=lambda pending: pending.snapshot)


def unreadable(folder: PendingFolder) -> list[SnapshotError]:
    """Return a complaint about each file that is of another format version or none of ours. They stay."""
    return [found for found in _all(folder) if isinstance(found, SnapshotError)]


def current(folder: PendingFolder, snapshot: str) -> Pending | None:
    """Return the pending change of a snapshot as it is kept now, or None where there is none any more.

    Raises:
        SnapshotError: its file cannot be read.
    """
    return _read(_file(folder, snapshot))


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
                    f"Nothing that is pending{' there' if narrowed else ''} has the {what} {name!r}.",
                    hint=f"There is: {', '.join(there)}." if there else "`hfmodels pending` lists what is.",
                )
        chosen = [pending for pending in chosen if not names or own(pending) in names]
        narrowed = narrowed or bool(names)
    return chosen


def cause_of(pending: Pending) -> str:
    """Return the name of its cause."""
    return UNDETERMINED if pending.cause is None else pending.cause


def digest_of(path: Path) -> str | None:
    """Return the SHA-256 of a file, or None where there is none."""
    try:
        return sha256(read_bytes(path, largest=LARGEST)).hexdigest()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SnapshotError(f"{path} cannot be read: {error.strerror or error}.", hint="See what it is.") from error


@lru_cache(maxsize=64)  # a review calls this often, and parsing megabytes takes a second
def _invalid_reason(text: str, name: str) -> str | None:
    try:
        load(text, Path(name))
    except SnapshotError as error:
        return f"its text is not a valid snapshot: {error.message}"
    return None


def forget_validity() -> None:
    """Check texts again: kinds of records have been registered since."""
    _invalid_reason.cache_clear()


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


def _all(folder: PendingFolder) -> Iterator[Pending | SnapshotError]:
    for path in sorted(folder.path.glob("*.json")):
        try:
            found = _read(path)
        except SnapshotError as error:
            yield error
        else:
            if found is not None:
                yield found


def _read(path: Path) -> Pending | None:
    try:
        return unpacked(read_bytes(path, largest=2 * LARGEST).decode("utf-8-sig", errors="replace"), path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SnapshotError(f"{path} cannot be read: {error.strerror or error}.", hint="See what it is.") from error


def _checked(pending: Pending) -> Pending:
    """Return it; a dataclass does not look at the types of what it is given.

    Raises:
        TypeError: a field is of another type.
    """
    values: dict[str, Any] = asdict(pending)
    absent = [name for name in ("entry", "digest", "cause") if values[name] is None]
    lines, gone = values.pop("why"), values.pop("gone")
    if not isinstance(gone, bool):
        raise TypeError("`gone` is no truth value")
    if not all(isinstance(value, str) for name, value in (*values.items(), *enumerate(lines)) if name not in absent):
        raise TypeError("a field is no text")
    names = os.fsencode(pending.snapshot + pending.compared)  # which refuses half of a surrogate pair
    if b"\0" in names:
        raise ValueError("a file's name has a NUL")
    return pending


def _write(folder: PendingFolder, pending: Pending) -> None:
    file = _file(folder, pending.snapshot)
    if file.is_symlink():  # a committed link would redirect the write
        file.unlink()
    write_atomically(file, packed(pending))


def _file(folder: PendingFolder, snapshot: str) -> Path:
    digest = sha256(snapshot.encode(errors="surrogatepass")).hexdigest()
    return folder.path / f"{digest[:24]}.json"


_KEY = pytest.StashKey[PendingFolder]()
