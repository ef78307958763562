from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.commands import cli
from pytest_hfmodels.foundation.errors import VersionsError
from pytest_hfmodels.reports.bisect_terminal import answer_data, answer_lines
from pytest_hfmodels.versions import bisect as room
from pytest_hfmodels.versions import matrix, package_index
from pytest_hfmodels.versions.bisect import BisectAnswer, Question, bisect
from pytest_hfmodels.versions.environments import ChangedPackage, EnvironmentsBlocked
from pytest_hfmodels.versions.matrix import RowRunner
from pytest_hfmodels.versions.results import Cell, RowResult, State

from .conftest import WrittenProgress
from .wheels import write_wheel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pytest_hfmodels.versions.rows import Row

    from .conftest import LibProject

LISTING = """
import pathlib, sys
found = pathlib.Path(sys.argv[1]).glob(f"{sys.argv[4]}-*.whl")
print("Available versions:", ", ".join(file.name.split("-")[1] for file in found))
"""
RELEASES = ("1.0", "1.1", "1.2", "1.3", "1.4", "1.5")
TEST = "test_lib.py::test_it"
SAME, CHANGED, BROKEN = (
    Cell(state, details="" if state == "same" else "E   how") for state in (State.SAME, State.CHANGED, State.BROKEN)
)
GREETING = "import voice\n\ndef test_greeting():\n    assert voice.greeting() == 'hello'\n"


# -- what is judged how: no environment is built ---------------------------------------------------------------------


@dataclass
class World:
    """Releases whose tests' results are made up."""

    outcomes: dict[str, RowResult | Exception] = field(default_factory=dict)
    heard: WrittenProgress = field(default_factory=WrittenProgress)
    ran: list[str] = field(default_factory=list)
    helpers: dict[str, str] = field(default_factory=dict)  # the version of helper that each release had to keep
    forbidden: set[tuple[str, str]] = field(default_factory=set)  # what a release cannot be installed with

    def does(self, version: str, outcome: Mapping[str, Cell] | RowResult | Exception) -> None:
        self.outcomes[version] = outcome if isinstance(outcome, RowResult | Exception) else row(version, outcome)

    def bisect(self, good: str = "1.0", bad: str = "1.5", **settings: object) -> BisectAnswer:
        return bisect(Question("lib", good, bad, **settings), self.heard)  # type: ignore[arg-type]

    def interrupted_after(self, count: int) -> None:
        """Bisect until a person interrupts it."""
        ended: list[str] = []

        def hear(row: str) -> None:
            ended.append(row)
            if len(ended) == count:
                raise KeyboardInterrupt

        self.heard.when_row_ends = hear
        with pytest.raises(KeyboardInterrupt):
            self.bisect()
        self.heard.when_row_ends = str


def row(version: str, cells: Mapping[str, Cell], *, problem: str | None = None, **beside: str) -> RowResult:
    complete = problem is None or problem.endswith("no test failed")
    versions = {"lib": version, **beside}
    return RowResult(f"lib=={version}", versions, cells=cells, problem=problem, exit_code=0, complete=complete)


@pytest.fixture
def world(lib_project: LibProject, monkeypatch: pytest.MonkeyPatch) -> World:
    """`lib` changes with 1.3."""
    del lib_project
    world = World()
    for version in RELEASES:
        world.does(version, {TEST: SAME if version < "1.3" else CHANGED})

    def run(runner: RowRunner, row: Row, _arguments: Sequence[str], _doing: str) -> RowResult:
        version = row.name.rpartition("==")[2]
        world.helpers[version] = runner.installed.versions.get("helper", "")
        outcome = world.outcomes[version]
        if isinstance(outcome, Exception):
            raise outcome
        world.ran.append(version)
        return outcome

    def conflict(_runner: RowRunner, row: Row) -> str | None:
        version = row.name.rpartition("==")[2]
        return "no" if any((version, line) in world.forbidden for line in row.requirements) else None

    monkeypatch.setattr(RowRunner, "run", run)
    monkeypatch.setattr(RowRunner, "conflict", conflict)
    monkeypatch.setattr(room, "candidates", lambda _name, good, bad, **_: RELEASES if good < bad else RELEASES[::-1])
    return world


