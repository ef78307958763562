"""The lines that stand in pytest's output for a failed `record == hf_snapshot`, and the run's header."""

from __future__ import annotations

import math
from os.path import relpath
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.foundation.shell import command, operand
from pytest_hfmodels.results.describe import place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pytest_hfmodels.kinds.comparison import Detail, Difference, Passage
    from pytest_hfmodels.results.model import Compared, Side

_CONTEXT = 50  # characters of text on each side of a divergence
_WHAT = 80  # of the name of what differs: a classified text may be in it
_LINES, _CHARACTERS = 8, 620  # pytest shows no more of an explanation, unless it is asked for more
_LIBRARY_S = "forward", "search", "decoding"  # causes that a release brings
_LEAST = 40  # characters of a reason; less says nothing
_NEXT = 250  # of what to type next: a test's name may be longer than everything else
_LONGEST = 600  # characters of a line of the whole
MARKS = "⟦", "⟧"  # around what differs: colours alone would say it to some


def mismatch(found: Compared, *, root: Path, here: Path, verbose: bool) -> list[str]:
    """Return the lines that stand for a failed `record == hf_snapshot`.

    Args:
        found: what the comparison said.
        root: of the project, which names of files and tests start from.
        here: the folder in which pytest was started, which they are printed from.
        verbose: tell every stage, all of the evidence and what made both sides (`-vv`). Without, the lines fit into
            the 8 lines and 640 characters that pytest shows of an explanation.
    """
    file, test = relpath(root / found.snapshot, here), _from(found.writer, root, here)
    update = command("pytest", operand(test), "--snapshot-update")
    if found.recorded is None:
        return _missing(found, file, update, verbose=verbose)
    last = f"  {found.refusal or f'accept it: {update}'}"
    lines = [f"{found.verdict}: {visible_line(found.reason)} ({file})", *_indented(_describe(found.differences[0]))]
    if verbose:
        lines += _whole(found, found.recorded)
        commands = [f"  find the release: {one}" for one in found.explanation.suggests] if found.explanation else []
        cut = [_cut(visible_line(line), _LONGEST) for line in lines]
        return [*cut, *map(visible_line, (*commands, last))]  # uncut: half a command would be another command
    more = _more(len(found.differences) + found.hidden - 1)
    return _fitted(lines, list(_reasons(found, found.recorded)), more, last)


def _from(test: str, root: Path, here: Path) -> str:
    file, separator, rest = test.partition("::")
    return f"{relpath(root / file, here)}{separator}{rest}"


def _reasons(found: Compared, recorded: Side) -> Iterator[str]:
    """Yield why, the weightiest first: where there is no room, the last are left out."""
    if found.explanation is not None:
        yield f"  why: {visible_line(found.explanation.sentence)}"
    since = list(_since(found, recorded))
    yield from since
    if found.explanation is not None:
        yield from (f"  - {visible_line(evidence.what)}" for evidence in found.explanation.evidence[:1])
    if not since:
        yield from _unmoved(found, recorded)
    yield f"  {_movement(found)}"


def _whole(found: Compared, recorded: Side) -> Iterator[str]:
    """Yield what `-vv` tells beside the first difference."""
    if found.explanation is not None:
        yield f"  why: {visible_line(found.explanation.sentence)}"
        yield from (f"  - {visible_line(evidence.what)}" for evidence in found.explanation.evidence)
    for difference in found.differences[1:]:
        yield from _indented(_describe(difference))
    if found.hidden:
        yield f"  {_more(found.hidden)}"
    yield f"  {_movement(found)}"
    yield from [*_since(found, recorded)] or _unmoved(found, recorded)
    yield f"  recorded with {_made_by(recorded)}"
    yield f"  now           {_made_by(found.observed)}"


def _since(found: Compared, recorded: Side) -> Iterator[str]:
    since = [*found.notes, *_version_changes(recorded, found.observed)]
    if since:
        yield f"  since recording: {'; '.join(since)}"


def _unmoved(found: Compared, recorded: Side) -> Iterator[str]:
    """Yield that a library is accused of what it cannot be: it is the one that recorded."""
    sides = [
        (made.engine, made.implementation, made.device, made.cpu)
        for made in (recorded.provenance, found.observed.provenance)
    ]
    if sides[0] == sides[1] and found.cause in _LIBRARY_S:
        yield "  since recording: no release, file or machine has moved: it was edited, or a test patches something"


