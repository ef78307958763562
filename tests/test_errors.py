"""No control sequence in an error or in a file reaches the terminal."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.commands.cli import main
from pytest_hfmodels.commands.reviewing.loop import Walk
from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.reports import grid_terminal
from pytest_hfmodels.reports.bisect_terminal import answer_lines
from pytest_hfmodels.reports.grid_progress import GridProgress
from pytest_hfmodels.snapshots.project import find_project
from pytest_hfmodels.versions.bisect import BisectAnswer, Question
from pytest_hfmodels.versions.bisection import Bracket, Judged, Judgement
from pytest_hfmodels.versions.environments import ChangedPackage
from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.results import Cell, RowResult, State

from .pending_project import change, explained, record, run
from .review.scripted import Scripted

if TYPE_CHECKING:
    from .project import Project

# Clears the screen, sets the window's title, reverses text, ends a C1 string, and starts a new line.
EVIL = "\x1b[2J\x1b]0;title\x07\u202e\x9b31m\x08\n::error::forged\r\u2028"
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029\u2066-\u2069]")


def safe(text: str) -> None:
    """Assert that a text has no control characters and that no line of it is forged."""
    assert UNSAFE.findall(text) == []
    assert not re.search(r"^\s*::error::forged", text, re.MULTILINE)


def test_control_characters_in_an_error_are_named(bare_project: Project) -> None:
    error = SnapshotError(f"The model_type is {EVIL}.", hint=f"Do {EVIL}.")
    bare_project.write(
        f"from pytest_hfmodels.foundation.errors import CheckpointError\n\nEVIL = {EVIL!r}\n"
        "def test_it():\n    raise CheckpointError(f'The model_type is {EVIL}.', hint=f'Do {EVIL}.')\n"
    )

    said = bare_project.run()

    safe(str(error))
    safe(said.stdout.str())
    assert "The model_type is ⟨U+001B⟩[2J" in said.stdout.str()
    assert (error.message, error.hint) == (f"The model_type is {EVIL}.", f"Do {EVIL}.")


def test_an_error_is_called_by_the_name_that_tests_import_it_by(bare_project: Project) -> None:
    bare_project.write(
        "import pytest_hfmodels as ours\n"
        "def test_it():\n    raise ours.EngineError('No.', hint='Do.')\n"
        "def test_other():\n    raise ours.OptionError('No.', hint='Do.')\n"
    )

    result = bare_project.run()

    result.stdout.fnmatch_lines(["FAILED *::test_it - pytest_hfmodels.EngineError: No.*"])
    result.stdout.fnmatch_lines(["FAILED *::test_other - pytest_hfmodels.OptionError: No.*"])


def test_control_characters_in_a_usage_error_are_named(bare_project: Project) -> None:
    bare_project.write('["kind\\u001b[2J\\u202e\\n::error::forged"]\nx = 1', "snapshots/upstream.toml")
    bare_project.write("def test_it(hf_snapshot): ...")

    said = bare_project.run()

    assert "unknown field" in said.stderr.str()
    safe(said.stderr.str() + said.stdout.str())


LEDGER = r"""
[[change]]
name = "here"
when = "pytest>=1"
what = "clears\u001b[2J the \u009b31m screen \u202e and\n::error::forged"
snapshots = "variants/here"

[[removal]]
name = "gone"
when = "pytest>=1"
what = "clears\u001b[2J the \u009b31m screen \u202e and\n::error::forged"
tests = "test_it.py::test_gone"
gone = "pytest.nothing"

[[break]]
name = "broken"
when = "pytest>=1"
what = "clears\u001b[2J the \u009b31m screen \u202e and\n::error::forged"
tests = ["test_it.py::test_broken", "test_it.py::test_passes"]
raises = "ValueError\u001b[2J\n::error::forged"

