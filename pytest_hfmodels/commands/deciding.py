"""Commands on pending changes: `hfmodels pending`, `diff`, `accept`, `reject` and `review`."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import asdict, replace
from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.commands.output import PRINT, write
from pytest_hfmodels.foundation.causes import CAUSES, UNDETERMINED
from pytest_hfmodels.foundation.control_chars import visible, visible_line
from pytest_hfmodels.foundation.errors import OptionError, SnapshotError
from pytest_hfmodels.foundation.shell import command, operand
from pytest_hfmodels.foundation.verdicts import Verdict

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from pytest_hfmodels.commands import Commands
    from pytest_hfmodels.results.pending import Pending
    from pytest_hfmodels.snapshots.accepting import Variation
    from pytest_hfmodels.snapshots.pending import Problem
    from pytest_hfmodels.snapshots.project import Project

_OF_CHANGES = tuple(str(one) for one in Verdict if one not in (Verdict.SAME, Verdict.BROKEN))


def add(commands: Commands) -> None:
    """Declare the commands and their arguments."""
    _add(
        *(commands, "review", review, "review the pending changes one by one"),
        "Show the pending changes one by one, grouped by cause, and accept, reject or skip each. A decision takes "
        "effect at once. Skipped changes stay pending. If you quit, all remaining changes stay pending.",
    )
    parser = _add(
        *(commands, "pending", pending, "list the snapshot changes to review"),
        "List the pending changes: outputs of failing tests that differ from their snapshots. `hfmodels review` shows "
        "them one by one; `hfmodels accept` and `hfmodels reject` decide without asking.",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print them as JSON")
    how.add_argument(
        "--patch", metavar="FILE", help="write what accepting would change, for git apply; - prints it instead"
    )
    parser = _add(
        *(commands, "diff", diff, "print what accepting would change in the snapshots"),
        "Print what accepting would change in the snapshots. Invisible characters are named, and long lines are cut. "
        "`hfmodels pending --patch FILE` writes the changes for `git apply`.",
    )
    parser.add_argument("--full", action="store_true", help="print long lines whole")
    parser = _add(
        *(commands, "accept", accept, "write pending outputs into the snapshots"),
        "Write the outputs of failing tests into their snapshots. --keep-old-as keeps the old snapshots as a variant "
        "for the releases of --when, and writes an entry into the ledger. `git checkout` undoes both.",
    )
    side = parser.add_mutually_exclusive_group()
    side.add_argument("--keep-old-as", metavar="NAME", help="keep the old snapshots as this variant")
    side.add_argument(
        "--as-variant", metavar="NAME", help="keep the old snapshots, and write the new outputs as this variant"
    )
    parser.add_argument("--when", metavar="RANGE", help='the releases of the variant, like "transformers<5"')
    parser.add_argument("--what", default="", help="what changed, for the ledger")
    parser.add_argument("--reference", default="", help="an upstream issue or pull request, for the ledger")
    _add(
        *(commands, "reject", reject, "drop pending outputs; the snapshots stay"),
        "Drop the outputs of failing tests. The snapshots stay as they are, so the tests fail until their cause is "
        "fixed; the next failing run makes the change pending again.",
    )


def _add(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], words: str, description: str
) -> argparse.ArgumentParser:
    """Declare a command with the arguments that choose among what is pending."""
    parser = commands.add_parser(name, help=words, description=description)
    parser.add_argument(
        "--cause",
        action="append",
        default=[],
        choices=(*CAUSES, UNDETERMINED),
        metavar="CAUSE",
        help=f"only changes with this cause: {', '.join(CAUSES)}, or {UNDETERMINED}; may be repeated",
    )
    parser.add_argument(
        "--verdict",
        action="append",
        default=[],
        choices=_OF_CHANGES,
        metavar="VERDICT",
        help=f"only changes with this verdict: {', '.join(_OF_CHANGES)}; may be repeated",
    )
    if name != "reject":
        parser.add_argument(
            "--from",
            dest="source",
            type=Path,
            metavar="REPORT",
            help="take the changes of another machine's run: its HTML page or JSON report, or a folder or zip with it",
        )
    parser.add_argument("tests", nargs="*", help="test files, folders or node ids (default: everything pending)")
    parser.set_defaults(run=run, source=None)
    return parser


def _chosen(options: argparse.Namespace) -> tuple[Project, list[Pending]]:
    """Return the project and the pending changes that were asked for; complain about all others, and leave them."""
    from pytest_hfmodels.snapshots.accepting import refusal
    from pytest_hfmodels.snapshots.pending import select
    from pytest_hfmodels.snapshots.project import find_project  # starts pytest

    project = find_project()
    if options.source is not None:
        project = _with_carried(project, options.source)
    is_local = project.pending.is_local
    refusals = {change: refusal(project, change, is_local=is_local) for change in project.pending.read()}
    found = [change for change, refused in refusals.items() if refused is None]
    chosen: dict[Pending, None] = {}
    problems: list[SnapshotError] = []
    for names in [[test] for test in options.tests] or [[]]:  # one may be decided already, by a killed command
        try:
            some = select(found, names, project.root, causes=options.cause, verdicts=options.verdict)
            chosen |= dict.fromkeys(some)
        except SnapshotError as error:
            problems.append(error)
    problems += filter(None, refusals.values())
    if problems and not chosen:
        raise problems[0]
    for problem in (*project.pending.unreadable(), *problems):
        _complain(str(problem))
    return project, list(chosen)


def _with_carried(project: Project, source: Path) -> Project:
    """Return the project with the changes of a report that nobody has accepted yet."""
    from pytest_hfmodels.snapshots.accepting import refusal
    from pytest_hfmodels.snapshots.carried import carried_changes

    carried = carried_changes(source, None if project.cached is None else project.cached.path)
    found = replace(project, cached=carried)
    for change in carried.read():
        with suppress(SnapshotError, OSError):
            if refusal(found, change, is_local=False) is None and change.is_written(project.root):
                carried.delete(change.snapshot)
    return found


def _nothing_pending(project: Project) -> None:
    """Print it with the root, as another folder may have another one."""
    if not project.pending.is_local:
        print(visible(f"nothing left to decide in {project.pending.path}: all its changes are accepted already"))
        return
    print(visible(f"nothing is pending in {project.root}; if a comparison fails, its change becomes pending"))


def _complain(text: str) -> None:
    print(f"hfmodels: {visible(text)}", file=sys.stderr)


def pending(options: argparse.Namespace) -> int:
    """Return 1 where something is pending, and 2 where a snapshot cannot be read, so that nobody can tell."""
    from pytest_hfmodels.snapshots.pending import problem

    project, chosen = _chosen(options)
    found = {change: problem(change, project.root) for change in chosen}
    unread = [trouble for trouble in found.values() if trouble is not None and not trouble.is_stale]
    if options.patch:
        _write_patch(options.patch, found, project)
    elif options.json:
        print(json.dumps([_data(change, trouble) for change, trouble in found.items()], indent=1))
        for one in unread:
            _complain(visible_line(one.what))
    else:
        for change, trouble in found.items():
            why = "" if trouble is None else f" - {trouble.what}"
            print(visible_line(f"{change.what}: {change.test} ({change.compared}){why}"))
        print(f"{len(found)} pending; {_next(project)}") if found else _nothing_pending(project)
    return 2 if unread else 1 if found else 0


def _next(project: Project) -> str:
    if project.pending.is_local:
        return "one by one: hfmodels review; all at once: hfmodels accept, hfmodels reject"
    source = ("--from", operand(str(project.pending.path)))
    return (
        f"one by one: {command('hfmodels', 'review', *source)}; all at once: {command('hfmodels', 'accept', *source)}"
    )


def _data(change: Pending, trouble: Problem | None) -> dict[str, Any]:
    if trouble is None:
        return {**asdict(change), "stale": False, "trouble": None}
    return {**asdict(change), "stale": True if trouble.is_stale else None, "trouble": trouble.what}


def _write_patch(file: str, found: Mapping[Pending, Problem | None], project: Project) -> None:
    """Write a patch; changes that cannot be accepted as they are are named, and left out."""
    from pytest_hfmodels.reports.diff import apply_command, patch_of

    kept = [change for change, trouble in found.items() if trouble is None and change.not_in_a_patch is None]
    text = patch_of(kept, project.root)
    for change, trouble in found.items():
        if change not in kept:
            why = change.not_in_a_patch if trouble is None else trouble.what
            _complain(f"left out: {visible_line(f'{change.test}: {why}')}")
    write(text, file)
    if file != PRINT:
        print(f"patch of {len(kept)}: {file}; apply it: {apply_command(file, project.root)}")


def diff(options: argparse.Namespace) -> int:
    """Return 1 where something differs, 0 where nothing is pending, 2 where a snapshot cannot be read."""
    from rich.console import Console

    from pytest_hfmodels.reports.diff import diff_lines

    project, chosen = _chosen(options)
    console, unread = Console(highlight=False, soft_wrap=True), False
    for change in chosen:
        try:
            for line in diff_lines(change, project.root, full=options.full):
                console.print(line)
        except SnapshotError as error:  # one says nothing of the others
            unread = True
            _complain(str(error))
    return 2 if unread else 1 if chosen else 0


def accept(options: argparse.Namespace) -> int:
    """Return 0 if something was accepted, 1 if nothing was pending or nothing could be accepted."""
    from pytest_hfmodels.snapshots import accepting

    variation = _variation(options)
    project, chosen = _chosen(options)
    if not chosen:
        _nothing_pending(project)
        return 1
    left_out = {change: why for change in chosen if (why := accepting.left_out(project, change, variation))}
    rest = [change for change in chosen if change not in left_out]
    for path in accepting.accept(project, rest, variation) if rest else ():
        print(f"wrote {visible_line(relpath(path))}")
    for change, why in left_out.items():
        print(f"left out, because {visible_line(why)}: {visible_line(change.test)}")
    new = variation is not None or any(change.digest is None for change in rest)
    print(_accepted(project, len(rest), len(left_out), new=new))
    if listed := accepting.still_listed(project, rest):
        _complain(visible_line(listed))
    return 0 if rest else 1


def _accepted(project: Project, accepted: int, left_out: int, *, new: bool) -> str:
    """Return how many changes were accepted and left out, and what to type for either."""
    drop = " (hfmodels reject TEST drops one)" if project.pending.is_local else ""
    rest = f", {left_out} left out{drop}" if left_out else ""
    then = f"; review them: {_git_diff(project, new=new)}" if accepted else ""
    return f"{accepted} accepted{rest}{then}"


def _git_diff(project: Project, *, new: bool) -> str:
    """Return the command that shows what was accepted; git shows new files once they are added."""
    add = f"{command('git', 'add', '-N', relpath(project.snapshots))} && " if new else ""
    return f"{add}git diff"


def _variation(options: argparse.Namespace) -> Variation | None:
    from pytest_hfmodels.snapshots.accepting import Variation

    name = options.as_variant if options.keep_old_as is None else options.keep_old_as
    if name == "":  # an empty variable in a script must not mean "no variant"
        raise OptionError("The variant has no name.", hint="Give it one: --keep-old-as before-5.")
    if name is None and (options.when or options.what or options.reference):
        raise OptionError(
            "--when, --what and --reference belong to a variant.",
            hint='Add --keep-old-as NAME: hfmodels accept --keep-old-as before-5 --when "transformers<5"',
        )
    if name is None:
        return None
    if not options.when:
        raise OptionError("A variant needs the releases that it is for.", hint='Add --when "transformers<5".')
    return Variation(
        name, options.when, "new" if options.keep_old_as is None else "old", options.what, options.reference
    )


def reject(options: argparse.Namespace) -> int:
    """Return 0 where something was rejected, 1 where nothing was pending."""
    from pytest_hfmodels.snapshots import accepting

    project, chosen = _chosen(options)
    if not chosen:
        _nothing_pending(project)
        return 1
    accepting.reject(project, chosen)
    for change in chosen:
        print(visible_line(f"dropped the new output of {change.test}; {change.after_reject(project.root)}"))
    failing = not all(change.is_gone(project.root) for change in chosen)
    print(f"{len(chosen)} rejected{': their tests fail until the cause is fixed' if failing else ''}")
    return 0


def review(options: argparse.Namespace) -> int:
    """Return 0 where nothing is left to decide, and 1 where something is."""
    if sys.stdin is None or not sys.stdin.isatty():  # None where it was closed
        raise OptionError(
            "hfmodels review asks questions, but standard input is not a terminal.",
            hint="Use hfmodels pending and hfmodels diff to look, hfmodels accept and hfmodels reject to decide."
            if options.source is None
            else "hfmodels pending, hfmodels diff and hfmodels accept take --from, too.",
        )
    from pytest_hfmodels.commands.reviewing.loop import Walk, alone
    from pytest_hfmodels.commands.reviewing.terminal import Terminal

    project, chosen = _chosen(options)
    if not chosen:
        _nothing_pending(project)
        return 0
    with alone(project.pending.locked):
        project, chosen = _chosen(options)
        return 1 if Walk(project, chosen, Terminal()).run() else 0
