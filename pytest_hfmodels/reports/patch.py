"""Pending changes as one patch for `git apply`, where they cannot be accepted on the spot. Needs no git."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.foundation.files import write_atomically
from pytest_hfmodels.foundation.shell import command, operand
from pytest_hfmodels.reports.diff import hunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_hfmodels.results.pending import Pending


def apply_command(file: str, root: Path) -> str:
    """Return the command that applies a patch, for the current folder.

    Args:
        file: the patch, from the current folder.
        root: of the project. Below the repository's root git skips files outside the current folder without a word.
    """
    top = os.path.relpath(repository(root))
    if top == ".":
        return command("git", "apply", operand(file))
    return command("git", "-C", top, "apply", operand(os.path.relpath(file, top)))


def offer(pendings: Sequence[Pending], tests: int, folder: Path, root: Path, *, asked: bool) -> str:
    """Write a patch that nobody asked for, as the cache folder cannot be written; return what to print.

    Args:
        pendings: the changes that could not be saved.
        tests: that failed.
        folder: in which they would have been saved.
        root: of the project.
        asked: whether a patch is written anyway.
    """
    unsaved = len({pending.test for pending in pendings})
    count = "nothing is pending" if unsaved == tests else f"{unsaved} of them could not be saved"
    said = f"{count}, because {folder} cannot be written"
    if asked:
        return said
    try:
        patch = patch_of(pendings, root)
        if not patch:
            return said
        handle, file = tempfile.mkstemp(prefix="hfmodels-", suffix=".patch")
        os.close(handle)
        write_atomically(Path(file), patch)
    except (OSError, SnapshotError):
        return f"{said}; --hfmodels-patch FILE writes the changes that hfmodels accept would accept"
    return f"{said}; apply it: {apply_command(file, root)} (--hfmodels-patch FILE chooses the file)"


def patch_of(pendings: Iterable[Pending], root: Path) -> str:
    """Return what accepting would write, as text to be kept in UTF-8 with its line ends as they are.

    Args:
        pendings: the changes; those that are stale, and those that no file can hold, are left out.
        root: of the project. Names in the patch start from the repository that it is in, or else from it.

    Raises:
        SnapshotError: a snapshot lies outside of that repository, or cannot be read.
    """
    top = repository(root)
    told = (pending for pending in pendings if pending.is_text() and not pending.is_stale(root))
    ordered = sorted(told, key=lambda pending: pending.compared)
    return "".join(f"{line}\n" for pending in ordered for line in _file(pending, root, top))


def repository(root: Path) -> Path:
    """Return the folder of the repository that a project is in, or the project's own where it is in none."""
    return next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), root)


def _file(pending: Pending, root: Path, top: Path) -> Iterator[str]:
    name = PurePath(os.path.relpath(root / pending.compared, top)).as_posix()
    if name.startswith("../"):
        raise SnapshotError(
            f"{pending.compared} lies outside of {top}, and a patch tells of one repository.",
            hint="Accept it where it is: hfmodels accept.",
        )
    earlier = pending.earlier(root)
    yield f"diff --git {_quoted(f'a/{name}')} {_quoted(f'b/{name}')}"
    if earlier is None:
        yield "new file mode 100644"
    yield f"--- {'/dev/null' if earlier is None else _ended(_quoted(f'a/{name}'))}"
    yield f"+++ {_ended(_quoted(f'b/{name}'))}"
    yield from hunks(earlier or "", pending.content(root))


def _quoted(name: str) -> str:
    """Return a name as git writes it: in quotes, byte by byte, where it holds more than plain characters."""
    raw = os.fsencode(name)
    if all(0x20 <= byte < 0x7F and byte not in b'"\\' for byte in raw):
        return name
    plain = (chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\' else f"\\{byte:03o}" for byte in raw)
    return f'"{"".join(plain)}"'


def _ended(name: str) -> str:
    return f"{name}\t" if " " in name and not name.startswith('"') else name  # a date could follow a space