[[break]]
name = "expected"
when = "pytest>=1"
what = "clears\u001b[2J the \u009b31m screen \u202e and\n::error::forged"
tests = "test_it.py::test_expected"
raises = "KeyError"
"""


def test_control_characters_in_a_ledger_are_named(bare_project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    bare_project.write(LEDGER, "snapshots/upstream.toml")
    bare_project.write("kept", "snapshots/variants/here/test_other/test_other.toml")
    bare_project.write(
        "def test_expected(hf_snapshot): {}[1]\n"
        "def test_gone(hf_snapshot): ...\ndef test_broken(hf_snapshot): raise OSError\n"
        "def test_passes(hf_snapshot): ...\ndef test_other(hf_snapshot): ..."
    )

    run = bare_project.run("-ra", "-vv", "--color=no")

    assert run.ret == pytest.ExitCode.USAGE_ERROR
    assert "screen" in run.stderr.str()
    safe(run.stdout.str() + run.stderr.str())
    capsys.readouterr()
    assert main(["ledger"]) == 2
    told = capsys.readouterr()
    assert "screen" in told.err
    safe(told.out + told.err)


def test_control_characters_in_a_pending_file_are_named(
    bare_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    record(bare_project)
    change(bare_project)
    folder = find_project().pending
    found = explained(
        bare_project,
        "test_reply",
        verdict=f"changed{EVIL}",
        cause=f"search{EVIL}",
        why=(f"why{EVIL}",),
        entry=f"entry{EVIL}",
    )
    folder.save(found)
    terminal = Scripted("d", "s", "s")
    capsys.readouterr()

    Walk(find_project(), folder.read(), terminal).run()
    for command in ("pending", "diff", "accept", "reject"):
        main([command])
    with pytest.raises(SystemExit):
        main(["pending", "--cause", EVIL])

    told = capsys.readouterr()
    assert "search" in terminal.text
    for line in (*terminal.lines, *terminal.paged):
        safe(line)
    safe(told.out + told.err)


def test_control_characters_in_a_snapshot_are_named(bare_project: Project) -> None:
    record(bare_project)
    snapshot = bare_project.snapshot()
    text = snapshot.read_text(encoding="utf-8")
    evil = EVIL.encode("unicode_escape").decode().replace("\\x", "\\u00")
    for value in ("float32", "eager", "AVX512", "4.57.6", "sha256:w", "My name is Ada and I", "./model", " Ada"):
        text = text.replace(f'"{value}"', f'"{value}{evil}"')
    snapshot.write_text(text, encoding="utf-8")

    for verbosity in ("-q", "-vv"):
        said = run(bare_project, verbosity, "--color=no", "test_it.py::test_reply").stdout.str()
        assert "changed: " in said
        safe(said)


def test_control_characters_in_a_row_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    del monkeypatch
    cell = Cell(State.BROKEN, f"reason{EVIL}", None, 1.0, f"E   details{EVIL}")
    known = Cell(State.BROKEN, f"reason{EVIL}", f"known{EVIL}", 1.0)
    row = RowResult(
        f"row{EVIL}",
        {"lib": f"1{EVIL}"},
        (ChangedPackage(f"b{EVIL}", "1", None),),
        {f"test{EVIL}.py::test{EVIL}": cell, "a.py::test[\x1b]": known},
        f"problem{EVIL}",
        f"note{EVIL}",
        exit_code=0,
    )
    written = io.StringIO()
    from rich.console import Console

    console = Console(file=written, width=80, highlight=False, markup=False)

    grid_terminal.show(Grid((row, RowResult(f"x{EVIL}"))), console)
    with GridProgress(console) as progress:
        progress.says(f"says{EVIL}")
        progress.begins(f"row{EVIL}", f"doing{EVIL}")
        progress.ends(f"row{EVIL}", f"done{EVIL}")
    good, bad = Judged("1", Judgement.GOOD, f"good{EVIL}"), Judged("2", Judgement.BAD, f"bad{EVIL}")
    found = Bracket(good, bad, (Judged("1.5", Judgement.UNTESTABLE, EVIL),), (good, bad))
    whole = RowResult("1", {"b": "1"}, cells={f"test{EVIL}": Cell(State.SAME)})
    answer = BisectAnswer(
        Question("lib", "1", "2"),
        found,
        {"1": whole, "2": RowResult("2", {"b": f"2{EVIL}"}, cells={f"test{EVIL}": cell})},
    )

    assert "details" in "\n".join(answer_lines(answer))
    safe(written.getvalue())
    for line in answer_lines(answer):
        safe(line)
