from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from rich.text import Text

from pytest_hfmodels.commands.reviewing.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LINES = ["one", "zwei ünd", "lone \ud800"]


@pytest.fixture
def pager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pager that keeps what it is shown."""
    shown = tmp_path / "shown"
    program = tmp_path / "the pager"
    program.write_text(f'#!/bin/sh\necho "$1 $LESS" > {shown}.how\ncat > {shown}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PAGER", f"'{program}' --option")
    monkeypatch.delenv("LESS", raising=False)
    return shown


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Call it in the test, which has another standard output than its fixtures."""
    del capsys

    def made() -> Terminal:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        return Terminal()

    return made


def test_a_terminal_gets_its_pager_with_colours_on(
    pager: Path, terminal: Callable[[], Terminal], capsys: pytest.CaptureFixture[str]
) -> None:
    terminal().page(map(Text, LINES))

    assert pager.read_text() == "one\nzwei ünd\nlone \\ud800\n"
    assert pager.with_suffix(".how").read_text() == "--option FRX\n"
    assert capsys.readouterr().out == ""


def test_a_pager_that_stops_reading_is_no_error(
    pager: Path, terminal: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAGER", "true")

    terminal().page([Text("x" * 100)] * 100_000)

    assert not pager.exists()


@pytest.mark.parametrize("name", ["no-such-pager", "", "'"])
def test_without_a_pager_the_lines_are_printed(
    pager: Path,
    terminal: Callable[[], Terminal],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setenv("PAGER", name)
    monkeypatch.setenv("PATH", "")

    terminal().page(map(Text, LINES[:2]))

    assert capsys.readouterr().out == "one\nzwei ünd\n"
    assert not pager.exists()


def test_what_is_no_terminal_gets_the_lines(pager: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().page(map(Text, LINES[:2]))

    assert capsys.readouterr().out == "one\nzwei ünd\n"
    assert not pager.exists()


@pytest.mark.parametrize(("columns", "width"), [("60", 60), ("200", 200), ("3", 40)])
def test_it_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: str, width: int) -> None:
    monkeypatch.setenv("COLUMNS", columns)

    assert Terminal().width == width
