"""Models of drawn checkpoints, which are built once a session into a temporary folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.engines.availability import installed, need_tensorflow
from pytest_hfmodels.fixtures.collection import engines_in_use
from suites.architectures.checks import RECORDED_ON

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from pytest_hfmodels.models import ModelCache
    from suites.architectures.checks import ArchitectureChecks


@pytest.fixture(scope="session")
def drawn_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all drawn checkpoints."""
    return tmp_path_factory.mktemp("architectures")


@pytest.fixture(scope="session")
def drawn_models(request: pytest.FixtureRequest, drawn_root: Path) -> ModelCache:
    """A cache whose names are relative to that folder, so that snapshots do not name it."""
    from pytest_hfmodels.models import ModelCache

    engines = engines_in_use(request.config, request.session.items)
    return ModelCache(drawn_root, with_tensorflow=need_tensorflow(engines))


@pytest.fixture(scope="session")
def written(drawn_root: Path) -> Callable[..., str]:
    """Returns what `drawn_models.load` calls an architecture's checkpoint, or the same one `switched`."""

    def name(checks: type[ArchitectureChecks], *, switched: bool = False) -> str:
        folder = drawn_root / f"{checks.checkpoint_name()}{'-switched' if switched else ''}"
        if not folder.is_dir():  # a switch stands in config.json: releases differ in the names that overrides take
            checks.write(folder, **(checks.switch if switched else {}))
        return f"./{folder.name}"

    return name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that is skipped on the recording release without being in `lacks`, and the other way round."""
    report = yield
    lacks = getattr(item.cls, "lacks", None)
    if call.when != "call" or lacks is None or installed("transformers") != RECORDED_ON:
        return report
    skipped, name = report.skipped and not hasattr(report, "wasxfail"), item.originalname
    if skipped != (name in lacks):
        report.outcome = "failed"
        says = "is skipped: name it in `lacks`" if skipped else "runs: take it out of `lacks`"
        report.longrepr = f"{item.nodeid} {says} of {item.cls.__name__}"
    return report
