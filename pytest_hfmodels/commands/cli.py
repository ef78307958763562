"""The `hfmodels` command: picks the command that was typed, and turns what it says into an exit code."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from typing import TYPE_CHECKING

from pytest_hfmodels.commands import accept, bisect, diff, ledger, matrix, orphans, pending, reject, review
from pytest_hfmodels.foundation.control_chars import visible
from pytest_hfmodels.foundation.errors import HFModelsError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = (review, pending, diff, accept, reject, ledger, matrix, bisect, orphans)
# Commands that hand all behind `--` on to pytest, as `passed_on`; argparse would take it for more of their own.
HANDING_ON = ("matrix", "bisect")
# If such an error names no file, printing raised it. Flushing an unbuffered stream succeeds even after a failed write.
_OF_WRITING = (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, 1 where something was found, or 2 where it could not be done."""
    if sys.stdout is None:  # closed by whoever started this
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):  # what a model says may be more than a terminal's encoding holds
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    typed = list(sys.argv[1:] if arguments is None else arguments)
    end = typed.index("--") if typed[:1] and typed[0] in HANDING_ON and "--" in typed else len(typed)
    options = _parser().parse_args(typed[:end], argparse.Namespace(passed_on=typed[end + 1 :]))
    try:
        status = int(options.run(options))
    except HFModelsError as error:
        print(f"hfmodels: {visible(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("hfmodels: interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        if error.filename is None and (error.errno in _OF_WRITING or not _can_flush()):
            return _unprinted(error)
        print(f"hfmodels: {visible(_cause(error))}", file=sys.stderr)
        return 2
    try:
        sys.stdout.flush()
    except OSError as error:
        return _unprinted(error)
    return status


def _can_flush() -> bool:
    """Return whether stdout can be written; if not, it is what raised the error."""
    try:
        sys.stdout.flush()
    except OSError:
        return False
    return True


def _unprinted(error: OSError) -> int:
    """Report that stdout cannot be written, unless its reader closed it; return the exit code."""
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - Python would complain at exit once more
    if not isinstance(error, BrokenPipeError):
        print(f"hfmodels: The output cannot be written: {error.strerror or error}.", file=sys.stderr)
    return 1


def _cause(error: OSError) -> str:
    """Return a sentence with the operating system's reason and the file."""
    try:
        os.getcwd()  # noqa: PTH109
    except OSError:
        return "The current folder no longer exists. Change to the project's folder."
    reason = error.strerror or str(error)
    if error.filename is None:
        return f"The operating system refused a call: {reason}."
    return f"{os.fsdecode(error.filename)} cannot be read or written: {reason}. Check its permissions and its disk."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hfmodels", description="Work on the snapshots of model regression tests.")
    commands = parser.add_subparsers(required=True, metavar="command")
    for command in COMMANDS:
        command.add(commands)
    return parser
