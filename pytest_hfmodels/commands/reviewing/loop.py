"""The walk: one change after the other is shown, and decided at once, so that leaving loses nothing."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from os.path import relpath
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from rich.columns import Columns

from pytest_hfmodels.commands.reviewing.changes import groups, has_releases, headline, title, usual_variation
from pytest_hfmodels.commands.reviewing.screen import change_lines
from pytest_hfmodels.commands.reviewing.undo import Decision
from pytest_hfmodels.foundation.errors import HFModelsError, SnapshotError
from pytest_hfmodels.reports.diff import diff_lines
from pytest_hfmodels.snapshots.accepting import Variation, accept, left_out, reject, still_listed
from pytest_hfmodels.snapshots.ledger import parse_when
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
            hint="Make it writable, or write all changes as a patch: hfmodels pending --patch FILE.",
        ) from error
    try:
        yield
    finally:
        lock.release()


_HELP = (
    "a  accept: write the new output into the snapshot",
    "r  reject: drop the new output; the snapshot stays, and the test fails until its cause is fixed",
    "s  skip: leave it pending for the next review",
    "A, R, S  the same for the rest of this group",
    "v  accept, and keep the old output as a variant for the releases that you name",
    "d  show the whole diff",
    "u  undo the last decision",
    "q  quit; decisions made so far stay",
)
_DEEDS = {"a": "accept", "r": "reject", "s": "skip"}


class Walk:
    """One review.

    Args:
        project: where things are.
        chosen: what to decide.
        terminal: where somebody does.
    """

    def __init__(self, project: Project, chosen: Sequence[Pending], terminal: Terminal) -> None:
        self._project, self._terminal = project, terminal
        self._order = [(change, group) for group in groups(chosen) for change in group]
        self._decided: set[str] = set()
        self._skipped: set[str] = set()
        self._gone: set[str] = set()  # somebody else decided
        self._history: list[Decision] = []
        self._typed: Variation | None = None

    def run(self) -> int:
        """Walk to the end or to where somebody leaves; return how many changes are left.

        Raises:
            KeyboardInterrupt: somebody left by that; what was decided is told all the same.
        """
        titled: Sequence[Pending] | None = None
        self._terminal.say(headline([change for change, _ in self._order], self._root))
        try:
            while (place := self._place()) < len(self._order) or self._wants_undo():
                if place == len(self._order):  # and a decision was undone
                    continue
                change, group = self._order[place]
                shown = self._now(change)
                if shown is None:
                    self._gone.add(change.snapshot)
                elif group is not titled:
                    self._terminal.say("")
                    self._terminal.rule(title(group))
                    titled = group
                while shown is not None:
                    shown = self._ask(shown, group, f"{place + 1} of {len(self._order)}")
        except (_Left, EOFError):
            pass
        finally:
            self._sum_up()
        return len(self._order) - len(self._decided)

    def _place(self) -> int:
        """Return where the first change is that nobody has decided about; the end if there is none."""
        done = self._decided | self._skipped | self._gone
        return next((n for n, (change, _) in enumerate(self._order) if change.snapshot not in done), len(self._order))

    def _wants_undo(self) -> bool:
        """Ask at the end whether the last decision was meant."""
        if not self._history:
            return False
        while self._terminal.key("the end: u undo, q quit > ") == "u":
            if self._try(self._undo):
                return True
        return False

    def _ask(self, shown: Pending, group: Sequence[Pending], place: str) -> Pending | None:
        """Show a change and do what is typed, until it is decided or skipped; return it if it is to be shown again."""
        trouble = problem(shown, self._root)
        keys = self._keys(shown, group) if trouble is None else {"r": "drop it", "s": "skip", "d": "diff", "q": "quit"}
        line = Columns([f"{key} {what}" for key, what in {**keys, "?": "help"}.items()], padding=(0, 2, 0, 0))
        self._terminal.say("")
        self._terminal.say_within(change_lines(shown, self._root, self._project.pending.arrays, place=place), line)
        while True:
            key = self._terminal.key("> ")
            if key == "?":
                self._terminal.say(*_HELP)
            elif key == "q":
                raise _Left
            elif key == "u" and self._history:
                if self._try(self._undo):
                    return None
            elif key not in keys:
                self._terminal.say(f"One of {', '.join([*keys, '?'])}.")
            elif key == "d":
                self._try(lambda: self._terminal.page(list(diff_lines(shown, self._root))))
            else:
                now = self._now(shown)
                if now != shown or problem(shown, self._root) != trouble:
                    return now
                self._try(lambda key=key: self._decide(key, shown, group))  # type: ignore[misc]
                if shown.snapshot in self._decided | self._skipped:
                    return None

    def _keys(self, shown: Pending, group: Sequence[Pending]) -> dict[str, str]:
        keys = dict(_DEEDS)
        left = len(self._left(group))
        if left > 1:
            keys |= {key.upper(): f"{what} all {left}" for key, what in _DEEDS.items()}
        if has_releases(shown):
            keys["v"] = "keep the old as a variant"
        keys["d"] = "diff"
        return {**keys, **({"u": "undo"} if self._history else {}), "q": "quit"}

    def _try(self, action: Callable[[], object]) -> bool:
        """Return whether an action could be done; if not, say why."""
        try:
            action()
        except HFModelsError as error:
            self._terminal.say(*str(error).splitlines())
            return False
        return True

    def _decide(self, key: str, shown: Pending, group: Sequence[Pending]) -> None:
        if key == "v":
            self._vary(shown)
            return
        changes = self._unchanged(group) if key.isupper() else [shown]
        if changes:
            {"a": self._accept, "r": self._reject, "s": self._skip}[key.lower()](changes)

    def _accept(self, changes: Sequence[Pending], variation: Variation | None = None) -> None:
        what = "accepted" if variation is None else "accepted with the old output kept"
        decision = Decision.begin(self._project, what, changes, variation)
        written = accept(self._project, changes, variation)
        self._note(decision)
        self._terminal.say(*(f"wrote {relpath(path)}" for path in written))
        if listed := still_listed(self._project, changes):
            self._terminal.say(listed)

    def _reject(self, changes: Sequence[Pending]) -> None:
        decision = Decision.begin(self._project, "rejected", changes, None)
        reject(self._project, changes)
        self._note(decision)
        self._terminal.say(*(f"rejected; {change.after_reject(self._root)}" for change in changes))

    def _skip(self, changes: Sequence[Pending]) -> None:
        self._history.append(Decision("skipped", changes, {}, {}, {}))
        self._skipped |= {change.snapshot for change in changes}
        self._terminal.say(f"skipped {len(changes)}; still pending" if len(changes) > 1 else "skipped; still pending")

    def _unchanged(self, group: Sequence[Pending]) -> list[Pending]:
        """Return what is left of a group, except what is no longer as it was shown."""
        same = []
        for change in self._left(group):
            if self._now(change) != change:
                continue
            trouble = problem(change, self._root)
            why = left_out(self._project, change) if trouble is None else trouble.what
            if why:
                self._terminal.say(f"left out: {change.test} ({why})")
            else:
                same.append(change)
        return same

    def _undo(self) -> None:
        decision = self._history[-1]
        decision.undo(self._project)
        self._history.pop()
        snapshots = {change.snapshot for change in decision.changes}
        self._decided -= snapshots
        self._skipped -= snapshots
        self._terminal.say(f"undone: {len(decision.changes)} {decision.what}")

    def _vary(self, change: Pending) -> None:
        """Ask for the variant until it fits; what was typed is offered again."""
        self._terminal.say(
            "The old output becomes a variant, for the releases that give it.",
            "Enter takes the value in brackets; - cancels.",
        )
        if not change.releases:
            self._terminal.say("It may have changed in an earlier release; hfmodels bisect finds which.")
        usual = self._typed or usual_variation(change, self._root)
        while True:
            variation = self._variation(usual)
            if variation is None:
                self._terminal.say("Nothing was written.")
                return
            self._typed = usual = variation
            if self._try(lambda variation=variation: self._accept([change], variation)):  # type: ignore[misc]
                return

    def _variation(self, usual: Variation) -> Variation | None:
        """Return what somebody types, or None where they leave it."""
        name = self._answer("name", usual.name)
        if name in ("", "-"):
            return None
        while True:
            when = self._answer("when", usual.when)
            if when == "-":
                return None
            if self._try(lambda when=when: parse_when(when, "when")):  # type: ignore[misc]
                break
        return Variation(name, when, "old", self._answer("what", usual.what))

    def _answer(self, what: str, usual: str) -> str:
        return self._terminal.ask(f"{what} [{usual}]: " if usual else f"{what}: ").strip() or usual

    def _now(self, change: Pending) -> Pending | None:
        """Return a change as it is kept now, and say where that is not what it was."""
        now = self._project.pending.current(change.snapshot)
        if now is None:
            self._decided.add(change.snapshot)
            self._terminal.say("", f"decided elsewhere in the meantime: {change.test}")
        elif replace(now, gone=change.gone) != change:
            self._terminal.say("", f"recorded again in the meantime: {change.test}")
        return now

    def _left(self, group: Sequence[Pending]) -> list[Pending]:
        return [change for change in group if change.snapshot not in self._decided | self._skipped]

    def _note(self, decision: Decision) -> None:
        decision.end()
        self._history.append(decision)
        self._decided |= {change.snapshot for change in decision.changes}

    def _sum_up(self) -> None:
        done: Counter[str] = Counter()
        for decision in self._history:
            done[decision.what] += len(decision.changes)
        said = [f"{count} {what}" for what, count in done.items()]
        self._terminal.say("", ", ".join([*said, f"{len(self._order) - len(self._decided)} still pending"]))
        if any(what.startswith("accepted") for what in done):
            self._terminal.say("look at it with: git diff")

    @property
    def _root(self) -> Path:
        return self._project.root


class _Left(Exception):
    """Somebody has left the review."""
