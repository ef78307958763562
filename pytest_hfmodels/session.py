"""The plugin's state in one run of pytest: one object on `config.stash`. Every folder may import this; it imports none.

Every pytest run imports this. The folders that the types name are imported once a test needs them.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.options import read_options

if TYPE_CHECKING:
    from pytest_hfmodels.foundation.errors import HFModelsError
    from pytest_hfmodels.models import ModelCache
    from pytest_hfmodels.results.gather import Gatherer
    from pytest_hfmodels.results.model import TestResult
    from pytest_hfmodels.snapshots import HFSnapshot
    from pytest_hfmodels.snapshots.ledger import Ledger, Variant

_ARRAYS = 2 << 20  # bytes of array files in the results of a process
LEDGER = "upstream.toml"  # its name in the folder of all snapshots

# What a test holds of ours.
SNAPSHOT: pytest.StashKey[HFSnapshot] = pytest.StashKey()
CALL: pytest.StashKey[pytest.TestReport] = pytest.StashKey()
COMPARED: pytest.StashKey[int] = pytest.StashKey()  # the number of comparisons that are attached to a report


class Session:
    """A run of pytest. Registered as a plugin, except on xdist's workers: it gathers what they report.

    Args:
        config: of the run.

    Attributes:
        options: of the run.
        models: the models in memory; None until a test asks for one.
        ledger: the entries that apply here; None where the project has no ledger.
        variants: the variants that may be in force, by the base that each stands for; the nearest first.
        explains_assert: whether pytest compares the parts of a failed assert again, to say which of them differ.
        machine: `device` and `cpu` of the record that is being compared.
        compared: the snapshots that something was compared with since the last test ended, in order.
        written: the files that this run wrote, with their writers: a repeated test must not overwrite its first record.
        began: when it was made, in seconds since the epoch.
        left: the snapshots for which this process left a change pending, each with its test's node id.
        room: bytes of array files that the results may still carry.
        refused: why nothing may run, on a worker of xdist.
        changed: the models of which it is not known which test changed them, in words.
        attaches_everything: whether results of tests that use nothing of ours are gathered, too.

    Raises:
        OptionError: an option does not fit.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.options = read_options(config)
        self.models: ModelCache | None = None
        self.ledger: Ledger | None = None
        self.variants: dict[Path, tuple[Variant, ...]] = {}
        self.explains_assert = False
        self.machine: dict[str, str] = {}
        self.compared: list[HFSnapshot] = []
        self.written: dict[Path, HFSnapshot] = {}
        self.began = time.time()
        self.left: dict[str, str] = {}
        self.room = _ARRAYS
        self.refused: HFModelsError | None = None
        self.changed = ""
        self.attaches_everything = False
        self._gatherer: Gatherer | None = None
        self._gathers_everything = False

    @classmethod
    def of(cls, config: pytest.Config) -> Session:
        """Return the session of a run; the same object every time.

        Raises:
            OptionError: an option does not fit.
        """
        if _KEY not in config.stash:
            config.stash[_KEY] = cls(config)
        return config.stash[_KEY]

    @property
    def gatherer(self) -> Gatherer:
        """What has been told of the tests that use this plugin."""
        if self._gatherer is None:
            from pytest_hfmodels.results.gather import Gatherer  # only a run with models needs it

            self._gatherer = Gatherer()
        return self._gatherer

    def gather_everything(self) -> None:
        """Gather the outcomes of all tests, for a report that counts them."""
        self._gathers_everything = True

    def results(self) -> list[TestResult]:
        """Return the results of the tests that use this plugin."""
        return [] if self._gatherer is None else self._gatherer.results()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather one phase of a test."""
        if self._gathers_everything or "hfmodels" in report.__dict__:
            self.gatherer.add(report)


_KEY = pytest.StashKey[Session]()


def snapshots_folder(config: pytest.Config) -> Path:
    """Return the folder of all snapshots: the ini key `hfmodels_snapshots`, relative to the root."""
    return Path(config.rootpath, Session.of(config).options.snapshots)


def ledger_file(config: pytest.Config) -> Path:
    """Return where the ledger is kept, if there is one."""
    return snapshots_folder(config) / LEDGER


def pending_path(config: pytest.Config) -> Path | None:
    """Return the folder of pending changes, which need not be there, or None where pytest's cache is switched off."""
    if not config.pluginmanager.has_plugin("cacheprovider"):
        return None
    cache = Path(os.path.expandvars(config.getini("cache_dir"))).expanduser()  # as pytest reads it
    return config.rootpath / cache / "d" / "hfmodels-pending"
