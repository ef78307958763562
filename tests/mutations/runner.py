"""Runs a pytest selection under each fault, one after the other, in children of a process that has imported enough.

Importing torch and transformers takes longer than the tests. A process that has imported them and done no tensor work
can fork, and each child runs pytest at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pytest_hfmodels.errors import HFModelsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.mutations.fault import Engine, Fault

Verdict = Literal["caught", "missed", "does not fit", "broken off", "no baseline"]
PLUGIN = ("-p", "tests.mutations.plugin", "-p", "no:cacheprovider")
# The parent has imported what pytest would have rewritten: only our own messages lose by it.
IMPORTED = ("-W", "ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning")


class MutationsError(HFModelsError):
    """A run over faults that could not be done."""


@dataclass(frozen=True)
class Result:
    """What a selection of tests says of one fault.

    Args:
        fault: which; None for the run without any.
        verdict: `caught` if a test failed that passes without the fault; `broken off` if the run neither passed nor
            failed: it took too long or its process died; `no baseline` if tests fail without any fault.
        by: the tests that failed, the first alone where the run stops there.
        ran: tests that ran.
        seconds: of the whole run.
        output: the end of what pytest printed.
    """

    fault: Fault | None
    verdict: Verdict
    by: tuple[str, ...]
    ran: int
    seconds: float
    output: str


def run_all(
    chosen: Sequence[Fault],
    arguments: Sequence[str],
    *,
    limit: float = 300,
    every: bool = False,
    say: Callable[[Result], None] = lambda _: None,
) -> list[Result]:
    """Run the selection once without a fault and once under each, engine by engine.

    Args:
        chosen: the faults.
        arguments: pytest's, for the selection.
        limit: seconds after which a run is broken off.
        every: whether a run goes on after the first failure.
        say: told of each result as it comes.

    Returns:
        The results, the run without a fault first in each engine.

    Raises:
        MutationsError: an engine cannot be imported, or the process that runs its faults died.
    """
    found: list[Result] = []
    engines: tuple[Engine, ...] = ("torch", "tensorflow")
    for engine in engines:
        of_engine = [fault for fault in chosen if fault.engine == engine]
        if of_engine:
            found += _in_a_warm_process(engine, of_engine, [*arguments, *([] if every else ["-x"])], limit, say)
    return found


def run_one(fault: Fault, arguments: Sequence[str]) -> int:
    """Run pytest under a fault in this process; return its exit code."""
    import pytest

    return int(pytest.main([*PLUGIN, *IMPORTED, "--fault", fault.name, "--hfmodels-engines", fault.engine, *arguments]))


def _in_a_warm_process(
    engine: Engine, chosen: Sequence[Fault], arguments: Sequence[str], limit: float, say: Callable[[Result], None]
) -> list[Result]:
    """Fork a process that imports the engine and runs its faults; pass its results on."""
    found = []
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "w", encoding="utf-8") as pipe:
                for line in _lines(engine, chosen, arguments, limit):
                    print(line, file=pipe, flush=True)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)  # nothing of the parent's: no atexit, no second report
    os.close(writing)
    by_name = {fault.name: fault for fault in chosen}
    with os.fdopen(reading, encoding="utf-8") as pipe:
        for line in pipe:
            name, verdict, by, ran, seconds, output = json.loads(line)
            found.append(Result(by_name.get(name), verdict, tuple(by), ran, seconds, output))
            say(found[-1])
    if os.waitpid(child, 0)[1]:
        raise MutationsError(
            f"The process that runs the {engine} faults ended after {len(found)} results; what it said is above.",
            hint=f"Check that the engine can be imported: pytest suites --hfmodels-require {engine}",
        )
    return found


def _lines(engine: Engine, chosen: Sequence[Fault], arguments: Sequence[str], limit: float) -> Iterator[str]:
    os.environ["OMP_NUM_THREADS"] = "1"  # small models run fastest on one thread
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _import(engine)
    base = _run_in_a_child(None, engine, arguments, limit)
    clean = base[1] == "missed"
    yield json.dumps([None, "missed" if clean else "no baseline", *base[2:]])
    if not clean:
        return
    for fault in chosen:
        yield json.dumps(_run_in_a_child(fault, engine, arguments, limit))


def _import(engine: Engine) -> None:
    """Import what the tests would, and do no tensor work: after that a fork would hang."""
    from pytest_hfmodels.engines import engine as imported
    from pytest_hfmodels.engines import upstream

    package = upstream.transformers(with_tensorflow=engine == "tensorflow")
    imported(engine, with_tensorflow=engine == "tensorflow")
    _ = package.GPT2LMHeadModel, package.GPT2ForSequenceClassification, package.GPT2TokenizerFast
    import pytest_hfmodels.transfo_xl as ours

    _ = ours.TransfoXLLMHeadModel
    with suppress(ImportError):
        import hypothesis  # noqa: F401 - its plugin imports it in some runs


def _run_in_a_child(
    fault: Fault | None, engine: Engine, arguments: Sequence[str], limit: float
) -> tuple[str | None, Verdict, Sequence[str], int, float, str]:
    name = None if fault is None else fault.name
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        report, printed = Path(folder) / "report.json", Path(folder) / "printed.txt"
        child = os.fork()
        if child == 0:
            _be_pytest(name, engine, arguments, report, printed)
        ended = _wait(child, limit)
        seconds = round(time.monotonic() - start, 1)
        output = printed.read_text(encoding="utf-8", errors="replace")[-3000:] if printed.exists() else ""
        if "FaultDoesNotFit" in output:
            return name, "does not fit", (), 0, seconds, output
        if not ended or not report.exists():
            return name, "broken off", (), 0, seconds, output
        found = json.loads(report.read_text(encoding="utf-8"))
    verdict: Verdict = "caught" if found["failed"] else "missed" if found["exit"] == 0 else "broken off"
    return name, verdict, found["failed"], found["ran"], seconds, output


def _be_pytest(name: str | None, engine: Engine, arguments: Sequence[str], report: Path, printed: Path) -> None:
    """Turn this process into a pytest run, and never return."""
    status = 1
    try:
        os.setpgid(0, 0)  # so that what it starts ends with it
        file = os.open(printed, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        import pytest

        fault = () if name is None else ("--fault", name)
        given = [*PLUGIN, *IMPORTED, *fault, "--fault-report", str(report), "--hfmodels-engines", engine, *arguments]
        status = int(pytest.main(given))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _wait(child: int, limit: float) -> bool:
    """Wait for a child; end it and return False if it takes longer than `limit` seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            return True
        time.sleep(0.05)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False
