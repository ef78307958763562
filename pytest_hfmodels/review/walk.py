"""The walk: one change after the other is shown, and decided at once, so that leaving loses nothing."""

from __future__ import annotations

from collections import Counter
from os.path import relpath
from typing import TYPE_CHECKING

from pytest_hfmodels.errors import HFModelsError
from pytest_hfmodels.reports.pending_diff import diff_lines
from pytest_hfmodels.review.folding import fold, fold_all
from pytest_hfmodels.review.groups import groups
from pytest_hfmodels.review.releases import old_releases
from pytest_hfmodels.review.screen import change_lines
from pytest_hfmodels.snapshots.accepting import Variation, accept, reject
from pytest_hfmodels.snapshots.pending import current

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_hfmodels.review.groups import Group
    from pytest_hfmodels.review.terminal import Terminal
    from pytest_hfmodels.snapshots.pending import Pending
    from pytest_hfmodels.snapshots.project import Project


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
        self._told: Counter[str] = Counter()
        self._last = Variation("", "", "old")

    def run(self) -> int:
        """Walk to the end or to where somebody leaves; return how many changes are left.

        Raises:
            KeyboardInterrupt: somebody left by that; what was decided is told all the same.
        """
        try:
            for group in self._groups:
                self._walk_group(group)
        except (_Left, EOFError):
            pass
        finally:
            self._sum_up()
        return self._count - len(self._decided)

    def _walk_group(self, group: Group) -> None:
        title = f"== {group.title} "
        self._terminal.say("", f"{title}{'=' * (self._terminal.width - len(title))}"[: self._terminal.width])
        for change in group.changes:
            self._number += 1
            shown = None if change.snapshot in self._decided else self._now(change)
            while shown is not None:
                self._show(shown)
                shown = self._answer(shown, group)

    def _show(self, change: Pending) -> None:
        place, terminal = f"{self._number} of {self._count}", self._terminal
        terminal.say("", *change_lines(change, self._root, terminal.width, terminal.tint, place=place), "")

    def _answer(self, shown: Pending, group: Group) -> Pending | None:
        """Return None where it is decided or skipped, and else what to show."""
        stale = shown.staleness(self._root)
        keys = self._keys(shown, group, stale=stale is not None)
        self._terminal.say(*fold_all((f"{key} {what}" for key, what in keys.items()), self._terminal.width))
        while True:
            key = self._terminal.ask("> ").strip().lower()
            if key == "q":
                raise _Left
            if key == "s":
                self._told["skipped"] += 1
                return None
            if key == "d":
                self._terminal.page(diff_lines(shown, self._root, self._terminal.tint))
            elif key in keys:
                now = self._now(shown)
                if now != shown or shown.staleness(self._root) != stale:
                    return now
                if self._decide(key, shown, group):
                    return None
            else:
                self._terminal.say(f"One of {', '.join(keys)}, and Enter.")

    def _keys(self, shown: Pending, group: Group, *, stale: bool) -> dict[str, str]:
        if stale:
            return {"r": "drop it", "s": "skip", "d": "diff", "q": "quit"}
        keys = {"a": "accept", "r": "reject", "s": "skip"}
        if shown.digest is not None and shown.entry is None:  # there is an old output, and it is no variant itself
            keys["v"] = "accept, and keep the old as a variant"
        keys["d"] = "diff"
        left = len(self._left(group))
        if left > 1:
            keys["g"] = f"accept all {left} of this group"
        return {**keys, "q": "quit"}

    def _decide(self, key: str, shown: Pending, group: Group) -> bool:
        """Do what was decided; tell whether it could be done."""
        try:
            if key == "r":
                reject(self._project, [shown])
                self._tell("rejected", [shown], f"rejected; {shown.compared} stays as it is")
            elif key == "a":
                self._accept([shown])
            elif key == "g":
                self._accept_group(group)
                return shown.snapshot in self._decided
            else:
                return self._vary(shown)
        except HFModelsError as error:
            self._terminal.say(*(line for part in str(error).splitlines() for line in fold(part, self._terminal.width)))
            return False
        return True

    def _accept(self, changes: Sequence[Pending], variation: Variation | None = None) -> None:
        written = accept(self._project, changes, variation)
        what = "accepted" if variation is None else "accepted with the old kept"
        self._tell(what, changes, *(f"wrote {relpath(path)}" for path in written))

    def _accept_group(self, group: Group) -> None:
        """Accept what is left of a group, but for what is no longer as the group was made of."""
        left = [(change, current(self._project.pending, change.snapshot)) for change in self._left(group)]
        same = [change for change, now in left if now == change and not change.is_stale(self._root)]
        for change, _ in left:
            if change not in same:
                self._terminal.say(*fold(f"not taken along, because it is stale: {change.test}", self._terminal.width))
        self._accept(same)

    def _vary(self, change: Pending) -> bool:
        self._terminal.say(
            *fold("The old output stays as a variant, for the releases that it belongs to.", self._terminal.width),
            *fold("Where it changed need not be here: hfmodels bisect finds it.", self._terminal.width),
        )
        name = self._ask("name", self._last.name or "")
        if not name:
            self._terminal.say("Without a name it is not kept.")
            return False
        known = name == self._last.name
        when = self._ask("when", self._last.when if known else old_releases(change, self._root))
        what = self._ask("what", self._last.what if known else "")
        variation = Variation(name, when, "old", what)
        self._accept([change], variation)
        self._last = variation
        return True

    def _ask(self, what: str, usual: str) -> str:
        return self._terminal.ask(f"{what} [{usual}]: " if usual else f"{what}: ").strip() or usual

    def _now(self, change: Pending) -> Pending | None:
        """Return a change as it is kept now, and say where that is not what it was."""
        now = current(self._project.pending, change.snapshot)
        if now is None:
            self._decided.add(change.snapshot)
            self._terminal.say("", *fold(f"decided elsewhere meanwhile: {change.test}", self._terminal.width))
        elif now != change:
            self._terminal.say("", *fold(f"recorded anew meanwhile: {change.test}", self._terminal.width))
        return now

    def _left(self, group: Group) -> list[Pending]:
        return [change for change in group.changes if change.snapshot not in self._decided]

    def _tell(self, what: str, changes: Sequence[Pending], *lines: str) -> None:
        self._told[what] += len(changes)
        self._decided |= {change.snapshot for change in changes}
        self._terminal.say(*(line for told in lines for line in fold(told, self._terminal.width)))

    def _sum_up(self) -> None:
        told = [f"{count} {what}" for what, count in self._told.items()]
        told.append(f"{self._count - len(self._decided)} still pending")
        self._terminal.say("", *fold(", ".join(told), self._terminal.width))
        if any(what.startswith("accepted") for what in self._told):
            self._terminal.say("look at it with: git diff")

    @property
    def _root(self) -> Path:
        return self._project.root


class _Left(Exception):
    """Somebody has left the review."""
