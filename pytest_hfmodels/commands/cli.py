"""The `hfmodels` command: picks the command that was typed, and turns what it says into an exit code."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_hfmodels.commands import changes, deciding, init, ledger, merging, report, rows, watch
from pytest_hfmodels.commands.epilogs import EPILOGS
from pytest_hfmodels.foundation.control_chars import visible
from pytest_hfmodels.foundation.errors import HFModelsError

if TYPE_CHECKING:
    from collections.abc import Sequence

_EPILOG = "`hfmodels COMMAND --help` shows the arguments, examples and exit codes of a command."
COMMANDS = (init, watch, deciding, report, ledger, changes, rows, merging)
# Commands that hand all behind `--` on to pytest, as `passed_on`; argparse would take it for more of their own.
HANDING_ON = ("matrix", "bisect", "watch")
_OF_WRITING = (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG)  # without a file's name: of printing


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, 1 where something was found, or 2 where it could not be done."""
    if sys.stdout is None:  # closed by whoever started this
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):  # what a model says may be more than a terminal's encoding holds
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    typed = list(sys.argv[1:] if arguments is None else arguments)
    end = typed.index("--") if typed[:1] and typed[0] in HANDING_ON and "--" in typed else len(typed)
    parser = command_parser()
    _complete(parser)
    options = parser.parse_args(typed[:end], argparse.Namespace(passed_on=typed[end + 1 :]))
    try:
        status = int(options.run(options))
        sys.stdout.flush()
    except HFModelsError as error:
        print(f"hfmodels: {visible(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("hfmodels: interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        return _failed(error)
    return status


def _failed(error: OSError) -> int:
    """Say what the operating system refused, in a line; a closed pipe needs none. Return the exit code."""
    reason = error.strerror or str(error)
    if error.filename is None and error.errno in _OF_WRITING:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - Python would complain at exit once more
        if not isinstance(error, BrokenPipeError):
            print(f"hfmodels: The output cannot be written: {reason}.", file=sys.stderr)
        return 1
    try:
        os.getcwd()  # noqa: PTH109
    except OSError:
        said = "The current folder no longer exists. Change to the project's folder."
    else:
        said = f"The operating system refused a call: {reason}."
        if error.filename is not None:
            file = os.fsdecode(error.filename)
            said = f"{file} cannot be read or written: {reason}. Check its permissions and its disk."
    print(f"hfmodels: {visible(said)}", file=sys.stderr)
    return 2


class _Help(argparse.HelpFormatter):
    """Folds a description, and prints a text of several lines as it is."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, with the help of every command."""
    parser = argparse.ArgumentParser(
        prog="hfmodels", description="Work on the snapshots of model regression tests.", epilog=_EPILOG
    )
    parser.formatter_class = _Help
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version, and exit")
    commands = parser.add_subparsers(required=True, metavar="command")
    for module in COMMANDS:
        module.add(commands)
    for name, command in commands.choices.items():
        command.formatter_class = _Help
        command.epilog = "\n".join(str(part) for part in (command.epilog, EPILOGS.get(name)) if part)
    return parser


class _Version(argparse.Action):
    """Looks the version up only when somebody asks."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"hfmodels {version('pytest-hfmodels')}")
        parser.exit()


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks for completions; argcomplete then ends the process."""
    if "_ARGCOMPLETE" in os.environ:
        with suppress(ImportError):
            import argcomplete

            argcomplete.autocomplete(parser)
