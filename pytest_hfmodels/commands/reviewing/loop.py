"""The walk: one change after the other is shown, and decided at once, so that leaving loses nothing."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from os.path import relpath
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from rich.columns import Columns

from pytest_hfmodels.commands.reviewing.changes import groups, has_releases, old_releases, title
from pytest_hfmodels.commands.reviewing.screen import change_lines
from pytest_hfmodels.foundation.errors import HFModelsError, SnapshotError
from pytest_hfmodels.reports.diff import diff_lines
from pytest_hfmodels.snapshots.accepting import Variation, accept, reject, still_listed
from pytest_hfmodels.snapshots.pending import problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pytest_hfmodels.commands.reviewing.terminal import Terminal
    from pytest_hfmodels.results.pending import Pending
    from pytest_hfmodels.snapshots.project import Project


@contextmanager
def alone(folder: Path | None) -> Iterator[None]:
    """Keep other reviews out while this one decides about the pending changes of a folder; None locks nothing.

    The operating system ends the lock with the process, however that ends.

    Raises:
        SnapshotError: there is another, or the folder cannot be written.
    """
    if folder is None:
        yield
        return
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


class Walk:
    """One review.

    Args:
        project: where things are.
        chosen: what to decide.
        terminal: where somebody does.
    """

    def __init__(self, project: Project, chosen: Sequence[Pending], terminal: Terminal) -> None:
        self._project, self._terminal = project, terminal
        self._groups = groups(chosen)
        self._count = len(chosen)
        self._number = 0
        self._decided: set[str] = set()
        self._skipped: set[str] = set()
        self._done: Counter[str] = Counter()
        self._last = Variation("", "", "old")

    def run(self) -> int:
        """Walk to the end or to where somebody leaves; return how many changes are left.

        Raises:
            KeyboardInterrupt: somebody left by that; what was decided is told all the same.
        """
        try:
            for group in self._groups:
                self._terminal.say("")
                self._terminal.rule(title(group))
                for change in group:
                    self._number += 1
                    shown = None if change.snapshot in self._decided else self._now(change)
                    while shown is not None:
                        shown = self._ask(shown, group)
        except (_Left, EOFError):
            pass
        finally:
            self._sum_up()
        return self._count - len(self._decided)

    def _ask(self, shown: Pending, group: Sequence[Pending]) -> Pending | None:
        """Show a change and do what is typed, until it is decided or skipped; return it if it is to be shown again."""
        place, trouble = f"{self._number} of {self._count}", problem(shown, self._root)
        self._terminal.say("", *change_lines(shown, self._root, place=place), "")
        keys = self._keys(shown, group) if trouble is None else {"r": "drop it", "s": "skip", "d": "diff", "q": "quit"}
        self._terminal.say(Columns([f"{key} {what}" for key, what in keys.items()], padding=(0, 2, 0, 0)))
        while True:
            key = self._terminal.ask("> ").strip().lower()
            if key == "q":
                raise _Left
            if key not in keys:
                self._terminal.say(f"One of {', '.join(keys)}, and Enter.")
            elif key == "s":
                self._done["skipped"] += 1
                self._skipped.add(shown.snapshot)
                return None
            elif key == "d":
                self._try(lambda: self._terminal.page(list(diff_lines(shown, self._root))))
            else:
                now = self._now(shown)
                if now != shown or problem(shown, self._root) != trouble:
                    return now
                decided = self._try(lambda key=key: self._decide(key, shown, group))  # type: ignore[misc]
                if decided and shown.snapshot in self._decided:
                    return None

    def _keys(self, shown: Pending, group: Sequence[Pending]) -> dict[str, str]:
        keys = {"a": "accept", "r": "reject", "s": "skip"}
        if has_releases(shown):
            keys["v"] = "accept, and keep the old as a variant"
        left = len(self._left(group))
        return {**keys, "d": "diff", **({"g": f"accept all {left} of this group"} if left > 1 else {}), "q": "quit"}

    def _try(self, action: Callable[[], object]) -> bool:
        """Return whether an action could be done; if not, say why."""
        try:
            action()
        except HFModelsError as error:
            self._terminal.say(*str(error).splitlines())
            return False
        return True

    def _decide(self, key: str, shown: Pending, group: Sequence[Pending]) -> None:
        if key == "a":
            self._accept([shown])
        elif key == "r":
            reject(self._project, [shown])
            self._note("rejected", [shown])
            self._terminal.say(f"rejected; {shown.after_reject(self._root)}")
        elif key == "g":
            self._accept_group(group)
        else:
            self._vary(shown)

    def _accept(self, changes: Sequence[Pending], variation: Variation | None = None) -> None:
        written = accept(self._project, changes, variation)
        self._note("accepted" if variation is None else "accepted with the old kept", changes)
        self._terminal.say(*(f"wrote {relpath(path)}" for path in written))
        if listed := still_listed(self._project, changes):
            self._terminal.say(listed)

    def _accept_group(self, group: Sequence[Pending]) -> None:
        """Accept what is left of a group, except what is no longer as it was shown."""
        same = []
        for change in self._left(group):
            if self._now(change) != change:
                continue
            trouble = problem(change, self._root)
            if trouble is None:
                same.append(change)
            else:
                self._terminal.say(f"not taken along: {change.test} ({trouble.what})")
        if same:
            self._accept(same)

    def _vary(self, change: Pending) -> None:
        self._terminal.say(
            "The old output stays as a variant, for the releases that it belongs to.",
            "It may have changed in an earlier release; hfmodels bisect finds which.",
        )
        name = self._answer("name", self._last.name)
        if not name:
            self._terminal.say("No name given; nothing was written.")
            return
        known = name == self._last.name
        when = self._answer("when", self._last.when if known else old_releases(change, self._root))
        what = self._answer("what", self._last.what if known else "")
        variation = Variation(name, when, "old", what)
        self._accept([change], variation)
        self._last = variation

    def _answer(self, what: str, usual: str) -> str:
        return self._terminal.ask(f"{what} [{usual}]: " if usual else f"{what}: ").strip() or usual

    def _now(self, change: Pending) -> Pending | None:
        """Return a change as it is kept now, and say where that is not what it was."""
        now = self._project.pending.current(change.snapshot)
        if now is None:
            self._decided.add(change.snapshot)
            self._terminal.say("", f"decided elsewhere meanwhile: {change.test}")
        elif replace(now, gone=change.gone) != change:
            self._terminal.say("", f"recorded anew meanwhile: {change.test}")
        return now

    def _left(self, group: Sequence[Pending]) -> list[Pending]:
        return [change for change in group if change.snapshot not in self._decided | self._skipped]

    def _note(self, what: str, changes: Sequence[Pending]) -> None:
        self._done[what] += len(changes)
        self._decided |= {change.snapshot for change in changes}

    def _sum_up(self) -> None:
        left = self._count - len(self._decided)
        done = [f"{count} {what}" for what, count in self._done.items()]
        self._terminal.say("", ", ".join([*done, f"{left} still pending"]))
        if any(what.startswith("accepted") for what in self._done):
            self._terminal.say("look at it with: git diff")

    @property
    def _root(self) -> Path:
        return self._project.root


class _Left(Exception):
    """Somebody has left the review."""
