"""What the ledger makes of tests: a break is a strict expected failure, a removal a skip, a change another snapshot.

Imported only where a project has a ledger.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.engines.availability import installed
from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.foundation.errors import LedgerError
from pytest_hfmodels.foundation.model_request import uses_models
from pytest_hfmodels.session import Session, ledger_file
from pytest_hfmodels.snapshots.ledger import ANY_ERROR, Break, Ledger, Removal, message_matches, read_ledger
from pytest_hfmodels.snapshots.node_ids import stable_nodeid
from pytest_hfmodels.snapshots.symbols import has_symbol, require_symbol_of

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAMED = 4  # entries in a run's header


def apply_ledger(config: pytest.Config, items: Iterable[pytest.Item]) -> Ledger:
    """Apply the entries for the installed versions to these tests, and return them.

    Tests that use no fixture of this plugin are not changed.

    Raises:
        LedgerError: the file is invalid, two entries disagree about a snapshot, or the `symbol` of a removal does not
            belong to its package.
    """
    ledger = read_ledger(ledger_file(config)).applying(installed)
    for entry in ledger.entries:
        if isinstance(entry, Removal):
            try:
                require_symbol_of(entry.symbol, _packages(entry), config.rootpath)
            except LedgerError as error:
                raise LedgerError(f"{entry.place}: {entry.name}: {error.message}", hint=error.hint) from None
    session = Session.of(config)
    session.variants = ledger.variants()
    for item in items:
        about = ledger.about(stable_nodeid(item)) if uses_models(item) else None
        if about is not None:
            item.stash[ENTRY] = about
    session.ledger = ledger
    return ledger


def skip_removed(item: pytest.Item) -> None:
    """Skip a test of something that this release no longer has.

    Raises:
        LedgerError: this release has it.
    """
    entry = item.stash.get(ENTRY, None)
    if not isinstance(entry, Removal):
        return
    if has_symbol(entry.symbol, _packages(entry), item.config.rootpath):
        raise LedgerError(
            f"{entry.place}: {entry.name} says that {entry.versions} has no {entry.symbol}, but it still exists.",
            hint="Correct the range of `when`, or remove the entry.",
        )
    item.stash[_ACTED] = True
    pytest.skip(f"{entry.name}: {entry.sentence}")


def apply_break(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Mark the failure that a break describes as expected; make every other outcome a failure that names the break."""
    entry = item.stash.get(ENTRY, None)
    if isinstance(entry, Break) and not item.config.getoption("runxfail") and not item.stash.get(_ACTED, False):
        _apply_break(item, entry, call, report)


def deciding_entry(item: pytest.Item) -> str | None:
    """Return the name of the entry that decided a test's outcome so far, or None."""
    entry = item.stash.get(ENTRY, None)
    return entry.name if entry is not None and item.stash.get(_ACTED, False) else None


def _apply_break(item: pytest.Item, entry: Break, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    if call.excinfo is not None and not report.skipped:
        if is_expected(entry, call.excinfo.value):
            item.stash[_ACTED] = True
            report.outcome, report.wasxfail = "skipped", f"{entry.name}: {entry.sentence}"
            return
        message = f" with {entry.match!r}" if entry.match else ""
        other = f"{entry.place}: {entry.name} expects {entry.raises}{message}, but the test failed with another error."
        report.sections.append(("hfmodels ledger", visible_line(other)))
    elif report.when == "call" and report.passed:
        report.outcome = "failed"
        report.longrepr = (
            f"[XPASS(strict)] {entry.place}: {entry.name} says that this test fails with {entry.versions}, but it "
            "passes.\n  Correct the entry's `when` or `tests`, or remove it."
        )


def applying_lines(config: pytest.Config, items: Iterable[pytest.Item]) -> list[str]:
    """Return the header's line with the entries that apply here and the number of tests that they affect."""
    ledger = Session.of(config).ledger
    if ledger is None or not ledger.entries:
        return []
    named = ", ".join(f"{entry.name} ({entry.kind})" for entry in ledger.entries)
    if len(ledger.entries) > _NAMED:
        count = len(ledger.entries)
        named = f"{'1 entry applies' if count == 1 else f'{count} entries apply'} here (listed by `hfmodels ledger`)"
    counts = Counter(type(entry) for item in items if (entry := item.stash.get(ENTRY, None)) is not None)
    effects = ((counts[Break], "expected to fail"), (counts[Removal], "skipped"))
    shown = ", ".join(f"{count} test{'s'[: count != 1]} {effect}" for count, effect in effects if count)
    return [f"hfmodels ledger: {named}{': ' if shown else ''}{shown}"]


def is_expected(entry: Break, error: BaseException) -> bool:
    """Return whether an error is the one that a break expects."""
    classes = [
        kind for kind in type(error).__mro__ if issubclass(kind, BaseException) and kind.__name__ not in ANY_ERROR
    ]
    names = {name for kind in classes for name in (kind.__name__, f"{kind.__module__}.{kind.__qualname__}")}
    try:
        return entry.raises in names and message_matches(entry.match, str(error))
    except Exception:  # an exception without a readable message was not expected
        return False


def _packages(entry: Removal) -> list[str]:
    return [requirement.name for requirement in entry.when]


ENTRY: pytest.StashKey[Break | Removal] = pytest.StashKey()
_ACTED: pytest.StashKey[bool] = pytest.StashKey()
