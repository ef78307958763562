"""The walk: one change after the other is shown, and decided at once, so that leaving loses nothing."""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import replace
from os.path import relpath
from typing import TYPE_CHECKING

from pytest_hfmodels.commands.reviewing.groups import groups
from pytest_hfmodels.commands.reviewing.releases import old_releases, why_no_variant
from pytest_hfmodels.commands.reviewing.screen import change_lines, fold
from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.foundation.errors import HFModelsError, SnapshotError
from pytest_hfmodels.reports.pending_diff import diff_lines
from pytest_hfmodels.snapshots.accepting import Variation, accept, reject, still_listed
from pytest_hfmodels.snapshots.pending import problem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_hfmodels.commands.reviewing.groups import Group
    from pytest_hfmodels.commands.reviewing.terminal import Terminal
    from pytest_hfmodels.results.pending import Pending
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
        self._skipped: set[str] = set()
        self._lost = False
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
        title = visible_line(f"== {group.title} ")
        self._terminal.say("", f"{title}{'=' * (self._terminal.width - len(title))}"[: self._terminal.width])
        for change in group.changes:
            self._number += 1
            shown = None if change.snapshot in self._decided else self._now(change)
            while shown is not None:
                self._show(shown)
                shown = self._answer(shown, group)

    def _show(self, change: Pending) -> None:
        place, terminal = f"{self._number} of {self._count}", self._terminal
        terminal.say("", *change_lines(change, self._root, terminal.width, place=place), "")

    def _answer(self, shown: Pending, group: Group) -> Pending | None:
        """Return None where it is decided or skipped, and else what to show."""
        trouble = problem(shown, self._root)
        keys = self._keys(shown, group, in_order=trouble is None)
        self._terminal.say(*_in_columns(keys, self._terminal.width))
        while True:
            key = self._terminal.ask("> ").strip().lower()
            if key == "q":
                raise _Left
            if key == "s":
                self._told["skipped"] += 1
                self._skipped.add(shown.snapshot)
                return None
            if key == "d":
                self._page(shown)
            elif key in keys:
                now = self._now(shown)
                if now != shown or problem(shown, self._root) != trouble:
                    return now
                if self._decide(key, shown, group):
                    return None
            else:
                if key == "v" and trouble is None:
                    self._say(f"v is not for this one: {why_no_variant(shown)}.")
                self._say(f"One of {', '.join(keys)}, and Enter.")

    def _page(self, shown: Pending) -> None:
        try:
            self._terminal.page(list(diff_lines(shown, self._root)))
        except SnapshotError as error:
            self._complain(error)

    def _keys(self, shown: Pending, group: Group, *, in_order: bool) -> dict[str, str]:
        if not in_order:
            return {"r": "drop it", "s": "skip", "d": "diff", "q": "quit"}
        keys = {"a": "accept", "r": "reject", "s": "skip"}
        if why_no_variant(shown) is None:
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
                self._tell("rejected", [shown], f"rejected; {shown.after_reject(self._root)}")
            elif key == "a":
                self._accept([shown])
            elif key == "g":
                self._accept_group(group)
                return shown.snapshot in self._decided
            else:
                return self._vary(shown)
        except HFModelsError as error:
            self._complain(error)
            return False
        return True

    def _accept(self, changes: Sequence[Pending], variation: Variation | None = None) -> None:
        written = accept(self._project, changes, variation)
        what = "accepted" if variation is None else "accepted with the old kept"
        self._tell(what, changes, *(f"wrote {relpath(path)}" for path in written))
        listed = still_listed(self._project, changes)
        if listed is not None:
            self._say(listed)

    def _accept_group(self, group: Group) -> None:
        """Accept what is left of a group, but for what is no longer as the group was made of."""
        same = []
        for change in self._left(group):
            now = self._now(change)
            if now != change:
                continue
            trouble = problem(change, self._root)
            if trouble is None:
                same.append(change)
            else:
                self._say(f"not taken along: {change.test} ({trouble.what})")
        if same:
            self._accept(same)

    def _vary(self, change: Pending) -> bool:
        self._say("The old output stays as a variant, for the releases that it belongs to.")
        self._say("Where it changed need not be here: hfmodels bisect finds it.")
        name = self._ask("name", self._last.name or "")
        if not name:
            self._say("Without a name it is not kept.")
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
        """Return a change as it is kept now, and say where that is not what it was.

        Raises:
            _Left: there is nothing left to decide: somebody has deleted pytest's cache.
        """
        folder = self._project.pending
        if not folder.path.is_dir():
            self._lost = True
            self._say(f"{folder.path} was deleted meanwhile, and what was pending with it. Run the tests again.")
            raise _Left
        now = folder.current(change.snapshot)
        if now is None:
            self._decided.add(change.snapshot)
            self._say("", f"decided elsewhere meanwhile: {change.test}")
        elif replace(now, gone=change.gone) != change:
            self._say("", f"recorded anew meanwhile: {change.test}")
        return now

    def _left(self, group: Group) -> list[Pending]:
        return [change for change in group.changes if change.snapshot not in self._decided | self._skipped]

    def _say(self, *texts: str) -> None:
        """Print texts, each broken into lines."""
        self._terminal.say(*(line for text in texts for line in fold(text, self._terminal.width)))

    def _complain(self, error: HFModelsError) -> None:
        self._say(*str(error).splitlines())

    def _tell(self, what: str, changes: Sequence[Pending], *lines: str) -> None:
        self._told[what] += len(changes)
        self._decided |= {change.snapshot for change in changes}
        self._say(*lines)

    def _sum_up(self) -> None:
        told = [f"{count} {what}" for what, count in self._told.items()]
        left = self._count - len(self._decided)
        told.append(f"{left} gone with the cache" if self._lost else f"{left} still pending")
        self._say("", ", ".join(told))
        if any(what.startswith("accepted") for what in self._told):
            self._say("look at it with: git diff")

    @property
    def _root(self) -> Path:
        return self._project.root


def _in_columns(keys: dict[str, str], width: int) -> list[str]:
    """Return the keys and what they do on lines that break between them."""
    items = "  ".join(f"{key} {what}".replace(" ", _HARD) for key, what in keys.items())
    return [line.replace(_HARD, " ") for line in textwrap.wrap(items, width)]


_HARD = "\N{NO-BREAK SPACE}"


class _Left(Exception):
    """Somebody has left the review."""