def _fitted(lines: list[str], reasons: list[str], more: str, last: str) -> list[str]:
    """Return as many of the reasons as there is room for; pytest would cut off the end, where the next step stands.

    Args:
        lines: what must be told; only what is too long for any reader is cut.
        reasons: what else there is, the weightiest first.
        more: what `-vv` tells that is not in any of these, or nothing. It also says so if a line was cut.
        last: what to type next.
    """
    lines, reasons, last = [*map(visible_line, lines)], [*map(visible_line, reasons)], visible_line(last)
    last = last if len(last) <= _NEXT else "  accept it: run this test again with --snapshot-update"
    hint = f"; {more or 'more'}: -vv"
    kept = _shortened(lines, _CHARACTERS - len(hint) - len(last))
    room, cut = _CHARACTERS - sum(map(len, (*kept, hint, last))), kept != lines
    for reason in reasons:
        whole = len(reason) <= room
        if len(kept) + 1 >= _LINES or not (whole or (reason is reasons[0] and room >= _LEAST)):
            cut = True
            break
        kept.append(reason if whole else f"{_cut(reason, room).rpartition(' ')[0]} …")  # half a figure is a false one
        room, cut = room - len(kept[-1]), cut or kept[-1] != reason
    if cut or more:
        kept[-1] += hint
    return [*kept, last]


def _shortened(lines: list[str], room: int) -> list[str]:
    """Return lines of which the longest are cut until all fit."""
    longest = max(map(len, lines))
    while sum(min(len(line), longest) for line in lines) > room:
        longest -= 1
    return [_cut(line, longest) for line in lines]


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _missing(found: Compared, file: str, update: str, *, verbose: bool) -> list[str]:
    advice = f"  {f'{found.refusal} ({update})' if found.refusal else f'record it: {update}'}"
    text = found.observed.text
    observed = _cut(text.text, 4 * _CONTEXT)
    lines = [
        f"missing: there is no snapshot {visible_line(file)} yet",
        f"  observed: {visible_line(observed)}",
    ]
    return [*lines, advice] if verbose else _fitted(lines, [], "", advice)


def _movement(found: Compared) -> str:
    stages = {difference.stage for difference in found.differences}
    if stages & {"kind", "prompt"}:
        return "numbers are not comparable"
    if any(difference.stage == "ids" and difference.position == 0 for difference in found.differences):
        return "no numbers before it to compare"
    where = "up to there" if "ids" in stages else "in all"
    moved = math.nan if found.before is None else found.before
    return f"numbers {where} moved by at most {moved:.2g} (tolerance {found.tolerance:.2g})"


def _version_changes(recorded: Side, observed: Side) -> Iterator[str]:
    then, now = recorded.provenance, observed.provenance
    for what in ("dtype", "attention", "implementation"):
        if getattr(then, what) != getattr(now, what):
            yield f"{what} {getattr(then, what)} -> {getattr(now, what)}"
    for package in sorted(then.versions.keys() & now.versions.keys()):
        if then.versions[package] != now.versions[package]:
            yield f"{package} {then.versions[package]} -> {now.versions[package]}"


def _more(differences: int) -> str:
    return f"{differences} more differences" if differences > 1 else "one more difference" if differences else ""


def _describe(difference: Difference) -> Iterator[str]:
    what, then, now = _cut(visible_line(difference.what), _WHAT), difference.recorded, difference.observed
    if difference.detail is not None:
        yield from _detail(difference.detail)
    elif difference.stage == "numbers":
        moved = abs(float(then) - float(now))
        sides = [f"{value:.9g}" if isinstance(value, float) else value for value in (then, now)]
        yield f"{what}{place(difference)}: recorded {sides[0]}, now {sides[1]} (moved by {moved:.2g})"
    else:
        tokens = difference.stage == "prompt" and difference.position is not None
        where = f" (first at {(difference.position or 0) + 1})" if tokens else ""
        yield f"{what}{where}: recorded {visible_line(then)}, now {visible_line(now)}"


def _detail(detail: Detail) -> Iterator[str]:
    if detail.title:
        yield detail.title
    for word, passage in (("recorded", detail.recorded), ("now     ", detail.observed)):
        yield f"{word} {passage.label}{_marked(passage)}"
    yield from map(visible_line, detail.figures)


def _marked(passage: Passage) -> str:
    """Return a passage on one line with its middle marked; unseen characters are spelt out, and take their room."""
    context = _CONTEXT // 2 if passage.after else _CONTEXT
    before, different, after = map(visible_line, (passage.before, passage.different, passage.after))
    before = before if len(before) <= context else f"…{before[-context:]}"
    return f"{before}{MARKS[0]}{_cut(different, _CONTEXT + 1)}{MARKS[1]}{_cut(after, context)}"


def _made_by(side: Side) -> str:
    made = side.provenance
    versions = ", ".join(f"{name} {version}" for name, version in sorted(made.versions.items()))
    own = "" if made.implementation in ("transformers", "") else f"the model of {made.implementation}"
    parts = (made.engine, own, made.dtype, made.attention, made.cpu)
    return f"{versions} ({', '.join(filter(None, parts))})"


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"
