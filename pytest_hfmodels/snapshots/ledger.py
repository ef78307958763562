"""The ledger, `snapshots/upstream.toml`: what is known to change, break or be gone upstream, and in which releases.

Pure: text and versions in, entries out. `variants` and `expectations` act on them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from os.path import relpath
from typing import TYPE_CHECKING, Any, ClassVar

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from pytest_hfmodels.errors import LedgerError
from pytest_hfmodels.kinds.explanation import CAUSES
from pytest_hfmodels.node_ids import escape_brackets, id_spellings
from pytest_hfmodels.snapshots.toml_reader import Reader, parse_toml, printable, read_text, restore_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

LARGEST = 1 << 20  # bytes of a ledger; the plugin's own has 23,000


@dataclass(frozen=True)
class Entry:
    """What every entry says.

    Args:
        name: of the entry, unique in its file.
        when: the versions it is about, all of which must be installed (`transformers<4.35`).
        what: the change, as a person would say it.
        reference: an upstream issue or pull request, or an empty string.
        place: file and line, for messages.
    """

    kind: ClassVar[str]

    name: str
    when: tuple[Requirement, ...]
    what: str
    reference: str
    place: str

    def applies(self, installed: Callable[[str], str | None]) -> bool:
        """Return whether the entry applies to the installed versions.

        Args:
            installed: a distribution's version, or None. A pre-release counts as its release: 5.0.0rc1 as 5.0.0.
        """
        return all(holds(requirement, installed(requirement.name)) for requirement in self.when)

    @property
    def versions(self) -> str:
        """The versions, lowest first."""
        return " and ".join(
            requirement.name + ",".join(sorted(map(str, requirement.specifier), key=_by_direction))
            for requirement in self.when
        )

    @property
    def sentence(self) -> str:
        """What is known, with its reference, in one line."""
        return f"{self.what} ({self.reference})" if self.reference else self.what


@dataclass(frozen=True)
class Change(Entry):
    """Outputs that differ in some releases: their snapshots are kept as variants.

    Args:
        folder: of the variants, relative to the snapshots folder.
        cause: what an explanation is to name where the change shows, or None where nobody says so.
    """

    kind: ClassVar[str] = "change"

    folder: str
    cause: str | None = None


@dataclass(frozen=True)
class Break(Entry):
    """Tests that fail in some releases, with one exception and message.

    Args:
        tests: node ids; after the test file, `*` matches any text.
        raises: the exception's class, with or without its module.
        match: text that the message contains; `*` matches any text.
    """

    kind: ClassVar[str] = "break"

    tests: tuple[str, ...]
    raises: str
    match: str


@dataclass(frozen=True)
class Removal(Entry):
    """A name that some releases no longer have, and the tests that use it.

    Args:
        tests: node ids; after the test file, `*` matches any text.
        gone: its dotted name (`transformers.TransfoXLModel`).
    """

    kind: ClassVar[str] = "removal"

    tests: tuple[str, ...]
    gone: str


@dataclass(frozen=True)
class Ledger:
    """The entries of a file, in its order."""

    path: Path
    entries: tuple[Entry, ...] = ()

    def applying(self, installed: Callable[[str], str | None]) -> Ledger:
        """Return the entries about the installed versions."""
        return Ledger(self.path, tuple(entry for entry in self.entries if entry.applies(installed)))

    @property
    def changes(self) -> tuple[Change, ...]:
        """The entries that have variants."""
        return tuple(entry for entry in self.entries if isinstance(entry, Change))

    def about(self, nodeid: str) -> Break | Removal | None:
        """Return the first entry that names a test."""
        for entry in self.entries:
            if isinstance(entry, Break | Removal) and any(matches_test(pattern, nodeid) for pattern in entry.tests):
                return entry
        return None


def read_ledger(path: Path) -> Ledger:
    """Read a ledger; without the file it has no entries.

    Raises:
        LedgerError: it cannot be read or is invalid; the message gives the line.
    """
    try:
        text = read_text(path, largest=LARGEST)
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            return Ledger(path)
        raise LedgerError(
            f"The ledger {path} cannot be read: {error}.",
            hint=f"Save it as UTF-8, or restore it: {restore_command(path)}",
        ) from error
    return parse_ledger(text, path)


def parse_ledger(text: str, path: Path) -> Ledger:
    """Parse a ledger.

    Raises:
        LedgerError: see `read_ledger`.
    """
    try:
        values = parse_toml(text)
    except ValueError as error:
        raise LedgerError(f"{path} is not valid TOML: {error}.", hint="Correct that line.") from error
    unknown = values.keys() - _KINDS.keys()
    if unknown:
        raise LedgerError(
            f"{path} has unknown tables: {printable(', '.join(sorted(unknown)))}.",
            hint=f"Its tables are {', '.join(f'[[{k}]]' for k in _KINDS)}.",
        )
    entries = tuple(_entries(Reader(values, text, path, mend="docs/ledger.md shows entries.", kind=LedgerError), path))
    names: dict[str, Entry] = {}
    for entry in entries:
        if names.setdefault(entry.name, entry) is not entry:
            raise LedgerError(
                f"{entry.place}: the name {entry.name!r} is that of {names[entry.name].place} too.",
                hint="Give each entry a name of its own.",
            )
    return Ledger(path, entries)


def parse_when(text: str, place: str) -> Requirement:
    """Parse one range of releases.

    Args:
        text: `transformers<4.35`, `transformers>=4.38,<5`.
        place: for the message.

    Raises:
        LedgerError: it is none.
    """
    try:
        found = Requirement(text)
    except InvalidRequirement:
        found = None
    if found is None or not len(found.specifier) or found.extras or found.marker or found.url:
        raise LedgerError(
            f"{place}: {text!r} is no range of releases.",
            hint='It reads like this: when = "transformers>=4.38,<5" (several packages: an array of them).',
        )
    return found


def _entries(file: Reader, path: Path) -> Iterator[Entry]:
    for kind, read in _KINDS.items():
        for table in file.tables(kind):
            place = f"{relpath(path)}:{table.line('name')}"
            when = tuple(parse_when(text, f"{relpath(path)}:{table.line('when')}") for text in _several(table, "when"))
            if not when:
                raise table.error(("when",), "names no release", "Give it a range: transformers<4.35.")
            reference = _line(table, "reference") if "reference" in table.values else ""
            said = {"name": _name(table), "when": when, "what": _line(table, "what"), "reference": reference}
            entry = read(table, {**said, "place": place})
            unknown = table.values.keys() - _KEYS[kind]
            if unknown:
                key = min(unknown)
                raise table.error((key,), "is nothing that an entry has", f"It has {', '.join(sorted(_KEYS[kind]))}.")
            yield entry


def _line(table: Reader, name: str) -> str:
    """Return a text without control characters, because skip reasons and reports print it unchanged."""
    text = table.string(name)
    if not text.isprintable():
        raise table.error(
            (name,), f"{text!a} has characters that cannot be printed", "Write it as one line of plain text."
        )
    return text


def _name(table: Reader) -> str:
    name = table.string("name")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise table.error(("name",), f"{name!r} is no name", "Use letters, digits and hyphens.")
    return name


def _change(table: Reader, said: dict[str, Any]) -> Change:
    folder = table.string("snapshots")
    if folder.startswith("/") or ".." in folder.split("/"):
        raise table.error(("snapshots",), f"{folder!r} leaves the snapshots folder", "Name a folder below it.")
    return Change(**said, folder=folder, cause=_cause(table) if "cause" in table.values else None)


def _cause(table: Reader) -> str:
    cause = table.string("cause")
    if cause not in CAUSES:
        raise table.error(("cause",), f"{cause!r} is no cause", f"It is one of {', '.join(CAUSES)}.")
    return cause


def _break(table: Reader, said: dict[str, Any]) -> Break:
    raises = table.string("raises")
    if not all(part.isidentifier() for part in raises.split(".")) or raises.removeprefix("builtins.") in ANY_FAULT:
        raise table.error(
            ("raises",),
            f"{raises!r} is not a specific exception class",
            "Name its class: TypeError, or torch.OutOfMemoryError.",
        )
    match = table.string("match") if "match" in table.values else ""
    return Break(**said, tests=_tests(table), raises=raises, match=match)


def _removal(table: Reader, said: dict[str, Any]) -> Removal:
    gone = table.string("gone")
    parts = gone.split(".")
    if not all(part.isidentifier() for part in parts) or len(parts) == 1 or "__main__" in parts:
        raise table.error(("gone",), f"{gone!r} is not a dotted name", "Write it like transformers.TransfoXLModel.")
    return Removal(**said, tests=_tests(table), gone=gone)


def _tests(table: Reader) -> tuple[str, ...]:
    """Return the patterns of an entry. Each gives the full path of a test file, so none can match every test."""
    patterns = _several(table, "tests")
    for pattern in patterns:
        file, _, rest = pattern.partition("::")
        if not file.strip() or "*" in file or not rest:
            raise table.error(
                ("tests",),
                f"{pattern!r} does not give the full path of a test file",
                "Write a node id such as tests/test_bot.py::test_reply, with * only after the ::",
            )
    return patterns


def _several(table: Reader, name: str) -> tuple[str, ...]:
    """Return one string or an array of them."""
    return (table.string(name),) if isinstance(table.values.get(name), str) else table.strings(name)


def _by_direction(clause: str) -> tuple[bool, str]:
    return clause.startswith("<"), clause


def holds(requirement: Requirement, version: str | None) -> bool:
    """Return whether a version is in a range. A pre-release counts as its release; None is in no range."""
    if version is None:
        return False
    try:
        base = Version(version).base_version
    except InvalidVersion:
        return False
    return requirement.specifier.contains(base, prereleases=True)


def matches_test(pattern: str, nodeid: str) -> bool:
    """Return whether a pattern matches a test's id, as people type it or as pytest prints it."""
    return any(
        names(spelled, typed) for spelled in {pattern, escape_brackets(pattern)} for typed in id_spellings(nodeid)
    )


