from __future__ import annotations

from pytest_hfmodels.reports.ci import MOST, workflow_commands

from . import example_results as examples


def test_a_failure_is_an_error_at_the_line_of_its_test() -> None:
    told = list(workflow_commands(examples.one_of_each()))

    assert told[0] == (
        "::error file=tests/test_it.py,line=12,title=changed (forward)%3A tests/test_it.py%3A%3Atest_changed[torch]::"
        "generated token 2 differs%0A' and' had 60.7 %25, ' but' 13.5 %25; now ' but' has 88.2 %25, ' and' 25.3 %25%0A"
        "the forward pass differs, starting at block 2%0A"
        "accept it: hfmodels accept 'test_it.py::test_a[torch]'"
    )
    assert [line.split()[0] for line in told].count("::error") == 6


def test_a_near_tie_that_was_let_through_is_a_warning() -> None:
    told = [line for line in workflow_commands(examples.one_of_each()) if "near-tie" in line]

    assert [line.split()[0] for line in told] == ["::warning"]


def test_files_are_named_as_the_repository_knows_them() -> None:
    assert all(
        " file=a/b/tests/test_it.py," in line for line in workflow_commands(examples.one_of_each(), prefix="a/b")
    )


def test_no_text_ends_a_command_or_starts_another() -> None:
    (line,) = workflow_commands(examples.hostile())

    assert "\n" not in line
    assert "\r" not in line
    assert "\x1b" not in line
    assert "\u202e" not in line
    properties, _, message = line.removeprefix("::error ").partition("::")
    assert properties.count(",") == 2  # between file, line and title
    assert "ran%2Cx%3Ay%25]" in properties
    assert "%0A::error::ran" in message


def test_more_than_github_shows_are_counted() -> None:
    told = list(workflow_commands(examples.many(100)))

    assert len(told) == MOST
    assert told[-1].startswith("::error title=hfmodels::81 more tests changed: ")
