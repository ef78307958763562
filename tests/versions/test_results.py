from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.versions.environments import ChangedPackage
from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.results import Cell, RowResult, State, read_run
from pytest_hfmodels.versions.running import PytestRun

if TYPE_CHECKING:
    from pathlib import Path

FINISHED = {"$report_type": "SessionFinish", "exitstatus": 0}
TEST = "test_it.py::test_a"


def phases(outcome: str = "passed", *, when: str = "call", nodeid: str = TEST, **about: Any) -> list[dict[str, Any]]:
    """Return the three reports of a test, of which one comes out as said."""
    about.setdefault("longrepr", crash("AssertionError: no\nassert 1 == 2") if outcome == "failed" else None)
    return [
        {"$report_type": "TestReport", "nodeid": nodeid, "when": name, "duration": 0.5}
        | ({"outcome": outcome, **about} if name == when else {"outcome": "passed"})
        for name in ("setup", "call", "teardown")
    ]


def crash(message: str) -> dict[str, Any]:
    lines = {"data": {"lines": ["    assert 1 == 2", f"E   {message.splitlines()[0]}"]}}
    return {"reprcrash": {"message": message}, "reprtraceback": {"reprentries": [lines]}}


def said(**properties: str) -> list[list[str]]:
    return [[f"hfmodels_{name}", value] for name, value in properties.items()]


def read(folder: Path, reports: list[dict[str, Any]], *, code: int = 0, **run: Any) -> RowResult:
    events = run.pop("events", [{"collected": [TEST]}, {"began": TEST}])
    made = PytestRun(code, 3.0, run.pop("timed_out", False), folder, run.pop("timeout", 60))
    for path, lines in ((made.report, reports), (made.events, events)):
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    made.log.write_text(run.pop("log", ""))
    return read_run("lib==1.0", made)


def cell(folder: Path, reports: list[dict[str, Any]]) -> Cell:
    return read(folder, [*reports, FINISHED]).cells[TEST]


@pytest.mark.parametrize(
    ("properties", "state", "known"),
    [
        ({}, State.SAME, None),
        ({"verdict": "same"}, State.SAME, None),
        ({"verdict": "near-tie"}, State.NEAR_TIE, None),
        ({"verdict": "same", "base": "changed", "ledger": "beams"}, State.CHANGED, "beams"),
        ({"verdict": "same", "base": "same", "ledger": "beams"}, State.SAME, "beams"),
    ],
)
def test_a_test_that_passes_is_what_the_comparison_with_the_base_says(
    tmp_path: Path, properties: dict[str, str], state: State, known: str | None
) -> None:
    found = cell(tmp_path, phases(user_properties=said(**properties)))

    assert (found.state, found.known, found.seconds) == (state, known, 1.5)


def test_a_test_that_fails_with_a_verdict_is_that_verdict(tmp_path: Path) -> None:
    found = cell(
        tmp_path, phases("failed", user_properties=said(verdict="drift", says="drift: the loss moved by 0.02"))
    )

    assert (found.state, found.reason) == (State.DRIFT, "the loss moved by 0.02")
    assert "assert 1 == 2" in found.details


@pytest.mark.parametrize(
    ("when", "properties", "reason"),
    [
        ("call", {}, "AssertionError: no"),
        ("call", {"verdict": "same"}, "AssertionError: no"),
        ("setup", {}, "at setup: AssertionError: no"),
        ("teardown", {"verdict": "changed"}, "at teardown: AssertionError: no"),
    ],
)
def test_a_test_that_fails_otherwise_is_broken(
    tmp_path: Path, when: str, properties: dict[str, str], reason: str
) -> None:
    found = cell(tmp_path, phases("failed", when=when, user_properties=said(**properties)))

    assert (found.state, found.reason, found.known) == (State.BROKEN, reason, None)


def test_an_expected_failure_is_broken_only_where_the_ledger_expects_it(tmp_path: Path) -> None:
    expected = cell(
        tmp_path, phases("skipped", wasxfail="type-as: raises there", user_properties=said(ledger="type-as"))
    )
    own = cell(tmp_path, phases("skipped", wasxfail="not written yet"))

    assert (expected.state, expected.reason, expected.known) == (State.BROKEN, "raises there", "type-as")
    assert (own.state, own.reason, own.known) == (State.SAME, "expected failure: not written yet", None)


def test_an_expected_failure_that_passes_is_broken(tmp_path: Path) -> None:
    found = cell(tmp_path, phases("failed", longrepr="[XPASS(strict)] raises there"))

    assert (found.state, found.reason) == (State.BROKEN, "[XPASS(strict)] raises there")


def test_a_skip_is_a_removal_only_where_the_ledger_says_so(tmp_path: Path) -> None:
    reason = ["test_it.py", 3, "Skipped: gone in 5.0"]
    of_ledger = ["test_it.py", 3, "Skipped: gone: gone in 5.0"]
    removed = cell(tmp_path, phases("skipped", when="setup", longrepr=of_ledger, user_properties=said(ledger="gone")))
    plain = cell(tmp_path, phases("skipped", when="setup", longrepr=reason))

    assert (removed.state, removed.reason, removed.known) == (State.REMOVED, "gone in 5.0", "gone")
    assert (plain.state, plain.reason, plain.known) == (State.SKIPPED, "gone in 5.0", None)
    assert plain.explained


