"""A comparison that differs fails its test, even if nothing asserts it; a snapshot without a comparison warns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .test_assertion import NEAR_TIE

if TYPE_CHECKING:
    from ..project import Project

# Runs no model. `{body}` is what a test does with the record and the snapshot.
TEST = """
import threading

import pytest
from tests.example_records import generation, moved

def test_reply(hf_snapshot):
    record = generation(moved(1, by={by}))
    {body}
"""
RECORD = TEST.format(by=0.0, body="assert record == hf_snapshot")
SENTENCE = "test_it.py::test_reply compared a record that differs from its snapshot, and passed: nothing asserted it."
UNREAD = {
    "no assert": "record == hf_snapshot",
    "reversed": "hf_snapshot == record",
    "a list": "assert [record == hf_snapshot]",
    "unequal": "assert record != hf_snapshot",
    "negated": "assert not (record == hf_snapshot)",
    "caught": "try:\n        assert record == hf_snapshot\n    except AssertionError:\n        pass",
    "a thread": "def check():\n        assert record == hf_snapshot\n"
    "    thread = threading.Thread(target=check)\n    thread.start()\n    thread.join()",
}
IN_FIXTURES = """
import pytest
from tests.example_records import generation, moved

@pytest.fixture
def record(hf_snapshot):
    {setup}
    yield generation(moved(1, by={by}))
    {teardown}

def test_reply(record):
    pass
