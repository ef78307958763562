"""A pending change: what a failing comparison would have written, and what has become of the file since."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.foundation.files import read_bytes
from pytest_hfmodels.foundation.model_request import MODELS

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 32 << 20  # bytes of a snapshot


@dataclass(frozen=True)
class Pending:
    """One snapshot that a test would change. docs/reports.md describes each field."""

    test: str
    verdict: str
    snapshot: str
    compared: str
    entry: str | None
    digest: str | None
    text: str
    cause: str | None = None
    why: tuple[str, ...] = ()
    gone: bool = False
    releases: str = ""
    tolerance: float | None = None
    arrays: str = ""
    stage: str = ""

    @property
    def has_array_file(self) -> bool:
        """Whether its numbers are in a file of their own, beside the snapshot."""
        return "\n[array_file]\n" in self.text

    @property
    def what(self) -> str:
        """Verdict and cause: `changed, search`."""
        return self.verdict if self.cause is None else f"{self.verdict}, {self.cause}"

    @property
    def is_of_a_release(self) -> bool:
        """Whether the old output may belong to some releases: no change of the test or the checkpoint is the cause."""
        return self.cause is None or (self.cause != "test" and not self.cause.startswith("checkpoint:"))

    def is_stale(self, root: Path) -> bool:
        """Return whether the file it was compared with has changed since."""
        return self.staleness(root) is not None

    def staleness(self, root: Path) -> str | None:
        """Return what happened to the file since the comparison (`was deleted`), or None if it is unchanged.

        A file that already holds the text counts as unchanged: an earlier accept was killed after writing it.
        """
        found = digest_of(root / self.compared)
        if found == self.digest or self.is_written(root):
            return None
        return "was deleted" if found is None else "was created" if self.digest is None else "has changed"

    def is_gone(self, root: Path) -> bool:
        """Return whether there is no such test any more: a run did not find it, or its file is not there."""
        file = self.test.partition("::")[0]
        has_file = not file.startswith(f"{MODELS}/")  # a model that is checked without a test has none
        return self.gone or (has_file and not os.path.exists(root / file))  # noqa: PTH110 - any text will do

    def is_written(self, root: Path) -> bool:
        """Return whether the file already holds the text."""
        return self.earlier(root) == self.content(root)

    @property
    def not_in_a_patch(self) -> str | None:
        """Why no patch can hold the change, or None if one can: a record that was made by hand may hold anything."""
        try:
            self.text.encode()
        except UnicodeEncodeError:
            return "it holds a lone surrogate, which is not text; have the test observe text, and run it again"
        if self.has_array_file:
            return "its arrays are in a file of their own, which no patch holds; accept it: hfmodels accept"
        return None

    def after_reject(self, root: Path) -> str:
        """Return what becomes of its file where it is rejected."""
        there = os.path.lexists(root / self.compared)
        return f"{self.compared} stays as it is" if there else f"there is still no {self.compared}"

    def content(self, root: Path) -> str:
        """Return what the file shall hold: `text`, with the line ends that the file has."""
        earlier = self.earlier(root)
        crlf = earlier is not None and "\r\n" in earlier and earlier.count("\n") == earlier.count("\r\n")
        return self.text.replace("\n", "\r\n") if crlf else self.text

    def earlier(self, root: Path) -> str | None:
        """Return what the file holds, line ends as they are, or None where there is none.

        Raises:
            SnapshotError: it cannot be read.
        """
        content = _content(root / self.compared)
        try:
            return None if content is None else content.decode()
        except UnicodeDecodeError as error:
            raise SnapshotError(f"{root / self.compared} cannot be read: {error}.", hint="See what it is.") from error


def digest_of(path: Path) -> str | None:
    """Return the SHA-256 of a file, or None where there is none.

    Raises:
        SnapshotError: it cannot be read.
    """
    content = _content(path)
    return None if content is None else sha256(content).hexdigest()


def _content(path: Path) -> bytes | None:
    try:
        return read_bytes(path, largest=LARGEST)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SnapshotError(f"{path} cannot be read: {error.strerror or error}.", hint="See what it is.") from error