@pytest.mark.parametrize("about", [{"longrepr": ["test_it.py", 3, "Skipped: too slow"]}, {"wasxfail": "not written"}])
def test_what_leaves_a_test_after_a_variant_held_is_not_of_the_ledger(tmp_path: Path, about: dict[str, Any]) -> None:
    properties = said(verdict="same", base="changed", ledger="beams")
    found = cell(tmp_path, phases("skipped", user_properties=properties, **about))

    assert found.state in (State.SKIPPED, State.SAME)
    assert found.known is None


def test_a_failure_that_the_ledger_expects_after_a_variant_held_is_of_the_ledger(tmp_path: Path) -> None:
    properties = said(verdict="same", base="changed", ledger="type-as")
    found = cell(tmp_path, phases("skipped", wasxfail="type-as: raises there", user_properties=properties))

    assert (found.state, found.reason, found.known) == (State.BROKEN, "raises there", "type-as")


def test_a_reason_names_no_place_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pytest.ini").touch()
    monkeypatch.chdir(tmp_path)
    text = f"Skipped: r1 is not in the Hub's cache (/home/me/.cache/hub), which {tmp_path}/conftest.py needs"
    found = cell(tmp_path, phases("skipped", when="setup", longrepr=["test_it.py", 3, text]))

    assert found.reason == "r1 is not in the Hub's cache, which conftest.py needs"


def test_a_file_that_cannot_be_collected_is_a_cell(tmp_path: Path) -> None:
    text = "ImportError while importing test module\nTraceback:\ntest_it.py:1: in <module>\nE   ImportError: no lib"
    report = {"$report_type": "CollectReport", "nodeid": "test_it.py", "outcome": "failed", "longrepr": text}
    found = read(tmp_path, [report, FINISHED], code=2, events=[])

    assert found.cells["test_it.py"].state is State.BROKEN
    assert found.cells["test_it.py"].reason == "cannot be collected: ImportError: no lib"


def test_a_test_whose_process_died_has_crashed_and_what_followed_did_not_run(tmp_path: Path) -> None:
    events = [{"collected": [TEST, "test_it.py::test_b", "test_it.py::test_c"]}, {"began": TEST}]
    events.append({"began": "test_it.py::test_b"})
    found = read(tmp_path, phases(), code=-11, events=events, log="Fatal Python error: Segmentation fault\n")

    assert found.problem == "crashed with SIGSEGV: Fatal Python error: Segmentation fault"
    assert [cell.state for cell in found.cells.values()] == [State.SAME, State.CRASHED, State.NOT_RUN]
    assert found.cells["test_it.py::test_c"].reason == f"did not run: {found.problem}"


def test_a_process_that_left_by_itself_in_the_middle_has_crashed(tmp_path: Path) -> None:
    assert read(tmp_path, phases()[:1], code=0).problem == "crashed with exit code 0"


def test_a_test_that_ran_out_of_time_is_a_timeout(tmp_path: Path) -> None:
    found = read(tmp_path, [FINISHED], code=2, timed_out=True)

    assert (found.problem, found.cells[TEST].state) == ("timed out after 60 s", State.TIMEOUT)


def test_what_xdist_says_of_a_worker_that_died_is_a_crash(tmp_path: Path) -> None:
    report = {"$report_type": "TestReport", "nodeid": TEST, "when": "???", "outcome": "failed"}
    found = cell(tmp_path, [{**report, "longrepr": "worker 'gw0' crashed while running 'test_it.py::test_a'"}])

    assert (found.state, found.reason) == (State.CRASHED, "worker 'gw0' crashed while running 'test_it.py::test_a'")


def test_only_the_last_run_of_a_test_counts(tmp_path: Path) -> None:
    assert cell(tmp_path, [*phases("failed"), *phases()]).state is State.SAME


@pytest.mark.parametrize(
    ("code", "log", "problem"),
    [
        (5, "", "no test was collected"),
        (4, "ERROR: file or directory not found: nowhere.py\n\n", "file or directory not found: nowhere.py"),
        (3, "INTERNALERROR> KeyError: 'x'\n=== no tests ran in 0.01s ===\n", "INTERNALERROR> KeyError: 'x'"),
    ],
)
def test_a_pytest_that_gave_up_says_why(tmp_path: Path, code: int, log: str, problem: str) -> None:
    found = read(tmp_path, [FINISHED], code=code, events=[], log=log)

    assert problem in str(found.problem)


@pytest.mark.parametrize(("code", "ending"), [(1, "exit code 1"), (7, "exit code 7"), (-11, "SIGSEGV")])
def test_a_pytest_that_is_not_content_though_no_test_failed_makes_the_row_a_problem(
    tmp_path: Path, code: int, ending: str
) -> None:
    found = read(tmp_path, [*phases(), FINISHED], code=code)

    assert found.problem == f"pytest ended with {ending} though no test failed"
    assert found.cells[TEST].state is State.SAME
    assert Grid((found,)).exit_code == 1
    assert read(tmp_path, [*phases("failed"), FINISHED], code=1).problem is None


def test_half_a_line_of_a_process_that_died_is_passed_over(tmp_path: Path) -> None:
    run = PytestRun(-9, 1.0, False, tmp_path)
    run.report.write_text("".join(f"{json.dumps(line)}\n" for line in phases()) + '{"$report_type": "Test')

    assert read_run("lib==1.0", run).cells[TEST].state is State.SAME


def test_a_row_survives_json() -> None:
    cells = {TEST: Cell(State.CHANGED, "why", "known", 1.5, "details")}
    result = RowResult(
        "lib==1.0", {"lib": "1.0"}, (ChangedPackage("six", "1", None),), cells, None, "", 2.0, 1, "log", "key"
    )

    assert RowResult.from_data(json.loads(json.dumps(result.to_data()))) == result
