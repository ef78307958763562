from __future__ import annotations

import json
import os
import re
import signal
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.commands import cli
from pytest_hfmodels.foundation.errors import VersionsError
from pytest_hfmodels.versions import matrix as room
from pytest_hfmodels.versions.rows import parse_rows

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_hfmodels.versions.grid import Grid

    from .conftest import LibProject

PASSING = "def test_a():\n    pass\n"
DIFFERENT = """
import lib, pytest

def test_old(hf_models):
    assert lib.VERSION < "2"

def test_same():
    pass

def test_some():
    if lib.VERSION == "1.1":
        pytest.skip("not in 1.1")
"""
DYING = """
import os, time
import lib, pytest

def test_before():
    pass

@pytest.fixture
def model():
    if lib.VERSION == "1.1":
        os._exit(3)
    if lib.VERSION == "2.0":
        time.sleep(60)

def test_model(model):
    pass

def test_after():
    pass
"""


def states(grid: Grid) -> dict[str, list[str]]:
    return {test.partition("::")[2] or test: [str(cell.state) for cell in cells] for test, cells in grid.cells.items()}


def test_the_same_tests_run_in_every_row_side_by_side(lib_project: LibProject) -> None:
    lib_project.write(DIFFERENT)
    grid = lib_project.matrix("lib==1.0", "lib==1.1", "lib==2.0", jobs=2)

    assert states(grid) == {
        "test_old": ["same", "same", "broken"],
        "test_same": ["same", "same", "same"],
        "test_some": ["same", "skipped", "same"],
    }
    assert grid.since("test_lib.py::test_old") == "lib==2.0"
    assert grid.cells["test_lib.py::test_old"][2].reason == "AssertionError: assert '2.0' < '2'"
    assert [row.versions["lib"] for row in grid.rows] == ["1.0", "1.1", "2.0"]
    assert grid.exit_code == 1


def test_rows_at_once_share_the_processors(lib_project: LibProject) -> None:
    lib_project.write("import os\n\ndef test_a():\n    assert os.environ['PYTEST_HFMODELS_ROWS'] == '2'\n")

    assert states(lib_project.matrix("lib==1.0", "lib==1.1", jobs=2)) == {"test_a": ["same", "same"]}


def test_a_row_that_cannot_be_built_crashes_or_runs_out_of_time_ends_no_other(lib_project: LibProject) -> None:
    lib_project.write(DYING)
    grid = lib_project.matrix("lib==1.0", "lib==9.9", "lib==1.1", "lib==2.0", timeout=8.0, jobs=2)

    assert states(grid) == {
        "test_before": ["same", "build-failed", "same", "same"],
        "test_model": ["same", "build-failed", "crashed", "timeout"],
        "test_after": ["same", "build-failed", "not-run", "not-run"],
    }
    assert [row.problem and row.problem.partition(":")[0] for row in grid.rows] == [
        None,
        "There is no such release",
        "crashed with exit code 3",
        "timed out after 8 s",
    ]


def test_a_file_that_one_row_cannot_collect_is_broken_there_and_the_other_files_run(lib_project: LibProject) -> None:
    lib_project.write('import lib\nif lib.VERSION == "1.0":\n    import nowhere\n\ndef test_a():\n    pass\n')
    lib_project.write("def test_b():\n    pass\n", "test_other.py")
    grid = lib_project.matrix("lib==1.0", "lib==1.1")

    assert states(grid) == {"test_a": ["broken", "same"], "test_b": ["same", "same"]}
    reason = grid.cells["test_lib.py::test_a"][0].reason
    assert reason == "cannot be collected: ModuleNotFoundError: No module named 'nowhere'"


def test_a_folder_of_the_package_s_name_does_not_hide_what_the_row_installed(lib_project: LibProject) -> None:
    lib_project.write("VERSION = 'the folder'\n", "lib/__init__.py")
    lib_project.write("import lib\n\ndef test_a():\n    assert lib.VERSION == '1.0'\n", "checks/test_lib.py")

    assert states(lib_project.matrix("lib==1.0")) == {"test_a": ["same"]}


@pytest.fixture
def interrupted(lib_project: LibProject) -> Grid:
    """A run of two rows that was interrupted when the first was done."""
    lib_project.write(
        "import lib, time\n\ndef test_a():\n    open(f'ran-{lib.VERSION}.log', 'a').write('x')\n"
        "    if lib.VERSION == '1.1' and not open('again').read():\n        time.sleep(60)\n"
    )
    lib_project.write("", "again")
    lib_project.heard.when_row_ends = lambda _row: os.kill(os.getpid(), signal.SIGINT)
    grid = lib_project.matrix("lib==1.0", "lib==1.1", outputs=ignored(lib_project))
    lib_project.heard.when_row_ends = str
    lib_project.write("now", "again")
    return grid


