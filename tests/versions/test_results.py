from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.kinds.explanation import Explanation
from pytest_hfmodels.results.model import Compared, TestResult, encode
from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.results import Cell, RowResult, State, read_run
from pytest_hfmodels.versions.running import PytestRun

from ..reports import example_results as examples

if TYPE_CHECKING:
    from pathlib import Path

    from ..project import Project

FINISHED = {"finished": True}
TEST = "test_it.py::test_a"
PASSED = TestResult(TEST, "test_it.py", 1, None, "passed", None, None, "", "", None, None, None, 1.5, ())
FAILED = replace(
    PASSED,
    outcome="failed",
    verdict=Verdict.BROKEN,
    headline="AssertionError: no",
    details="assert 1 == 2",
    raises="AssertionError",
    failed_in="call",
)


def compared(verdict: str = "same", base: str | None = None, entry: str | None = None) -> Compared:
    found = replace(examples.changed(), verdict=Verdict(verdict), entry=entry)
    return replace(found, base=None if base is None else Verdict(base))


def read(folder: Path, *results: TestResult | dict[str, Any], code: int = 0, **run: Any) -> RowResult:
    events = run.pop("events", [{"collected": [TEST]}, {"began": TEST}])
    lines = [{"result": json.loads(encode(one))} if isinstance(one, TestResult) else one for one in results]
    made = PytestRun(code, 3.0, run.pop("timed_out", False), folder, run.pop("timeout", 60))
    made.events.write_text("".join(f"{json.dumps(line)}\n" for line in (*events, *lines)))
    made.log.write_text(run.pop("log", ""))
    return read_run("lib==1.0", made)


def cell(folder: Path, result: TestResult = PASSED, **about: Any) -> Cell:
    return read(folder, replace(result, **about), FINISHED).cells[TEST]


@pytest.mark.parametrize(
    ("verdict", "comparisons", "state", "known"),
    [
        (None, (), State.SAME, None),
        ("same", (compared(),), State.SAME, None),
        ("near-tie", (compared("near-tie"),), State.NEAR_TIE, None),
        ("same", (compared("same", "changed", "beams"),), State.CHANGED, "beams"),
        ("same", (compared("same", "same", "beams"),), State.SAME, "beams"),
    ],
)
def test_a_test_that_passes_is_what_the_comparison_with_the_base_says(
    tmp_path: Path, verdict: str | None, comparisons: tuple[Compared, ...], state: State, known: str | None
) -> None:
    found = cell(tmp_path, verdict=None if verdict is None else Verdict(verdict), comparisons=comparisons)

    assert (found.state, found.known, found.seconds) == (state, known, 1.5)


def test_a_test_that_fails_with_a_verdict_is_that_verdict_with_its_cause(tmp_path: Path) -> None:
    why = Explanation("drift", "attention", "the kernel is another")
    drifted = replace(compared("drift"), headline="the loss moved", explanation=why)

    found = cell(tmp_path, FAILED, verdict=Verdict.DRIFT, comparisons=(drifted,))

    assert (found.state, found.reason) == (State.DRIFT, "attention: the loss moved (snapshots/test_it/test_a.toml)")
    assert found.details == "assert 1 == 2"


@pytest.mark.parametrize(
    ("phase", "reason"), [("call", "AssertionError: no"), ("setup", "at setup: AssertionError: no")]
)
def test_a_test_that_fails_otherwise_is_broken(tmp_path: Path, phase: str, reason: str) -> None:
    found = cell(tmp_path, FAILED, failed_in=phase)

    assert (found.state, found.reason, found.known) == (State.BROKEN, reason, None)
    assert found.raises == f"AssertionError in {phase}"


def test_an_expected_failure_is_broken_only_where_the_ledger_expects_it(tmp_path: Path) -> None:
    expected = cell(tmp_path, outcome="xfailed", entry="type-as", headline="type-as: raises there")
    own = cell(tmp_path, outcome="xfailed", headline="not written yet")

    assert (expected.state, expected.reason, expected.known) == (State.BROKEN, "raises there", "type-as")
    assert (own.state, own.reason, own.known) == (State.SAME, "expected failure: not written yet", None)


def test_a_skip_is_a_removal_only_where_the_ledger_says_so(tmp_path: Path) -> None:
    removed = cell(tmp_path, outcome="skipped", entry="gone", headline="gone: gone in 5.0")
    plain = cell(tmp_path, outcome="skipped", headline="gone in 5.0")

    assert (removed.state, removed.reason, removed.known) == (State.REMOVED, "gone in 5.0", "gone")
    assert (plain.state, plain.reason, plain.known) == (State.SKIPPED, "gone in 5.0", None)
    assert plain.explained


@pytest.mark.parametrize("outcome", ["skipped", "xfailed"])
def test_what_leaves_a_test_after_a_variant_held_is_not_of_the_ledger(tmp_path: Path, outcome: str) -> None:
    found = cell(tmp_path, outcome=outcome, comparisons=(compared("same", "changed", "beams"),))

    assert found.state in (State.SKIPPED, State.SAME)
    assert found.known is None


def test_a_reason_names_no_place_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pytest.ini").touch()
    monkeypatch.chdir(tmp_path)
    text = f"r1 is not in the Hub's cache (/home/me/.cache/hub), which {tmp_path}/conftest.py needs"
    found = cell(tmp_path, outcome="skipped", headline=text)

    assert found.reason == "r1 is not in the Hub's cache, which conftest.py needs"


def test_a_file_that_cannot_be_collected_is_a_cell(tmp_path: Path) -> None:
    event = {"id": "test_it.py", "skipped": False, "reason": "ImportError: no lib", "details": "Traceback"}
    found = read(tmp_path, {"uncollected": event}, FINISHED, code=2, events=[])

    assert found.cells["test_it.py"].state is State.BROKEN
    assert found.cells["test_it.py"].reason == "cannot be collected: ImportError: no lib"


