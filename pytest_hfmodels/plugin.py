"""The pytest hooks, and nothing else.

pytest imports this in every project that has the package installed, so it and what it imports must stay light: no
engine, no transformers, no syrupy, no NumPy. Whatever a hook needs beyond that is imported once a test uses it.
"""

from __future__ import annotations

import sys
import warnings
from contextlib import ExitStack
from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels import collection
from pytest_hfmodels.control_chars import visible_line
from pytest_hfmodels.errors import HFModelsError, LedgerError, OptionError, SnapshotError
from pytest_hfmodels.fixtures import (
    discard_earlier_run,
    gpt2,
    hf_model,
    hf_models,
    hf_snapshot,
    mismatch_lines,
    require_asserted,
    transfo_xl,
)
from pytest_hfmodels.model_request import uses_models, uses_snapshot
from pytest_hfmodels.options import MARKERS, Options, add_options, use_profile
from pytest_hfmodels.session import CACHE, CALL, COMPARED, SNAPSHOT, Session

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from pytest_hfmodels.engines.base import EngineName
    from pytest_hfmodels.results.model import TestResult

__all__ = ["gpt2", "hf_model", "hf_models", "hf_snapshot", "transfo_xl"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """https://docs.pytest.org/en/stable/reference/reference.html#pytest.hookspec.pytest_addoption."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Let this session register kinds under names that an earlier session in this process has used."""
    registry = sys.modules.get("pytest_hfmodels.kinds.registry")  # not imported: there was none
    if registry is not None:
        registry.release_names()


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and refuse options that do not fit before anything runs."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    try:
        _require_engines(Options.of(config))
        if any(str(argument).startswith("--hfmodels-") for argument in config.invocation_params.args):
            from pytest_hfmodels.rootdir import require_own_root

            require_own_root(config)
        use_profile(config)
        session = Session.of(config)
        if hasattr(config, "workerinput"):  # its controller gathers
            return
        config.pluginmanager.register(session, "hfmodels-session")
        if Options.of(config).reports:
            from pytest_hfmodels.reports.writing import ReportWriter  # only runs that are asked for one pay for it

            session.gather_everything()
            config.pluginmanager.register(ReportWriter(config, session.gatherer), "hfmodels-reporter")
    except OptionError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(tryfirst=True)  # before every other parametrisation, so that the engine is an id's first segment
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests with a model fixture once per engine."""
    collection.parametrize(metafunc)


@pytest.hookimpl(tryfirst=True)  # xdist's controller collects nothing, and stops the others here
def pytest_collection(session: pytest.Session) -> None:
    """Find out what has lost its test, of what is pending."""
    from pytest_hfmodels.snapshots.location import pending_path

    path = pending_path(session.config)
    if path is not None and path.is_dir():
        from pytest_hfmodels.snapshots.collected import watch  # only projects in which something is pending pay for it

        watch(session.config)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Apply what is known of engines, and refuse what would lose a snapshot."""
    try:
        collection.apply_engine_limits(items)
        collection.refuse_markers_of_parameters(items)
        if any(map(uses_snapshot, items)):
            collection.refuse_shared_files(items)
        if collection.has_ledger(config, items):
            from pytest_hfmodels.expectations import apply_ledger  # only projects with a ledger pay for reading one

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
    discard_earlier_run(item)
    if collection.PROBLEM in item.stash:
        raise item.stash[collection.PROBLEM]
    refused = item.config.stash.get(_REFUSED, None)
    if refused is not None and (uses_snapshot(item) or isinstance(refused, LedgerError)):
        raise refused
    if _expectations() is not None:
        _expectations().skip_removed(item)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what runs, where a project has set anything of ours."""
    options = Options.of(config)
    return _header(config, options.engines) if options.explicit else None


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> list[str]:
    """Print the header here if it was not printed yet, which Transformer-XL runs, and the ledger's counts."""
    lines = []
    if not Options.of(config).explicit and any(map(uses_models, items)):
        lines.append(_header(config, collection.engines_for_header(config, items)))
    if any("transfo_xl" in getattr(item, "fixturenames", ()) for item in items) and not config.option.collectonly:
        lines.append(_whose_transfo_xl(config, items))
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
        report.longrepr = _sentences(call.excinfo)
    elif call.excinfo is not None and item.config.getoption("assertmode") == "plain":
        report.sections += _explained(item)
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
    with ExitStack() as checks:
        checks.callback(require_asserted, item)
        checks.callback(_require_unchanged, item)
        return (yield)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Check every model and its weights again, as nothing else finds a write through `.data`; colour reports."""
    _colorize(session.config)
    if CACHE not in session.config.stash:
        return
    changed = _changes(session.config)
    if changed:
        text = f"A shared model changed in this session, but it is not known which test changed it: {changed}"
        session.config.stash[_LATE] = text
        if Options.of(session.config).on_mutation == "error":
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what is known only at the end of the session."""
    if _LATE in config.stash:
        terminalreporter.write_sep("-", "hfmodels")
        terminalreporter.write_line(visible_line(config.stash[_LATE]))
    results = Session.of(config).results()
    if config.pluginmanager.has_plugin("dsession"):  # xdist's controller collects no tests, so its header has no counts
        for line in _ledger_lines(results):
            terminalreporter.write_line(line)
    waiting = [test for test in results if test.failed and any(found.waits for found in test.comparisons)]
    if not waiting:
        return
    from pytest_hfmodels.reports.causes import causes  # a failing run can wait for an import

    for line in causes(waiting):
        terminalreporter.write_line(line)
    if config.pluginmanager.has_plugin("cacheprovider") and not Options.of(config).baseline:
        announced = _waiting(config, waiting)
        if announced is not None:
            terminalreporter.write_line(announced)


def pytest_assertrepr_compare(config: pytest.Config, op: str, left: object, right: object) -> list[str] | None:
    """Explain `record == hf_snapshot`."""
    module = sys.modules.get("pytest_hfmodels.snapshots.assertion")  # not imported: no test has used a snapshot
    if op != "==" or module is None:
        return None
    snapshot = next((side for side in (left, right) if isinstance(side, module.HFSnapshot)), None)
    if snapshot is None or snapshot.last is None:
        return None
    return mismatch_lines(config, snapshot.last)


_LATE = pytest.StashKey[str]()
_REFUSED = pytest.StashKey[HFModelsError]()


def _expectations() -> Any:
    """Return the module that holds tests against the ledger, where a ledger has been read."""
    return sys.modules.get("pytest_hfmodels.expectations")


def _attach(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Attach what this phase adds to the test's result; the same as properties, for JUnit XML and report logs."""
    from pytest_hfmodels.reports.junit import properties  # imports what a test with a model has imported
    from pytest_hfmodels.results.gather import attach

    compared = item.stash[SNAPSHOT].compared if SNAPSHOT in item.stash else []
    first = item.stash.get(COMPARED, 0)
    item.stash[COMPARED] = len(compared)
    entry = None if _expectations() is None else _expectations().deciding_entry(item)
    failed = report.failed and call.excinfo is not None
    raises = f"{call.excinfo.typename} in {call.when}" if failed and call.excinfo is not None else None
    attach(report, item, compared[first:], entry=entry, raises=raises)
    report.user_properties += properties(compared, entry)


def _ledger_lines(results: Sequence[TestResult]) -> Iterator[str]:
    """Yield the line with the number of tests that ledger entries affected."""
    said = []
    for outcome, words in (("xfailed", "expected to fail"), ("skipped", "skipped")):
        count = sum(test.outcome == outcome and test.entry is not None for test in results)
        if count:
            said.append(f"{count} test{'' if count == 1 else 's'} {words}")
    if said:
        yield f"hfmodels ledger: {', '.join(said)}"


def _colorize(config: pytest.Config) -> None:
    terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and terminal.hasmarkup:
        differing = {test.id for test in Session.of(config).results() if any(one.waits for one in test.comparisons)}
        reports = [report for report in terminal.getreports("failed") if report.nodeid in differing]
        if reports:
            from pytest_hfmodels.reports.colours import paint  # every other report has been told by now

            paint(reports, config.get_terminal_writer().markup)


def _waiting(config: pytest.Config, waiting: Sequence[TestResult]) -> str | None:
    from pytest_hfmodels.reports.patch import offer  # a failing run can wait for an import
    from pytest_hfmodels.rootdir import is_found_from_here
    from pytest_hfmodels.shell import command
    from pytest_hfmodels.snapshots.pending import pending_folder

    said = f"{len(waiting)} {'test' if len(waiting) == 1 else 'tests'} to review: "
    folder = pending_folder(config)
    unsaved = [one.pending for test in waiting for one in test.comparisons if one.pending is not None and not one.saved]
    if folder is None:
        return None
    if unsaved:
        return said + offer(
            unsaved, len(waiting), folder.path, config.rootpath, asked=Options.of(config).patch is not None
        )
    if not folder.read():  # a repetition of the test has passed since
        return None
    there = "" if is_found_from_here(config) else f" (after {command('cd', relpath(config.rootpath))})"
    return f"{said}hfmodels review; or accept all of them: hfmodels accept{there}"


def _refuse(config: pytest.Config, error: HFModelsError) -> None:
    if not hasattr(config, "workerinput"):
        raise pytest.UsageError(str(error)) from None
    config.stash[_REFUSED] = error  # xdist shows nothing of what stops a worker, and calls it a crash


def _require_engines(options: Options) -> None:
    if not options.require:
        return
    from pytest_hfmodels.engines.availability import missing

    for name in options.require:
        reason = missing(name)
        if reason is not None:
            raise OptionError(
                f"The {name} engine is required, and {reason}.",
                hint="Install it, or take it out of --hfmodels-require (ini hfmodels_require).",
            )
        if options.engines is not None and name not in options.engines:
            raise OptionError(
                f"The {name} engine is required but not selected: engines are {', '.join(options.engines)}.",
                hint="Add it to --hfmodels-engines (ini hfmodels_engines), or require it no longer.",
            )


def _header(config: pytest.Config, engines: Sequence[EngineName] | None) -> str:
    from pytest_hfmodels.engines.availability import ENGINES, described, installed, usable
    from pytest_hfmodels.reports.terminal import header

    packages = ("transformers", *(described(name).packages[0] for name in ENGINES.names()))
    versions = [(package, version) for package in packages if (version := installed(package)) is not None]
    source = (
        "bundled and local, hub downloads allowed"
        if Options.of(config).checkpoints == "hub"
        else ("bundled, local and cached (no downloads)")
    )
    return header(versions, usable() if engines is None else engines, source)


def _whose_transfo_xl(config: pytest.Config, items: Sequence[pytest.Item]) -> str:
    from pytest_hfmodels.architecture import ARCHITECTURES
    from pytest_hfmodels.engines import missing, upstream
    from pytest_hfmodels.engines.availability import need_tensorflow

    choice, reason = Options.of(config).transfo_xl, missing("torch")
    architecture = ARCHITECTURES.get("transfo-xl")
    if architecture is None or architecture.implementation is None or (choice == "auto" and reason is not None):
        return f"transfo-xl: {reason}"
    if choice == "auto":  # the tests that follow import the same, and with the same choice of TensorFlow
        upstream.transformers(with_tensorflow=need_tensorflow(collection.engines_in_use(config, items)))
    return f"transfo-xl: implementation: {architecture.implementation(choice)}"


def _explained(item: pytest.Item) -> list[tuple[str, str]]:
    """Return the explanation that `--assert=plain` leaves out of an assertion."""
    snapshot = item.stash.get(SNAPSHOT, None)
    last = None if snapshot is None else snapshot.last
    if last is None or last.verdict == "same":
        return []
    return [("hfmodels", "\n".join(mismatch_lines(item.config, last)))]


def _sentences(excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
    if not any(map(_is_users, excinfo.traceback)):
        return excinfo.getrepr(style="value", chain=False)
    return excinfo.getrepr(
        style="short", chain=False, tbfilter=lambda shown: shown.traceback.filter(lambda entry: _is_users(entry))
    )


def _is_users(entry: Any) -> bool:
    """Tell whether a frame belongs to the people who run the tests: not to pytest, pluggy or us."""
    path = Path(entry.path)
    return path.parent.name not in ("_pytest", "pluggy") and Path(__file__).parent not in path.parents


def _changes(config: pytest.Config, item: pytest.Item | None = None) -> str:
    """Return the changed models, in words. After a test, look only at models that it may have changed."""
    cache = config.stash[CACHE]
    if item is None:
        found = cache.dirty(weights=True)
    else:
        found = cache.dirty(test=item.nodeid, handed_out=collection.may_hold_models(item))
    return "; ".join(
        f"{model}: {', '.join(changes[:_SHOWN])}{f' and {len(changes) - _SHOWN} more' if len(changes) > _SHOWN else ''}"
        for model, changes in found
    )


def _require_unchanged(item: pytest.Item) -> None:
    changed = _changes(item.config, item) if CACHE in item.config.stash else ""
    if changed:
        _report_mutation(
            item.config,
            f"{item.nodeid} changed a shared model (loaded anew for later tests, unless adopted): {changed}",
        )


def _report_mutation(config: pytest.Config, text: str) -> None:
    from pytest_hfmodels.models import DirtyModelWarning

    text = visible_line(text)  # a test's id may contain any character
    if Options.of(config).on_mutation == "error":
        pytest.fail(text, pytrace=False)
    try:
        warnings.warn(text, DirtyModelWarning, stacklevel=1)
    except DirtyModelWarning:  # the project turns warnings into errors
        pytest.fail(text, pytrace=False)


_SHOWN = 3