def test_the_first_release_whose_output_differs_is_found(world: World) -> None:
    answer = world.bisect()

    assert (answer.found.good.version, answer.found.bad.version) == ("1.2", "1.3")
    assert answer.found.exact
    assert answer.separated
    assert answer.differing == {TEST: CHANGED}
    assert world.ran[:2] == ["1.0", "1.5"]
    assert next(answer_lines(answer)) == "lib: the first bad release is 1.3; 1.2 is good."


def test_the_newer_release_may_be_the_good_one(world: World) -> None:
    for version in RELEASES:
        world.does(version, {TEST: SAME if version > "1.2" else CHANGED})

    assert next(answer_lines(world.bisect("1.5", "1.0"))) == "lib: the last bad release is 1.2; 1.3 is good."


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(VersionsError("uv cannot build it", hint=""), id="cannot-be-built"),
        pytest.param(row("1.3", {}, problem="crashed with SIGSEGV"), id="crashes"),
        pytest.param(row("1.3", {"test_more.py": BROKEN, TEST: SAME}), id="cannot-be-collected"),
        pytest.param(row("1.3", {TEST: Cell(State.CRASHED, "worker died")}), id="worker-crashes"),
        pytest.param(row("1.3", {TEST: Cell(State.TIMEOUT)}), id="time-out"),
        pytest.param(row("1.3", {TEST: Cell(State.SKIPPED, "not here")}), id="all-is-skipped"),
        pytest.param(row("1.3", {"test_lib.py::test_other": SAME}), id="other-tests"),
    ],
)
def test_a_release_that_says_nothing_is_left_out_and_named(world: World, outcome: RowResult | Exception) -> None:
    world.does("1.3", outcome)

    found = world.bisect().found

    assert (found.good.version, found.bad.version) == ("1.2", "1.4")
    assert [judged.version for judged in found.between] == ["1.3"]


def test_a_pytest_that_fails_though_no_test_did_says_nothing_about_a_release(world: World) -> None:
    for version in RELEASES[:3]:
        problem = "pytest ended with exit code 1 though no test failed"
        world.does(version, row(version, {TEST: SAME}, problem=problem))

    assert world.bisect().found.good.version == "1.2"


def test_only_tests_that_pass_with_the_good_release_count(world: World) -> None:
    for version in RELEASES:
        other = Cell(State.SKIPPED, "not yet") if version < "1.1" else BROKEN
        world.does(version, {"a::test_it": SAME if version < "1.3" else BROKEN, "a::test_new": other})

    answer = world.bisect()

    assert answer.found.bad.version == "1.3"
    assert list(answer.differing) == ["a::test_it"]


UNCOLLECTED = {"test_lib.py": replace(BROKEN, reason="cannot be collected: ImportError: x")}


@pytest.mark.parametrize(
    ("version", "cells", "message"),
    [
        ("1.0", {TEST: replace(BROKEN, reason="AssertionError: no")}, "--good release, is bad: 1 of 1 test: .*no"),
        ("1.5", {TEST: SAME}, "--bad release, is good: 1 test passes, as with 1.0"),
        ("1.0", UNCOLLECTED, "--good release, cannot be tested: .*ImportError: x"),
        ("1.5", UNCOLLECTED, "--bad release, cannot be tested: .*ImportError: x"),
        (
            "1.0",
            {TEST: Cell(State.SKIPPED, "needs a network")},
            "no test passes that could be compared: needs a network",
        ),
    ],
)
def test_an_end_that_is_not_as_stated_ends_the_search(
    world: World, version: str, cells: Mapping[str, Cell], message: str
) -> None:
    world.does(version, cells)

    with pytest.raises(VersionsError, match=message):
        world.bisect()
    assert set(world.ran) <= {"1.0", "1.5"}


