"""The command in a real terminal, and without one."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.commands.cli import main

from ..pending_project import OTHER, REPLY, change, pending, record, run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..project import Project

COMMAND = ("-c", "import sys; from pytest_hfmodels.commands.cli import main; sys.exit(main(sys.argv[1:]))")
PATIENCE = 60.0
COLUMNS = 60


class InTerminal:
    """A command in a pseudo-terminal."""

    def __init__(self, project: Project, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self._own, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, *COMMAND, *arguments],
            cwd=project.path,
            stdin=other,
            stdout=other,
            stderr=other,
            env={
                **{name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")},
                "TERM": "xterm",
                "PAGER": "cat",
                **(environment or {}),
            },
            start_new_session=True,
            preexec_fn=_as_in_a_terminal,
        )
        os.close(other)
        self.text = ""

    def wait_for(self, text: str) -> None:
        """Read until a text has come."""
        end = time.monotonic() + PATIENCE
        while text not in self.text:
            assert time.monotonic() < end, self.text
            self._read()

    def type(self, text: str) -> None:
        """Type, and forget what has come so far."""
        self.text = ""
        os.write(self._own, text.encode())

    def status(self) -> int:
        """Read to the end, and return the exit status."""
        end = time.monotonic() + PATIENCE
        while self._read():
            assert time.monotonic() < end, self.text
        return self._process.wait(PATIENCE)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._own)

    def _read(self) -> bool:
        if not select.select([self._own], [], [], 1.0)[0]:
            return self._process.poll() is None
        try:
            found = os.read(self._own, 65536)
        except OSError as error:  # Linux says so of a terminal that everybody has left
            if error.errno == errno.EIO:
                return False
            raise
        self.text += found.decode()
        return bool(found)


def _as_in_a_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's job in the background, as these tests may be, ignores it


@pytest.fixture
def changed(bare_project: Project) -> Project:
    record(bare_project)
    change(bare_project)
    return bare_project


def test_in_a_terminal_one_accepts_one_looks_and_one_leaves(changed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = InTerminal(changed, "review")
    try:
        terminal.wait_for("> ")
        assert OTHER in terminal.text
        assert "\x1b[1;32m" in terminal.text
        assert max(len(re.sub(r"\x1b\[\d*m", "", line)) for line in terminal.text.splitlines()) <= COLUMNS
        terminal.type("d")
        terminal.wait_for("+++ snapshots/test_it/test_other.toml")
        terminal.wait_for("> ")
        terminal.type("a")
        terminal.wait_for("> ")
        assert "wrote snapshots/test_it/test_other.toml" in terminal.text
        assert REPLY in terminal.text

        second = InTerminal(changed, "review")
        assert second.status() == 2
        assert "Somebody is reviewing this project already." in second.text
        second.close()

        terminal.type("\x03")
        assert terminal.status() == 130
        assert "1 accepted, 1 still pending" in terminal.text
    finally:
        terminal.close()
    assert set(pending(changed)) == {"test_reply"}
    run(changed).assert_outcomes(passed=2, failed=1)


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"PYTHONIOENCODING": "ascii"}])
def test_in_a_poor_terminal_it_works_too(changed: Project, environment: dict[str, str]) -> None:
    terminal = InTerminal(changed, "review", REPLY, environment=environment)
    try:
        terminal.wait_for("> ")
        terminal.type("a")
        terminal.wait_for("the end: ")
        terminal.type("q")
        assert terminal.status() == 0
    finally:
        terminal.close()
    if "PYTHONIOENCODING" not in environment:
        assert "\x1b" not in terminal.text
    assert set(pending(changed)) == {"test_other"}


def test_without_a_terminal_it_asks_nothing_and_names_the_other_commands(
    changed: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["review"]) == 2

    said = capsys.readouterr().err
    assert "hfmodels review asks questions, but standard input is not a terminal." in said
    assert "hfmodels accept and hfmodels reject" in said
    assert len(pending(changed)) == 2


def test_with_nothing_pending_it_is_done(
    bare_project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bare_project.write("def test_nothing(): pass")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)

    assert main(["review"]) == 0

    assert "nothing is pending" in capsys.readouterr().out
    assert not (bare_project.path / ".pytest_cache" / "d").exists()
