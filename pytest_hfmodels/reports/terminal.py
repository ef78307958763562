"""The lines that stand in pytest's output for a failed `record == hf_snapshot`."""

from __future__ import annotations

import math
from os.path import relpath
from pathlib import PurePath
from textwrap import shorten
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.foundation.rootdir import other_root
from pytest_hfmodels.foundation.shell import command, operand
from pytest_hfmodels.results.describe import in_floors, place, whole_numbers_differ
from pytest_hfmodels.results.model import cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pytest_hfmodels.kinds.comparison import Difference, Passage
    from pytest_hfmodels.results.model import Compared, Side

_CONTEXT = 50  # characters of text on each side of a divergence
_WHAT = 80  # of the name of what differs: a classified text may be in it
_LINES, _CHARACTERS = 8, 620  # pytest shows no more of an explanation, unless it is asked for more
_LIBRARY_S = "forward", "search", "decoding"  # causes that a release brings
_LEAST = 40  # characters of a reason; less says nothing
_NEXT = 250  # of what to type next: a test's name may be longer than everything else
_LONGEST = 600  # characters of a line with -vv


def mismatch(found: Compared, *, root: Path, here: Path, verbose: bool, options: Sequence[str] = ()) -> list[str]:
    """Return the lines that stand for a failed `record == hf_snapshot`.

    Args:
        found: what the comparison said.
        root: of the project, which names of files and tests start from.
        here: the folder in which pytest was started, which they are printed from.
        verbose: every stage, all of the evidence and both environments (`-vv`). Without, the lines fit into the 8 lines
            and 640 characters that pytest shows of an explanation.
        options: of pytest, without which it does not find the test.
    """
    file, (path, separator, rest) = relpath(root / found.snapshot, here), found.writer.partition("::")
    update = command("pytest", *options, operand(f"{relpath(root / path, here)}{separator}{rest}"), "--snapshot-update")
    if found.recorded is None:
        first = [
            f"missing: there is no snapshot {file} yet",
            f"observed: {cut(found.observed.text.text, 4 * _CONTEXT)}",
        ]
        last = f"{found.refusal} ({update})" if found.refusal else f"record it: {update}"
        other = other_root(root, PurePath(path), PurePath(found.snapshot))
        reasons = [] if other is None else [_elsewhere(root, other)]
    else:
        difference = _difference(found.differences[0], found.recorded, verbose=verbose)
        first = [f"{found.verdict}: {found.reason} ({file})", *difference]
        last = found.refusal or f"accept it: {update}"
        reasons = list(_reasons(found, found.recorded, verbose=verbose))
    lines, reasons = [*map(visible_line, first)], [*map(visible_line, reasons)]
    if verbose:
        suggests = () if found.explanation is None else found.explanation.suggests
        lines = [cut(line, _LONGEST) for line in (*lines, *reasons)]
        lines += [visible_line(f"find the release: {one}") for one in suggests]  # whole: half a command is another one
    else:
        others = len(found.differences) + found.hidden - 1
        more = "one more difference" if others == 1 else f"{others} more differences" if others > 1 else ""
        last = last if len(last) <= _NEXT else "accept it: run this test again with --snapshot-update"
        lines = _fitted(lines, reasons, more, room=_CHARACTERS - len(last))
    return [lines[0], *(f"  {line}" for line in lines[1:]), f"  {visible_line(last)}"]


def _elsewhere(root: Path, other: Path) -> str:
    """Return which root pytest took, and which other one has a snapshot of the test."""
    return (
        f"pytest's root is {root}, but {other} has a snapshot of this test: {command('pytest', f'--rootdir={other}')}"
    )


def _reasons(found: Compared, recorded: Side, *, verbose: bool) -> Iterator[str]:
    """Yield what else there is, the weightiest first: without `-vv` the last are left out if there is no room."""
    why = found.explanation
    if why is not None:
        yield f"why: {why.sentence}"
    since = [*found.notes, *_moved(recorded, found.observed)]
    if since:
        yield f"since recording: {'; '.join(since)}"
    elif found.cause in _LIBRARY_S and _machine(recorded) == _machine(found.observed):
        nothing = "no release, file or machine has changed"
        yield f"since recording: {nothing}; the snapshot was edited, or a test patches something"
    if why is not None:
        yield from (f"- {evidence.what}" for evidence in why.evidence[: None if verbose else 1])
    if found.drift is not None or {"kind", "prompt"} & {one.stage for one in found.differences}:
        yield _movement(found)
    if verbose:
        for difference in found.differences[1:]:
            yield from _difference(difference, recorded, verbose=True)
        if found.hidden:
            yield f"{found.hidden} more differences"
        yield f"recorded with {_made_by(recorded)}"
        yield f"now           {_made_by(found.observed)}"


