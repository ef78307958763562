"""Pending changes as diffs: one to read, and one for `git apply`. Needs no git."""

from __future__ import annotations

import os
from difflib import unified_diff
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from rich.text import Text

from pytest_hfmodels.foundation.control_chars import visible, visible_line
from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.foundation.shell import command, is_command, operand
from pytest_hfmodels.snapshots.pending import problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_hfmodels.results.pending import Pending

_MANY = 20_000  # lines beyond which difflib takes too long: all of them are then told as changed
_LONGEST = 1000  # characters of a line to read
_STYLES = {"-": "red", "+": "green", "@": "cyan"}


def hunks(before: str, after: str) -> Iterator[str]:
    """Yield the lines of the hunks, without their ends.

    Only a line feed ends a line, as for git: a text may hold other characters that Python takes for a line's end.
    """
    old, new = _lines(before), _lines(after)
    if len(old) + len(new) > _MANY and old != new:
        found = [f"@@ -{min(1, len(old))},{len(old)} +{min(1, len(new))},{len(new)} @@\n"]
        found += [*(f"-{line}" for line in old), *(f"+{line}" for line in new)]
    else:
        found = list(unified_diff(old, new))[2:]  # without the names of files
    for line in found:
        yield line.removesuffix("\n")
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"


def _lines(text: str) -> list[str]:
    """Return the lines with their ends; the last may have none."""
    *lines, last = text.split("\n")
    return [*(f"{line}\n" for line in lines), *([last] if last else [])]


def diff_lines(pending: Pending, root: Path, *, full: bool = False) -> Iterator[Text]:
    """Yield the lines of a diff between the file that a change is about, and what it would hold.

    Args:
        pending: the change. Where the file has changed since, the diff is with what it holds now.
        root: of the project.
        full: whether long lines are not cut.

    Raises:
        SnapshotError: the file cannot be read.
    """

    def line(text: str, style: str = "") -> Text:
        left = 0 if full or is_command(text.strip()) else len(text) - _LONGEST
        more = f" … {left:,} more characters: hfmodels diff --full" if left > 0 else ""
        return Text(f"{visible_line(text[:_LONGEST] if more else text)}{more}", style)

    earlier, trouble = pending.earlier(root), problem(pending, root)
    yield line(f"{pending.what}: {pending.test}", "bold")
    yield from (line(f"  {why}") for why in (*pending.why, *([trouble.what] if trouble else [])))
    yield line(f"--- {'no snapshot yet' if earlier is None else pending.compared}", "bold")
    yield line(f"+++ {pending.compared}", "bold")
    before, after = (visible(text.replace("\r\n", "\n")) for text in (earlier or "", pending.text))
    yield from (line(found, _STYLES.get(found[0], "")) for found in hunks(before, after))


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
            f"{pending.compared} is outside {top}, but a patch covers only one repository.",
            hint="Accept it where it is: hfmodels accept.",
        )
    earlier = pending.earlier(root)
    old, new = _quoted(f"a/{name}"), _quoted(f"b/{name}")
    yield f"diff --git {old} {new}"
    if earlier is None:
        yield "new file mode 100644"
    end = "\t" if " " in name else ""  # a date could follow a space
    yield "--- /dev/null" if earlier is None else f"--- {old}{end}"
    yield f"+++ {new}{end}"
    yield from hunks(earlier or "", pending.content(root))


def _quoted(name: str) -> str:
    """Return a name as git writes it: in quotes, byte by byte, where it holds more than plain characters."""
    plain = "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\' else f"\\{byte:03o}" for byte in os.fsencode(name)
    )
    return name if plain == name else f'"{plain}"'
