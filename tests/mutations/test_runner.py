from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.mutations import report, runner
from tests.mutations.__main__ import main
from tests.mutations.fault import faults, named
from tests.mutations.runner import Result

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
FAULT = "unigrams-are-not-blocked"
# Calls the library directly, so that no model is loaded: once where the fault shows, once where it does not.
SEEING = """
def test_ngram_size_one():
    import torch
    from transformers import NoRepeatNGramLogitsProcessor
    banned = NoRepeatNGramLogitsProcessor(1)(torch.tensor([[1, 2]]), torch.zeros(1, 4))
    assert banned.isinf().tolist() == [[False, True, True, False]]
"""


@pytest.fixture
def selection(tmp_path: Path) -> Callable[[str], list[str]]:
    """Write tests into a folder of their own; the arguments that run them."""

    def write(source: str) -> list[str]:
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        (tmp_path / "test_it.py").write_text(source)
        return [str(tmp_path), "--rootdir", str(tmp_path)]

    return write


def in_a_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.mutations", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def test_a_fault_is_caught_or_missed_and_the_table_says_by_which_test(
    selection: Callable[[str], list[str]], tmp_path: Path
) -> None:
    kept = tmp_path / "kept.json"
    other = "ngram-blocking-in-place"  # which these tests do not look at

    ran = in_a_process(FAULT, other, "--json", str(kept), "--", *selection(SEEING))

    assert ran.returncode == 0, ran.stderr
    assert "1 of 2 faults caught" in ran.stdout
    found = {result["fault"]: result for result in json.loads(kept.read_text())}
    assert found[FAULT]["verdict"] == "caught"
    assert found[FAULT]["by"] == ["test_it.py::test_ngram_size_one"]
    assert found[other]["verdict"] == "missed"


def test_tests_that_fail_anyway_prove_nothing(selection: Callable[[str], list[str]], tmp_path: Path) -> None:
    arguments = selection("def test_it():\n    assert not 'always so'\n")

    ran = in_a_process(FAULT, "--json", str(tmp_path / "kept.json"), "--", *arguments)

    assert ran.returncode == 1
    assert "Without any fault the selection fails" in ran.stderr
    assert "always so" in ran.stderr


def test_one_fault_runs_pytest_as_ever(selection: Callable[[str], list[str]]) -> None:
    ran = in_a_process(FAULT, "--", *selection(SEEING))

    assert ran.returncode == 1
    assert f"fault: {FAULT}: With n-grams of one token" in ran.stdout
    assert "1 failed" in ran.stdout


def test_a_run_that_takes_too_long_is_ended() -> None:
    sleeping = [sys.executable, "-c", "import time; time.sleep(60)"]
    child = os.posix_spawn(sys.executable, sleeping, os.environ, setpgroup=0)
    start = time.monotonic()

    ended = runner._wait(child, 0.3)

    assert not ended
    assert time.monotonic() - start < 10


def test_an_unknown_fault_is_said_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["none-such"]) == 2

    assert "There is no fault 'none-such'" in capsys.readouterr().err


def test_the_list_has_every_fault_and_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0

    printed = capsys.readouterr().out
    assert all(fault.name in printed and fault.says in printed for fault in faults().values())


def test_later_faults_are_counted_apart() -> None:
    fault = named(FAULT)
    results = [
        Result(None, "missed", (), 3, 1.0, ""),
        Result(fault, "caught", ("suites/gpt2/test_it.py::test_it",), 1, 1.0, ""),
        Result(replace(fault, name="another", later=True), "missed", (), 3, 1.0, ""),
    ]

    assert report.totals(results) == ["1 of 1 faults caught, in 1 s", "0 of 1 later faults caught, in 1 s"]
    page = "\n".join(report.markdown(results))
    assert "| processors | 1 | 0 | 0 |" in page
    assert "| processors (later) | 0 | 1 | 0 |" in page
    assert f"| processors | {FAULT} | {fault.says} | caught | `test_it.py::test_it` |" in page