"""


@pytest.fixture
def recorded(bare_project: Project) -> Project:
    """A project with a recorded test whose number has moved since."""
    bare_project.write(RECORD)
    bare_project.run("--snapshot-update").assert_outcomes(passed=1)
    return bare_project


@pytest.mark.parametrize("body", UNREAD.values(), ids=UNREAD.keys())
def test_a_difference_that_nothing_asserts_fails_the_test_at_teardown(recorded: Project, body: str) -> None:
    recorded.write(TEST.format(by=0.5, body=body))

    result = recorded.run()

    result.assert_outcomes(passed=1, errors=1, warnings=1 if "thread" in body else 0)
    result.stdout.fnmatch_lines(
        [
            f"*{SENTENCE}",
            "*Write `assert record == hf_snapshot`, or mark the test xfail if you expect a difference.",
            "*log-probability of token 2*",
            "cause not known: *",
        ]
    )


@pytest.mark.parametrize(
    ("value", "content", "said"),
    [
        ("record", "not = [toml", "*test_reply.toml*"),
        ("print", None, "*test_it.py::test_reply compares what cannot be recorded: the value is a builtin_function*"),
    ],
)
def test_an_error_that_the_test_suppresses_fails_it_at_teardown(
    recorded: Project, value: str, content: str | None, said: str
) -> None:
    body = f"import contextlib\n    with contextlib.suppress(Exception):\n        assert {value} == hf_snapshot"
    recorded.write(TEST.format(by=0.0, body=body))
    if content is not None:
        recorded.write(content, "snapshots/test_it/test_reply.toml")

    result = recorded.run()

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_reply*", said])


@pytest.mark.parametrize("where", ["setup", "teardown"])
def test_a_comparison_in_a_fixture_counts(recorded: Project, where: str) -> None:
    lines = {"setup": "pass", "teardown": "pass", where: "generation(moved(1, by=0.5)) == hf_snapshot"}
    recorded.write(IN_FIXTURES.format(by=0.5, **lines))

    recorded.run().assert_outcomes(passed=1, errors=1)


def test_a_snapshot_that_a_test_asks_for_while_it_runs_counts(recorded: Project) -> None:
    source = TEST.replace("(hf_snapshot)", "(request)")
    recorded.write(source.format(by=0.5, body="record == request.getfixturevalue('hf_snapshot')"))

    recorded.run().assert_outcomes(passed=1, errors=1)


def test_a_missing_snapshot_counts(bare_project: Project) -> None:
    bare_project.write(TEST.format(by=0.0, body="record == hf_snapshot"))

    bare_project.run().assert_outcomes(passed=1, errors=1)
    bare_project.run("--snapshot-update").assert_outcomes(passed=1)
    bare_project.run().assert_outcomes(passed=1)


BREAK = (
    '[[break]]\nname = "known"\nwhen = "pytest>=1"\nwhat = "known"\n'
    'tests = "test_it.py::test_reply"\nraises = "AssertionError"\n'
)
ASSERTED = "assert record == hf_snapshot"
OUTCOMES = {
    "a skip": ("", "if record != hf_snapshot: pytest.skip('another machine')", "", "skipped"),
    "an xfail": ("", "if record != hf_snapshot: pytest.xfail('known')", "", "xfailed"),
    "the mark": ("@pytest.mark.xfail\n", ASSERTED, "", "xfailed"),
    "the ledger": ("", ASSERTED, BREAK, "xfailed"),
    "a fail": ("", "if record != hf_snapshot: pytest.fail('my own words')", "", "failed"),
    "the assertion": ("", ASSERTED, "", "failed"),
}


@pytest.mark.parametrize(("mark", "body", "ledger", "outcome"), OUTCOMES.values(), ids=OUTCOMES.keys())
def test_a_test_that_does_not_pass_is_left_alone_and_a_green_run_counts_no_failed_snapshot(
    recorded: Project, mark: str, body: str, ledger: str, outcome: str
) -> None:
    recorded.write(TEST.format(by=0.5, body=body).replace("def test_", f"{mark}def test_"))
    if ledger:
        recorded.write(ledger, "snapshots/upstream.toml")

    result = recorded.run()

    result.assert_outcomes(**{outcome: 1})
    if outcome != "failed":
        result.stdout.no_fnmatch_line("*snapshot* failed*")


def test_a_near_tie_that_the_project_accepts_is_not_a_difference(bare_project: Project) -> None:
    source = NEAR_TIE.replace("assert ", "")
    bare_project.write(source.format(steps="CLOSE"))
    bare_project.run("--snapshot-update")
    bare_project.write(source.format(steps="OTHER"))

    bare_project.run("--hfmodels-near-tie", "warn").assert_outcomes(passed=1, warnings=1)


@pytest.mark.parametrize(
    "check", ["self.assertEqual(record, self.snapshot)", "self.assertTrue(record == self.snapshot)"]
)
def test_unittest_s_own_assertions_count(recorded: Project, check: str) -> None:
    source = """
import unittest

import pytest
from tests.example_records import generation, moved

