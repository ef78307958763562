"""Keeps the weights digests of large files, so that a second run does not read them. For `digests`."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from pytest_hfmodels.checkpoints.conversion import cache_folder
from pytest_hfmodels.foundation.durations import Timed
from pytest_hfmodels.foundation.files import read_bytes, write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_LARGE = 50_000_000  # bytes; smaller files are read faster than anybody notices
_SETTLED = 2.0  # seconds; a file may be rewritten within the tick of a file system's clock
_DIGEST = len("sha256:") + 64


@Timed("digest")
def weights_digest(files: Iterable[Path], compute: Callable[[], str]) -> str:
    """Return the digest of weights, computed once for these files as they are.

    It belongs to the files' paths, sizes, inodes and times, all of which a copy cannot keep.

    Args:
        files: all that hold the weights.
        compute: reads them and returns their digest.
    """
    found = sorted({str(file.resolve()): file.stat() for file in files}.items())
    stamp = [(path, at.st_size, at.st_ino, at.st_mtime_ns, at.st_ctime_ns) for path, at in found]
    newest = max((max(at.st_mtime, at.st_ctime) for _, at in found), default=0.0)
    if sum(at.st_size for _, at in found) < _LARGE or time.time() - newest < _SETTLED:
        return compute()
    entry = cache_folder() / "digests" / sha256(json.dumps(stamp).encode()).hexdigest()
    with suppress(OSError, UnicodeDecodeError):
        kept = read_bytes(entry, largest=_DIGEST).decode()
        if len(kept) == _DIGEST and kept.startswith("sha256:"):
            return kept
    digest = compute()
    with suppress(OSError):  # a cache that cannot be written costs time, and nothing else
        write_atomically(entry, digest)
    return digest
