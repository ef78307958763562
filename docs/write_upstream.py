"""Writes docs/upstream-architectures.md from suites, ledger and known changes: `python docs/write_upstream.py`."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from pytest_hfmodels.reference.known_changes import KnownChange, known_changes
from pytest_hfmodels.snapshots.ledger import LedgerEntry, read_ledger
from suites import architectures

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "upstream-architectures.md"
RELEASES = (
    *("4.30.2", "4.36.2", "4.37.2", "4.38.2", "4.44.2", "4.49.0", "4.50.3"),
    *("4.51.3", "4.52.4", "4.53.3", "4.57.6", "5.0.0", "5.10.4", "5.23.0"),
)
MARKS = {"change": "≠", "break": "!", "removal": "removed"}
HEAD = """# Architectures by release

Written by `python docs/write_upstream.py` from `suites/architectures`, [the ledger](../snapshots/upstream.toml) and the
known changes. Tests fail where a cell is wrong: each entry must hold in all its releases.

✓: all tests give what 4.57.6 gave. ≠: some outputs differ, for a known reason. !: some tests fail, for a known reason.
–: the release does not have the class, or does not read its files yet. The columns are releases of transformers.
"""


def page() -> str:
    """Return the page: the grid, then a section for each architecture."""
    checks, entries = list(architectures_checked()), _entries()
    lines = [HEAD, f"| model type | {' | '.join(RELEASES)} |", f"|{'---|' * (len(RELEASES) + 1)}"]
    for one in checks:
        cells = (_cell(one, entries, Version(release)) for release in RELEASES)
        lines.append(f"| [{one.model_type}](#{one.model_type.lower()}) | {' | '.join(cells)} |")
    for one in checks:
        lines += _section(one)
    return "\n".join([*lines, ""])


def architectures_checked() -> Iterator[Any]:
    """Yield the class of checks in each file of `suites/architectures`, by model type."""
    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(architectures.__path__, f"{architectures.__name__}."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if name.startswith("Test") and getattr(value, "model_type", None):
                found.setdefault(value.model_type, value)
    yield from (found[name] for name in sorted(found))


def _entries() -> Sequence[LedgerEntry]:
    return read_ledger(ROOT / "snapshots" / "upstream.toml").entries


def _cell(checks: Any, entries: Sequence[LedgerEntry], release: Version) -> str:
    if release < Version(max(checks.since, checks.needs[0] or checks.since, key=Version)):
        return "–"
    installed = {"transformers": str(release)}.get
    kinds = {entry.kind for entry in entries if entry.applies(installed) and _concerns(entry, checks)}
    return " ".join(MARKS[kind] for kind in sorted(kinds, reverse=True)) or "✓"


def _concerns(entry: LedgerEntry, checks: Any) -> bool:
    """Return whether an entry has a variant of a snapshot of an architecture, or names one of its tests."""
    file = checks.__module__.replace(".", "/")
    folder = getattr(entry, "folder", None)
    if folder is not None:
        return Path(ROOT, "snapshots", folder, file).is_dir()
    compared = f"test_reference.py::test_the_forward_pass_is_the_references[{checks.model_type}*"
    return any(f"{file}.py" in test or compared in test for test in getattr(entry, "tests", ()))


def _section(checks: Any) -> Iterator[str]:
    file = checks.__module__.replace(".", "/") + ".py"
    yield from ("", f"## {checks.model_type}", "")
    yield f"`{checks.model_class}`, since {checks.since}; [its tests](../{file})."
    own = [change for change in known_changes().change if checks.model_type in change.models]
    if own:
        yield ""
    yield from (_line(change) for change in own)


def _line(change: KnownChange) -> str:
    return f"- {change.when}: {change.sentence}"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
