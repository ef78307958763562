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
    require_asserted,
    transfo_xl,
)
from pytest_hfmodels.model_request import uses_models, uses_snapshot
from pytest_hfmodels.options import MARKERS, Options, add_options, use_profile
from pytest_hfmodels.stash import CACHE, CALL, COMPARED, SNAPSHOT

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from pytest_hfmodels.engines.base import EngineName

__all__ = ["gpt2", "hf_model", "hf_models", "hf_snapshot", "transfo_xl"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """https://docs.pytest.org/en/stable/reference/reference.html#pytest.hookspec.pytest_addoption."""
    add_options(parser)


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
        if Options.of(config).reports:
            from pytest_hfmodels.reports.session import register  # only runs that are asked for a report pay for one

            register(config)
        if Options.of(config).patch is not None:
            from pytest_hfmodels.reports.patch_session import register as register_patch

            register_patch(config)
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
        from pytest_hfmodels.snapshots.stale import watch  # only projects in which something is pending pay for it

        watch(session.config)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Apply what is known of engines, and refuse what would lose a snapshot."""
    try:
        collection.apply_engine_limits(items)
        collection.refuse_markers_of_parameters(items)
        if any(map(uses_snapshot, items)):
            collection.refuse_shared_files(items)
            from pytest_hfmodels.reports.patch_session import attach_unsaved  # imports what a snapshot will

            attach_unsaved(config)
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
    if call.when in ("call", "teardown"):
        _add_properties(item, call.when)
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
    if config.pluginmanager.has_plugin("dsession"):  # xdist's controller collects no tests, so its header has no counts
        for line in _ledger_lines(terminalreporter):
            terminalreporter.write_line(line)
    failed = [*terminalreporter.getreports("failed"), *terminalreporter.getreports("error")]
    waiting = list({report.nodeid: report for report in failed if _is_waiting(report)}.values())
    if waiting:
        from pytest_hfmodels.reports.causes import causes  # a failing run can wait for an import

        for line in causes(waiting):
            terminalreporter.write_line(line)
    if waiting and config.pluginmanager.has_plugin("cacheprovider") and not Options.of(config).baseline:
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
    from pytest_hfmodels.reports.terminal import mismatch  # a failing test can wait for an import

    return mismatch(snapshot.last, verbose=config.get_verbosity() > 1)


_LATE = pytest.StashKey[str]()
_REFUSED = pytest.StashKey[HFModelsError]()


def _expectations() -> Any:
    """Return the module that holds tests against the ledger, where a ledger has been read."""
    return sys.modules.get("pytest_hfmodels.expectations")


def _add_properties(item: pytest.Item, when: str) -> None:
    """Add the verdict of a test's comparisons for JUnit XML and report logs; replace it if a teardown compared too."""
    outcomes = item.stash[SNAPSHOT].outcomes if SNAPSHOT in item.stash else []
    if when == "call":
        item.stash[COMPARED] = len(outcomes)
    earlier = [] if when == "call" else outcomes[: item.stash.get(COMPARED, 0)]
    if len(outcomes) == len(earlier):
        return
    from pytest_hfmodels.reports.properties import properties  # imports what the snapshot has imported already

    before = [*properties(earlier)] if earlier else []
    item.user_properties[:] = [said for said in item.user_properties if said not in before]
    item.user_properties += properties(outcomes)


def _ledger_lines(terminalreporter: pytest.TerminalReporter) -> Iterator[str]:
    """Yield the line with the number of tests that ledger entries affected, from the reports of xdist's workers."""
    said = []
    for outcome, words in (("xfailed", "expected to fail"), ("skipped", "skipped")):
        reports = terminalreporter.getreports(outcome)
        count = sum("hfmodels_ledger" in dict(getattr(report, "user_properties", ())) for report in reports)
        if count:
            said.append(f"{count} test{'' if count == 1 else 's'} {words}")
    if said:
        yield f"hfmodels ledger: {', '.join(said)}"


def _colorize(config: pytest.Config) -> None:
    terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and terminal.hasmarkup and any(map(_is_waiting, terminal.getreports("failed"))):
        from pytest_hfmodels.reports.colours import paint  # every other report has been told by now

        paint(terminal.getreports("failed"))


def _waiting(config: pytest.Config, reports: Sequence[Any]) -> str | None:
    from pytest_hfmodels.reports.patch_session import offer  # a failing run can wait for an import

    said = f"{len(reports)} {'test' if len(reports) == 1 else 'tests'} to review: "
    from pytest_hfmodels.shell import command
    from pytest_hfmodels.snapshots.pending import pending_folder, read_pending

    offered = offer(config, reports)
    if offered is not None:
        return said + offered
    folder = pending_folder(config)
    if folder is None or not read_pending(folder):  # a repetition of the test has passed since
        return None
    there = "" if _is_found_from_here(config) else f" (after {command('cd', relpath(config.rootpath))})"
    return f"{said}hfmodels review; or accept all of them: hfmodels accept{there}"


def _is_found_from_here(config: pytest.Config) -> bool:
    """Return whether pytest, started in this folder without arguments, has the same root, as `hfmodels` starts it."""
    here, root = config.invocation_params.dir, config.rootpath
    return here == root or (root in here.parents and config.inipath is not None)


def _is_waiting(report: Any) -> bool:
    """Return whether a snapshot made a test fail, also at teardown. Under xdist only the report is available."""
    said = dict(report.user_properties) if getattr(report, "when", "") in ("call", "teardown") else {}
    return said.get("hfmodels_verdict", "same") != "same" and said.get("hfmodels_base") != "same"


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

    packages = ("transformers", *(described(name).package for name in ENGINES.names()))
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
    if last is None or last.comparison.verdict == "same":
        return []
    from pytest_hfmodels.reports.terminal import mismatch

    return [("hfmodels", "\n".join(mismatch(last, verbose=item.config.get_verbosity() > 1)))]


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
