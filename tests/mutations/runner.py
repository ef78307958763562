"""Runs tests under each fault, one run after the other, in forks of a process with everything imported.

Importing torch and transformers takes longer than the tests. A process that has imported them and done no tensor work
can fork, and each child runs pytest at once.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import re
import signal
import sys
import tempfile
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import pytest

from tests.mutations.fault import ENGINES
from tests.mutations.patches import FaultDoesNotFit

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection

    from tests.mutations.fault import Engine, Fault

Verdict = Literal["passes", "caught", "missed", "does not fit", "broken off", "no baseline"]
Answer: TypeAlias = tuple[Verdict, tuple[str, ...], tuple[str, ...]]  # verdict, tests that passed, tests that failed
FORK = multiprocessing.get_context("fork")
OPTIONS = (
    *("-p", "no:cacheprovider"),
    *("-p", "no:xdist"),  # its workers would run without the fault
    # The parent has already imported modules that pytest would rewrite; only our own messages get shorter.
    *("-W", "ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning"),
)


@dataclass(frozen=True)
class Result:
    """The result of a run of tests.

    Args:
        fault: the fault that it ran under; None for a run without one.
        verdict: `caught` if a test failed under the fault, `missed` if all passed. Without a fault `passes`, or
            `no baseline` if a test failed; so is a fault that was not run because of that. `broken off` if the run
            neither passed nor failed: it took too long or its process died.
        passed: the tests that passed.
        failed: the tests that failed; only the first if the run stops there.
        seconds: how long it took.
        output: the end of pytest's output.
    """

    fault: Fault | None
    verdict: Verdict
    passed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    seconds: float = 0.0
    output: str = ""


def run_all(
    chosen: Sequence[Fault],
    arguments: Sequence[str],
    *,
    killers: Mapping[str, str],
    limit: float = 1800,
) -> Iterator[Result]:
    """Run tests under each fault: first its known test, then all if that one does not catch it.

    Args:
        chosen: the faults.
        arguments: pytest's, for the selection.
        killers: the known test of each fault. It counts only if the selection has it and it passes without
            the fault.
        limit: seconds after which a run is broken off.

    Yields:
        The results as they come, engine by engine; runs without a fault come before those that they prove.
    """
    _prepare({fault.engine for fault in chosen})
    if any(fault.project for fault in chosen):
        _prepare_projects()
    for engine in ENGINES:
        of_engine = [fault for fault in chosen if fault.engine == engine]
        yield from _of_engine(engine, of_engine, arguments, killers, limit)


def run_one(fault: Fault, arguments: Sequence[str]) -> int:
    """Run pytest under a fault in this process; return its exit code."""
    _prepare({fault.engine})
    with fault.patch():
        return _pytest(_Session(fault), fault.engine, arguments)


def _of_engine(
    engine: Engine, chosen: Sequence[Fault], arguments: Sequence[str], killers: Mapping[str, str], limit: float
) -> Iterator[Result]:
    options = tuple(dropwhile(lambda argument: not argument.startswith("-"), arguments))
    known = {killers[fault.name] for fault in chosen if fault.name in killers}
    usable: tuple[str, ...] = ()
    if known:
        of_known = _run(None, engine, [*arguments, "--maxfail=0"], limit, only=known)
        usable = of_known.passed
        yield of_known
    baseline = None
    for fault in chosen:
        killer = killers.get(fault.name)
        if killer in usable:
            result = _run(fault, engine, [killer, *options], limit)
            if result.verdict == "caught":
                yield result
                continue
        if baseline is None:
            baseline = _run(None, engine, arguments, limit)
            yield baseline
        yield _run(fault, engine, arguments, limit) if baseline.verdict == "passes" else Result(fault, "no baseline")


def _prepare(engines: Collection[Engine]) -> None:
    """Import the modules of the tests, without tensor work, because a fork would hang after it."""
    os.environ["OMP_NUM_THREADS"] = "1"  # small models run fastest on one thread
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("HFMODELS_PROFILE", "ci")  # properties draw the same examples in every run
    from pytest_hfmodels.engines import engine, upstream

    with_tensorflow = "tensorflow" in engines
    package = upstream.transformers(with_tensorflow=with_tensorflow)
    for name in engines:
        engine(name, with_tensorflow=with_tensorflow)
    _ = package.GPT2LMHeadModel, package.GPT2ForSequenceClassification, package.GPT2TokenizerFast
    import pytest_hfmodels.transfo_xl as ours

    _ = ours.TransfoXLLMHeadModel
    with suppress(ImportError):
        from hypothesis import Phase, settings

        # One counterexample is enough, and shrinking it is slow.
        settings.register_profile("mutations", phases=[Phase.explicit, Phase.reuse, Phase.generate])
        settings.load_profile("mutations")


def _prepare_projects() -> None:
    """Import what the tests of projects import, so that no fork has to."""
    for name in (
        *("transformers.pipelines", "transformers.masking_utils", "transformers.generation.utils"),
        *(f"transformers.models.{name}.modeling_{name}" for name in ("llama", "bert", "t5", "vit", "clip", "wav2vec2")),
        *("transformers.models.auto.processing_auto", "peft", "optimum.quanto", "PIL.Image", "sentence_transformers"),
        *("syrupy", "tomlkit", "jinja2", "rich", "pytest_hfmodels.snapshots.assertion", "pytest_hfmodels.kinds"),
        *("pytest_hfmodels.explain.explaining", "pytest_hfmodels.models"),
    ):
        with suppress(ImportError):
            importlib.import_module(name)


def _run(
    fault: Fault | None, engine: Engine, arguments: Sequence[str], limit: float, only: Collection[str] = ()
) -> Result:
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        printed = Path(folder) / "printed.txt"
        answer, question = FORK.Pipe(duplex=False)
        child = FORK.Process(target=_be_pytest, args=(_Session(fault, only), engine, arguments, printed, question))
        child.start()
        question.close()
        found = _received(answer, limit)
        _end(child)
        output = printed.read_text(encoding="utf-8", errors="replace")[-3000:] if printed.exists() else ""
    verdict, passed, failed = found
    return Result(fault, verdict, passed, failed, round(time.monotonic() - start, 1), output)


def _received(answer: Connection, limit: float) -> Answer:
    with answer, suppress(EOFError):
        if answer.poll(limit):
            found: Answer = answer.recv()
            return found
    return "broken off", (), ()


def _end(child: multiprocessing.process.BaseProcess) -> None:
    """End a child, if it still runs, and its own children."""
    assert child.pid is not None
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.kill()
    child.join()


def _be_pytest(
    session: _Session, engine: Engine, arguments: Sequence[str], printed: Path, question: Connection
) -> None:
    """Run pytest in a forked child, and send the result."""
    os.setpgid(0, 0)  # so that its children end with it
    with printed.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        with nullcontext() if session.fault is None else session.fault.patch():
            code = _pytest(session, engine, arguments)
        verdict = session.verdict(code)
    except FaultDoesNotFit as error:
        print(error)
        verdict = "does not fit"
    sys.stdout.flush()
    question.send((verdict, tuple(session.passed), tuple(session.failed)))


def _pytest(session: _Session, engine: Engine, arguments: Sequence[str]) -> int:
    options = [*OPTIONS, "--hfmodels-engines", engine]
    project = re.fullmatch(r"(?:tests/projects|examples)/(\w+)(?:/(.+))?", arguments[0])
    if project is None:
        return int(pytest.main([*options, *arguments], plugins=[session]))
    from tests.projects.folders import copy

    with tempfile.TemporaryDirectory() as folder:  # its tests name files from there
        session.folder = f"{os.path.relpath(copy(project[1], Path(folder)))}/"
        os.chdir(folder)
        return int(pytest.main([*options, "--rootdir=.", project[2] or ".", *arguments[1:]], plugins=[session]))


class _Session:
    """A pytest plugin that notes which tests pass and fail.

    Args:
        fault: the fault of the session.
        only: the selected tests to run; empty for all.
    """

    def __init__(self, fault: Fault | None, only: Collection[str] = ()) -> None:
        self.fault, self.only = fault, only
        self.passed: list[str] = []
        self.failed: list[str] = []
        self.folder = ""  # of a project, which runs in a copy

    def verdict(self, code: int) -> Verdict:
        if self.fault is None:
            renamed = bool(self.only) and code == pytest.ExitCode.NO_TESTS_COLLECTED
            return "passes" if code == 0 or renamed else "no baseline"
        return "caught" if self.failed else "broken off" if code else "missed"

    def pytest_report_header(self) -> str | None:
        return None if self.fault is None else f"fault: {self.fault.name}: {self.fault.says}"

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.only:
            items[:] = [item for item in items if f"{self.folder}{item.nodeid}" in self.only]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = f"{self.folder}{report.nodeid}"
        if report.failed and test not in self.failed:
            self.failed.append(test)
        elif report.passed and report.when == "call":
            self.passed.append(test)
