from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest
from rich.text import Text

from pytest_hfmodels.commands.reviewing.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_no_terminal_gets_the_lines_of_a_page(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PAGER", f"cat > {tmp_path / 'shown'}")

    Terminal().page([Text("one"), Text("zwei ünd")])

    assert capsys.readouterr().out == "one\nzwei ünd\n"
    assert not (tmp_path / "shown").exists()


def test_a_command_stays_on_one_line_and_nothing_is_unseen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")

    Terminal().say("word " * 20, f"  hfmodels bisect {'x' * 100}", "\x1b[31m")

    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines[:-2])) <= 40
    assert lines[-2:] == [f"  hfmodels bisect {'x' * 100}", "⟨U+001B⟩[31m"]


def test_a_key_needs_no_enter_and_an_arrow_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = os.openpty()
    with open(ours) as keyboard:  # noqa: PTH123
        monkeypatch.setattr("sys.stdin", keyboard)
        found = []
        for pressed in (b"A", b"\x1b[A", b"\n"):
            os.write(theirs, pressed)
            found.append(Terminal().key("> "))
        os.write(theirs, b"\x04")
        with pytest.raises(EOFError):
            Terminal().key("> ")
    os.close(theirs)

    assert found == ["A", "", ""]


def test_an_arrow_key_that_arrives_in_parts_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = os.openpty()
    with open(ours) as keyboard:  # noqa: PTH123
        monkeypatch.setattr("sys.stdin", keyboard)
        os.write(theirs, b"\x1b")
        late = threading.Timer(0.2, os.write, (theirs, b"[A"))
        late.start()
        found = [Terminal().key("> ")]
        late.join()
        os.write(theirs, b"s")
        found.append(Terminal().key("> "))
    os.close(theirs)

    assert found == ["", "s"]