def ignored(project: LibProject) -> tuple[Path, ...]:
    return tuple(project.path / name for name in ("again", "ran-1.0.log", "ran-1.1.log"))


def runs(project: LibProject, version: str) -> int:
    file = project.path / f"ran-{version}.log"
    return len(file.read_text()) if file.exists() else 0


def test_after_an_interrupt_the_same_command_continues_once(lib_project: LibProject, interrupted: Grid) -> None:
    assert states(interrupted) == {"test_a": ["same", "not-run"]}
    assert interrupted.exit_code == 130

    grid = lib_project.matrix("lib==1.0", "lib==1.1", outputs=ignored(lib_project))

    assert lib_project.heard.lines[0].startswith("Continuing an interrupted run")
    assert states(grid) == {"test_a": ["same", "same"]}
    assert runs(lib_project, "1.0") == 1

    lib_project.matrix("lib==1.0", "lib==1.1", outputs=ignored(lib_project))
    assert runs(lib_project, "1.0") == 2


@pytest.mark.parametrize("what", ["a changed test", "--restart"])
def test_an_interrupted_run_starts_over_after(what: str, lib_project: LibProject, interrupted: Grid) -> None:
    assert interrupted.exit_code == 130
    if what == "a changed test":
        lib_project.write((lib_project.path / "test_lib.py").read_text() + "\n# changed\n")
    lib_project.matrix("lib==1.0", "lib==1.1", outputs=ignored(lib_project), restart=what == "--restart")

    assert runs(lib_project, "1.0") == 2
    assert any("starts over." in line for line in lib_project.heard.lines) is (what == "a changed test")


def test_what_cannot_work_is_refused_before_anything_runs(
    lib_project: LibProject, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(VersionsError, match="Rows only read snapshots"):
        lib_project.matrix("lib==1.0", arguments=("--snapshot-update",))
    request.getfixturevalue("no_uv")
    with pytest.raises(VersionsError, match=r"pip install 'pytest-hfmodels\[versions\]'"):
        lib_project.matrix("lib==1.0")

    assert lib_project.heard.lines == []


def test_one_matrix_does_not_run_twice_at_once(lib_project: LibProject) -> None:
    lib_project.write(PASSING)
    refused = []

    def again(_row: str) -> None:
        lib_project.heard.when_row_ends = str
        try:
            lib_project.matrix("current")
        except VersionsError as error:
            refused.append(error.message)

    lib_project.heard.when_row_ends = again
    assert lib_project.matrix("current").exit_code == 0
    assert refused == ["The same matrix is running already."]


def test_what_a_run_leaves_is_ignored_by_git(lib_project: LibProject) -> None:
    lib_project.write(PASSING)
    cache = lib_project.path / ".pytest_cache"
    lib_project.matrix("current")
    assert (cache / ".gitignore").read_text() == "*\n"

    (cache / ".gitignore").write_text("# mine\n")
    lib_project.matrix("current")
    assert (cache / ".gitignore").read_text() == "# mine\n"


# -- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def command(lib_project: LibProject, monkeypatch: pytest.MonkeyPatch) -> LibProject:
    monkeypatch.setattr(room, "read_installed", lambda: lib_project.installed)
    monkeypatch.setenv("COLUMNS", "80")
    return lib_project


def test_the_command_shows_the_grid_and_writes_the_reports(
    command: LibProject, capsys: pytest.CaptureFixture[str]
) -> None:
    command.write(DIFFERENT)
    reports = ["--json", "grid.json", "--html", "grid.html", "--markdown", "out/grid.md"]
    code = cli.main(["matrix", "lib==1.1,2.0", *reports, "--", "-k", "test_old or test_some"])
    shown = capsys.readouterr()

    assert code == 1
    assert "! broken" in shown.out
    assert "Changes first in\n  - lib==2.0: test_old" in shown.out
    assert "lib==1.1: testing" in shown.err
    data = json.loads((command.path / "grid.json").read_text())
    assert data["arguments"] == ["-k", "test_old or test_some"]
    assert "| `test_old` | ✓ same | ! broken |" in (command.path / "out" / "grid.md").read_text()
    assert "<!doctype html>" in (command.path / "grid.html").read_text()


LEDGER = """
[[break]]
name = "old-only"
when = "lib>=2"
tests = "test_lib.py::test_old"
raises = "AssertionError"
what = "lib is newer"
reference = "lib/lib#7"
"""


def test_a_page_shows_what_the_project_s_ledger_knows(command: LibProject, capsys: pytest.CaptureFixture[str]) -> None:
    command.write(DIFFERENT)
    command.write(LEDGER, "snapshots/upstream.toml")
    code = cli.main(["matrix", "lib==1.0,2.0", "-v", "--markdown", "-", "--", "-k", "not slow"])
    page = capsys.readouterr().out

    assert code == 0
    assert "\nWritten by `hfmodels matrix lib==1.0,2.0 -- -k 'not slow'` with `--markdown`.\n" in page
    assert "| `test_old` | ✓ same | ! broken† |" in page
    assert "- **old-only** (break, `lib>=2`): lib is newer (lib/lib#7). In 2.0: `test_old`" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--markdown", "page.md"], "upstream.toml"),  # its ledger is invalid
        (["--html", "snapshots"], "The report cannot be written to"),
        (["-j", "0"], "-j"),
        (["--timeout", "nan"], "--timeout"),
    ],
)
def test_invalid_options_are_refused_before_anything_runs(
    options: list[str], message: str, command: LibProject, capsys: pytest.CaptureFixture[str]
) -> None:
    command.write("[[break]]\n", "snapshots/upstream.toml")
    try:
        code: object = cli.main(["matrix", "lib==1.0", *options])
    except SystemExit as refusal:
        code = refusal.code
    shown = capsys.readouterr().err

    assert code == 2
    assert message in shown
    assert "preparing" not in shown