def test_an_interrupted_search_continues_without_running_what_is_judged(world: World) -> None:
    world.interrupted_after(3)
    before = list(world.ran)

    answer = world.bisect()

    assert len(before) == 3
    assert answer.found.bad.version == "1.3"
    assert len(world.ran) == len(set(world.ran)) == len(answer.found.judged)
    assert any("Continuing an interrupted run" in line for line in world.heard.lines)


@pytest.mark.parametrize("why", ["the tests changed", "--restart", "it was finished"])
def test_releases_are_judged_again_if(why: str, world: World, lib_project: LibProject) -> None:
    if why == "it was finished":
        world.bisect()
    else:
        world.interrupted_after(2)
    if why == "the tests changed":
        lib_project.write("def test_it(): ...")
    world.ran.clear()

    world.bisect(restart=why == "--restart")

    assert world.ran[:2] == ["1.0", "1.5"]
    assert any("starts over." in line for line in world.heard.lines) is (why == "the tests changed")


def test_a_lost_network_stops_the_search_which_continues_later(world: World) -> None:
    outcome = world.outcomes["1.3"]
    world.does("1.3", EnvironmentsBlocked("the package index cannot be reached", hint=""))
    with pytest.raises(EnvironmentsBlocked, match="cannot be reached"):
        world.bisect()
    world.outcomes["1.3"] = outcome

    assert world.bisect().found.bad.version == "1.3"
    assert len(world.ran) == len(set(world.ran))


def test_other_packages_keep_the_versions_that_the_good_release_came_with(
    world: World, lib_project: LibProject
) -> None:
    current = replace(lib_project.installed, versions={"helper": "7"})
    world.does("1.0", row("1.0", {TEST: SAME}, helper="3"))

    bisect(Question("lib", "1.0", "1.5"), world.heard, current)

    assert world.helpers.pop("1.0") == "7"
    assert set(world.helpers.values()) == {"3"}


def test_a_package_that_changed_too_is_named_with_commands_that_separate_the_two(world: World) -> None:
    for version in RELEASES:
        cells = {TEST: SAME if version < "1.3" else CHANGED}
        world.does(version, row(version, cells, helper="1" if version < "1.3" else "2", still="7"))

    answer = world.bisect(arguments=("test_lib.py", "-k", "a b"))

    said = list(answer_lines(answer))
    assert answer.moved == (ChangedPackage("helper", "1", "2"),)
    assert answer_data(answer)["separated"] is False
    assert not any("first bad release" in line for line in said)
    assert "  hfmodels bisect lib --good 1.2 --bad 1.3 --with helper==1 -- test_lib.py -k 'a b'" in said
    assert "  hfmodels bisect helper --good 1 --bad 2 --with lib==1.2 -- test_lib.py -k 'a b'" in said


OLD, NEW = ("1.3", "helper==1"), ("1.2", "helper==2")


@pytest.mark.parametrize(
    ("forbidden", "commands"),
    [
        ({OLD}, ["lib --good 1.2 --bad 1.3 --with helper==2", "helper --good 1 --bad 2 --with lib==1.2"]),
        ({NEW}, ["lib --good 1.2 --bad 1.3 --with helper==1"]),
        ({OLD, NEW}, []),
    ],
)
def test_only_what_can_be_installed_is_suggested(
    world: World, forbidden: set[tuple[str, str]], commands: list[str]
) -> None:
    for version in RELEASES:
        cells = {TEST: SAME if version < "1.3" else CHANGED}
        world.does(version, row(version, cells, helper="1" if version < "1.3" else "2"))
    world.forbidden = forbidden

    answer = world.bisect()

    assert list(answer.separating) == [f"hfmodels bisect {words}" for words in commands]
    assert list(answer.inseparable) == ([] if commands else ["helper"])
    told = "No version of helper can be installed with both releases of lib, so the two cannot be separated."
    assert (told in list(answer_lines(answer))) == (not commands)


