"""The errors of the plugin: a sentence and the next step.

Every subpackage raises only these for mistakes that a user can correct; `plugin` shows them
without a traceback from inside the package.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.control_chars import visible

if TYPE_CHECKING:
    import pytest

_LONGEST = 1500  # characters of a message that are shown


class HFModelsError(Exception):
    """A mistake that the user can correct.

    Args:
        message: what happened, naming the test, checkpoint, option or file.
        hint: what to type or change next.
    """

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(f"{message}\n  {hint}")
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return message and hint, shortened and with control characters escaped: they may quote text from any file."""
        message = self.message if len(self.message) <= _LONGEST else f"{self.message[:_LONGEST]} …"
        return f"{_lines(message)}\n  {_lines(self.hint)}"

    def __reduce__(self) -> tuple[object, ...]:
        # The default pickling would call the class without its keyword; xdist sends exceptions.
        return _rebuild, (type(self), self.message, self.hint)


class OptionError(HFModelsError):
    """A command-line option, ini key or marker that does not fit."""


class CheckpointError(HFModelsError):
    """A checkpoint that cannot be found, read or trusted."""


class CheckpointNotCached(CheckpointError):
    """A hub checkpoint that is not on this machine and may not be downloaded (tests skip on it)."""


class EngineError(HFModelsError):
    """An engine that cannot do what was asked."""


class EngineUnavailable(EngineError):
    """An engine that is not installed or cannot be imported (tests skip on it)."""


class DeviceUnavailable(EngineUnavailable):
    """A device that this machine lacks (one of several is skipped; a single one is an error)."""


class SnapshotError(HFModelsError):
    """A snapshot file that cannot be read, or may not be written."""


class VersionsError(HFModelsError):
    """A row, environment or release that does not exist, or a run over several that is impossible."""


class LedgerError(SnapshotError):
    """A ledger entry that cannot be understood, or that does not hold."""


# pytest's summary shows a class with its module: by the name that a test imports it from.
for _error in (
    *(HFModelsError, OptionError, CheckpointError, CheckpointNotCached, EngineError, EngineUnavailable),
    *(SnapshotError, VersionsError, LedgerError),
):
    _error.__module__ = "pytest_hfmodels"


def _lines(text: str) -> str:
    # A line that begins with `::`, even after blanks, is a command to GitHub's runner.
    return visible(text).replace("\n", "\n  | ")


def _rebuild(kind: type[HFModelsError], message: str, hint: str) -> HFModelsError:
    return kind(message, hint=hint)


def as_sentences(excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
    """Return one of these errors for pytest's report: with the test's own lines, without the plugin's traceback."""
    if not any(map(_is_of_users, excinfo.traceback)):
        return excinfo.getrepr(style="value", chain=False)
    return excinfo.getrepr(style="short", chain=False, tbfilter=lambda shown: shown.traceback.filter(_is_of_users))


def _is_of_users(entry: Any) -> bool:
    """Return whether a frame is in the code of the project: not in pytest, pluggy or this plugin."""
    path = Path(entry.path)
    return path.parent.name not in ("_pytest", "pluggy") and Path(__file__).parents[1] not in path.parents