def _fitted(lines: list[str], reasons: Sequence[str], more: str, *, room: int) -> list[str]:
    """Return the lines, and as many reasons as fit; a hint at `-vv` if that tells more."""
    hint = f"; {more or 'more'}: -vv"
    room -= len(hint) + 2 * _LINES  # the indent
    kept, longest = lines, max(map(len, lines))
    while sum(map(len, kept)) > room:
        longest -= 1
        kept = [cut(line, longest) for line in lines]
    whole = kept == lines
    for reason in reasons:
        left = room - sum(map(len, kept))
        if len(kept) + 1 == _LINES or (len(reason) > left and (reason is not reasons[0] or left < _LEAST)):
            whole = False
            break
        whole = whole and len(reason) <= left
        # At a word: half a figure is a false one.
        kept = [*kept, reason if len(reason) <= left else shorten(reason, left, placeholder=" …")]
    return [*kept[:-1], kept[-1] if whole and not more else kept[-1] + hint]


def _movement(found: Compared) -> str:
    stages = {difference.stage for difference in found.differences}
    if stages & {"kind", "prompt"}:
        return "numbers are not comparable"
    if any(difference.stage == "ids" and difference.position == 0 for difference in found.differences):
        return "no numbers before it to compare"
    where = "up to there" if "ids" in stages else "in all"
    moved = math.nan if found.before is None else found.before
    floors = in_floors(moved, found.recorded)
    numbers = "numbers that have a tolerance," if whole_numbers_differ(found) else "numbers"
    return f"{numbers} {where} moved by at most {moved:.2g}{floors} (tolerance {found.tolerance:.2g})"


def _moved(recorded: Side, observed: Side) -> Iterator[str]:
    then, now = recorded.provenance, observed.provenance
    pairs = {what: (getattr(then, what), getattr(now, what)) for what in ("dtype", "attention", "implementation")}
    pairs |= {name: (then.versions[name], now.versions[name]) for name in sorted({*then.versions} & {*now.versions})}
    return (f"{what} {before} -> {after}" for what, (before, after) in pairs.items() if before != after)


def _machine(side: Side) -> tuple[str, ...]:
    made = side.provenance
    return made.engine, made.implementation, made.device, made.cpu


def _difference(found: Difference, made: Side | None, *, verbose: bool) -> Iterator[str]:
    what, then, now, detail = cut(found.what, _WHAT), found.recorded, found.observed, found.detail
    if detail is not None:
        if detail.title:
            yield detail.title
        yield f"recorded {detail.recorded.label}{_marked(detail.recorded)}"
        yield f"now      {detail.observed.label}{_marked(detail.observed)}"
        yield from detail.figures[: None if verbose else 1]
    elif found.stage == "numbers":
        sides = [f"{value:.9g}" if isinstance(value, float) else value for value in (then, now)]
        moved = abs(float(then) - float(now))
        floors = in_floors(moved, made)
        yield f"{what}{place(found)}: recorded {sides[0]}, now {sides[1]} (moved by {moved:.2g}{floors})"
    else:
        where = "" if found.stage != "prompt" or found.position is None else f" (first at {found.position + 1})"
        yield f"{what}{where}: recorded {then}, now {now}"


def _marked(passage: Passage) -> str:
    """Return a passage with its middle marked; unseen characters are spelt out, and take their room."""
    context = _CONTEXT // 2 if passage.after else _CONTEXT
    before, different, after = map(visible_line, (passage.before, passage.different, passage.after))
    before = before if len(before) <= context else f"…{before[-context:]}"
    return f"{before}⟦{cut(different, _CONTEXT)}⟧{cut(after, context)}"


def _made_by(side: Side) -> str:
    made = side.provenance
    versions = ", ".join(f"{name} {version}" for name, version in sorted(made.versions.items()))
    own = "" if made.implementation in ("transformers", "") else f"the model of {made.implementation}"
    parts = (made.engine, own, made.dtype, made.attention, made.cpu)
    return f"{versions} ({', '.join(filter(None, parts))})"