def test_of_several_packages_every_one_that_fits_is_kept(world: World) -> None:
    for version in RELEASES:
        number, cells = ("1", {TEST: SAME}) if version < "1.3" else ("2", {TEST: CHANGED})
        world.does(version, row(version, cells, helper=number, other=number))
    world.forbidden = {OLD, NEW}

    answer = world.bisect()

    assert list(answer.separating) == ["hfmodels bisect lib --good 1.2 --bad 1.3 --with other==1"]
    assert list(answer.inseparable) == ["helper"]


@pytest.mark.parametrize("first", ["4.50.0", "4.51.0"])
def test_a_known_change_is_tried_first_and_named_only_if_it_is_in_between(
    first: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "candidates", lambda *_, **__: UPSTREAM)
    changed = replace(CHANGED, cause="search", known_changes=("beams-finished-first",))
    for version in UPSTREAM:
        result = row(version, {TEST: SAME if version < first else changed})
        world.outcomes[version] = replace(result, name=f"transformers=={version}")

    answer = bisect(Question("transformers", "4.46.0", "5.0.0"), world.heard)

    assert [name.rpartition("=")[2] for name in world.ran[:3]] == ["4.46.0", "5.0.0", "4.50.0"]
    assert [change.name for change in answer.known] == (["beams-finished-first"] if first == "4.50.0" else [])
    assert any("huggingface/transformers#35802" in line for line in answer_lines(answer)) == (first == "4.50.0")


@pytest.mark.parametrize(
    ("other", "bad", "reason"),
    [
        ("ValueError in call", "TypeError in call", "ValueError in call, not TypeError in call"),
        ("OSError in setup", "", "OSError in setup, not a different output"),
        ("", "TypeError in call", "a different output, not TypeError in call"),
    ],
)
def test_a_release_that_fails_for_another_reason_is_neither(world: World, other: str, bad: str, reason: str) -> None:
    def cell(failure: str) -> Cell:
        return replace(BROKEN, raises=failure) if failure else CHANGED

    for version in RELEASES:
        failing = cell(other) if version < "1.4" else cell(bad)
        world.does(version, {TEST: SAME if version < "1.2" else failing})

    answer = world.bisect()

    assert (answer.found.good.version, answer.found.bad.version) == ("1.1", "1.4")
    assert [(judged.version, judged.judgement) for judged in answer.found.between] == [
        ("1.2", "other-failure"),
        ("1.3", "other-failure"),
    ]
    assert all(reason in judged.reason for judged in answer.found.between)
    assert next(answer_lines(answer)).startswith("lib: good until 1.1, bad from 1.4;")


def test_a_failure_like_the_bad_end_s_decides_even_next_to_another_failure(world: World) -> None:
    for version in RELEASES:
        other = BROKEN if "1.1" <= version < "1.5" else SAME
        world.does(version, {"a::test_it": SAME if version < "1.3" else CHANGED, "a::test_other": other})

    answer = world.bisect()

    assert (answer.found.good.version, answer.found.bad.version) == ("1.0", "1.3")
    assert [judged.version for judged in answer.found.between] == ["1.1", "1.2"]
    assert list(answer.differing) == ["a::test_it"]


UPSTREAM = ("4.46.0", "4.47.0", "4.48.0", "4.49.0", "4.50.0", "4.51.0", "4.52.0", "4.53.0", "5.0.0")


@pytest.mark.parametrize(("first", "ran"), [("4.50.0", 4), ("4.51.0", 5)])
def test_the_release_that_a_cause_names_is_tried_first(
    first: str, ran: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "candidates", lambda *_, **__: UPSTREAM)
    changed = replace(CHANGED, cause="search", rules=("ended_beams_first",))
    for version in UPSTREAM:
        result = row(version, {TEST: SAME if version < first else changed})
        world.outcomes[version] = replace(result, name=f"transformers=={version}")

    answer = bisect(Question("transformers", "4.46.0", "5.0.0"), world.heard)

    assert answer.found.bad.version == first
    assert [name.rpartition("=")[2] for name in world.ran[:3]] == ["4.46.0", "5.0.0", "4.50.0"]
    assert len(world.ran) == ran


