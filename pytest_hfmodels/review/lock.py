"""One review of a project at a time; the operating system ends the lock with the process, however that ends."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_hfmodels.errors import SnapshotError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other reviews out.

    Args:
        folder: of the pending changes; it must be there.

    Raises:
        SnapshotError: there is another, or the folder cannot be written.
    """
    import fcntl  # of the standard library: filelock comes with an extra, and a review needs none

    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK  # not through a link, and not a FIFO
        file = os.fdopen(os.open(folder / "review.lock", flags, 0o666), "a")
    except OSError as error:
        raise SnapshotError(
            f"Decisions cannot be kept in {folder}: {error.strerror or error}.",
            hint="Let it be written to; or take everything in as a patch: hfmodels pending --patch FILE.",
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SnapshotError(
                "Somebody is reviewing this project already.", hint="Finish that review, or leave it with q."
            ) from None
        except OSError:  # a file system without locks: two reviews still see each other's decisions
            pass
        yield
