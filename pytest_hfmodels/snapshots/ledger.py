"""The ledger, `snapshots/upstream.toml`: what changes, breaks or is removed upstream, and in which releases.

Pure: text and versions in, entries out. `expectations` acts on them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from os.path import relpath
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from pytest_hfmodels.foundation.errors import LedgerError
from pytest_hfmodels.kinds.explanation import CAUSES
from pytest_hfmodels.snapshots.node_ids import escape_brackets, id_spellings
from pytest_hfmodels.snapshots.toml_reader import line_of, parse_toml, read_toml, restore_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from pytest_hfmodels.snapshots.toml_reader import TomlFile

LARGEST = 1 << 20  # bytes of a ledger; the plugin's own has 23,000
MACHINE = ("device", "cpu")  # conditions that are known once a model has run
# Classes that cover every error: a test that is expected to raise one could never fail.
ANY_ERROR = frozenset({"object", "BaseException", "Exception", "Warning", "BaseExceptionGroup", "ExceptionGroup"})


class ReleaseRange(Requirement):
    """A range of releases of a package or of Python, or one device or CPU capability of a machine.

    It reads `transformers>=4.38,<5`, `python>=3.12`, `device==cuda` or `cpu==AVX2`; any other text raises ValueError.
    """

    def __init__(self, text: str) -> None:
        found = re.fullmatch(rf"\s*({'|'.join(MACHINE)})\s*==\s*(\w+)\s*", str(text))
        self.value = None if found is None else found[2]
        try:
            super().__init__(text if found is None else f"{found[1]}==={found[2]}")
            valid = len(self.specifier) > 0 and str(self) == f"{self.name}{self.specifier}"  # no extra or marker
            valid = valid and (found is not None or self.name not in MACHINE)
        except (InvalidRequirement, TypeError):
            valid = False
        known = 'it reads like "transformers>=4.38,<5", "python>=3.12", "device==cuda" or "cpu==AVX2"'
        _require(valid, f"{text!r:.80} is not a range of releases; {known}")


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every entry says.

    Args:
        name: of the entry, unique in its file.
        when: the releases it is about.
        what: the change, as a person would say it.
        reference: an upstream issue or pull request, or an empty string.
        place: file and line, for messages.
    """

    kind: ClassVar[str]

    name: str
    when: Annotated[tuple[ReleaseRange, ...], msgspec.Meta(min_length=1)]
    what: str
    reference: str = ""
    place: str

    def __post_init__(self) -> None:
        named = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name) is not None
        _require(named, f"`name` {self.name!r} is not a name; use letters, digits and hyphens")
        for text in (self.what, self.reference):  # skip reasons and reports print both
            _require(text.isprintable(), f"{text!a} cannot be printed; write one line of plain text")

    def applies(self, installed: Callable[[str], str | None]) -> bool:
        """Return whether the entry applies to the installed versions, on some machine.

        Args:
            installed: a distribution's version, or None. A pre-release counts as its release: 5.0.0rc1 as 5.0.0.
        """
        return all(holds(one, installed(one.name)) for one in self.when if one.value is None)

    def fits(self, machine: Mapping[str, str]) -> bool:
        """Return whether the entry applies on a machine, given its `device` and `cpu`."""
        return all(holds(one, machine.get(one.name)) for one in self.when if one.value is not None)

    @property
    def names(self) -> frozenset[str]:
        """What its conditions are about. An entry with more of them is nearer, and wins."""
        return frozenset(one.name for one in self.when)

    @property
    def versions(self) -> str:
        """The releases as text, each range with its lowest release first."""
        ranges = [(one.name, sorted(str(part).replace("===", "==") for part in one.specifier)) for one in self.when]
        return " and ".join(
            name + ",".join(sorted(bounds, key=lambda bound: bound[0] == "<")) for name, bounds in ranges
        )

    @property
    def sentence(self) -> str:
        """What is known, with its reference, in one line."""
        return f"{self.what} ({self.reference})" if self.reference else self.what


