"""A run's mismatches as a patch: where it was asked for, and where pytest's cache folder cannot be written.

`plugin` imports this only then. Workers of pytest-xdist attach what they would have kept to their reports.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.control_chars import visible
from pytest_hfmodels.errors import OptionError, SnapshotError
from pytest_hfmodels.files import write_atomically, write_report
from pytest_hfmodels.options import Options
from pytest_hfmodels.reports.patch import apply_command, is_text, patch_of
from pytest_hfmodels.snapshots.pending import carry, packed, pending_folder, unpacked

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from pytest_hfmodels.snapshots.pending import Pending

# Names of attributes of reports; pytest serialises what it does not know.
_ATTACHED = "hfmodels_pending"
_UNSAVED = "hfmodels_unsaved"


def register(config: pytest.Config) -> None:
    """Let the patch of `--hfmodels-patch` be written.

    Raises:
        OptionError: it cannot be.
    """
    file = Options.of(config).patch
    if pending_folder(config) is None:
        raise OptionError(
            "--hfmodels-patch needs pytest's cacheprovider, which is switched off.",
            hint="Leave -p no:cacheprovider out.",
        )
    if hasattr(config, "workerinput") or file is None:
        attach(config)
        return
    if _place(config, file).is_dir():
        raise OptionError(f"--hfmodels-patch is {file}, which is a folder.", hint="Name a file.")
    config.pluginmanager.register(PatchWriter(config, file), "hfmodels-patch")
    attach(config)


def attach(config: pytest.Config) -> None:
    """Attach what this process finds pending to its reports."""
    if not config.pluginmanager.has_plugin("hfmodels-carrier"):
        config.pluginmanager.register(Carrier(carry(config)), "hfmodels-carrier")


def attach_unsaved(config: pytest.Config) -> None:
    """Attach to the reports the changes that could not be written. Only a failed write shows that it is impossible."""
    folder = pending_folder(config)
    if folder is not None and not config.pluginmanager.has_plugin("hfmodels-unsaved"):
        config.pluginmanager.register(Carrier(folder.unsaved, _UNSAVED), "hfmodels-unsaved")


def offer(config: pytest.Config, reports: Sequence[Any]) -> str | None:
    """Write a patch that nobody asked for, if changes could not be saved in the cache folder; return what to print.

    Args:
        config: of the run.
        reports: those of the tests that failed.

    Returns:
        The sentence; or None if everything was saved.
    """
    folder = pending_folder(config)
    pendings = [pending for report in reports for pending in _attached(report, _UNSAVED)]
    if folder is None or not pendings:
        return None
    tests = sum(_UNSAVED in report.__dict__ for report in reports)
    count = "nothing is pending" if tests == len(reports) else f"{tests} of them could not be saved"
    said = f"{count}, because {folder.path} cannot be written"
    if Options.of(config).patch is not None:
        return said
    try:
        patch = patch_of(pendings, config.rootpath)
        if not patch:
            return said
        handle, file = tempfile.mkstemp(prefix="hfmodels-", suffix=".patch")
        os.close(handle)
        write_atomically(Path(file), patch)
    except (OSError, SnapshotError):
        return f"{said}; --hfmodels-patch FILE writes the changes that hfmodels accept would accept"
    return f"{said}; apply it: {apply_command(file, config.rootpath)} (--hfmodels-patch FILE chooses the file)"


class Carrier:
    """Attaches the pending changes of each test to its report, as plain data."""

    def __init__(self, carried: list[Pending], name: str = _ATTACHED) -> None:
        self._carried, self._name = carried, name

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach the changes made since the last report."""
        report = yield
        if report.when in ("call", "teardown") and self._carried:
            report.__dict__[self._name] = [packed(pending) for pending in self._carried]
            self._carried.clear()
        return report


class PatchWriter:
    """Gathers what all processes attached, and writes the patch."""

    def __init__(self, config: pytest.Config, file: str) -> None:
        self._config, self._file = config, file
        self._found: dict[str, list[Pending]] = {}
        self._said = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the changes; those of a rerun replace the first run's."""
        if report.when == "call":
            self._found[report.nodeid] = []
        self._found.setdefault(report.nodeid, []).extend(taken(report))

    @pytest.hookimpl(trylast=True)  # after xdist has heard the last of its workers
    def pytest_sessionfinish(self) -> None:
        """Write it, also of a run that was stopped; empty where nothing differs."""
        if self._config.option.collectonly:
            return
        pendings = [pending for found in self._found.values() for pending in found]
        try:
            write_report(_place(self._config, self._file), patch_of(pendings, self._config.rootpath))
        except SnapshotError as error:
            self._said = f"--hfmodels-patch: {error}"
        except OSError as error:
            self._said = f"--hfmodels-patch: {self._file} could not be written: {error}"
        else:
            self._said = self._told([pending for pending in pendings if is_text(pending)], len(pendings))

    def _told(self, written: list[Pending], count: int) -> str:
        left_out = f"{count - len(written)} left out: the output contains a lone surrogate and is not valid text"
        if not written:
            return f"patch: {self._file} is empty, {f'with {left_out}' if count else 'because no snapshot differs'}"
        apply = apply_command(self._file, self._config.rootpath)
        told = f"patch of {_snapshots(len(written))}: {self._file} (apply it: {apply})"
        return f"{told}; {left_out}" if len(written) < count else told

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where it is."""
        if self._said:
            terminalreporter.write_sep("-", "hfmodels patch")
            terminalreporter.write_line(visible(self._said))


def taken(report: Any) -> Iterator[Pending]:
    """Return the pending changes that a report carries."""
    return _attached(report, _ATTACHED)


def _attached(report: Any, name: str) -> Iterator[Pending]:
    for text in report.__dict__.get(name, ()):
        yield unpacked(text, Path(report.nodeid))


def _snapshots(count: int) -> str:
    return f"{count} snapshot{'' if count == 1 else 's'}"


def _place(config: pytest.Config, file: str) -> Path:
    return Path(config.invocation_params.dir, Path(os.path.expandvars(file)).expanduser())
