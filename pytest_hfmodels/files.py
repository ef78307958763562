"""Writing files so that a reader sees the old content or the new one, never half of it; reading without surprises."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write `text` to `path` through a temporary file beside it and `os.replace`.

    Args:
        path: the file; its folder is made if need be. Its permissions stay, or follow the umask when it is new.
        text: UTF-8, line ends as they are.

    Raises:
        OSError: the folder cannot be written, or the disk is full; `path` is untouched then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    target = path.resolve()  # a symbolic link stays one
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())  # noqa: PTH101
        os.replace(temporary, target)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def read_bytes(path: Path, *, largest: int) -> bytes:
    """Return what a regular file holds. A FIFO or a device would hang the reader, or fill the memory.

    Args:
        path: the file, or a link to it.
        largest: how many bytes it may have.

    Raises:
        OSError: it cannot be read, is not a regular file, or is larger.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        if status.st_size > largest:
            raise OSError(errno.EFBIG, f"it has {status.st_size:,} bytes, and may have {largest:,}")
        with os.fdopen(os.dup(handle), "rb") as file:
            return file.read(largest)
    finally:
        os.close(handle)


def _umask() -> int:
    before = os.umask(0o022)
    os.umask(before)
    return before
