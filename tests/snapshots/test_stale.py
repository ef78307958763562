"""Tests that were renamed or deleted while their outputs were pending."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.commands.cli import main

from ..pending_project import NOW, OTHER, TESTS, change, pending, record, run

if TYPE_CHECKING:
    from ..project import Project

RENAMED = TESTS.replace("def test_other", "def test_renamed")
NOTHING = ("-k", "nothing_of_this_name")
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


@pytest.fixture
def in_class(bare_project: Project) -> Project:
    """A test in a class and the second snapshot of another one are pending."""
    for by, flags in ((0.0, ("--snapshot-update",)), (0.25, ())):
        bare_project.write(IN_CLASS.format(broken="", by=by))
        run(bare_project, *flags)
    return bare_project


def stale(project: Project) -> set[str]:
    return {name for name, found in pending(project).items() if found.gone}


@pytest.mark.parametrize(
    "arguments", [(), ("test_it.py",), (".",), ("-n", "2"), ("-k", "reply"), NOTHING, ("-x",)], ids=" ".join
)
def test_a_run_that_collects_the_whole_file_marks_what_has_lost_its_test(
    renamed: Project, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    run(renamed, *arguments)
    before = renamed.snapshots
    capsys.readouterr()

    assert (main(["pending"]), main(["accept"])) == (1, 0)

    said = capsys.readouterr().out
    assert stale(renamed) == {"test_other"}
    assert f"{OTHER} (snapshots/test_it/test_other.toml) - stale: the test no longer exists" in said
    assert f"left out, because the test no longer exists: {OTHER}" in said
    assert {name for name in before if renamed.snapshots[name] != before[name]} == {"test_it/test_reply.toml"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("test_it.py::test_reply",),
        ("test_it.py", "test_it.py::test_reply"),
        ("--lf",),
        ("--collect-only",),
        ("--ignore", "test_it.py"),
        ("elsewhere",),
        ("-n", "2", "test_it.py::test_reply"),
    ],
    ids=" ".join,
)
def test_a_run_of_a_part_marks_nothing(renamed: Project, arguments: tuple[str, ...]) -> None:
    renamed.write("def test_nothing(): pass", "elsewhere/test_there.py")

    run(renamed, *arguments)

    assert stale(renamed) == set()
    assert "test_other" in pending(renamed)


def test_doctests_of_a_file_are_not_its_tests(bare_project: Project) -> None:
    """A file that is named is collected whatever its name is; a run of everything finds doctests alone in it."""
    bare_project.write(TESTS.format(reply="", other=""), "checks.py")
    run(bare_project, "checks.py", "--snapshot-update").assert_outcomes(passed=3)
    bare_project.write(TESTS.format(**NOW), "checks.py")
    run(bare_project, "checks.py")

    run(bare_project, "--doctest-modules")

    assert pending(bare_project)
    assert stale(bare_project) == set()


@pytest.mark.parametrize(
    "before", ["import nothing_of_this_name\n", "import pytest\npytest.skip(allow_module_level=True)\n"]
)
def test_a_file_that_cannot_be_collected_or_skips_itself_marks_nothing(renamed: Project, before: str) -> None:
    renamed.write(before + RENAMED.format(**NOW))

    run(renamed)

    assert stale(renamed) == set()


@pytest.mark.parametrize(
    ("broken", "found"), [("    pytestmark = 3", set()), ("", {"TestIt::test_deep"})], ids=["broken", "renamed"]
)
def test_a_test_in_a_class_is_known_by_its_file_unless_the_class_cannot_be_collected(
    in_class: Project, broken: str, found: set[str]
) -> None:
    run(in_class, *NOTHING)
    assert set(pending(in_class)) == {"TestIt::test_deep", "test_twice"}
    assert stale(in_class) == set()

    in_class.write(IN_CLASS.format(broken=broken, by=0.25).replace("test_deep", "test_deeper"))
    run(in_class, *NOTHING)

    assert stale(in_class) == found


def test_a_file_that_has_lost_all_of_its_tests_is_collected_too(renamed: Project) -> None:
    renamed.write("")

    run(renamed)

    assert stale(renamed) == {"test_other", "test_reply"}


def test_a_test_that_is_back_is_pending_as_it_was(renamed: Project) -> None:
    run(renamed)
    renamed.write(TESTS.format(**NOW))

    run(renamed, *NOTHING)

    assert stale(renamed) == {"test_renamed"}
    assert main(["accept", OTHER]) == 0


def test_without_anything_pending_a_run_looks_for_nothing(bare_project: Project) -> None:
    bare_project.write("def test_nothing(): pass")

    run(bare_project).assert_outcomes(passed=1)

    assert not (bare_project.path / ".pytest_cache" / "d").exists()