def test_a_test_whose_process_died_has_crashed_and_what_followed_did_not_run(tmp_path: Path) -> None:
    events = [{"collected": [TEST, "test_it.py::test_b", "test_it.py::test_c"]}, {"began": TEST}]
    events.append({"began": "test_it.py::test_b"})
    found = read(tmp_path, PASSED, code=-11, events=events, log="Fatal Python error: Segmentation fault\n")

    assert found.problem == "crashed with SIGSEGV: Fatal Python error: Segmentation fault"
    assert [cell.state for cell in found.cells.values()] == [State.SAME, State.CRASHED, State.NOT_RUN]
    assert found.cells["test_it.py::test_c"].reason == f"did not run: {found.problem}"


def test_a_process_that_left_by_itself_in_the_middle_has_crashed(tmp_path: Path) -> None:
    assert read(tmp_path, code=0).problem == "crashed with exit code 0"


def test_a_test_that_ran_out_of_time_is_a_timeout(tmp_path: Path) -> None:
    found = read(tmp_path, FINISHED, code=2, timed_out=True)

    assert (found.problem, found.cells[TEST].state) == ("timed out after 60 s", State.TIMEOUT)


def test_what_xdist_says_of_a_worker_that_died_is_a_crash(tmp_path: Path) -> None:
    found = cell(tmp_path, FAILED, outcome="error", raises=None, failed_in=None, headline="worker 'gw0' crashed")

    assert (found.state, found.reason) == (State.CRASHED, "worker 'gw0' crashed")


def test_only_the_last_run_of_a_test_counts(tmp_path: Path) -> None:
    assert read(tmp_path, FAILED, PASSED, FINISHED).cells[TEST].state is State.SAME


@pytest.mark.parametrize(
    ("code", "log", "problem"),
    [
        (5, "", "no test was collected"),
        (4, "ERROR: file or directory not found: nowhere.py\n\n", "file or directory not found: nowhere.py"),
        (3, "INTERNALERROR> KeyError: 'x'\n=== no tests ran in 0.01s ===\n", "INTERNALERROR> KeyError: 'x'"),
    ],
)
def test_a_pytest_that_gave_up_says_why(tmp_path: Path, code: int, log: str, problem: str) -> None:
    found = read(tmp_path, FINISHED, code=code, events=[], log=log)

    assert problem in str(found.problem)


@pytest.mark.parametrize(("code", "ending"), [(1, "exit code 1"), (7, "exit code 7"), (-11, "SIGSEGV")])
def test_a_pytest_that_is_not_content_though_no_test_failed_makes_the_row_a_problem(
    tmp_path: Path, code: int, ending: str
) -> None:
    found = read(tmp_path, PASSED, FINISHED, code=code)

    assert found.problem == f"pytest ended with {ending} though no test failed"
    assert found.cells[TEST].state is State.SAME
    assert Grid((found,)).exit_code == 1
    assert read(tmp_path, FAILED, FINISHED, code=1).problem is None


def test_half_a_line_of_a_process_that_died_is_passed_over(tmp_path: Path) -> None:
    run = PytestRun(-9, 1.0, False, tmp_path)
    run.events.write_text(f'{{"result": {encode(PASSED)}}}\n{{"result": {{"id": "')

    assert read_run("lib==1.0", run).cells[TEST].state is State.SAME


ROW = """
import pytest
from tests.example_records import generation

def test_a(hf_snapshot): assert generation(text="new") == hf_snapshot
def test_b(): raise KeyError("x")
def test_c(): pytest.skip("not here")
@pytest.fixture
def failing(): raise ValueError("no")
def test_d(failing): ...
def test_e(): raise AssertionError("\\nNot equal to tolerance\\n\\nMismatched: 1")
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_row_s_pytest_leaves_what_its_tests_came_to(
    bare_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    bare_project.write(ROW)
    bare_project.write("import nothing_there", "test_broken.py")
    run = PytestRun(1, 1.0, False, tmp_path)
    (tmp_path / "durations.json").write_text("{}")
    monkeypatch.setenv("PYTEST_HFMODELS_ROW_EVENTS", str(run.events))
    monkeypatch.setenv("PYTEST_HFMODELS_ROW_SHARD", "1/1")
    monkeypatch.setenv("PYTEST_HFMODELS_ROW_DURATIONS", str(tmp_path / "durations.json"))

    arguments = ("-p", "pytest_hfmodels.versions.row_plugin", "--continue-on-collection-errors", *workers)
    bare_project.run_alone(*arguments)

    found = read_run("row", run)
    assert {nodeid.rpartition("::")[2]: (cell.state, cell.raises) for nodeid, cell in found.cells.items()} == {
        "test_a": (State.MISSING, ""),
        "test_b": (State.BROKEN, "KeyError in call"),
        "test_c": (State.SKIPPED, ""),
        "test_d": (State.BROKEN, "ValueError in setup"),
        "test_e": (State.BROKEN, "AssertionError in call"),
        "test_broken.py": (State.BROKEN, ""),
    }
    assert found.cells["test_it.py::test_c"].reason == "not here"
    assert found.cells["test_broken.py"].reason.startswith("cannot be collected: ModuleNotFoundError")
    assert found.cells["test_it.py::test_e"].reason == "AssertionError: Not equal to tolerance"  # as NumPy says it
    assert found.collected == tuple(f"test_it.py::test_{name}" for name in "abcde")
    assert [one.test for one in found.pending] == ["test_it.py::test_a"]
    assert found.problem is None