@pytest.mark.parametrize(
    ("good", "bad", "line"),
    [
        ("1.0", "1.5", "hfmodels accept --keep-old-as before-1-3 --when 'lib<1.3' test_lib.py::test_it"),
        ("1.5", "1.0", "hfmodels accept --as-variant before-1-4 --when 'lib<1.4' test_lib.py::test_it"),
    ],
)
def test_an_answer_ends_with_the_command_that_accepts_it(world: World, good: str, bad: str, line: str) -> None:
    told = replace(CHANGED, details="E   how\nE   find the release: hfmodels bisect lib --good 1.0\nE   accept it: x")
    for version in RELEASES:
        is_bad = (version >= "1.3") if good < bad else (version < "1.4")
        world.does(version, {TEST: told if is_bad else SAME})

    said = list(answer_lines(world.bisect(good, bad)))

    assert said[-1].strip() == line
    assert "    how" in said
    assert not any("find the release" in one or "accept it" in one for one in said)


# -- with real environments ------------------------------------------------------------------------------------------


@dataclass
class Shop:
    """A project that tests `voice`, whose releases lie in a folder."""

    project: LibProject
    releases: Path

    def release(self, version: str, source: str, *requires: str) -> None:
        write_wheel(self.releases, "voice", version, {"voice.py": source}, *requires)

    def bisect(self, good: str, bad: str, *options: str) -> int:
        return cli.main(["bisect", "voice", "--good", good, "--bad", bad, *options])