def test_if_no_row_can_be_built_the_matrix_cannot_be_done(
    command: LibProject, capsys: pytest.CaptureFixture[str]
) -> None:
    command.write(PASSING)

    assert cli.main(["matrix", "lib==9.9"]) == 2
    shown = capsys.readouterr()
    assert "There is no such release: lib==9.9" in " ".join(shown.out.split())
    assert "lib==9.9: There is no such release" in shown.err
    assert "python -m pip index versions lib" in shown.err


OBSERVING = """
import lib

def test_value(hf_snapshot):
    assert {"version": lib.VERSION} == hf_snapshot

def test_b():
    assert lib.VERSION < "2"
"""


def without_times(file: Path) -> str:
    return re.sub(r'(, )?"seconds": [0-9.]+|time="[0-9.]+"|[0-9.]+ s\b|"planned": .*', "", file.read_text())


def test_merged_parts_of_several_machines_are_the_run_of_one(
    command: LibProject, capsys: pytest.CaptureFixture[str]
) -> None:
    command.write(PASSING, "test_a.py")
    command.write(OBSERVING)
    rows, kinds = ["matrix", "lib==1.0,2.0"], ("json", "html", "markdown", "junit", "summary", "patch")

    def reports(name: str) -> list[str]:
        return [word for kind in kinds for word in (f"--{kind}", f"out/{name}.{kind}")]

    assert cli.main([*rows, "-j", "2", *reports("whole"), "--", "-p", "no:randomly"]) == 1
    for number, part in enumerate((["lib==1.0", "--shard", "1/2"], ["lib==1.0", "--shard", "2/2"], ["lib==2.0"])):
        options = ["--durations", "out/whole.json"] if "--shard" in part else []
        file = f"parts/{number}/part.json"
        cli.main([*rows, "--row", *part, *options, "--json", file, "--", "-p", "no:randomly"])
    capsys.readouterr()
    assert cli.main(["merge", "parts", *reports("merged")]) == 1

    for kind in kinds:
        whole, merged = (command.path / "out" / f"{name}.{kind}" for name in ("whole", "merged"))
        assert without_times(merged) == without_times(whole), kind
    assert '+    ["version", "str", "2.0"],' in (command.path / "out" / "merged.patch").read_text()
    shards = [json.loads((command.path / "parts" / number / "part.json").read_text()) for number in "01"]
    ran = [list(part["rows"][0]["cells"]) for part in shards]
    assert all(ran)
    assert sorted(ran[0] + ran[1]) == sorted(shards[0]["rows"][0]["collected"])


def test_a_row_that_no_one_planned_is_refused(command: LibProject, capsys: pytest.CaptureFixture[str]) -> None:
    command.write(PASSING)

    assert cli.main(["matrix", "lib==1.0,2.0", "--row", "lib==3.0"]) == 2
    assert "hfmodels: There is no row 'lib==3.0'.\n  The rows are lib==1.0, lib==2.0." in capsys.readouterr().err
    assert cli.main(["matrix"]) == 2
    assert "hfmodels: There is no row." in capsys.readouterr().err


def test_a_row_sets_the_machine_of_its_tests(command: LibProject) -> None:
    asserted = "os.environ['ATEN_CPU_CAPABILITY'] == 'default', os.environ['OMP_NUM_THREADS']"
    command.write(f"import os\n\ndef test_a():\n    assert {asserted}\n")
    rows = parse_rows(["cpu==default,avx2"], ["threads==3"])
    grid = room.run_matrix(room.Matrix(tuple(rows)), command.heard, command.installed)

    assert states(grid) == {"test_a": ["same", "broken"]}
    assert grid.cells["test_lib.py::test_a"][1].reason.startswith("AssertionError: 3")
    assert list(grid.labels.values()) == ["default", "avx2"]
