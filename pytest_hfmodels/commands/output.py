"""Where a command's report goes: into a file, or to standard output."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pytest_hfmodels.foundation.errors import OptionError
from pytest_hfmodels.foundation.files import write_report

PRINT = "-"  # in place of a file


def write(text: str, file: str) -> None:
    """Write a report to a file, or print it as it is.

    Raises:
        OptionError: the file cannot be written.
    """
    if file == PRINT:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())
        return
    try:
        write_report(Path(file), text)
    except OSError as error:
        raise _unwritable(file, f": {error.strerror or error}") from error


def require_writable(file: str) -> None:
    """Refuse before anything runs what could not be written after it.

    Raises:
        OptionError: it cannot be.
    """
    path = Path(file).absolute()
    folder = next(parent for parent in path.parents if parent.exists())
    written = path if path.exists() and not path.is_file() else folder  # a device or a pipe is not replaced
    if file != PRINT and (path.is_dir() or not folder.is_dir() or not os.access(written, os.W_OK)):
        raise _unwritable(file)


def _unwritable(file: str, reason: str = "") -> OptionError:
    return OptionError(
        f"The report cannot be written to {file}{reason}.", hint="Name a file in a folder that can be written to."
    )
