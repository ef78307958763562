"""What the ledger makes of tests: a break is a strict expected failure, a removal a skip, a change another snapshot.

Imported only where a project has a ledger.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.engines.availability import installed
from pytest_hfmodels.errors import LedgerError
from pytest_hfmodels.snapshots.ledger import Break, Ledger, Removal, read_ledger
from pytest_hfmodels.snapshots.location import ledger_file
from pytest_hfmodels.snapshots.variants import put_in_force

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAMED = 4  # entries in a run's header


def apply_ledger(config: pytest.Config, items: Iterable[pytest.Item]) -> Ledger:
    """Let the entries that are about the installed versions hold for these tests, and return them.

    Raises:
        LedgerError: the file does not fit, or two entries disagree about a snapshot.
    """
    ledger = read_ledger(ledger_file(config)).applying(installed)
    put_in_force(config, ledger)
    for item in items:
        entry = ledger.about(item.nodeid)
        if entry is not None:
            item.stash[ENTRY] = entry
    config.stash[APPLYING] = ledger
    return ledger


def skip_removed(item: pytest.Item) -> None:
    """Skip a test of something that this release no longer has.

    Raises:
        LedgerError: this release has it.
    """
    entry = item.stash.get(ENTRY, None)
    if not isinstance(entry, Removal):
        return
    if is_there(entry.gone):
        raise LedgerError(
            f"{entry.place}: {entry.name} says that {entry.gone} is gone with {entry.versions}, and it is there.",
            hint="Mend the range of `when`, or remove the entry.",
        )
    item.stash[_ACTED] = True
    pytest.skip(f"{entry.name}: {entry.sentence}")


def judge(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Turn the failure that a break foretells into an expected one, and anything else into a failure that names it.

    A report that an entry has decided carries the entry's name as a property.
    """
    entry = item.stash.get(ENTRY, None)
    if isinstance(entry, Break) and not item.config.getoption("runxfail") and not item.stash.get(_ACTED, False):
        _judge_break(item, entry, call, report)
    if entry is not None and item.stash.get(_ACTED, False):
        report.user_properties.append(("hfmodels_ledger", entry.name))


def _judge_break(item: pytest.Item, entry: Break, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    if call.excinfo is not None and not report.skipped:
        if _foretold(entry, call.excinfo.value):
            item.stash[_ACTED] = True
            report.outcome, report.wasxfail = "skipped", f"{entry.name}: {entry.sentence}"
            return
        said = f" with {entry.match!r}" if entry.match else ""
        explained = f"{entry.place}: {entry.name} expects {entry.raises}{said}, and the test failed otherwise."
        report.sections.append(("hfmodels ledger", explained))
    elif report.when == "call" and report.passed:
        report.outcome = "failed"
        report.longrepr = (
            f"[XPASS(strict)] {entry.place}: {entry.name} says that this test fails with {entry.versions}, and it "
            "passes.\n  Mend the entry's `when` or `tests`, or remove it."
        )


def applying_lines(config: pytest.Config) -> list[str]:
    """Return the header's line about the entries that apply here."""
    ledger = config.stash.get(APPLYING, None)
    if ledger is None or not ledger.entries:
        return []
    if len(ledger.entries) > _NAMED:
        return [f"hfmodels ledger: {len(ledger.entries)} entries apply here; `hfmodels ledger` tells them"]
    names = ", ".join(f"{entry.name} ({entry.kind})" for entry in ledger.entries)
    return [f"hfmodels ledger: {names}"]


def is_there(dotted: str) -> bool:
    """Tell whether a dotted name can be imported.

    Raises:
        LedgerError: nobody can tell: its package is not installed, or fails to import for a reason of its own.
    """
    package, *names = dotted.split(".")
    try:
        found: Any = import_module(package)
    except ImportError as error:
        raise LedgerError(
            f"Whether {dotted} is gone cannot be told: {package} cannot be imported ({error}).",
            hint="Install it, or mend the entry's `gone`.",
        ) from error
    trail = package
    for name in names:
        trail = f"{trail}.{name}"
        if not _has(found, name) and not _is_submodule(trail):
            return False
        found = getattr(found, name)
    return True


def _has(owner: Any, name: str) -> bool:
    try:
        return hasattr(owner, name)
    except ImportError:  # transformers imports a lazy name when it is asked for, and says so when it has none
        return False


def _is_submodule(dotted: str) -> bool:
    try:
        import_module(dotted)
    except ModuleNotFoundError as error:
        if error.name is not None and dotted.startswith(error.name):
            return False
        raise
    return True


def _foretold(entry: Break, error: BaseException) -> bool:
    kinds = {name for kind in type(error).__mro__ for name in (kind.__name__, f"{kind.__module__}.{kind.__qualname__}")}
    try:
        message = str(error)
    except Exception:  # an exception that cannot say what it is was not foretold
        return False
    return entry.raises in kinds and re.search(entry.match, message) is not None


ENTRY: pytest.StashKey[Break | Removal] = pytest.StashKey()
APPLYING: pytest.StashKey[Ledger] = pytest.StashKey()
_ACTED: pytest.StashKey[bool] = pytest.StashKey()
