"""One review of a project at a time; the operating system ends the lock with the process, however that ends."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from pytest_hfmodels.foundation.errors import SnapshotError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other reviews out while this one decides about the pending changes of a folder.

    Raises:
        SnapshotError: there is another, or the folder cannot be written.
    """
    lock = FileLock(folder / "review.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise SnapshotError(
            "Somebody is reviewing this project already.", hint="Finish that review, or leave it with q."
        ) from None
    except NotImplementedError:  # a file system without locks: two reviews still see each other's decisions
        pass
    except OSError as error:
        raise SnapshotError(
            f"Decisions cannot be kept in {folder}: {error.strerror or error}.",
            hint="Let it be written to; or take everything in as a patch: hfmodels pending --patch FILE.",
        ) from error
    try:
        yield
    finally:
        lock.release()
