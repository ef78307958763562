"""Pastes printed commands into real shells, in which programs are stubs that record their arguments."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from shutil import which
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SHELLS = ("sh", "bash")
PROGRAMS = ("pytest", "hfmodels", "python", "git")
STUB = """#!/bin/sh
printf '%s\\0' "$(($# + 1))" "${0##*/}" "$@" >>"$CALLS"
"""


@dataclass(frozen=True)
class Shells:
    """A folder to paste commands in. If a shell runs code in a name, a file called `canary` appears."""

    folder: Path

    def __post_init__(self) -> None:
        (self.folder / "bin").mkdir()
        (self.folder / "here").mkdir()
        for program in PROGRAMS:
            stub = self.folder / "bin" / program
            stub.write_text(STUB)
            stub.chmod(0o755)

    def paste(self, command: str, shell: str) -> list[list[str]]:
        """Return the calls of programs as [name, arguments…]; fail on anything else."""
        path, calls = which(shell), self.folder / "calls"
        assert path is not None, shell
        calls.unlink(missing_ok=True)
        done = subprocess.run(
            [path, "-c", command],
            env={"PATH": str(self.folder / "bin"), "CALLS": str(calls), "LC_ALL": "C.UTF-8"},
            cwd=self.folder / "here",
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), f"{shell}: {command}"
        assert list((self.folder / "here").iterdir()) == [], f"{shell} did what a name says: {command}"
        return list(_called(calls.read_bytes().decode("utf-8", "surrogateescape") if calls.exists() else ""))

    def means(self, command: str, *words: str) -> None:
        """Assert that a command makes one call with these words, in every shell."""
        for shell in SHELLS:
            assert self.paste(command, shell) == [list(words)], f"{shell}: {command}"


def _called(text: str) -> Iterable[list[str]]:
    words = text.split("\0")[:-1]
    while words:
        count = int(words[0])
        yield words[1 : count + 1]
        words = words[count + 1 :]
