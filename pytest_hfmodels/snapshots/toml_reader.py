"""Reads our TOML files into typed records; every error names the file, its line and the key. Imports msgspec."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.foundation.files import read_bytes
from pytest_hfmodels.foundation.shell import command
from pytest_hfmodels.results.pending import LARGEST

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")


@dataclass(frozen=True)
class TomlFile:
    """A parsed file.

    Args:
        path: its name, for messages.
        text: its content.
        values: the same as plain data.
        hint: what to do about an invalid value.
        raises: the class of its errors.
    """

    path: Path
    text: str
    values: dict[str, Any]
    hint: str
    raises: type[SnapshotError]

    def convert(self, wanted: type[T], values: Any = None, *trail: str) -> T:
        """Return the file, or a part of it, as a typed object.

        Args:
            wanted: a dataclass or `msgspec.Struct`. Keys that it does not have are ignored, unless a Struct forbids
                them. A field's class that msgspec does not know is called with the value.
            values: what to convert; the whole file by default.
            trail: the keys that lead to `values`.

        Raises:
            SnapshotError: it does not fit.
        """
        try:
            return msgspec.convert(
                self.values if values is None else values, wanted, dec_hook=lambda kind, value: kind(value)
            )
        except (msgspec.ValidationError, RecursionError) as error:
            # msgspec gives the place only as a part of its message.
            what, _, place = str(error).partition(" - at `$")
            raise self.error(what, *trail, *re.findall(r"[^.\[\]`]+", place)) from error

    def error(self, what: str, *trail: str, hint: str | None = None) -> SnapshotError:
        """Return an error about the value at `trail`: its keys and indices from the top of the file."""
        place = f"{self.path}:{line_of(self.text, trail)}: {'.'.join(trail)}{': ' if trail else ''}"
        return self.raises(f"{place}{what[:1].lower()}{what[1:]}.", hint=hint or self.hint)


def read_toml(
    path: Path, *, hint: str, raises: type[SnapshotError] = SnapshotError, largest: int = LARGEST
) -> TomlFile | None:
    """Read and parse a file of at most `largest` bytes; None if there is none.

    Raises:
        SnapshotError: it cannot be read, or is not TOML. It is of the class `raises`, with the hint.
    """
    try:
        text = read_bytes(path, largest=largest).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            return None
        raise raises(f"{path} cannot be read: {error}.", hint=hint) from error
    return parse_toml(text, path, hint=hint, raises=raises)


def parse_toml(text: str, path: Path, *, hint: str, raises: type[SnapshotError] = SnapshotError) -> TomlFile:
    """Parse a text as the content of a file; see `read_toml`."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    try:
        if _LONG_KEY.search(_STRING.sub('""', text)):
            raise ValueError("a key has more than 100 parts")
        return TomlFile(path, text, tomllib.loads(text), hint, raises)
    except (ValueError, RecursionError) as error:
        raise raises(f"{path} is not valid TOML: {error}.", hint=hint) from error


def snapshot_hint(path: Path) -> str:
    """Return the hint for an invalid snapshot file."""
    return f"Delete it and record it again (pytest --snapshot-update), or restore it: {restore_command(path)}"


def restore_command(path: Path) -> str:
    """Return the command that restores a committed file."""
    return command("git", "checkout", "--", str(path))


def line_of(text: str, trail: tuple[str, ...]) -> int:
    """Return the line (from 1) of the value at `trail`, or of the nearest key around it.

    tomllib gives no positions, and our files have one layout: a header a table, a key a line, and rows below their key.
    """
    lines, found = text.splitlines(), 0
    for part in trail:
        name, start = re.escape(part), lines[found].strip() if lines else ""
        if not part.isdigit():
            wanted = rf"\s*(\[\[?{name}\]\]?\s*$|\"?{name}\"?\s*=)|.*[{{,]\s*{name}\s*="
        elif start.startswith("[["):  # the next tables have the same header
            wanted = re.escape(start)
        else:
            wanted = r"\s" if start.endswith("[") else "(?!)"  # an array in one line has no rows
        pattern = re.compile(wanted)
        same = [number for number in range(found, len(lines)) if pattern.match(lines[number])]
        index = int(part) if part.isdigit() else 0
        if index >= len(same):
            break
        found = same[index]
    return found + 1


# tomllib takes quadratic time for keys of many parts. Every character is read once.
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*+"')
_LONG_KEY = re.compile(r"(?<![^\s.,=\[\]{}])(?:[^\s.,=\[\]{}]++\s*+\.\s*+){100}")