class Change(LedgerEntry, frozen=True):
    """Outputs that differ in some releases: their snapshots are kept as variants.

    Args:
        folder: of the variants, relative to the snapshots folder.
        cause: what an explanation must name where the change shows, or None.
    """

    kind: ClassVar[str] = "change"

    folder: str = msgspec.field(name="snapshots")
    cause: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        inside = not self.folder.startswith("/") and ".." not in self.folder.split("/")
        _require(inside, f"`snapshots` {self.folder!r} leaves the snapshots folder")
        _require(self.cause in (None, *CAUSES), f"`cause` {self.cause!r} is none of {', '.join(CAUSES)}")


class Break(LedgerEntry, frozen=True):
    """Tests that fail in some releases, with one exception and message.

    Args:
        tests: node ids; after the test file, `*` matches any text.
        raises: the exception's class, with or without its module.
        match: text that the message contains; `*` matches any text.
    """

    kind: ClassVar[str] = "break"

    tests: tuple[str, ...]
    raises: str
    match: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_releases(self.when)
        _require_files(self.tests)
        specific = _is_dotted(self.raises) and self.raises.removeprefix("builtins.") not in ANY_ERROR
        _require(specific, f"`raises` {self.raises!r} is not a specific exception class, such as TypeError")


class Removal(LedgerEntry, frozen=True):
    """A name that some releases no longer have, and the tests that use it.

    Args:
        tests: node ids; after the test file, `*` matches any text.
        symbol: the dotted name (`transformers.TransfoXLModel`).
    """

    kind: ClassVar[str] = "removal"

    tests: tuple[str, ...]
    symbol: str

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_releases(self.when)
        _require_files(self.tests)
        dotted = _is_dotted(self.symbol) and "." in self.symbol and "__main__" not in self.symbol.split(".")
        _require(dotted, f"`symbol` {self.symbol!r} is not a dotted name, such as transformers.TransfoXLModel")


class _Tables(msgspec.Struct, forbid_unknown_fields=True):
    change: tuple[Change, ...] = ()
    breaks: tuple[Break, ...] = msgspec.field(default=(), name="break")
    removal: tuple[Removal, ...] = ()


@dataclass(frozen=True)
class Variant:
    """A snapshot that holds instead of its base, because a change applies."""

    path: Path
    base: Path
    entry: Change


@dataclass(frozen=True)
class Ledger:
    """The entries of a file: changes, then breaks, then removals."""

    path: Path
    entries: tuple[LedgerEntry, ...] = ()

    def applying(self, installed: Callable[[str], str | None]) -> Ledger:
        """Return the entries about the installed versions."""
        return Ledger(self.path, tuple(entry for entry in self.entries if entry.applies(installed)))

    def about(self, nodeid: str) -> Break | Removal | None:
        """Return the first entry that names a test."""
        for entry in self.entries:
            if isinstance(entry, Break | Removal) and any(matches_test(pattern, nodeid) for pattern in entry.tests):
                return entry
        return None

    def variants(self) -> dict[Path, tuple[Variant, ...]]:
        """Return the variants of all changes, by the base that each replaces; of several, the nearest first.

        Raises:
            LedgerError: a change's folder is missing or empty, or two changes have a variant of one file, and neither
                names all conditions of the other.
        """
        found: dict[Path, list[Variant]] = {}
        for entry in self.entries:
            for variant in self._variants(entry) if isinstance(entry, Change) else ():
                others = found.setdefault(variant.base, [])
                if other := next((one.entry for one in others if _rivals(one.entry, variant.entry)), None):
                    raise LedgerError(
                        f"{entry.place}: {entry.name} and {other.name} ({other.place}) both apply to the installed "
                        f"versions, and both have a variant of {relpath(variant.base)}.",
                        hint="Narrow the `when` of one, or remove one of the files.",
                    )
                others.append(variant)
        return {
            base: tuple(sorted(several, key=lambda variant: -len(variant.entry.names)))
            for base, several in found.items()
        }

    def _variants(self, entry: Change) -> list[Variant]:
        folder = self.path.parent / entry.folder
        files = sorted(folder.rglob("*.toml"))
        if not files:
            raise LedgerError(
                f"{entry.place}: {entry.name} keeps its snapshots in {relpath(folder)}, and there are none.",
                hint="Restore the folder, correct its name, or remove the entry.",
            )
        return [Variant(file, self.path.parent / file.relative_to(folder), entry) for file in files]


