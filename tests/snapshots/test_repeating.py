"""A test that a plugin repeats has one snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ..pending_project import pending, run

if TYPE_CHECKING:
    from ..project import Project

pytest.importorskip("pytest_repeat")

REPEATED = """
import pytest
from tests.example_records import generation, moved

tries = []

@pytest.mark.parametrize("number", [3, 4])
def test_reply(number, hf_snapshot):
    tries.append(number)
    assert generation(moved(1, by={by} if len(tries) > {after} else 0.0)) == hf_snapshot
"""
SAME = REPEATED.format(by=0.0, after=0)
DIFFERS = REPEATED.format(by=0.5, after=0)
FILES = ["test_it/test_reply[3].toml", "test_it/test_reply[4].toml"]


@pytest.mark.parametrize("scope", ["function", "session"])
def test_repetitions_share_their_test_s_snapshot(bare_project: Project, scope: str) -> None:
    bare_project.write(SAME)
    repeat = ("--count", "2", "--repeat-scope", scope)

    bare_project.run("--snapshot-update", *repeat).assert_outcomes(passed=4)

    assert list(bare_project.snapshots) == FILES
    bare_project.run(*repeat).assert_outcomes(passed=4)
    bare_project.run().assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("source", "passed", "ids"),
    [
        (SAME.replace("@pytest", "@pytest.mark.repeat(12)\n@pytest"), 24, ["3", "4"]),
        (SAME.replace("[3, 4]", "['1-2', '2-2']"), 2, ["1-2", "2-2"]),
    ],
    ids=["mark", "parameter that looks like a repetition"],
)
def test_the_number_of_a_repetition_alone_is_no_part_of_a_name(
    bare_project: Project, source: str, passed: int, ids: list[str]
) -> None:
    bare_project.write(source)

    bare_project.run("--snapshot-update").assert_outcomes(passed=passed)

    assert list(bare_project.snapshots) == [f"test_it/test_reply[{identifier}].toml" for identifier in ids]


def test_a_repetition_that_differs_does_not_overwrite_what_the_first_recorded(bare_project: Project) -> None:
    bare_project.write(REPEATED.format(by=0.5, after=2))

    result = bare_project.run("--snapshot-update", "--count", "2", "--repeat-scope", "session")

    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        ["*not updated: an earlier run of this test in this session recorded a different output*"]
    )
    assert bare_project.recorded(FILES[0])["steps"]["rows"][1][2] == -0.5


def test_output_and_pending_files_name_the_test_without_the_repetition(bare_project: Project) -> None:
    bare_project.write(SAME)
    run(bare_project, "--snapshot-update")
    bare_project.write(DIFFERS)

    result = run(bare_project, "--count", "2")

    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["*pytest 'test_it.py::test_reply[[]3[]]' --snapshot-update*"])
    assert list(pending(bare_project)) == ["test_reply[3]", "test_reply[4]"]


def test_a_ledger_entry_holds_for_every_repetition(bare_project: Project) -> None:
    bare_project.write(SAME)
    bare_project.run("--snapshot-update")
    bare_project.write(DIFFERS)
    bare_project.write(
        '[[break]]\nname = "known"\nwhen = "pytest>=1"\nwhat = "known"\nraises = "AssertionError"\n'
        'tests = ["test_it.py::test_reply[3]", "test_it.py::test_reply[4]"]\n',
        "snapshots/upstream.toml",
    )

    bare_project.run("--count", "2").assert_outcomes(xfailed=4)


def test_a_change_in_one_repetition_stays_pending_if_another_passes(bare_project: Project) -> None:
    source = REPEATED.replace("[3, 4]", "[3]").replace("len(tries) >", "len(tries) ==")
    bare_project.write(source.format(by=0.0, after=1))
    run(bare_project, "--snapshot-update")
    bare_project.write(source.format(by=0.5, after=1))

    result = run(bare_project, "--count", "2")

    result.assert_outcomes(passed=1, failed=1)
    assert set(pending(bare_project)) == {"test_reply[3]"}
    result.stdout.fnmatch_lines(["1 test to review*"])
    bare_project.write(source.format(by=0.0, after=1))
    run(bare_project, "--count", "2")
    assert pending(bare_project) == {}
