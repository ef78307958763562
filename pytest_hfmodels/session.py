"""What one run of pytest holds of ours, on `config.stash`. Every room may import this; it imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_hfmodels.models import ModelCache
    from pytest_hfmodels.results.gather import Gatherer
    from pytest_hfmodels.results.model import TestResult
    from pytest_hfmodels.snapshots import HFSnapshot
    from pytest_hfmodels.snapshots.ledger import Variant

CACHE: pytest.StashKey[ModelCache] = pytest.StashKey()
# The variants in force, by the base that each stands for.
VARIANTS: pytest.StashKey[dict[Path, Variant]] = pytest.StashKey()
# Of a test.
SNAPSHOT: pytest.StashKey[HFSnapshot] = pytest.StashKey()
CALL: pytest.StashKey[pytest.TestReport] = pytest.StashKey()
COMPARED: pytest.StashKey[int] = pytest.StashKey()  # the number of comparisons that are attached to a report


class Session:
    """A run: what it gathers of its tests. Registered as a plugin of pytest's."""

    def __init__(self) -> None:
        self._gatherer: Gatherer | None = None
        self._everything = False
        self.attaches_everything = False

    @classmethod
    def of(cls, config: pytest.Config) -> Session:
        """Return the session of a run; the same object every time."""
        if _KEY not in config.stash:
            config.stash[_KEY] = cls()
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
        self._everything = True

    def results(self) -> list[TestResult]:
        """Return the results of the tests that use this plugin."""
        return [] if self._gatherer is None else self._gatherer.results()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather one phase of a test, on the controller where there are workers."""
        if self._everything or "hfmodels" in report.__dict__:
            self.gatherer.add(report)


_KEY = pytest.StashKey[Session]()
