from __future__ import annotations

import argparse
import errno
import os
import re
import shlex
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from runpy import run_path
from typing import TYPE_CHECKING

import pytest

import pytest_hfmodels
from pytest_hfmodels.commands.cli import command_parser, main

if TYPE_CHECKING:
    from .project import Project

COMMAND = ("-c", "import sys; from pytest_hfmodels.commands.cli import main; sys.exit(main(sys.argv[1:]))")
TESTS = """
from tests.example_records import generation

def test_kept(hf_snapshot):
    assert generation() == hf_snapshot
    assert generation() == hf_snapshot
    assert generation() == hf_snapshot(name="named")
    assert generation() == hf_snapshot(name="a.b")

def test_leaving(hf_snapshot):
    assert generation() == hf_snapshot
"""
STAYING = TESTS.replace("def test_leaving", "def not_a_test_any_more")


def subparsers() -> dict[str, argparse.ArgumentParser]:
    """The commands' parsers by their names."""
    (found,) = (action for action in command_parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


@pytest.fixture
def left_behind(bare_project: Project) -> Project:
    """A project with the snapshot of a test that is gone, and files of other people beside it."""
    bare_project.write(TESTS)
    bare_project.run("--snapshot-update").assert_outcomes(passed=2)
    bare_project.write(STAYING)
    for name in ("notes.toml", "variants/old/test_it/test_old.toml", "test_it/broken.toml"):
        bare_project.write('format = "theirs"' if "broken" not in name else "= nonsense", f"snapshots/{name}")
    return bare_project


def test_without_a_command_it_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([])

    assert stop.value.code == 2
    assert "command" in capsys.readouterr().err


def test_the_module_runs_as_the_command_and_says_its_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["hfmodels", "--version"])

    with pytest.raises(SystemExit) as stop:
        run_path(str(Path(pytest_hfmodels.__file__).with_name("__main__.py")), run_name="__main__")

    assert (stop.value.code, capsys.readouterr().out) == (0, f"hfmodels {version('pytest-hfmodels')}\n")


@pytest.mark.parametrize("name", subparsers())
def test_the_help_of_a_command_has_an_example_that_parses_and_its_exit_codes(name: str) -> None:
    text = subparsers()[name].format_help()

    assert all(f"\n  {code:<3} " in text.partition("exit codes:")[2] for code in (0, 2, 130))
    examples = re.findall(rf"^  (hfmodels {name}.*?)(?:   |$)", text.partition("examples:")[2], re.MULTILINE)
    assert examples
    for example in examples:
        typed, _, _ = example.removeprefix("hfmodels ").partition(" -- ")
        command_parser().parse_args(shlex.split(typed))


def test_the_documentation_has_every_command() -> None:
    script = run_path(str(Path(__file__).parents[1] / "docs" / "write_command_line.py"))

    assert script["TARGET"].read_text(encoding="utf-8") == script["page"](), "python docs/write_command_line.py"


@pytest.mark.parametrize("option", ["--cause", "--verdict"])
def test_a_cause_or_verdict_that_there_is_not_is_refused_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str], option: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["accept", option, "tokeniser"])

    assert stop.value.code == 2
    assert {"--cause": "'tokenizer'", "--verdict": "'near-tie'"}[option] in capsys.readouterr().err


def test_a_shell_completes_commands_options_and_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    finder = pytest.importorskip("argcomplete", reason="install argcomplete").CompletionFinder(command_parser())
    monkeypatch.setenv("_ARGCOMPLETE", "1")

    def completed(*words: str) -> set[str]:
        return {found.strip() for found in finder._get_completions([*words[:-1]], words[-1], "", None)}

    assert {"accept", "matrix"} <= completed("hfmodels", "")
    assert completed("hfmodels", "accept", "--keep") == {"--keep-old-as"}
    assert completed("hfmodels", "pending", "--cause", "tok") == {"tokenizer"}


def test_orphans_lists_only_files_of_ours_that_no_test_uses(left_behind: Project) -> None:
    before = left_behind.snapshots

    result = left_behind.run_python(*COMMAND, "orphans")

    assert result.ret == 1
    assert result.outlines == [
        "snapshots/test_it/test_leaving.toml",
        "1 snapshot file belongs to no test; delete them: hfmodels orphans --delete",
    ]
    assert left_behind.snapshots == before


def test_orphans_says_nothing_of_syrupys_own_snapshots(left_behind: Project) -> None:
    left_behind.write("# serializer version: 1\n# name: test_gone\n  1\n# ---\n", "__snapshots__/test_it.ambr")

    result = left_behind.run_python(*COMMAND, "orphans")

    assert result.outlines[:1] == ["snapshots/test_it/test_leaving.toml"]