class TestBot(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def own(self, hf_snapshot):
        self.snapshot = hf_snapshot

    def test_reply(self):
        record = generation(moved(1, by={by}))
        {check}
"""
    recorded.write(source.format(by=0.0, check=check))
    recorded.run("--snapshot-update").assert_outcomes(passed=1)
    recorded.write(source.format(by=0.5, check=check))

    recorded.run().assert_outcomes(failed=1)


def test_a_snapshot_that_is_never_compared_warns(bare_project: Project) -> None:
    bare_project.write(TEST.format(by=0.0, body="assert record, hf_snapshot"))

    warned = bare_project.run()
    refused = bare_project.run("-W", "error::pytest_hfmodels.snapshots.UnusedSnapshotWarning")

    warned.assert_outcomes(passed=1, warnings=1)
    warned.stdout.fnmatch_lines(["*test_it.py::test_reply asked for hf_snapshot and compared nothing with it. Write *"])
    refused.assert_outcomes(passed=1, errors=1)


LOOP = "for number in range({count}):\n        assert generation(moved(1, by=float(number))) == hf_snapshot{name}"


def test_files_that_a_loop_no_longer_compares_warn(bare_project: Project) -> None:
    bare_project.write(TEST.format(by=0.0, body=LOOP.format(count=3, name="")))
    bare_project.run("--snapshot-update").assert_outcomes(passed=1, warnings=0)
    bare_project.run().assert_outcomes(passed=1, warnings=0)
    bare_project.write(TEST.format(by=0.0, body=LOOP.format(count=1, name="")))

    warned = bare_project.run()
    refused = bare_project.run("-W", "error::pytest_hfmodels.snapshots.UnusedSnapshotWarning")

    warned.assert_outcomes(passed=1, warnings=1)
    told = "rm snapshots/test_it/test_reply.1.toml snapshots/test_it/test_reply.2.toml"
    warned.stdout.fnmatch_lines(
        [
            "*test_it.py::test_reply has 2 more files of earlier comparisons, which it no longer makes. "
            f"Compare them again, or delete them: {told}"
        ]
    )
    refused.assert_outcomes(passed=1, errors=1)
    refused.stdout.fnmatch_lines(["*has 2 more files of earlier comparisons*", f"*{told}"])
    for path in told.split()[1:]:
        (bare_project.path / path).unlink()
    bare_project.run().assert_outcomes(passed=1, warnings=0)


@pytest.mark.parametrize(
    "then",
    [
        LOOP.format(count=1, name="(name=str(number))"),
        f"{LOOP.format(count=1, name='')}\n    pytest.skip('no')",
        f"{LOOP.format(count=1, name='')}\n    pytest.xfail('known')",
        f"{LOOP.format(count=1, name='')}\n    pytest.fail('no')",
    ],
    ids=["named", "skipped", "expected to fail", "failed"],
)
def test_files_that_another_outcome_or_name_leaves_unread_do_not_warn(bare_project: Project, then: str) -> None:
    named = "(name=str(number))" if "name=" in then else ""
    bare_project.write(TEST.format(by=0.0, body=LOOP.format(count=3, name=named)))
    bare_project.run("--snapshot-update").assert_outcomes(passed=1)
    bare_project.write(TEST.format(by=0.0, body=then))

    assert "warnings" not in bare_project.run().parseoutcomes()


def test_a_named_comparison_before_a_numbered_one_leaves_nothing_unread(bare_project: Project) -> None:
    body = 'assert record == hf_snapshot(name="a")\n    assert record == hf_snapshot'
    bare_project.write(TEST.format(by=0.0, body=body))

    bare_project.run("--snapshot-update").assert_outcomes(passed=1, warnings=0)
    bare_project.run().assert_outcomes(passed=1, warnings=0)


@pytest.mark.parametrize("body", ["pytest.skip('no')", "pytest.xfail('no')"])
def test_a_test_that_did_not_pass_need_not_compare(bare_project: Project, body: str) -> None:
    bare_project.write(TEST.format(by=0.0, body=body))

    assert "warnings" not in bare_project.run().parseoutcomes()


def test_a_test_that_is_run_again_counts_its_last_attempt(recorded: Project) -> None:
    recorded.write(
        """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    runtestprotocol(item, nextitem=nextitem, log=False)
    for report in runtestprotocol(item, nextitem=nextitem, log=False):
        item.ihook.pytest_runtest_logreport(report=report)
    return True
""",
        "conftest.py",
    )
    recorded.write(
        TEST.format(by="0.5 if not tries else 0.0", body="tries.append(1)\n    assert record == hf_snapshot")
        + "tries = []\n"
    )

    result = recorded.run()

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*snapshot* failed*")
    result.stdout.fnmatch_lines(["*1 snapshot passed.*"])


@pytest.mark.parametrize("plain", [True, False])
def test_a_run_without_assertions_is_refused(recorded: Project, *, plain: bool) -> None:
    recorded.write(TEST.format(by=0.5, body="assert record == hf_snapshot"))

    result = recorded.run_alone(*(["--assert=plain"] if plain else []), environment={"PYTHONOPTIMIZE": "1"})

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*test_it.py::test_reply cannot compare snapshots: Python runs without assertions (-O or PYTHONOPTIMIZE)."]
    )


@pytest.mark.parametrize(
    "names", [("a", "A"), ("caf\u00e9", "cafe\u0301"), ("a/b", "a?b")], ids=["case", "form", "sign"]
)
def test_names_of_one_file_are_refused(bare_project: Project, names: tuple[str, str]) -> None:
    lines = "\n    ".join(f"assert record == hf_snapshot(name={name!a})" for name in names)
    bare_project.write(TEST.format(by=0.0, body=lines))

    result = bare_project.run("--snapshot-update")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*test_it.py::test_reply compares two records with the same file, *"])


@pytest.mark.parametrize(("check", "errors"), [("assert record == hf_snapshot", 0), ("record == hf_snapshot", 1)])
def test_subtests_count(recorded: Project, check: str, errors: int) -> None:
    pytest.importorskip("_pytest.subtests")
    body = f"with subtests.test():\n        {check}"
    recorded.write(TEST.replace("(hf_snapshot)", "(hf_snapshot, subtests)").format(by=0.5, body=body))

    result = recorded.run()

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes().get("errors", 0) == errors


def test_hypothesis_s_examples_count(recorded: Project) -> None:
    pytest.importorskip("hypothesis")
    recorded.write("""
from hypothesis import HealthCheck, given, settings, strategies
from tests.example_records import generation, moved

@given(strategies.just(0.5))
@settings(suppress_health_check=list(HealthCheck), max_examples=1, database=None)
def test_reply(hf_snapshot, by):
    generation(moved(1, by=by)) == hf_snapshot
""")

    recorded.run().assert_outcomes(passed=1, errors=1)


def test_an_xdist_worker_checks_too(recorded: Project) -> None:
    pytest.importorskip("xdist")
    recorded.write(TEST.format(by=0.5, body="record == hf_snapshot"))

    result = recorded.run_alone("-n1")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([f"*{SENTENCE}"])


LATE = """
import pytest
from tests.example_records import generation, moved

@pytest.fixture(scope="{scope}")
def late():
    snapshots = []
    yield snapshots
    for snapshot in snapshots:
        generation(moved(1, by={by})) == snapshot

class TestAll:
    def test_reply(self, late, hf_snapshot):
        late.append(hf_snapshot)

    def test_later(self, late):
        pass
"""


@pytest.mark.parametrize("scope", ["function", "class", "module", "session"])
def test_a_comparison_in_the_teardown_of_another_fixture_counts(bare_project: Project, scope: str) -> None:
    bare_project.write(LATE.format(by=0.0, scope="function"))
    bare_project.run("--snapshot-update")
    bare_project.run().assert_outcomes(passed=2, warnings=0)
    bare_project.write(LATE.format(by=0.5, scope=scope))

    result = bare_project.run("--hfmodels-json", "results.json")

    tests = json.loads((bare_project.path / "results.json").read_text(encoding="utf-8"))["tests"]
    assert result.parseoutcomes()["errors"] == 1
    result.stdout.fnmatch_lines(["*::test_reply compared a record that differs from its snapshot, and passed*"])
    if scope == "function":
        assert (tests[0]["outcome"], len(tests[0]["comparisons"])) == ("error", 1)


def test_comparisons_that_are_made_before_they_are_asserted_are_all_seen(bare_project: Project) -> None:
    body = 'same = [record == hf_snapshot(name=name) for name in ("one", "two")]\n    assert all(same)'
    bare_project.write(TEST.format(by=0.0, body=body))
    bare_project.run("--snapshot-update").assert_outcomes(passed=1)
    bare_project.write(TEST.format(by=0.25, body=body))

    said = bare_project.run().stdout.str()

    for name in ("one", "two"):
        assert said.count(f"(snapshots/test_it/test_reply[{name}].toml)") == 1
