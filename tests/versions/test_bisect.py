from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels import cli
from pytest_hfmodels.errors import VersionsError
from pytest_hfmodels.reports.bisect_terminal import answer_data, answer_lines
from pytest_hfmodels.versions import bisect as room
from pytest_hfmodels.versions import environments, index
from pytest_hfmodels.versions.bisect import Answer, BadIsGood, GoodIsBad, Question, bisect
from pytest_hfmodels.versions.environments import ChangedPackage, Environment, Unreachable
from pytest_hfmodels.versions.index import Package
from pytest_hfmodels.versions.results import Cell, RowResult, State

from .conftest import StepScores
from .wheels import write_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_hfmodels.versions.installed import Installed
    from pytest_hfmodels.versions.rows import Row

    from .conftest import LibProject

LISTING = """
import pathlib, sys
found = pathlib.Path(sys.argv[1]).glob(f"{sys.argv[4]}-*.whl")
print("Available versions:", ", ".join(file.name.split("-")[1] for file in found))
"""
RELEASES = ("1.0", "1.1", "1.2", "1.3", "1.4", "1.5")
SAME, CHANGED, BROKEN = (
    Cell(state, details="" if state == "same" else "E   how") for state in (State.SAME, State.CHANGED, State.BROKEN)
)


# -- what is judged how: no environment is built ---------------------------------------------------------------------


@dataclass
class World:
    """Releases whose tests' results are made up."""

    outcomes: dict[str, RowResult | Exception]
    heard: StepScores

    def __post_init__(self) -> None:
        self.ran: list[str] = []
        self.held: dict[str, str] = {}  # the version of helper that each release's environment was to hold to

    def says(self, version: str, outcome: Mapping[str, Cell] | RowResult | Exception) -> None:
        self.outcomes[version] = outcome if isinstance(outcome, RowResult | Exception) else row(version, outcome)

    def bisect(self, good: str = "1.0", bad: str = "1.5", **settings: object) -> Answer:
        question = Question(Package("lib"), good, bad, **settings)  # type: ignore[arg-type]
        return bisect(question, self.heard)


def row(version: str, cells: Mapping[str, Cell], *, problem: str | None = None, **beside: str) -> RowResult:
    return RowResult(version, {"lib": version, **beside}, cells=cells, exit_code=0, problem=problem)


@pytest.fixture
def world(lib_project: LibProject, monkeypatch: pytest.MonkeyPatch) -> World:
    """`lib` changes with 1.3."""
    del lib_project
    world = World({}, StepScores())
    for version in RELEASES:
        world.says(version, {"test_lib.py::test_it": SAME if version < "1.3" else CHANGED})

    def prepare(row: Row, installed: Installed) -> Environment:
        version = row.name.removeprefix("lib==")
        world.held[version] = installed.versions.get("helper", "")
        outcome = world.outcomes[version]
        if isinstance(outcome, Exception):
            raise outcome
        return Environment(row, Path("python"), outcome.versions, outcome.moved, key=row.name)

    def run(version: str, _run: object, **_about: object) -> RowResult:
        world.ran.append(version)
        outcome = world.outcomes[version]
        assert isinstance(outcome, RowResult)
        return outcome

    monkeypatch.setattr(environments, "prepare", prepare)
    monkeypatch.setattr(room, "run_pytest", lambda *_arguments, **_settings: None)
    monkeypatch.setattr(room, "read_run", run)
    monkeypatch.setattr(room, "candidates", lambda *_arguments, **_settings: RELEASES)
    return world


def test_the_first_release_whose_output_differs_is_found(world: World) -> None:
    answer = world.bisect()

    assert (answer.found.good.version, answer.found.bad.version) == ("1.2", "1.3")
    assert answer.found.exact
    assert answer.differing == {"test_lib.py::test_it": CHANGED}
    assert world.ran[:2] == ["1.0", "1.5"]


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(VersionsError("uv cannot build it", hint=""), id="cannot-be-built"),
        pytest.param(row("1.3", {}, problem="crashed with SIGSEGV"), id="crashes"),
        pytest.param(row("1.3", {}, problem="timed out after 3 s"), id="hangs"),
        pytest.param(row("1.3", {}, problem="no test was collected"), id="nothing-is-collected"),
        pytest.param(row("1.3", {"test_more.py": BROKEN, "test_lib.py::test_it": SAME}), id="cannot-be-collected"),
        pytest.param(row("1.3", {"test_lib.py::test_it": Cell(State.CRASHED, "worker died")}), id="worker-crashes"),
        pytest.param(row("1.3", {"test_lib.py::test_it": Cell(State.SKIPPED, "not here")}), id="all-is-skipped"),
        pytest.param(row("1.3", {"test_lib.py::test_other": SAME}), id="other-tests"),
    ],
)
def test_a_release_that_says_nothing_is_left_out_and_named(world: World, outcome: RowResult | Exception) -> None:
    world.says("1.3", outcome)

    found = world.bisect().found

    assert (found.good.version, found.bad.version) == ("1.2", "1.4")
    assert [judged.version for judged in found.between] == ["1.3"]


