"""The pytest hooks, and nothing else.

pytest imports this in every project that has the package installed, so it and what it imports must stay light: no
engine, no transformers, no syrupy, no NumPy. Whatever a hook needs beyond that is imported once a test uses it.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.fixtures import checks, collection, models
from pytest_hfmodels.fixtures.definitions import gpt2, hf_model, hf_models, hf_request, hf_snapshot, transfo_xl
from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.foundation.errors import HFModelsError, LedgerError, OptionError, SnapshotError, as_sentences
from pytest_hfmodels.foundation.model_request import MODELS, uses_models, uses_snapshot
from pytest_hfmodels.foundation.rootdir import require_own_root
from pytest_hfmodels.options import MARKERS, add_options, use_profile
from pytest_hfmodels.session import CALL, COMPARED, SNAPSHOT, Session

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

__all__ = ["gpt2", "hf_model", "hf_models", "hf_request", "hf_snapshot", "transfo_xl"]


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
    try:
        session = Session.of(config)
        if session.options.require:
            from pytest_hfmodels.engines.availability import require_engines  # only where somebody requires one

            require_engines(session.options.require, session.options.engines)
        require_own_root(config)
        use_profile(session.options.profile, config)
        if session.options.model or any(MODELS in argument for argument in config.args):
            from pytest_hfmodels.fixtures.model_checks.collection import name_models  # only for runs that name some

            name_models(config)
        if not hasattr(config, "workerinput"):
            config.pluginmanager.register(session, "hfmodels-session")
            _register_reports(config, session)
    except OptionError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(tryfirst=True)  # before every other parametrisation, so that the engine is an id's first segment
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests with a model fixture once per engine."""
    models.parametrize(metafunc)


