"""The pytest hooks; `fixtures/hooks.py` has what they do in a run that uses anything of ours.

pytest imports this in every project that has the package installed. A run that uses nothing of ours imports this, the
options, the session and the definitions of the fixtures, and no other module (`tests/test_start_up.py`).
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.fixtures.definitions import _hf_request, gpt2, hf_model, hf_models, hf_snapshot, transfo_xl
from pytest_hfmodels.options import MARKERS, add_options, is_given
from pytest_hfmodels.session import Session, ledger_file, pending_path

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

__all__ = ["_hf_request", "gpt2", "hf_model", "hf_models", "hf_snapshot", "transfo_xl"]

_MARKER_NAMES = tuple(marker.partition("(")[0] for marker in MARKERS)


def pytest_addoption(parser: pytest.Parser) -> None:
    """https://docs.pytest.org/en/stable/reference/reference.html#pytest.hookspec.pytest_addoption."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Let this session register kinds under names that an earlier session in this process has used."""
    registry = sys.modules.get("pytest_hfmodels.kinds.registry")  # not imported: there was none
    if registry is not None:
        registry.KINDS.release()


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and refuse options that do not fit before anything runs."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    pytest.register_assert_rewrite("pytest_hfmodels.fixtures.model_checks.checks")  # its methods are tests
    # A model can be named as a test is: hfmodels/models/bot::test_greedy.
    typed = config.args if config.args_source is pytest.Config.ArgsSource.ARGS else ()
    if is_given(config) or any("hfmodels" in argument for argument in typed):
        _hooks(needed=True).configure(config)
    elif not hasattr(config, "workerinput"):
        config.pluginmanager.register(Session.of(config), "hfmodels-session")


@pytest.hookimpl(tryfirst=True)  # before every other parametrisation, so that the engine is an id's first segment
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests with a model fixture once per engine."""
    if _asks(metafunc.definition, metafunc.fixturenames):
        _hooks(needed=True).generate_tests(metafunc)


@pytest.hookimpl(tryfirst=True)  # xdist's controller collects nothing, and stops the others here
def pytest_collection(session: pytest.Session) -> None:
    """Find out what has lost its test, of what is pending."""
    path = pending_path(session.config)
    if path is not None and path.is_dir():
        _hooks(needed=True).collection_of_pending(session)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Add the models that the command line names, and their checks that `--lf` left out."""
    report = yield
    found = sys.modules.get(
        "pytest_hfmodels.fixtures.model_checks.collection"
    )  # imported if the command line names a model
    if found is not None:
        found.add_models(collector, report)
    return report


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Decide which model and engine each test runs on, and refuse names under which a snapshot would be lost."""
    has_ledger = os.path.lexists(ledger_file(config))
    if hooks := _hooks(needed=has_ledger or any(_asks(item, getattr(item, "fixturenames", ())) for item in items)):
        hooks.collection_modifyitems(config, items)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse updates under CI, now that it is known what was selected."""
    if hooks := _hooks():
        hooks.collection_finish(session)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test with an invalid marker, and each test with a snapshot if its xdist worker refused the run."""
    if hooks := _hooks():
        hooks.runtest_setup(item)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what runs, where a project has set anything of ours."""
    hooks = _hooks()
    header: str | None = hooks.report_header(config) if hooks else None
    return header


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> list[str]:
    """Print the header here if it was not printed yet, which Transformer-XL runs, and the ledger's counts."""
    hooks = _hooks()
    lines: list[str] = hooks.report_collectionfinish(config, items) if hooks else []
    return lines


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the plugin's errors as sentences below the test's own lines, without the plugin's traceback."""
    report = yield
    if hooks := _hooks():
        hooks.runtest_makereport(item, call, report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Find out whether the test changed a model that others share, and whether it asserted its comparisons.

    Both checks run after the teardown of all fixtures, because any fixture may use the model and compare.
    """
    try:
        return (yield)
    finally:
        if hooks := _hooks():
            hooks.after_teardown(item)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Check every model once more, and colour what pytest is about to print of mismatches."""
    if hooks := _hooks():
        hooks.sessionfinish(session)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what is known only at the end of the session."""
    if hooks := _hooks():
        hooks.terminal_summary(terminalreporter, config)


@pytest.hookimpl(wrapper=True)
def pytest_assertrepr_compare(
    config: pytest.Config, op: str, left: object, right: object
) -> Generator[None, list[list[str] | None], list[list[str] | None]]:
    """Explain `record == hf_snapshot` before other plugins do; what these compare again is not recorded."""
    hooks = _hooks()
    if hooks is None:
        return (yield)
    with hooks.explaining_an_assert(config):
        others = yield
    return [hooks.assertrepr_compare(config, op, left, right), *others]


def _asks(node: pytest.Item, fixtures: Sequence[str]) -> bool:
    """Return whether a test has a fixture or a marker of ours."""
    return not {*__all__}.isdisjoint(fixtures) or any(name in node.keywords for name in _MARKER_NAMES)


def _hooks(*, needed: bool = False) -> Any:
    """Return what the hooks do; None in a run that has not used anything of ours, unless it is needed now.

    Whatever a project can use of ours, a fixture's value or an import of its own, imports the foundation.
    """
    if needed or "pytest_hfmodels.foundation" in sys.modules:
        return import_module("pytest_hfmodels.fixtures.hooks")
    return None
