"""Typed access to a parsed TOML file of ours: every complaint names file, line and what was expected."""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.errors import SnapshotError
from pytest_hfmodels.files import read_bytes
from pytest_hfmodels.results.pending import LARGEST
from pytest_hfmodels.shell import command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGEST_ID = 2**63 - 1  # both engines take ids of 64 bits
DEEPEST = 32  # nested tables and arrays; the plugin's own files have 4 levels


def snapshot_hint(path: Path) -> str:
    """Return the hint for an invalid snapshot file."""
    return f"Delete it and record it again (pytest --snapshot-update), or restore it: {restore_command(path)}"


def restore_command(path: Path) -> str:
    """Return the command that restores a committed file."""
    return command("git", "checkout", "--", str(path))


class Reader:
    """One table of a file.

    Args:
        values: the table.
        text: the whole file.
        path: its name.
        trail: the keys and indices that lead to this table.
        mend: the hint for an invalid value; by default `snapshot_hint`.
        kind: of the complaints.
    """

    def __init__(
        self,
        values: dict[str, Any],
        text: str,
        path: Path,
        trail: tuple[str | int, ...] = (),
        *,
        mend: str | None = None,
        kind: type[SnapshotError] = SnapshotError,
    ) -> None:
        self.values = values
        self._text = text
        self._path = path
        self._trail = trail
        self._mend = snapshot_hint(path) if mend is None else mend
        self._kind = kind

    def integer(self, name: str) -> int:
        """Return an integer."""
        return int(self._get(name, int, "an integer"))

    def number(self, name: str) -> float:
        """Return a number; an integer counts."""
        return self._float((name,), self._get(name, (int, float), "a number"))

    def string(self, name: str) -> str:
        """Return a string."""
        return str(self._get(name, str, "a string"))

    def array(self, name: str) -> list[Any]:
        """Return an array of anything."""
        return list(self._get(name, list, "an array"))

    def integers(self, name: str) -> tuple[int, ...]:
        """Return an array of token ids."""
        values = self._elements(name, (int,), "an integer")
        for number, value in enumerate(values):
            if value < 0:
                raise self.error((name, number), f"{value} is not a token id", self._mend)
            if value > LARGEST_ID:
                raise self.error((name, number), f"{value} is too large for a token id", self._mend)
        return tuple(values)

    def numbers(self, name: str) -> tuple[float, ...]:
        """Return an array of numbers."""
        values = self._elements(name, (int, float), "a number")
        return tuple(self._float((name, number), value) for number, value in enumerate(values))

    def strings(self, name: str) -> tuple[str, ...]:
        """Return an array of strings."""
        return tuple(self._elements(name, (str,), "a string"))

    def table(self, name: str) -> Reader:
        """Return a table."""
        return self._within(self._get(name, dict, "a table"), name)

    def tables(self, name: str) -> Iterator[Reader]:
        """Yield the tables of an array of tables; a missing one has none."""
        if name not in self.values:
            return
        for number, value in enumerate(self._elements(name, (dict,), "a table")):
            yield self._within(value, name, number)

    def require_columns(self, table: str, columns: tuple[str, ...]) -> None:
        """Refuse a table whose `columns` do not name what its rows hold."""
        inner = self.table(table)
        if inner.strings("columns") != columns:
            raise inner.error(("columns",), f"the columns are not {', '.join(columns)}")

    def rows(self, table: str, name: str, columns: tuple[type, ...]) -> Iterator[list[Any]]:
        """Yield the rows of an array of arrays, each checked against the types of its columns."""
        inner = self.table(table)
        for number, row in enumerate(inner.array(name)):
            if not isinstance(row, list) or len(row) != len(columns):
                raise inner.error((name, number), f"row {number} does not have {len(columns)} columns", self._mend)
            for value, wanted in zip(row, columns, strict=True):
                if not _fits(value, (int, float) if wanted is float else (wanted,)):
                    raise inner.error((name, number), f"{value!r} in row {number} is not {_NAMES[wanted]}", self._mend)
                if wanted is int and value < 0:
                    raise inner.error((name, number), f"{value} in row {number} is not a token id", self._mend)
                if wanted is int and value > LARGEST_ID:
                    what = f"{value} in row {number} is too large for a token id"
                    raise inner.error((name, number), what, self._mend)
            yield [
                inner._float((name, number), value) if wanted is float else value
                for value, wanted in zip(row, columns, strict=True)
            ]

    def error(self, trail: tuple[str | int, ...], what: str, hint: str | None = None) -> SnapshotError:
        """Return a complaint about the value at `trail`, which is relative to this table."""
        whole = (*self._trail, *trail)
        name = printable(".".join(str(part) for part in whole))
        return self._kind(f"{self._path}:{line_of(self._text, whole)}: {name}: {what}.", hint=hint or self._mend)

    def line(self, name: str) -> int:
        """Return the line of a value of this table, from 1."""
        return line_of(self._text, (*self._trail, name))

    def _within(self, values: dict[str, Any], *trail: str | int) -> Reader:
        return Reader(values, self._text, self._path, (*self._trail, *trail), mend=self._mend, kind=self._kind)

    def _float(self, trail: tuple[str | int, ...], value: float) -> float:
        try:
            return float(value)
        except OverflowError as error:
            raise self.error(trail, "is too large for a number", self._mend) from error

    def _get(self, name: str, kind: type | tuple[type, ...], words: str) -> Any:
        if name not in self.values:
            raise self.error((name,), "is missing", self._mend)
        if not _fits(self.values[name], kind if isinstance(kind, tuple) else (kind,)):
            raise self.error((name,), f"{self.values[name]!r} is not {words}", self._mend)
        return self.values[name]

    def _elements(self, name: str, kinds: tuple[type, ...], words: str) -> list[Any]:
        values = self.array(name)
        for number, value in enumerate(values):
            if not _fits(value, kinds):
                raise self.error((name, number), f"{value!r} is not {words}", self._mend)
        return values