@pytest.fixture
def shop(lib_project: LibProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """`voice` speaks up with 1.3, which brings a newer `helper`; 1.4 can never be installed."""
    folder = tmp_path / "releases"
    folder.mkdir()
    monkeypatch.setattr(package_index, "PIP", (sys.executable, "-c", LISTING, str(folder)))  # pip's own start is slow
    monkeypatch.setenv("UV_FIND_LINKS", f"{lib_project.index},{folder}")
    monkeypatch.setattr(matrix, "read_installed", lambda: lib_project.installed)
    monkeypatch.setenv("COLUMNS", "200")
    shop = Shop(lib_project, folder)
    for version in ("1.0", "2.0"):
        write_wheel(folder, "helper", version, {})
    for version in RELEASES:
        said, helper = ("hello", "helper") if version < "1.3" else ("HELLO", "helper>=2")
        missing = ["nothing-of-that-name"] if version == "1.4" else []
        shop.release(version, f"def greeting():\n    return {said!r}\n", helper, *missing)
    lib_project.installed = replace(
        lib_project.installed, versions={**lib_project.installed.versions, "helper": "1.0", "voice": "1.5"}
    )
    return shop


def test_a_project_without_our_fixtures_finds_the_first_bad_release(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.project.write(GREETING)
    before = sorted(path.name for path in shop.project.path.iterdir())

    code = shop.bisect("1.0", "1.5", "--json", "answer.json", "--", "test_lib.py")

    said = capsys.readouterr()
    assert code == 1
    assert said.out.startswith("voice: the output changes between 1.2 and 1.3, but helper changed version, too")
    assert "test_lib.py::test_greeting: broken\n    AssertionError: assert 'HELLO' == 'hello'" in said.out
    assert "voice==1.0: preparing (at most 4 more after it)\n" in said.err
    answer = json.loads((shop.project.path / "answer.json").read_text())
    assert (answer["last_good"], answer["first_bad"], answer["exact"]) == ("1.2", "1.3", True)
    assert answer["moved"] == [{"name": "helper", "before": "1.0", "after": "2.0"}]
    assert answer["separating"] == [  # 1.3 needs helper 2
        f"hfmodels bisect {words} -- test_lib.py"
        for words in (
            "voice --good 1.2 --bad 1.3 --with helper==2.0",
            "helper --good 1.0 --bad 2.0 --with voice==1.2",
        )
    ]
    assert sorted(path.name for path in shop.project.path.iterdir()) == sorted(
        [*before, ".pytest_cache", "answer.json"]
    )


def test_if_neighbours_cannot_be_tested_the_answer_is_a_bracket(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.release("1.1", "def greeting():\n    raise OSError('no weights')", "helper")
    shop.release("1.2", "greeting = None.nothing")
    shop.release("1.3", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
    shop.project.write("from voice import greeting\n\ndef test_greeting():\n    assert greeting() == 'hello'\n")

    code = shop.bisect("1.0", "1.5", "--", "-p", "no:faulthandler")

    said = capsys.readouterr().out
    assert code == 1
    assert said.startswith("voice: good until 1.0, bad from 1.5; the releases between could not be judged:\n")
    assert (
        "\n  1.1: fails for another reason: test_lib.py::test_greeting (OSError in call, not AssertionError in" in said
    )
    assert "\n  1.2: test_lib.py cannot be collected: AttributeError" in said
    assert "\n  1.3: crashed with SIGSEGV" in said
    assert "\n  1.4: uv cannot build voice==1.4: No solution found" in said


def test_model_outputs_are_compared_with_those_of_the_good_release(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.project.write(
        "import voice\nfrom tests.example_records import generation\n\n"
        "def test_reply(hf_snapshot):\n    assert generation(text=voice.greeting()) == hf_snapshot\n"
    )
    recorded = shop.project.write("the project recorded another output", "snapshots/test_lib/test_reply.toml")

    code = shop.bisect("1.2", "1.3")

    said = capsys.readouterr().out
    assert code == 1, said
    assert "test_lib.py::test_reply: changed\n    changed: decoded text differs\n" in said
    assert "recorded ⟦hello⟧\n" in said
    assert "--snapshot-update" not in said
    assert ".pytest_cache" not in said
    assert recorded.read_text() == "the project recorded another output"


def test_an_interrupt_ends_the_tests_and_the_same_command_continues(
    shop: Shop, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    shop.project.write(
        f"import os, pathlib, time, voice\n\nRUNS = pathlib.Path({str(runs)!r})\n\n"
        "def test_greeting():\n"
        "    first = not any(RUNS.glob('slept-*'))\n"
        "    RUNS.joinpath(str(os.getpid())).touch()\n"
        "    if len(list(RUNS.iterdir())) == 3 and first:\n"
        "        RUNS.joinpath(f'slept-{os.getpid()}').touch()\n"
        "        time.sleep(60)\n"
        "    assert voice.greeting() == 'hello'\n"
    )
    threading.Thread(target=interrupt_once, args=(runs,), daemon=True).start()

    interrupted = shop.bisect("1.0", "1.5", "--", "test_lib.py")
    (slept,) = runs.glob("slept-*")
    with pytest.raises(ProcessLookupError):
        os.kill(int(slept.name.removeprefix("slept-")), 0)
    code = shop.bisect("1.0", "1.5", "--", "test_lib.py")

    assert (interrupted, code) == (130, 1)
    assert "Continuing an interrupted run" in capsys.readouterr().err
    # Two ends, one that was interrupted, and what the second command ran: the ends not again.
    assert len(list(runs.iterdir())) - 1 == 2 + 1 + 2


def interrupt_once(runs: Path) -> None:
    """Do what Ctrl-C does, once a test sleeps."""
    while not any(runs.glob("slept-*")):
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("1.0", "1.9"), "There is no release 1.9 of voice"),
        (("1.0", "x"), "'x' is not a version."),
        (("1.2", "1.3", "--json", "pytest.ini/answer.json"), "The report cannot be written to pytest.ini/answer.json"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    options: Sequence[str], message: str, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.project.write(GREETING)

    assert shop.bisect(*options) == 2
    assert f"hfmodels: {message}" in capsys.readouterr().err
