"""The commands that decide about a run, as its reports print them: exactly what then works where they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.shell import command, operand

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_hfmodels.results.model import Compared, Run


def review_command(found: Iterable[Compared], run: Run) -> str:
    """Return the command that walks through the changes of a run, or nothing if there are none to decide about."""
    if not any(accept_command(one, run) for one in found):
        return ""
    return command("hfmodels", "review", *_source(run))


def accept_command(found: Compared, run: Run) -> str:
    """Return the command that accepts what a comparison left pending; or nothing, if it is not at hand.

    After a CI's run it is typed at home, where nothing is pending: there it takes the change from the run's report.
    """
    if found.pending is None or not (found.saved or _source(run)):
        return ""
    if _source(run) and found.pending.has_array_file and not found.pending.arrays:  # the report has no room for it
        return ""
    return command("hfmodels", "accept", *_source(run), operand(found.writer))


def _source(run: Run) -> tuple[str, ...]:
    return ("--from", operand(run.page)) if run.source is not None and run.page else ()
