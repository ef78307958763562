"""Pending changes as one patch for `git apply`, where they cannot be accepted on the spot. Needs no git."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.foundation.shell import command, operand
from pytest_hfmodels.reports.diff import hunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_hfmodels.results.pending import Pending


def apply_command(file: str, root: Path) -> str:
    """Return the command that applies a patch, for the current folder.

    Args:
        file: the patch, from the current folder.
        root: of the project. Below the repository's root git skips files outside the current folder without a word.
    """
    top = os.path.relpath(_repository(root))
    if top == ".":
        return command("git", "apply", operand(file))
    return command("git", "-C", top, "apply", operand(os.path.relpath(file, top)))


def patch_of(pendings: Iterable[Pending], root: Path) -> str:
    """Return what accepting would write, as text to be kept in UTF-8 with its line ends as they are.

    Args:
        pendings: the changes; those that are stale, and those that no patch can hold, are left out.
        root: of the project. Names in the patch start from the repository that it is in, or else from it.

    Raises:
        SnapshotError: a snapshot lies outside of that repository, or cannot be read.
    """
    told = (one for one in pendings if one.not_in_a_patch is None and not one.is_stale(root))
    ordered = sorted(told, key=lambda pending: pending.compared)
    return "".join(f"{line}\n" for pending in ordered for line in _file(pending, root))


def _repository(root: Path) -> Path:
    """Return the folder of the repository that a project is in, or the project's own where it is in none."""
    return next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), root)


def _file(pending: Pending, root: Path) -> Iterator[str]:
    top = _repository(root)
    name = PurePath(os.path.relpath(root / pending.compared, top)).as_posix()
    if name.startswith("../"):
        raise SnapshotError(
            f"{pending.compared} lies outside of {top}, and a patch tells of one repository.",
            hint="Accept it where it is: hfmodels accept.",
        )
    earlier = pending.earlier(root)
    old, new = _quoted(f"a/{name}"), _quoted(f"b/{name}")
    yield f"diff --git {old} {new}"
    if earlier is None:
        yield "new file mode 100644"
    # A date could follow a space; a tab ends a name.
    yield "--- /dev/null" if earlier is None else f"--- {old}\t"
    yield f"+++ {new}\t"
    yield from hunks(earlier or "", pending.content(root))


def _quoted(name: str) -> str:
    """Return a name as git writes it: in quotes, byte by byte, where it holds more than plain characters."""
    plain = "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\' else f"\\{byte:03o}" for byte in os.fsencode(name)
    )
    return name if plain == name else f'"{plain}"'
