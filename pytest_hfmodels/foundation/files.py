"""Writes files atomically, and reads only regular files of limited size."""

from __future__ import annotations

import errno
import glob
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` through a temporary file beside it and `os.replace`.

    Temporary files of earlier writers that were killed are removed.

    Args:
        path: the file; its folder is created if needed. An existing file keeps its permissions; a new one follows the
            umask.
        content: bytes, or text to be kept in UTF-8, line ends as they are.

    Raises:
        OSError: the folder cannot be written, the disk is full, or `path` is a device or a pipe. An existing file
            stays unchanged.
    """
    write_together({path: content})


def write_together(contents: Mapping[Path, str | bytes | None]) -> None:
    """Write files as `write_atomically` does, and none of them unless all can be written; None removes one.

    All are complete on the disk before the first is replaced, in the order given. git is the undo if replacing fails.

    Raises:
        OSError: see `write_atomically`.
    """
    written: dict[Path, Path] = {}
    try:
        for path, content in contents.items():
            if content is not None:
                target, temporary = _temporary(path)
                written[temporary] = target
                _fill(temporary, target, content)
        for temporary, target in written.items():
            os.replace(temporary, target)  # noqa: PTH105
        for path in (path for path, content in contents.items() if content is None):
            path.unlink(missing_ok=True)
    except BaseException:
        for temporary in written:
            with suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
        raise


def _temporary(path: Path) -> tuple[Path, Path]:
    """Return the file that is meant, links followed, and a name for a temporary one beside it."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is not a regular file")
    path.parent.mkdir(parents=True, exist_ok=True)
    target = Path(os.path.realpath(path))  # a symbolic link stays one; `resolve` fails on a looping one
    remove_leftovers(target)
    return target, target.parent / f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp"


def _fill(temporary: Path, target: Path, content: str | bytes) -> None:
    """Write a temporary file to the disk, with the permissions of the target if there is one."""
    # Not `tempfile`, whose files only their owner can read. Here the kernel applies the umask, in every thread.
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    with os.fdopen(handle, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    if target.exists():
        os.chmod(temporary, target.stat().st_mode & 0o777)  # noqa: PTH101


def write_report(path: Path, text: str) -> None:
    """Write `text` to a file that the user named: atomically, or straight into a device or a pipe.

    `/dev/stdout` and its kind are written into even if they lead to a file, which the shell has opened already.

    Args:
        path: the file, device or pipe. A pipe that nobody reads blocks, as it does in a shell.
        text: UTF-8, line ends as they are.

    Raises:
        OSError: it is a folder, or cannot be written.
    """
    is_stream = os.path.abspath(path).startswith(("/dev/", "/proc/"))  # noqa: PTH100 - links stay
    if not path.exists() or (path.is_file() and not is_stream):
        write_atomically(path, text)
        return
    handle = os.open(path, os.O_WRONLY | os.O_APPEND)  # neither created nor truncated; fails for a folder
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def remove_leftovers(target: Path) -> None:
    """Remove temporary files of killed writers; their names hold the writer's process id.

    Args:
        target: the file that they were writing, links resolved.
    """
    prefix = f".{target.name}."
    for path in target.parent.glob(f"{glob.escape(prefix)}*.tmp"):
        writer = path.name.removeprefix(prefix).partition("-")[0]
        if writer.isdecimal() and not _is_running(int(writer)):
            with suppress(OSError):
                path.unlink()


def _is_running(process: int) -> bool:
    if os.name != "posix":  # elsewhere the question could end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's, or no process id
        return True
    return True


def expanded(typed: str) -> Path:
    """Return a path as somebody typed it, with `~` spelt out; an unknown user is no error, but a name like others."""
    return Path(os.path.expanduser(typed))  # noqa: PTH111 - pathlib's raises


def stamp(file: Path) -> tuple[str, int, int]:
    """Return a file with its time and size, which change if somebody writes it; zeros if it does not exist."""
    with suppress(OSError):
        status = file.stat()
        return str(file), status.st_mtime_ns, status.st_size
    return str(file), 0, 0


def read_bytes(path: Path, *, largest: int) -> bytes:
    """Return the content of a regular file. Reading a FIFO or a device could hang or fill the memory.

    Args:
        path: the file, or a link to it.
        largest: the largest size allowed, bytes.

    Raises:
        OSError: it cannot be read, is not a regular file, or is larger.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        if status.st_size > largest:
            raise OSError(errno.EFBIG, f"it has {status.st_size:,} bytes, more than the {largest:,} allowed")
        with os.fdopen(os.dup(handle), "rb") as file:
            return file.read(largest)
    finally:
        os.close(handle)