def names(pattern: str, nodeid: str) -> bool:
    """Return whether a pattern names a test. Only `*` is special, because node ids contain brackets."""
    first, *parts = pattern.split("*")
    if not parts:
        # Without brackets, a test with all its parameters.
        return nodeid == pattern or ("[" not in pattern and nodeid.startswith(f"{pattern}["))
    last = parts.pop()
    if not nodeid.startswith(first) or not nodeid.endswith(last) or len(nodeid) < len(first) + len(last):
        return False
    return _in_order(parts, nodeid[len(first) : len(nodeid) - len(last)])


def message_matches(match: str, message: str) -> bool:
    """Return whether a message contains a text in which `*` matches anything."""
    return _in_order(match.split("*"), message)


def _in_order(parts: Sequence[str], text: str) -> bool:
    """Return whether the parts occur in a text in this order. Takes linear time."""
    place = 0
    for part in parts:
        found = text.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return True


# Classes that cover every error: a test that is expected to raise one could never fail.
ANY_FAULT = frozenset({"object", "BaseException", "Exception", "Warning", "BaseExceptionGroup", "ExceptionGroup"})
_KINDS: dict[str, Callable[..., Entry]] = {"change": _change, "break": _break, "removal": _removal}
_SHARED = {"name", "when", "what", "reference"}
_KEYS = {
    "change": _SHARED | {"snapshots", "cause"},
    "break": _SHARED | {"tests", "raises", "match"},
    "removal": _SHARED | {"tests", "gone"},
}
