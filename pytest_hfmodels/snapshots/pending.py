"""Pending changes: what a failing comparison would have written, kept in pytest's cache folder until somebody decides.

One JSON file a snapshot: workers of one run, and runs of several people, never share one half-written.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hfmodels.errors import SnapshotError
from pytest_hfmodels.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pytest

FORMAT = 1


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
    """

    test: str
    verdict: str
    snapshot: str
    compared: str
    entry: str | None
    digest: str | None
    text: str

    def is_stale(self, root: Path) -> bool:
        """Tell whether the file it was compared with has changed since."""
        return self.digest != digest_of(root / self.compared)


def pending_folder(config: pytest.Config) -> Path | None:
    """Return where a run keeps pending changes, or None where pytest's cache is switched off."""
    if not config.pluginmanager.has_plugin("cacheprovider"):
        return None
    cache = Path(os.path.expandvars(config.getini("cache_dir"))).expanduser()  # as pytest reads it
    return config.rootpath / cache / "d" / "hfmodels-pending"


def keep(folder: Path, pending: Pending) -> None:
    """Keep a pending change, in place of an earlier one of the same snapshot.

    A cache folder that cannot be written is no reason for a test to say anything but what it found.
    """
    values = {"format": FORMAT, **asdict(pending)}
    with suppress(OSError):
        write_atomically(_file(folder, pending.snapshot), json.dumps(values, indent=1, ensure_ascii=False))


def forget(folder: Path, snapshot: str) -> None:
    """Drop the pending change of a snapshot, if there is one."""
    with suppress(OSError):
        _file(folder, snapshot).unlink(missing_ok=True)


def read_pending(folder: Path) -> list[Pending]:
    """Return all pending changes, by snapshot.

    Raises:
        SnapshotError: a file is of another format version, or is none of ours.
    """
    return sorted((_read(path) for path in folder.glob("*.json")), key=lambda pending: pending.snapshot)


def select(found: Iterable[Pending], tests: Sequence[str], root: Path) -> list[Pending]:
    """Return those of some tests.

    Args:
        found: pending changes.
        tests: node ids, test files or folders, from the current folder; none for all.
        root: of the project, which node ids start from.

    Raises:
        SnapshotError: one of them names nothing that is pending.
    """
    found = list(found)
    if not tests:
        return found
    chosen: list[Pending] = []
    for test in tests:
        path, separator, rest = test.partition("::")
        wanted = f"{relpath(path, root)}{separator}{rest}"
        named = [pending for pending in found if _is_within(pending.test, wanted)]
        if not named:
            raise SnapshotError(f"Nothing of {test} is pending.", hint="`hfmodels pending` lists what is.")
        chosen += [pending for pending in named if pending not in chosen]
    return chosen


def digest_of(path: Path) -> str | None:
    """Return the SHA-256 of a file, or None where there is none."""
    try:
        return sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SnapshotError(f"{path} cannot be read: {error.strerror or error}.", hint="See what it is.") from error


def _is_within(test: str, wanted: str) -> bool:
    return wanted == "." or test == wanted or any(test.startswith(wanted + end) for end in ("::", "/", "["))


def _read(path: Path) -> Pending:
    mend = "Delete it and run the tests again: what is pending is worked out anew."
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        found = values.pop("format")
        if found != FORMAT:
            raise SnapshotError(f"{path} has the format {found!r}; this release reads {FORMAT}.", hint=mend)
        return Pending(**values)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise SnapshotError(f"{path} is no pending change: {error}.", hint=mend) from error


def _file(folder: Path, snapshot: str) -> Path:
    return folder / f"{sha256(snapshot.encode()).hexdigest()[:24]}.json"