def test_only_tests_that_pass_with_the_good_release_count(world: World) -> None:
    for version in RELEASES:
        skipped = version < "1.1"
        other = Cell(State.SKIPPED, "not yet") if skipped else BROKEN
        world.says(version, {"a::test_it": SAME if version < "1.3" else BROKEN, "a::test_new": other})

    answer = world.bisect()

    assert answer.found.bad.version == "1.3"
    assert list(answer.differing) == ["a::test_it"]


def test_a_good_release_that_is_bad_is_named_with_its_failing_tests(world: World) -> None:
    world.says("1.0", {"test_lib.py::test_it": replace(BROKEN, reason="AssertionError: no")})

    with pytest.raises(GoodIsBad, match=r"lib 1\.0 is said to be good, and is bad: .*test_it \(broken: AssertionError"):
        world.bisect()

    assert world.ran == ["1.0"]


def test_a_bad_release_that_is_good_is_named(world: World) -> None:
    world.says("1.5", {"test_lib.py::test_it": SAME})

    with pytest.raises(BadIsGood, match=r"lib 1\.5 is said to be bad, and is good: 1 test passes, as with 1\.0"):
        world.bisect()


@pytest.mark.parametrize("version", ["1.0", "1.5"])
def test_an_end_that_cannot_be_tested_is_named_with_the_reason(world: World, version: str) -> None:
    world.says(version, row(version, {"test_lib.py": replace(BROKEN, reason="cannot be collected: ImportError: x")}))

    with pytest.raises(VersionsError, match=rf"lib {version}, the (good|bad) end, cannot be .*collected: ImportError"):
        world.bisect()


def test_tests_that_are_all_skipped_with_the_good_release_compare_nothing(world: World) -> None:
    world.says("1.0", {"test_lib.py::test_it": Cell(State.SKIPPED, "needs a network")})

    with pytest.raises(VersionsError, match=r"no test passes that could be compared: needs a network"):
        world.bisect()


def test_an_interrupted_search_goes_on_without_running_what_is_judged(world: World) -> None:
    world.heard.when_row_ends = interrupting_after(3)
    with pytest.raises(KeyboardInterrupt):
        world.bisect()
    before = list(world.ran)
    world.heard.when_row_ends = str

    answer = world.bisect()

    assert len(before) == 3
    assert answer.found.bad.version == "1.3"
    assert len(world.ran) == len(set(world.ran)) == len(answer.found.judged)
    assert "Going on with an interrupted search (--restart begins it again)." in world.heard.lines


def test_what_is_judged_is_void_once_the_tests_have_changed(world: World, lib_project: LibProject) -> None:
    world.heard.when_row_ends = interrupting_after(2)
    with pytest.raises(KeyboardInterrupt):
        world.bisect()
    lib_project.write("def test_it(): ...")
    world.heard.when_row_ends = str
    world.ran.clear()

    world.bisect()

    assert world.ran[:2] == ["1.0", "1.5"]
    assert any("begins again" in line for line in world.heard.lines)


@pytest.mark.parametrize("again", ["restarted", "finished"])
def test_what_is_judged_is_judged_again_in_a_new_search(world: World, again: str) -> None:
    if again == "restarted":
        world.heard.when_row_ends = interrupting_after(2)
        with pytest.raises(KeyboardInterrupt):
            world.bisect()
        world.heard.when_row_ends = str
    else:
        world.bisect()
    world.ran.clear()

    world.bisect(restart=again == "restarted")

    assert world.ran[:2] == ["1.0", "1.5"]