@pytest.hookimpl(tryfirst=True)  # xdist's controller collects nothing, and stops the others here
def pytest_collection(session: pytest.Session) -> None:
    """Find out what has lost its test, of what is pending."""
    from pytest_hfmodels.snapshots.location import pending_path

    path = pending_path(session.config)
    if path is not None and path.is_dir():
        from pytest_hfmodels.snapshots.collected import watch  # only projects in which something is pending pay for it

        watch(session.config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Collect the models that the command line names, beside the session's files."""
    report = yield
    found = sys.modules.get("pytest_hfmodels.fixtures.model_checks.collection")  # not imported: it names none
    if isinstance(collector, pytest.Session) and found is not None:
        report.result += found.model_modules(collector)
    return report


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Settle which model each test runs on, apply what is known of engines, and refuse what would lose a snapshot."""
    try:
        models.settle(items)
        collection.apply_engine_limits(items)
        if any(map(uses_snapshot, items)):
            collection.refuse_shared_files(items)
        if collection.has_ledger(config, items):
            from pytest_hfmodels.snapshots.expectations import (
                apply_ledger,  # only projects with a ledger pay for reading one
            )

            apply_ledger(config, items)
    except (OptionError, SnapshotError) as error:
        _refuse(config, error)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse updates under CI, now that it is known what was selected."""
    try:
        using = [item.nodeid for item in session.items if uses_snapshot(item)]
        collection.refuse_update_in_ci(session.config, using)
    except OptionError as error:
        _refuse(session.config, error)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test with an invalid marker, and each test with a snapshot if its xdist worker refused the run."""
    checks.discard_earlier_run(item)
    if collection.PROBLEM in item.stash:
        raise item.stash[collection.PROBLEM]
    refused = Session.of(item.config).refused
    if refused is not None and (uses_snapshot(item) or isinstance(refused, LedgerError)):
        raise refused
    if _expectations() is not None:
        _expectations().skip_removed(item)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what runs, where a project has set anything of ours."""
    options = Session.of(config).options
    if not options.explicit:
        return None
    from pytest_hfmodels.reports.header import header  # an idle project has none

    return header(config, options.engines)


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> list[str]:
    """Print the header here if it was not printed yet, which Transformer-XL runs, and the ledger's counts."""
    lines: list[str] = []
    if any(map(uses_models, items)):
        from pytest_hfmodels.reports.header import header, implementation_line  # an idle project has none

        if not Session.of(config).options.explicit:
            lines.append(header(config, collection.engines_for_header(config, items)))
        if any("transfo_xl" in getattr(item, "fixturenames", ()) for item in items) and not config.option.collectonly:
            lines.append(implementation_line(config, collection.engines_in_use(config, items)))
    if _expectations() is not None:
        lines += _expectations().applying_lines(config, items)
    return lines


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the plugin's errors as sentences below the test's own lines, without the plugin's traceback."""
    report = yield
    if call.when == "call":
        item.stash[CALL] = report
    if call.excinfo is not None and isinstance(call.excinfo.value, HFModelsError):
        report.longrepr = as_sentences(call.excinfo)
    elif call.excinfo is not None and item.config.getoption("assertmode") == "plain":
        report.sections += checks.explained(item)
    if _expectations() is not None:
        _expectations().apply_break(item, call, report)
    if report.skipped and SNAPSHOT in item.stash:  # the test was skipped, or expected to fail
        item.stash[SNAPSHOT].uncount_failures()
    if uses_models(item) or Session.of(item.config).attaches_everything:
        _attach(item, call, report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Find out whether the test changed a model that others share, and whether it asserted its comparisons.

    Both checks run after the teardown of all fixtures, because any fixture may use the model and compare.
    """
    with ExitStack() as after:
        after.callback(checks.require_asserted, item)
        after.callback(checks.require_unchanged, item)
        return (yield)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Check every model once more, and colour what pytest is about to print of mismatches."""
    checks.check_all_models(session)
    results = Session.of(session.config).results()
    if results:
        from pytest_hfmodels.reports.run_end import colorize  # only runs with models get here

        colorize(session.config, results)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what is known only at the end of the session."""
    session = Session.of(config)
    results = session.results()
    if session.changed:
        terminalreporter.write_sep("-", "hfmodels")
        terminalreporter.write_line(visible_line(session.changed))
    if results:
        from pytest_hfmodels.reports.run_end import end_lines  # only runs with models get here

        for line in end_lines(config, results):
            terminalreporter.write_line(line)


def pytest_assertrepr_compare(config: pytest.Config, op: str, left: object, right: object) -> list[str] | None:
    """Explain `record == hf_snapshot`."""
    module = sys.modules.get("pytest_hfmodels.snapshots.assertion")  # not imported: no test has used a snapshot
    if op != "==" or module is None:
        return None
    snapshot = next((side for side in (left, right) if isinstance(side, module.HFSnapshot)), None)
    if snapshot is None or snapshot.last is None:
        return None
    return checks.mismatch_lines(config, snapshot.last)


def _expectations() -> Any:
    """Return the module that holds tests against the ledger, where a ledger has been read."""
    return sys.modules.get("pytest_hfmodels.snapshots.expectations")


def _attach(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Attach what this phase adds to the test's result; the same as properties, for JUnit XML and report logs."""
    from pytest_hfmodels.reports.ci import properties  # imports what a test with a model has imported
    from pytest_hfmodels.results.gather import attach

    compared = item.stash[SNAPSHOT].compared if SNAPSHOT in item.stash else []
    first = item.stash.get(COMPARED, 0)
    item.stash[COMPARED] = len(compared)
    entry = None if _expectations() is None else _expectations().deciding_entry(item)
    raises = call.excinfo.typename if report.failed and call.excinfo is not None else None
    attach(report, item, compared[first:], entry=entry, raises=raises)
    report.user_properties += properties(compared, entry)


def _refuse(config: pytest.Config, error: HFModelsError) -> None:
    if not hasattr(config, "workerinput"):
        raise pytest.UsageError(str(error)) from None
    Session.of(config).refused = error  # xdist shows nothing of what stops a worker, and calls it a crash


def _register_reports(config: pytest.Config, session: Session) -> None:
    """Let the reports be written that options ask for.

    Raises:
        OptionError: one of them cannot be.
    """
    if session.options.reports:
        from pytest_hfmodels.reports.writing import ReportWriter  # only runs that are asked for one pay for it

        session.gather_everything()
        config.pluginmanager.register(ReportWriter(config, session.gatherer), "hfmodels-reporter")
