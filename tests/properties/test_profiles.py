from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels import options
from pytest_hfmodels.foundation.errors import OptionError
from pytest_hfmodels.properties import examples, profiles

if TYPE_CHECKING:
    from ..project import Project

COUNTING = """
import pytest
from hypothesis import given, strategies as st
from pytest_hfmodels.properties import examples

SEEN = []

@examples(4)
@given(st.integers())
def test_drawn(number):
    SEEN.append(number)

def test_count():
    pytest.fail(f"{len(SEEN)} examples")
"""


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(profiles.VARIABLE, raising=False)


@pytest.mark.parametrize(("name", "count"), [("dev", 20), ("ci", 40), ("nightly", 800)])
def test_a_profile_sets_the_number_of_examples(monkeypatch: pytest.MonkeyPatch, name: str, count: int) -> None:
    monkeypatch.setenv("HFMODELS_PROFILE", name)

    chosen = examples(40)

    assert (chosen.max_examples, chosen.derandomize, chosen.deadline) == (count, name == "ci", None)


def test_by_default_ci_repeats_its_examples_and_others_draw_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    assert profiles.chosen() == "dev"

    monkeypatch.setenv("CI", "true")

    assert profiles.chosen() == "ci"


def test_at_least_one_example_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFMODELS_PROFILE", "dev")

    assert examples(1).max_examples == 1


def test_an_unknown_profile_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFMODELS_PROFILE", "weekly")

    with pytest.raises(OptionError, match="There is no profile 'weekly'"):
        examples(40)


@pytest.mark.parametrize(("name", "count"), [("dev", 2), ("ci", 4), ("nightly", 80)])
def test_the_option_chooses_a_profile(
    bare_project: Project, monkeypatch: pytest.MonkeyPatch, name: str, count: int
) -> None:
    monkeypatch.setenv("HFMODELS_PROFILE", "ci")
    bare_project.write(COUNTING)

    result = bare_project.run(f"--hfmodels-profile={name}")

    result.stdout.fnmatch_lines([f"E*Failed: {count} examples"])
    assert os.environ["HFMODELS_PROFILE"] == "ci"


def test_the_option_leaves_nothing_behind(bare_project: Project) -> None:
    bare_project.write(COUNTING)

    bare_project.run("--hfmodels-profile=nightly")

    assert "HFMODELS_PROFILE" not in os.environ


def test_the_option_reaches_the_workers_of_xdist(bare_project: Project) -> None:
    pytest.importorskip("xdist", reason="install pytest-xdist")
    bare_project.write(COUNTING)

    result = bare_project.run_alone("-n1", "--hfmodels-profile=ci")

    result.stdout.fnmatch_lines(["E*Failed: 4 examples"])


def test_an_unknown_profile_is_refused_before_anything_runs(bare_project: Project) -> None:
    bare_project.write(COUNTING)

    result = bare_project.run("--hfmodels-profile=weekly")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--hfmodels-profile is 'weekly'.*", "*It is one of: dev, ci, nightly.*"])


def test_the_option_knows_every_profile() -> None:
    assert tuple(profiles.PROFILES) == options.PROFILES
    assert profiles.VARIABLE == options.PROFILE_VARIABLE


SLOW = """
import time
from hypothesis import given, strategies as st
from pytest_hfmodels.properties import examples, profiles

CALLS = []

@examples(40)
@given(data=st.data())
def test_slow(data, engine):
    numbers = data.draw(st.lists(st.integers()))
    CALLS.append(engine)
    time.sleep(0.02)
    assert sum(numbers) < 10**6

def pytest_generate_tests(metafunc):
    if "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", ["a", "b"])

def test_both_ran():
    assert set(CALLS) == {"a", "b"}
"""


def test_shrinking_ends_after_its_time_and_says_so(bare_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(profiles.PROFILES, "ci", profiles.Profile(times=1, derandomized=True, shrinking=0.2))
    bare_project.write(SLOW)

    result = bare_project.run("--hfmodels-profile=ci")

    result.assert_outcomes(failed=2, passed=1)
    output = result.stdout.str()
    assert output.count("Shrinking stopped after 0.2 s: a simpler example may fail, too.") == 2
    assert output.count("assert sum(numbers) < 10**6") == 2
    assert "profiles.py" not in output