def read_file(path: Path) -> str | None:
    """Return the text of a snapshot file, or None where there is none.

    Raises:
        SnapshotError: it exists but cannot be read.
    """
    try:
        return read_text(path, largest=LARGEST)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SnapshotError(f"The snapshot {path} cannot be read: {error}.", hint=snapshot_hint(path)) from error


def read_text(path: Path, *, largest: int) -> str:
    """Return the text of a UTF-8 file, with or without a byte-order mark; its line ends become newlines.

    Args:
        path: the file.
        largest: the largest size allowed, bytes.

    Raises:
        OSError: see `files.read_bytes`.
        UnicodeDecodeError: it is not UTF-8.
    """
    return read_bytes(path, largest=largest).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def printable(name: str) -> str:
    """Return a key of a file, escaped if a terminal cannot print it."""
    return name if name.isprintable() else ascii(name)


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a TOML text, which may begin with a byte-order mark.

    tomllib takes quadratic time for long dotted keys, so the nesting depth is checked first.

    Raises:
        ValueError: it is not TOML, or it is nested too deeply.
    """
    plain = _QUOTED.sub('"', text)
    if max(segment.count(".") for segment in _SEGMENT_ENDS.split(plain)) > DEEPEST or _depth(plain) > DEEPEST:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep")
    return tomllib.loads(text.removeprefix(BYTE_ORDER_MARK))


def _depth(plain: str) -> int:
    depth = deepest = 0
    for bracket in _BRACKETS.findall(plain):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


BYTE_ORDER_MARK = "\ufeff"
# Strings, closed or not, and comments. Possessive quantifiers: every character is read once.
_QUOTED = re.compile(
    r"""
    "{3} (?: [^"\\]++ | \\. | "{1,2}(?!") )*+ (?:"{3})?
    | \'{3} (?: [^\']++ | \'{1,2}(?!\') )*+ (?:\'{3})?
    | " [^"\\\n]*+ (?: \\. [^"\\\n]*+ )*+ "?
    | \' [^\'\n]*+ \'?
    | \# [^\n]*
    """,
    re.DOTALL | re.VERBOSE,
)
_SEGMENT_ENDS = re.compile(r"[\n=,\[\]{}]")
_BRACKETS = re.compile(r"[\[\]{}]")
_NAMES = {int: "an integer", float: "a number", str: "a string"}


def _fits(value: object, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds)


def line_of(text: str, trail: tuple[str | int, ...]) -> int:
    """Return the line (from 1) of the value at `trail`, or of the nearest thing around it that can be found.

    tomllib gives no positions for values, and the files have one layout: a header a table, a key a line, and rows one
    a line below their key.
    """
    line = 0
    for part in trail:
        found = _row(text, line, part) if isinstance(part, int) else _key(text, line, part)
        if found is None:
            break
        line = found
    return line + 1


# Cached: every entry of a ledger needs the lines, and splitting the text each time would take quadratic time.
@lru_cache(maxsize=2)
def _lines(text: str) -> list[str]:
    return text.removeprefix(BYTE_ORDER_MARK).splitlines()


@lru_cache(maxsize=2)
def _headers(text: str) -> dict[str, list[int]]:
    """Return the line numbers of each array of tables."""
    found: dict[str, list[int]] = {}
    for number, line in enumerate(_lines(text)):
        if line.lstrip().startswith("[["):
            found.setdefault(line.strip(), []).append(number)
    return found


@lru_cache(maxsize=64)
def _key(text: str, start: int, name: str) -> int | None:
    name, lines = re.escape(name), _lines(text)
    pattern = re.compile(rf"\s*(?:\[\[?{name}\]\]?\s*$|\"?{name}\"?\s*=)|.*[{{,]\s*{name}\s*=")
    return next((number for number in range(start, len(lines)) if pattern.match(lines[number])), None)


def _row(text: str, start: int, index: int) -> int | None:
    lines = _lines(text)
    header = lines[start].strip()
    if header.startswith("[["):
        places = _headers(text).get(header, [])
        return places[index] if index < len(places) else None
    if not header.endswith("["):  # an array in one line
        return None
    places = [number for number in range(start + 1, len(lines)) if lines[number].startswith((" ", "\t"))]
    return places[index] if index < len(places) else None
