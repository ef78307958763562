"""What is checked once a test and its fixtures are over: that it asserted its comparisons and changed no model."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.collection import may_hold_models
from pytest_hfmodels.control_chars import visible_line
from pytest_hfmodels.errors import SnapshotError
from pytest_hfmodels.session import CALL, COMPARED, SNAPSHOT, Session
from pytest_hfmodels.shell import command, operand

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_hfmodels.results.model import Compared
    from pytest_hfmodels.snapshots import HFSnapshot

_SHOWN = 3


def discard_earlier_run(item: pytest.Item) -> None:
    """Remove what an earlier run of this test left, if a plugin reruns it."""
    if SNAPSHOT in item.stash:
        item.stash[SNAPSHOT].uncount_failures()
    keys: tuple[pytest.StashKey[Any], ...] = (SNAPSHOT, CALL, COMPARED)
    for key in keys:
        if key in item.stash:
            del item.stash[key]


def require_asserted(item: pytest.Item) -> None:
    """Check the comparisons of a test that passed, after the teardown of all its fixtures.

    A fixture of a class, a module or the session may have compared with the snapshot of an earlier test, too.

    Raises:
        SnapshotError: a comparison differed, so the test should have failed.
        Exception: what a comparison raised, if the test caught it.
    """
    session = Session.of(item.config)
    recent = [snapshot.item for snapshot in session.compared]
    session.compared.clear()
    for one in dict.fromkeys([item, *recent]):
        if SNAPSHOT in one.stash and CALL in one.stash and one.stash[CALL].passed:
            _require_asserted(one, one.stash[SNAPSHOT])


def mismatch_lines(config: pytest.Config, found: Compared) -> list[str]:
    """Return the lines that stand in pytest's output for a comparison that differs."""
    from pytest_hfmodels.reports.terminal import mismatch  # imported late: only a failing test needs it

    verbose = config.get_verbosity() > 1
    return mismatch(found, root=config.rootpath, here=config.invocation_params.dir, verbose=verbose)


def explained(item: pytest.Item) -> list[tuple[str, str]]:
    """Return the section of a report with the explanation that `--assert=plain` leaves out of an assertion."""
    last = item.stash[SNAPSHOT].last if SNAPSHOT in item.stash else None
    if last is None or last.verdict == "same":
        return []
    return [("hfmodels", "\n".join(mismatch_lines(item.config, last)))]


def _require_asserted(item: pytest.Item, snapshot: HFSnapshot) -> None:
    """Check the comparisons of a test that passed; warn if it made none, or fewer than it has files.

    Raises:
        SnapshotError: one of them differed, so the test should have failed.
        Exception: what one of them raised.
    """
    if snapshot.errors:
        raise snapshot.errors[0]
    differing = [found for found in snapshot.compared if not found.equal]
    if differing:
        lines = mismatch_lines(item.config, differing[0])
        raise SnapshotError(
            f"{item.nodeid} compared a record that differs from its snapshot, and passed: nothing asserted it.",
            hint="\n  ".join(
                [
                    "Write `assert record == hf_snapshot`, or mark the test xfail if you expect a difference.",
                    *lines,
                ]
            ),
        )
    if not snapshot.compared:
        _warn(
            f"{item.nodeid} asked for hf_snapshot and compared nothing with it.",
            hint="Write `assert record == hf_snapshot`, or remove hf_snapshot from the test's arguments.",
        )
    unread = [os.path.relpath(path) for path in snapshot.unread_files()]
    if unread:
        number = f"{len(unread)} more file{'' if len(unread) == 1 else 's'}"
        _warn(
            f"{item.nodeid} has {number} of earlier comparisons, which it no longer makes.",
            hint=f"Compare them again, or delete them: {command('rm', *map(operand, unread))}",
        )


def _warn(said: str, *, hint: str) -> None:
    """Warn about a snapshot that guards nothing.

    Raises:
        SnapshotError: the project turns warnings into errors.
    """
    from pytest_hfmodels.snapshots.assertion import UnusedSnapshotWarning

    try:
        warnings.warn(visible_line(f"{said} {hint}"), UnusedSnapshotWarning, stacklevel=2)
    except UnusedSnapshotWarning:
        raise SnapshotError(said, hint=hint) from None


def require_unchanged(item: pytest.Item) -> None:
    """Report the shared models that a test has changed: as a warning, or as its failure."""
    session = Session.of(item.config)
    if session.models is None:
        return
    changed = _in_words(session.models.dirty(test=item.nodeid, handed_out=may_hold_models(item)))
    if not changed:
        return
    from pytest_hfmodels.models import DirtyModelWarning  # only runs with models get here

    text = f"{item.nodeid} changed a shared model (loaded anew for later tests, unless adopted): {changed}"
    text = visible_line(text)  # a test's id may contain any character
    if session.options.on_mutation == "error":
        pytest.fail(text, pytrace=False)
    try:
        warnings.warn(text, DirtyModelWarning, stacklevel=1)
    except DirtyModelWarning:  # the project turns warnings into errors
        pytest.fail(text, pytrace=False)


def check_all_models(session: pytest.Session) -> None:
    """Check every model and its weights again at the end: nothing else finds a write through `.data`."""
    own = Session.of(session.config)
    changed = "" if own.models is None else _in_words(own.models.dirty(weights=True))
    if changed:
        own.changed = f"A shared model changed in this session, but it is not known which test changed it: {changed}"
        if own.options.on_mutation == "error":
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _in_words(found: Iterable[tuple[str, list[str]]]) -> str:
    return "; ".join(
        f"{model}: {', '.join(changes[:_SHOWN])}{f' and {len(changes) - _SHOWN} more' if len(changes) > _SHOWN else ''}"
        for model, changes in found
    )
