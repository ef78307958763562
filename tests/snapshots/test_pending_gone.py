"""Tests that were renamed or deleted while their outputs were pending."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.cli import main

from ..pending_project import NOW, OTHER, TESTS, change, pending, record, run

if TYPE_CHECKING:
    from ..project import Project

RENAMED = TESTS.replace("def test_other", "def test_renamed")
IN_CLASS = """
from tests.example_records import generation, moved

class TestIt:
{broken}
    def test_deep(self, hf_snapshot):
        assert generation(moved(1, by={by})) == hf_snapshot

def test_twice(hf_snapshot):
    assert generation() == hf_snapshot
    assert generation(moved(1, by={by})) == hf_snapshot
"""


@pytest.fixture
def renamed(bare_project: Project) -> Project:
    """One of two tests whose outputs are pending has got another name."""
    record(bare_project)
    change(bare_project)
    bare_project.write(RENAMED.format(**NOW))
    return bare_project


def gone(project: Project) -> set[str]:
    return {name for name, found in pending(project).items() if found.gone}


@pytest.mark.parametrize(
    "arguments",
    [[], ["test_it.py"], ["."], ["-n", "2"], ["-k", "reply"], ["-k", "nothing_of_this_name"], ["-x"]],
    ids=" ".join,
)
def test_a_run_that_collects_the_whole_file_marks_what_has_lost_its_test(
    renamed: Project, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run(renamed, *arguments)
    before = renamed.snapshots
    capsys.readouterr()

    listed, accepted = main(["pending"]), main(["accept"])

    said = capsys.readouterr().out
    assert (listed, accepted) == (1, 0)
    assert gone(renamed) == {"test_other"}
    assert f"{OTHER} (snapshots/test_it/test_other.toml) - stale: the test no longer exists; reject it" in said
    assert f"left out, because there is no such test any more: {OTHER}" in said
    assert renamed.snapshots["test_it/test_other.toml"] == before["test_it/test_other.toml"]
    assert renamed.snapshots["test_it/test_reply.toml"] != before["test_it/test_reply.toml"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["test_it.py::test_reply"],
        ["test_it.py", "test_it.py::test_reply"],
        ["--lf"],
        ["--collect-only"],
        ["--ignore", "test_it.py"],
        ["elsewhere"],
        ["-n", "2", "test_it.py::test_reply"],
    ],
    ids=" ".join,
)
def test_a_run_of_a_part_marks_nothing(renamed: Project, arguments: list[str]) -> None:
    renamed.write("def test_nothing(): pass", "elsewhere/test_there.py")

    run(renamed, *arguments)

    assert gone(renamed) == set()
    assert "test_other" in pending(renamed)


def test_doctests_of_a_file_are_not_its_tests(bare_project: Project) -> None:
    """A file that is named is collected whatever its name is; a run of everything finds doctests alone in it."""
    bare_project.write(TESTS.format(reply="", other=""), "checks.py")
    run(bare_project, "checks.py", "--snapshot-update").assert_outcomes(passed=3)
    bare_project.write(TESTS.format(**NOW), "checks.py")
    run(bare_project, "checks.py")

    run(bare_project, "--doctest-modules")

    assert pending(bare_project)
    assert gone(bare_project) == set()


@pytest.mark.parametrize(
    "before",
    ["import nothing_of_this_name\n", "import pytest\npytest.skip(allow_module_level=True)\n"],
    ids=["error", "skip"],
)
def test_a_file_that_cannot_be_collected_or_skips_itself_marks_nothing(renamed: Project, before: str) -> None:
    renamed.write(before + RENAMED.format(**NOW))

    run(renamed)

    assert gone(renamed) == set()


def test_a_class_that_cannot_be_collected_marks_nothing(bare_project: Project) -> None:
    bare_project.write(IN_CLASS.format(broken="", by=0.0))
    run(bare_project, "--snapshot-update")
    bare_project.write(IN_CLASS.format(broken="", by=0.25))
    run(bare_project)
    bare_project.write(IN_CLASS.format(broken="    pytestmark = 3", by=0.25).replace("test_deep", "test_deeper"))

    run(bare_project)

    assert set(pending(bare_project)) >= {"TestIt::test_deep", "test_twice"}
    assert gone(bare_project) == set()


def test_a_test_in_a_class_and_a_second_snapshot_are_known_by_their_file(bare_project: Project) -> None:
    bare_project.write(IN_CLASS.format(broken="", by=0.0))
    run(bare_project, "--snapshot-update")
    bare_project.write(IN_CLASS.format(broken="", by=0.25))
    run(bare_project)
    run(bare_project, "-k", "nothing_of_this_name")
    assert set(pending(bare_project)) == {"TestIt::test_deep", "test_twice"}
    assert gone(bare_project) == set()

    bare_project.write(IN_CLASS.format(broken="", by=0.25).replace("test_deep", "test_deeper"))
    run(bare_project, "-k", "nothing_of_this_name")

    assert gone(bare_project) == {"TestIt::test_deep"}


def test_a_file_that_has_lost_all_of_its_tests_is_collected_too(renamed: Project) -> None:
    renamed.write("")

    run(renamed)

    assert gone(renamed) == {"test_other", "test_reply"}


def test_a_test_that_is_back_is_pending_as_it_was(renamed: Project) -> None:
    run(renamed)
    renamed.write(TESTS.format(**NOW))

    run(renamed, "-k", "nothing_of_this_name")

    assert gone(renamed) == {"test_renamed"}
    assert main(["accept", OTHER]) == 0


def test_without_anything_pending_a_run_looks_for_nothing(bare_project: Project) -> None:
    bare_project.write("def test_nothing(): pass")

    run(bare_project).assert_outcomes(passed=1)

    assert not (bare_project.path / ".pytest_cache" / "d").exists()
