"""What a decision has changed, so that it can be taken back: files as they were, and the pending changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.foundation.files import write_together
from pytest_hfmodels.session import LEDGER
from pytest_hfmodels.snapshots.location import beside

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from os import PathLike
    from pathlib import Path

    from pytest_hfmodels.results.pending import Pending
    from pytest_hfmodels.snapshots.accepting import Variation
    from pytest_hfmodels.snapshots.project import Project


@dataclass
class Decision:
    """One decision, about one change or a group.

    Args:
        what: in the past tense: `accepted`.
        changes: what it is about.
        before: what each file that it may write held; None where there was none.
        arrays: of each change that has an array file.
        after: what each file holds since.
    """

    what: str
    changes: Sequence[Pending]
    before: dict[Path, bytes | None]
    arrays: dict[str, bytes | None]
    after: dict[Path, bytes | None]

    @classmethod
    def begin(cls, project: Project, what: str, changes: Sequence[Pending], variation: Variation | None) -> Decision:
        """Remember what a decision may change; `end` says that it has."""
        files = {file for change in changes for file in _files(project, change, variation)}
        if variation is not None:
            files.add(project.snapshots / LEDGER)
        arrays = {change.snapshot: _arrays(project, change, what) for change in changes} if what != "skipped" else {}
        return cls(what, changes, _contents(files), arrays, {})

    def end(self) -> None:
        """Remember what the files hold now, so that nobody else's change is undone."""
        self.after = _contents(self.before)

    def undo(self, project: Project) -> None:
        """Write the files as they were, and make the changes pending again.

        Raises:
            SnapshotError: a file has been changed by somebody else since, or cannot be written; nothing has changed.
        """
        changed = {path: content for path, content in self.before.items() if content != self.after[path]}
        for path in changed:
            if _content(path) != self.after[path]:
                raise SnapshotError(f"{path} has changed since, so nothing was undone.", hint="Use git.")
        try:
            write_together(changed)
        except OSError as error:
            raise SnapshotError(f"Nothing was undone: {error.strerror or error}.", hint="Use git.") from error
        for change in self.changes:
            if project.pending.current(change.snapshot) is None:
                project.pending.save(change, self.arrays.get(change.snapshot))


def _files(project: Project, change: Pending, variation: Variation | None) -> Iterable[Path]:
    found = [project.root / change.compared]
    if variation is not None:
        base = project.root / change.snapshot
        found += [base, project.snapshots / "variants" / variation.name / base.relative_to(project.snapshots)]
    return [file for path in found for file in (path, beside(path))]


def _arrays(project: Project, change: Pending, what: str) -> bytes | None:
    try:
        return project.pending.arrays(change)
    except SnapshotError:
        if what != "rejected":
            raise
        return None


def _contents(files: Iterable[Path]) -> dict[Path, bytes | None]:
    return {path: _content(path) for path in files}


def _content(path: Path | PathLike[str]) -> bytes | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return None