def _rivals(one: LedgerEntry, other: LedgerEntry) -> bool:
    """Return whether two changes can apply at once, and neither is nearer."""
    values = [{part.name: part.value for part in entry.when if part.value is not None} for entry in (one, other)]
    apart = any(values[0][name].lower() != values[1][name].lower() for name in values[0].keys() & values[1].keys())
    return not apart and not (one.names < other.names or other.names < one.names)


def read_ledger(path: Path) -> Ledger:
    """Read a ledger; without the file it has no entries.

    Raises:
        LedgerError: it cannot be read or is invalid; the message gives the line.
    """
    hint = f"docs/ledger.md shows entries. Correct it, or restore it: {restore_command(path)}"
    file = read_toml(path, hint=hint, raises=LedgerError, largest=LARGEST)
    return Ledger(path) if file is None else _ledger(file)


def parse_ledger(text: str, path: Path) -> Ledger:
    """Parse a ledger.

    Raises:
        LedgerError: see `read_ledger`.
    """
    return _ledger(parse_toml(text, path, hint="docs/ledger.md shows entries.", raises=LedgerError))


def _ledger(file: TomlFile) -> Ledger:
    for kind, tables in file.values.items():
        for number, table in enumerate(tables if isinstance(tables, list) else []):
            if isinstance(table, dict):
                table |= {key: [table[key]] for key in ("when", "tests") if isinstance(table.get(key), str)}
                table["place"] = f"{relpath(file.path)}:{line_of(file.text, (kind, str(number)))}"
                if "gone" in table:  # its name in files of earlier versions
                    table["symbol"] = table.pop("gone")
    found = file.convert(_Tables)
    names: dict[str, LedgerEntry] = {}
    for entry in (*found.change, *found.breaks, *found.removal):
        if names.setdefault(entry.name, entry) is not entry:
            raise LedgerError(
                f"{entry.place}: the name {entry.name!r} is that of {names[entry.name].place} too.",
                hint="Give each entry a name of its own.",
            )
    return Ledger(file.path, tuple(names.values()))


def parse_when(text: str, place: str) -> ReleaseRange:
    """Parse one range of releases.

    Raises:
        LedgerError: it is none; the message begins with `place`.
    """
    try:
        return ReleaseRange(text)
    except ValueError as error:
        raise LedgerError(f"{place}: {text!r} is not a range of releases.", hint=str(error)) from error


def _require_releases(when: Iterable[ReleaseRange]) -> None:
    """Refuse conditions that are not known before a test runs."""
    named = next((one.name for one in when if one.value is not None), None)
    _require(
        named is None,
        f"`when` names the {named}, known only after the test has run; only a change may do so",
    )


def _require_files(tests: Iterable[str]) -> None:
    """Require the full path of a test file in each pattern, so that none can match every test."""
    for pattern in tests:
        file, _, rest = pattern.partition("::")
        _require(
            bool(file.strip()) and "*" not in file and bool(rest),
            f"`tests` {pattern!r} does not give the full path of a test file; write a node id such as "
            "tests/test_bot.py::test_reply, with * only after the ::",
        )


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _require(condition: bool, otherwise: str) -> None:
    """Raise ValueError, which msgspec passes on with the entry's place."""
    if not condition:
        raise ValueError(otherwise)


def holds(requirement: Requirement, version: str | None) -> bool:
    """Return whether a version is in a range. A pre-release counts as its release; None is in no range."""
    if version is None:
        return False
    if isinstance(requirement, ReleaseRange) and requirement.value is not None:
        return requirement.value.lower() == version.lower()
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
    if "*" not in pattern:  # without brackets, a test with all its parameters
        return nodeid == pattern or ("[" not in pattern and nodeid.startswith(f"{pattern}["))
    first, *parts, last = pattern.split("*")
    expression = f"{re.escape(first)}{_in_order(parts)}.*{re.escape(last)}"
    return re.fullmatch(expression, nodeid, re.DOTALL) is not None


def message_matches(match: str, message: str) -> bool:
    """Return whether a message contains a text in which `*` matches anything."""
    return re.match(_in_order(match.split("*")), message, re.DOTALL) is not None


def _in_order(parts: Iterable[str]) -> str:
    """Return an expression for the parts in this order. Atomic groups: it takes linear time."""
    return "".join(f"(?>.*?{re.escape(part)})" for part in parts)