@pytest.mark.parametrize("options", ["-p no:syrupy", "--snapshot-warn-unused"])
def test_orphans_works_with_the_project_s_own_options_for_syrupy(left_behind: Project, options: str) -> None:
    left_behind.ini(f"addopts = {options}")

    result = left_behind.run_python(*COMMAND, "orphans")

    assert result.outlines[:1] == ["snapshots/test_it/test_leaving.toml"]


def test_orphans_deletes_only_orphans_and_only_on_request(left_behind: Project) -> None:
    before = left_behind.snapshots

    result = left_behind.run_python(*COMMAND, "orphans", "--delete")

    assert result.ret == 0
    assert result.outlines == ["deleted snapshots/test_it/test_leaving.toml"]
    assert before.keys() - left_behind.snapshots.keys() == {"test_it/test_leaving.toml"}


@pytest.mark.parametrize("options", ["addopts = -k nothing_of_that_name", "testpaths = elsewhere"])
def test_a_test_that_is_only_left_out_keeps_its_snapshots(left_behind: Project, options: str) -> None:
    left_behind.write(TESTS)
    left_behind.write("def test_other(): pass", "elsewhere/test_other.py")
    left_behind.ini(options)

    result = left_behind.run_python(*COMMAND, "orphans")

    assert (result.ret, result.outlines) == (0, [])


def test_orphans_lists_nothing_if_a_file_cannot_be_collected(left_behind: Project) -> None:
    left_behind.write("import nothing_of_that_name", "test_broken.py")

    result = left_behind.run_python(*COMMAND, "orphans", "--delete")

    assert result.ret == 2
    result.stderr.fnmatch_lines(["hfmodels: The project's tests cannot all be collected*", "*pytest --collect-only*"])
    assert "test_it/test_leaving.toml" in left_behind.snapshots


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("def test_leaving(request): request.getfixturevalue('hf_snapshot')", id="asked-for-late"),
        pytest.param("import pytest\npytest.importorskip('nothing_of_that_name')", id="module-skips-itself"),
        pytest.param(
            "import pytest\n@pytest.mark.hf_model('m', engines=['typo'])\ndef test_leaving(hf_model, hf_snapshot): 0",
            id="marker-with-a-typo",
        ),
    ],
)
def test_in_doubt_a_snapshot_is_not_an_orphan(left_behind: Project, source: str) -> None:
    for name in ("test_kept", "test_kept.1", "test_kept[named]", "test_kept[a.b]"):
        (left_behind.path / "snapshots" / "test_it" / f"{name}.toml").unlink()
    left_behind.write(source)

    result = left_behind.run_python(*COMMAND, "orphans")

    assert (result.ret, result.outlines) == (0, [])


def test_a_long_name_keeps_its_further_snapshots(bare_project: Project) -> None:
    bare_project.write(
        "import pytest\nfrom tests.example_records import generation\n"
        "@pytest.mark.parametrize('x', ['y' * 300])\n"
        "def test_long(x, hf_snapshot):\n    assert generation() == hf_snapshot\n"
        "    assert generation() == hf_snapshot\n    assert generation() == hf_snapshot(name='z' * 300)\n"
    )
    bare_project.run("--snapshot-update").assert_outcomes(passed=1)
    assert len(bare_project.snapshots) == 3

    result = bare_project.run_python(*COMMAND, "orphans")

    assert (result.ret, result.outlines) == (0, [])


def test_a_file_that_cannot_be_deleted_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    module = import_module(
        "pytest_hfmodels.snapshots.unused"
    )  # by name: pytester's runs may leave another on the package
    monkeypatch.setattr(module, "find_orphans", lambda: [Path("snapshots/a.toml")])

    assert main(["orphans", "--delete"]) == 2

    assert "hfmodels: snapshots/a.toml cannot be read or written: Permission denied." in capsys.readouterr().err


def test_only_errors_of_stdout_are_called_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("pytest_hfmodels.snapshots.unused.find_orphans", fail)

    assert main(["orphans"]) == 2

    assert capsys.readouterr().err == "hfmodels: The operating system refused a call: Too many open files.\n"


@pytest.mark.parametrize("command", ["pending", "orphans", "ledger"])
def test_a_deleted_current_folder_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    folder = tmp_path / "deleted"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()

    assert main([command]) == 2

    assert "hfmodels: The current folder no longer exists." in capsys.readouterr().err


@pytest.mark.parametrize("command", ["pending", "orphans", "ledger"])
def test_a_configuration_that_is_not_utf_8_is_one_sentence(
    bare_project: Project, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    (bare_project.path / "pytest.ini").write_bytes(b"[pytest]\n# caf\xe9\n")

    assert main([command]) == 2

    said = capsys.readouterr().err
    assert "UTF-8" in said
    assert "Traceback" not in said