def test_a_lost_network_stops_the_search_which_goes_on_later_without_the_index(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_middle = world.outcomes["1.3"]
    world.says("1.3", Unreachable("lib==1.3 is not in the cache, and the package index cannot be reached", hint=""))
    with pytest.raises(Unreachable, match="cannot be reached"):
        world.bisect()
    world.outcomes["1.3"] = in_the_middle
    monkeypatch.delattr(room, "candidates")

    assert world.bisect().found.bad.version == "1.3"
    assert len(world.ran) == len(set(world.ran))


def test_other_packages_are_held_to_what_the_good_release_came_with(world: World, lib_project: LibProject) -> None:
    current = replace(lib_project.installed, versions={"helper": "7"})
    world.says("1.0", row("1.0", {"test_lib.py::test_it": SAME}, helper="3"))

    bisect(Question(Package("lib"), "1.0", "1.5"), world.heard, current)

    assert world.held.pop("1.0") == "7"
    assert set(world.held.values()) == {"3"}


def test_the_same_search_does_not_run_twice_at_once(world: World) -> None:
    def start_another(row: str) -> None:
        del row
        world.bisect()

    world.heard.when_row_ends = start_another

    with pytest.raises(VersionsError, match="The same bisect is running already"):
        world.bisect()


@pytest.mark.parametrize("flag", ["--snapshot-update", "--hfmodels-allow-update"])
def test_update_flags_are_refused(world: World, flag: str) -> None:
    with pytest.raises(VersionsError, match=flag):
        world.bisect(arguments=(flag,))

    assert world.ran == []


def test_what_moved_between_the_two_neighbours_is_told_apart_from_the_package(world: World) -> None:
    for version in RELEASES:
        cells = {"test_lib.py::test_it": SAME if version < "1.3" else CHANGED}
        world.says(version, row(version, cells, helper="1" if version < "1.3" else "2", still="7"))

    assert world.bisect().moved == (ChangedPackage("helper", "1", "2"),)


def test_a_package_that_changed_too_is_named_with_a_command_to_separate_the_two(world: World) -> None:
    for version in RELEASES:
        cells = {"test_lib.py::test_it": SAME if version < "1.3" else CHANGED}
        world.says(version, row(version, cells, helper="1" if version < "1.3" else "2", still="7"))

    answer = world.bisect(arguments=("test_lib.py", "-k", "a b"))

    said = list(answer_lines(answer))
    assert not answer.separated
    assert not any("first bad release" in line for line in said)
    assert said[:3] == [
        "lib: the output changes between 1.2 and 1.3, but helper changed version, too (1 -> 2). "
        "Any of these packages may be the reason.",
        "To find out, keep helper at one version:",
        "  hfmodels bisect lib --good 1.2 --bad 1.3 --with helper==1 -- test_lib.py -k 'a b'",
    ]
    assert "  hfmodels bisect helper --good 1 --bad 2 --with lib==1.2 -- test_lib.py -k 'a b'" in said
    assert answer_data(answer)["separated"] is False


def test_a_release_with_no_other_change_is_the_first_bad_one(world: World) -> None:
    answer = world.bisect()

    assert answer.separated
    assert next(answer_lines(answer)) == "lib: the first bad release is 1.3; 1.2 is good."


@pytest.mark.parametrize(
    ("otherwise", "bad", "told"),
    [
        pytest.param(
            "ValueError in call", "TypeError in call", "ValueError in call, not TypeError in call", id="other"
        ),
        pytest.param("OSError in setup", "", "OSError in setup, not another output", id="cannot-load"),
        pytest.param("", "TypeError in call", "another output, not TypeError in call", id="runs-and-differs"),
    ],
)
def test_a_release_that_fails_for_another_reason_is_listed_separately(
    world: World, otherwise: str, bad: str, told: str
) -> None:
    def cell(failure: str) -> Cell:
        return replace(BROKEN, raises=failure) if failure else CHANGED

    for version in RELEASES:
        failing = cell(otherwise) if version < "1.4" else cell(bad)
        world.says(version, {"test_lib.py::test_it": SAME if version < "1.2" else failing})

    found = world.bisect().found

    assert (found.good.version, found.bad.version) == ("1.1", "1.4")
    assert [(judged.version, str(judged.judgement)) for judged in found.between] == [
        ("1.2", "otherwise"),
        ("1.3", "otherwise"),
    ]
    assert all(told in judged.reason for judged in found.between)
    said = "\n".join(answer_lines(world.bisect()))
    assert said.startswith("lib: good until 1.1, bad from 1.4; the releases between could not be judged:\n  1.2: ")


def test_a_failure_like_the_bad_end_s_decides_even_next_to_another_failure(world: World) -> None:
    for version in RELEASES:
        both = {
            "a::test_it": SAME if version < "1.3" else CHANGED,
            "a::test_other": SAME if version < "1.1" else BROKEN,
        }
        world.says(version, {**both, "a::test_other": SAME} if version == "1.5" else both)

    answer = world.bisect()

    assert (answer.found.good.version, answer.found.bad.version) == ("1.0", "1.3")
    assert [judged.version for judged in answer.found.between] == ["1.1", "1.2"]
    assert list(answer.differing) == ["a::test_it"]


def interrupting_after(count: int) -> Callable[[str], None]:
    ended: list[str] = []

    def hear(row: str) -> None:
        ended.append(row)
        if len(ended) == count:
            raise KeyboardInterrupt

    return hear


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
    monkeypatch.setattr(index, "_pip", lambda: (sys.executable, "-c", LISTING, str(folder)))  # pip's own start is slow
    monkeypatch.setenv("UV_FIND_LINKS", f"{lib_project.index},{folder}")
    monkeypatch.setattr(room, "read_installed", lambda: lib_project.installed)
    monkeypatch.setenv("COLUMNS", "200")
    shop = Shop(lib_project, folder)
    for version in ("1.0", "2.0"):
        write_wheel(folder, "helper", version, {})
    for version in RELEASES:
        said = "hello" if version < "1.3" else "HELLO"
        requires = [
            "helper" if version < "1.3" else "helper>=2",
            *(["nothing-of-that-name"] if version == "1.4" else []),
        ]
        shop.release(version, f"def greeting():\n    return {said!r}\n", *requires)
    lib_project.installed = replace(
        lib_project.installed, versions={**lib_project.installed.versions, "helper": "1.0", "voice": "1.5"}
    )
    return shop


def test_a_project_without_our_fixtures_finds_the_first_bad_release(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.project.write("import voice\n\ndef test_greeting():\n    assert voice.greeting() == 'hello'\n")
    before = sorted(path.name for path in shop.project.path.iterdir())

    code = shop.bisect("1.0", "1.5", "--json", "answer.json", "--", "test_lib.py")

    said = capsys.readouterr()
    assert code == 1
    assert said.out.startswith(
        "voice: the output changes between 1.2 and 1.3, but helper changed version, too (1.0 -> 2.0). "
        "Any of these packages may be the reason.\n"
    )
    assert "test_lib.py::test_greeting: broken\n    AssertionError: assert 'HELLO' == 'hello'" in said.out
    assert "Between 1.2 and 1.3 also moved: helper 1.0 -> 2.0.\n" in said.out
    assert "voice 1.0: preparing (at most 4 more after it)\n" in said.err
    answer = json.loads((shop.project.path / "answer.json").read_text())
    assert (answer["format"], answer["last_good"], answer["first_bad"], answer["exact"]) == (1, "1.2", "1.3", True)
    assert answer["moved"] == [{"name": "helper", "before": "1.0", "after": "2.0"}]
    assert sorted(path.name for path in shop.project.path.iterdir()) == sorted(
        [*before, ".pytest_cache", "answer.json"]
    )


def test_exceptions_are_distinguished_in_real_environments(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    for version, said in (
        ("2.1", "return 'hello'"),
        ("2.2", "raise OSError('no weights here')"),
        ("2.3", "return 'x'"),
    ):
        shop.release(version, f"def greeting():\n    {said}\n")
    shop.project.write("import voice\n\ndef test_greeting():\n    assert voice.greeting() == 'hello'\n")

    code = shop.bisect("2.1", "2.3", "--json", "answer.json", "--", "test_lib.py")

    said = capsys.readouterr().out
    assert code == 1
    assert said.startswith("voice: good until 2.1, bad from 2.3; the releases between could not be judged:\n")
    assert (
        "2.2: fails for another reason: test_lib.py::test_greeting (OSError in call, not AssertionError in call)"
        in said
    )
    answer = json.loads((shop.project.path / "answer.json").read_text())
    assert [found["judgement"] for found in answer["untestable"]] == ["otherwise"]


def test_where_a_neighbour_cannot_be_tested_a_bracket_is_told(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.release("1.2", "greeting = None.nothing")
    shop.release("1.3", "import os\nos._exit(7)")
    shop.project.write("from voice import greeting\n\ndef test_greeting():\n    assert greeting() == 'hello'\n")

    code = shop.bisect("1.0", "1.5")

    said = capsys.readouterr().out
    assert code == 1
    assert said.startswith("voice: good until 1.1, bad from 1.5; the releases between could not be judged:\n")
    assert "\n  1.2: test_lib.py cannot be collected: AttributeError" in said
    assert "\n  1.3: crashed with exit code 7" in said
    assert "\n  1.4: uv cannot build voice==1.4: Because nothing-of-that-name was not found" in said


def test_model_snapshots_are_compared_with_what_the_good_release_gives(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.project.write(
        "import voice\nfrom tests.example_records import generation\n\n"
        "def test_reply(hf_snapshot):\n    assert generation(text=voice.greeting()) == hf_snapshot\n"
    )
    recorded = "snapshots/test_lib/test_reply.toml"
    shop.project.path.joinpath("snapshots", "test_lib").mkdir(parents=True)
    shop.project.write("what the project recorded is another thing", recorded)

    code = shop.bisect("1.2", "1.3")

    said = capsys.readouterr().out
    assert code == 1, said
    assert "test_lib.py::test_reply: changed\n    changed: decoded text differs\n" in said
    assert "recorded ⟦hello⟧\n" in said
    assert "now      ⟦HELLO⟧\n" in said
    assert "--snapshot-update" not in said
    assert ".pytest_cache" not in said
    assert (shop.project.path / recorded).read_text() == "what the project recorded is another thing"


def test_an_interrupt_ends_the_tests_and_the_same_command_goes_on(
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
    said = capsys.readouterr()
    (slept,) = runs.glob("slept-*")
    with pytest.raises(ProcessLookupError):
        os.kill(int(slept.name.removeprefix("slept-")), 0)
    code = shop.bisect("1.0", "1.5", "--", "test_lib.py")

    assert interrupted == 130
    assert "Interrupted. What is judged is kept; the same command goes on from there." in said.err
    assert code == 1
    said = capsys.readouterr()
    assert "Going on with an interrupted search" in said.err
    assert said.out.startswith(
        "voice: the output changes between 1.2 and 1.3, but helper changed version, too (1.0 -> 2.0)"
    )
    # Two ends, one that was interrupted, and what the second command ran: the ends not again.
    assert len(list(runs.iterdir())) - 1 == 2 + 1 + 2


def test_the_newer_release_may_be_the_good_one(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.project.write("import voice\n\ndef test_greeting():\n    assert voice.greeting() == 'HELLO'\n")

    code = shop.bisect("1.3", "1.1", "--json", "-")

    answer = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (answer["last_good"], answer["first_bad"]) == ("1.3", "1.2")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("1.0", "1.9"), "hfmodels: There is no release 1.9 of voice that this Python"),
        (("1.0", "1.0"), "hfmodels: Good and bad are the same release of voice: 1.0."),
        (("1.0", "x"), "hfmodels: 'x' is no version."),
    ],
)
def test_a_range_that_is_none_is_one_sentence(
    shop: Shop, capsys: pytest.CaptureFixture[str], arguments: tuple[str, str], message: str
) -> None:
    assert shop.bisect(*arguments) == 2
    assert capsys.readouterr().err.startswith(message)


def test_without_uv_the_reader_is_told_what_to_install(
    shop: Shop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_uv() -> str:
        raise environments.UvMissing("Environments are built with uv, and there is none.", hint="Install it: pip …")

    monkeypatch.setattr(environments, "find_uv", no_uv)
    shop.release("0.9", "def greeting(): ...")

    assert shop.bisect("0.9", "1.0") == 2
    assert "hfmodels: Environments are built with uv, and there is none.\n  Install it" in capsys.readouterr().err


def test_a_full_disk_stops_the_search_and_is_no_release_s_fault(
    shop: Shop, capsys: pytest.CaptureFixture[str], fake_uv: Callable[[str], Path]
) -> None:
    fake_uv("print('error: failed to write: No space left on device (os error 28)', file=sys.stderr)\nsys.exit(2)")
    shop.release("0.8", "def greeting(): ...")

    assert shop.bisect("0.8", "1.0") == 2
    assert capsys.readouterr().err.splitlines()[-2].startswith("hfmodels: The disk is full: voice==0.8 cannot be built")


def test_an_answer_that_cannot_be_written_is_one_sentence(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.project.write("import voice\n\ndef test_greeting():\n    assert voice.greeting() == 'hello'\n")

    assert shop.bisect("1.2", "1.3", "--json", "pytest.ini/answer.json") == 2
    assert "hfmodels: The answer cannot be written to pytest.ini/answer.json" in capsys.readouterr().err


def interrupt_once(runs: Path) -> None:
    """Do what Ctrl-C does, once a test sleeps."""
    while not any(runs.glob("slept-*")):
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)


def test_a_pytest_that_is_not_content_though_no_test_failed_says_nothing_about_a_release() -> None:
    cells = {"test_lib.py::test_a": Cell(State.SAME)}
    result = RowResult("1.0", cells=cells, problem="pytest ended with exit code 1 though no test failed", exit_code=1)

    assert room._untestable(result) == ""
