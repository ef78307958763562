from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.mutations import report, runner
from tests.mutations.__main__ import KILLERS, main
from tests.mutations.fault import faults, named
from tests.mutations.runner import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from tests.mutations.fault import Engine, Fault

    Run = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).parents[2]
FAULT, OTHER, UNSEEN = "unigrams-are-not-blocked", "ngram-blocking-in-place", "forced-eos-comes-too-late"
SEEN_BY = {FAULT: "test_it.py::test_ngram_size_one", OTHER: "test_it.py::test_in_place"}
# Calls the library directly, without loading a model: two tests catch the fault, one does not.
SEEING = """
import torch

def banned(logits):
    from transformers import NoRepeatNGramLogitsProcessor
    return NoRepeatNGramLogitsProcessor(1)(torch.tensor([[1, 2]]), logits).isinf().tolist()

def test_nothing():
    pass

def test_ngram_size_one():
    assert banned(torch.zeros(1, 4)) == [[False, True, True, False]]

def test_in_place():
    logits = torch.zeros(1, 4)
    banned(logits)
    assert logits.tolist() == [[0.0] * 4]
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the command in a new project with one test file."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(SEEING)

    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.mutations", *arguments, "--", "test_it.py", "--rootdir", "."]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    return start


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Simulate runs in which the fault's test of SEEN_BY fails; returns the list of tests that ran."""
    ran: list[list[str]] = []

    def simulated(
        fault: Fault | None, _engine: Engine, arguments: Sequence[str], _limit: float, only: Collection[str] = ()
    ) -> Result:
        every = ["test_it.py::test_nothing", *SEEN_BY.values()]
        selected = sorted(set(only or (every if arguments[0] == "suites" else arguments[:1])) & set(every))
        ran.append(selected)
        if fault is None:
            return Result(None, "passes", tuple(selected))
        failed = [test for test in selected if SEEN_BY.get(fault.name) == test]
        return Result(fault, "caught" if failed else "missed", failed=tuple(failed))

    monkeypatch.setattr(runner, "_run", simulated)
    monkeypatch.setattr(runner, "_prepare", lambda _: None)
    return ran


def test_a_fault_is_caught_or_missed_by_its_known_test_or_by_all(run: Run, tmp_path: Path) -> None:
    killers = tmp_path / "killers.json"
    killers.write_text(json.dumps({**SEEN_BY, OTHER: "test_it.py::test_nothing"}))

    ran = run(FAULT, OTHER, UNSEEN, "--markdown", "table.md", "--killers", str(killers), "--update-killers")

    assert ran.returncode == 0, ran.stderr
    assert "2 of 3 faults caught" in ran.stdout
    assert re.findall(r"no fault, (\d+) tests", ran.stdout) == ["2", "3"]
    rows = [[cell.strip("* `") for cell in row.split("|")] for row in (tmp_path / "table.md").read_text().splitlines()]
    assert {row[2]: row[4:6] for row in rows if len(row) == 7 and "-" in row[2].strip("-")} == {
        FAULT: ["caught", SEEN_BY[FAULT]],
        OTHER: ["caught", SEEN_BY[OTHER]],
        UNSEEN: ["missed", ""],
    }
    assert report.killers(killers) == SEEN_BY


@pytest.mark.parametrize(
    ("known", "runs"),
    [
        pytest.param(SEEN_BY, [2, 1, 1], id="they-see-the-faults"),
        pytest.param(
            {FAULT: SEEN_BY[FAULT], OTHER: "test_it.py::test_nothing"}, [2, 1, 1, 3, 3], id="one-sees-nothing"
        ),
        pytest.param({**SEEN_BY, OTHER: "test_it.py::test_old"}, [1, 1, 3, 3], id="one-is-not-there"),
        pytest.param({FAULT: "test_it.py::test_old"}, [0, 3, 3, 3], id="none-is-there"),
        pytest.param({}, [3, 3, 3], id="none-is-known"),
    ],
)
def test_all_tests_run_only_if_the_known_one_passes(
    ran: list[list[str]], known: dict[str, str], runs: list[int]
) -> None:
    results = list(runner.run_all([named(FAULT), named(OTHER)], ["suites"], killers=known))

    assert {result.fault.name: result.failed[0] for result in results if result.fault} == SEEN_BY
    assert [len(selected) for selected in ran] == runs


def test_tests_that_fail_anyway_prove_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = Result(None, "no baseline", failed=("test_it.py::test_it",), output="always so")
    monkeypatch.setattr(runner, "_run", lambda *_, **__: failing)
    monkeypatch.setattr(runner, "_prepare", lambda _: None)

    assert main([FAULT, OTHER]) == 1

    printed = capsys.readouterr()
    assert "0 of 2 faults caught" in printed.out
    assert f"no baseline     0.0 s  processors: {FAULT}" in printed.out
    assert "always so" in printed.err


def test_one_fault_runs_pytest_as_usual(run: Run) -> None:
    ran = run(FAULT)

    assert ran.returncode == 1
    assert f"fault: {FAULT}: With n-grams of one token" in ran.stdout
    assert "1 failed, 2 passed" in ran.stdout


def test_a_child_that_takes_too_long_is_ended() -> None:
    child = runner.FORK.Process(target=time.sleep, args=(60,))
    answer, question = runner.FORK.Pipe(duplex=False)
    start = time.monotonic()
    child.start()

    assert runner._received(answer, 0.3) == ("broken off", (), ())
    runner._end(child)

    assert time.monotonic() - start < 10
    question.close()


def test_an_unknown_fault_is_an_error_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["none-such"]) == 2

    assert "There is no fault 'none-such'" in capsys.readouterr().err


def test_the_list_has_every_fault_and_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0

    printed = capsys.readouterr().out
    assert all(fault.name in printed and fault.says in printed for fault in faults().values())


def test_the_known_tests_exist_in_the_suites() -> None:
    for fault, test in report.killers(KILLERS).items():
        file, _, name = test.partition("::")
        group, _, function = name.partition("[")[0].rpartition("::")
        assert fault in faults()
        # The methods of a class of suites/architectures are those of a class that it extends.
        own = f"class {group}(" if group else f"def {function}("
        assert own in (ROOT / file).read_text()


def test_later_faults_are_counted_separately() -> None:
    fault = named(FAULT)
    results = [
        Result(None, "passes", ("suites/gpt2/test_it.py::test_it",)),
        Result(fault, "caught", failed=("suites/gpt2/test_it.py::test_it",)),
        Result(replace(fault, name="another", later=True), "missed"),
    ]

    assert report.totals(results) == ["1 of 1 faults caught", "0 of 1 later faults caught"]
    page = "\n".join(report.markdown(results))
    assert "| processors | 1 | 0 | 0 |" in page
    assert "| processors (later) | 0 | 1 | 0 |" in page
    assert f"| processors | {FAULT} | {fault.says} | caught | `test_it.py::test_it` |" in page
