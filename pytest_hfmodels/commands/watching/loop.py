"""The loop of `hfmodels watch`: a run, a question, and then whatever comes first: a key or a changed file."""

from __future__ import annotations

import json
import os
import select
import sys
import tempfile
from contextlib import suppress
from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hfmodels.commands.reviewing.terminal import END_KEYS, single_keys
from pytest_hfmodels.commands.watching import process
from pytest_hfmodels.commands.watching.files import ImportedCode, WatchedFiles
from pytest_hfmodels.commands.watching.run_plugin import NOTHING, VARIABLE, Left
from pytest_hfmodels.engines import upstream
from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.foundation.errors import OptionError
from pytest_hfmodels.versions.results import exit_name

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLUGIN = ("-p", "pytest_hfmodels.commands.watching.run_plugin")
_DEEDS = {"a": "accept", "r": "reject", "d": "diff", "v": "review"}
_NAMED = 3  # changed files


class Loop:
    """A session of `hfmodels watch`.

    Args:
        arguments: for pytest.

    Raises:
        OptionError: nobody can press a key.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        if sys.stdin is None:
            raise OptionError(
                "hfmodels watch reads keys, but its standard input is closed.", hint="Start it in a terminal."
            )
        self._arguments = list(arguments)
        self._files = WatchedFiles(self._arguments)
        self._code = ImportedCode()
        self._left: Left = NOTHING
        self._changed: list[str] = []
        self._why_not: str | None = None  # why forking is not safe

    def run(self) -> int:
        """Run and ask until the user quits; return 0."""
        with suppress(KeyboardInterrupt):
            changed: list[str] | None = []
            while changed is not None:
                changed = self._files.during(self._test) or self._next()
                if changed is not None:
                    self._start_over_if_needed()
                    _say(f"{_named(changed)} changed" if changed else "running again")
        return 0

    def _test(self) -> None:
        """Run the tests, and import here what they imported, so that the next run need not."""
        descriptor, name = tempfile.mkstemp(prefix="hfmodels-")  # a fork that ends would delete a TemporaryDirectory
        with open(descriptor, encoding="utf-8") as file, upstream.environment({VARIABLE: name}):  # noqa: PTH123
            code = self._start("pytest", [*_PLUGIN, *self._arguments])
            left = json.loads(file.read() or "null")
        if left is None:
            _say(f"pytest ended early, with {exit_name(code)}")
        self._left = left or NOTHING
        Path(name).unlink()
        if self._why_not is None and process.missing(self._left["imported"]):
            _say("importing the same packages for the next runs …")
            process.import_slow(self._left["imported"])
        self._code.include()
        self._files.add([*self._left["folders"], *self._code.files])

    def _start(self, module: str, arguments: Sequence[str]) -> int:
        if self._why_not is None and (why := process.why_not_fork()) is not None:
            self._why_not = why
            _say(f"each run is a new process, because forking is not safe: {why}")
        run = process.fork if self._why_not is None else process.start
        return run(module, arguments)

    def _start_over_if_needed(self) -> None:
        """Replace this process if a copy of it would run old code."""
        why = self._code.change()
        if self._left["with_tensorflow"] and "transformers" in sys.modules and "tensorflow" not in sys.modules:
            why = "the tests use TensorFlow now"
        if why is not None:
            _say(f"starting over: {why}")
            sys.stdout.flush()
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

    def _next(self) -> list[str] | None:
        """Wait for a changed file or Enter; return the changed files, or None to quit."""
        while (key := self._key()) not in ("q", None):
            if key in _DEEDS:
                self._decide(_DEEDS[key])
            elif key == "\n" or self._changed:
                changed, self._changed = self._changed, []
                return changed
        return None

    def _key(self) -> str | None:
        """Return a key that is pressed, an empty string if a file changes, or None at the end of the input."""
        print(f"\n{self._question()} > ", end="", flush=True)
        with single_keys() as terminal:
            keyboard = sys.stdin.fileno() if terminal is None else terminal
            while not select.select([keyboard], [], [], self._files.interval)[0]:
                self._changed = self._files.changed()
                if self._changed:
                    print()
                    return ""
            typed = os.read(keyboard, 1024).decode(errors="replace")  # without a terminal a line
        print(typed.strip() if typed.isprintable() else "")
        return None if typed[:1] in ("", *END_KEYS) else typed[0]

    def _question(self) -> str:
        pending = len(self._left["pending"])
        deciding = f"a accept {pending}, r reject {pending}, v review, d diff, " if pending else ""
        return f"Enter run again, {deciding}q quit"

    def _decide(self, command: str) -> None:
        """Run a command on the changes that the last run left pending."""
        if not self._left["pending"]:
            _say("the last run left nothing to decide")
            return
        self._start("pytest_hfmodels", [command, *self._left["pending"]])
        if command in ("accept", "reject"):
            self._left["pending"] = []


def _say(text: str) -> None:
    print(f"hfmodels: {visible_line(text)}", flush=True)


def _named(files: Sequence[str]) -> str:
    more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
    return ", ".join(relpath(file) for file in files[:_NAMED]) + more
