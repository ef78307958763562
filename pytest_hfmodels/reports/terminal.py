"""A mismatch in words: verdict and cause, the text with what differs marked, the evidence, what to type next."""

from __future__ import annotations

from os.path import relpath
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.control_chars import visible_line
from pytest_hfmodels.kinds.comparison import Verdict, common_prefix
from pytest_hfmodels.kinds.explanation import in_words
from pytest_hfmodels.kinds.registry import kind_of
from pytest_hfmodels.shell import command, operand

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_hfmodels.kinds.base import Detail, Record
    from pytest_hfmodels.kinds.comparison import Comparison, Difference
    from pytest_hfmodels.snapshots.assertion import Outcome

_CONTEXT = 50  # characters of text on each side of a divergence
_VALUE = 160  # of a value that differs
_SEVERAL = "prompt ids", "ids of ", "labels of ", "labels given"  # names of what is plural
_WHAT = 80  # of the name of what differs: a classified text may be in it
_LINES, _CHARACTERS = 8, 620  # pytest shows no more of an explanation, unless it is asked for more
_LIBRARY_S = "forward", "search", "decoding"  # causes that a release brings
_LEAST = 40  # characters of a reason; less says nothing
_NEXT = 250  # of what to type next: a test's name may be longer than everything else
_LONGEST = 600  # characters of a line of the whole
MARKS = "⟦", "⟧"  # around what differs: colours alone would say it to some


def mismatch(outcome: Outcome, *, verbose: bool) -> list[str]:
    """Return the lines that stand for a failed `record == hf_snapshot`.

    Args:
        outcome: what the comparison said.
        verbose: tell every stage, all of the evidence and what made both sides (`-vv`). Without, the lines fit into
            the 8 lines and 640 characters that pytest shows of an explanation.
    """
    recorded, file = outcome.recorded, relpath(outcome.path)
    if recorded is None:
        return _missing(outcome, file, verbose=verbose)
    first = outcome.comparison.differences[0]
    lines = [f"{headline(outcome)} ({file})", *_indented(_describe(first, recorded, outcome.observed))]
    if verbose:
        lines += _whole(outcome, recorded)
        cut = [_cut(visible_line(line), _LONGEST) for line in lines]
        return [
            *cut,
            *map(visible_line, _commands(outcome, recorded)),
        ]  # uncut: half a command would be another command
    more = _more(len(outcome.comparison.differences) - 1)
    return _fitted(lines, list(_reasons(outcome, recorded)), more, f"  {_next_step(outcome, recorded)}")


def headline(outcome: Outcome) -> str:
    """Return the verdict, the cause where it is known, and what differs first, in a line."""
    explained = outcome.explanation
    cause = f"{in_words(explained.cause)}: " if explained is not None and explained.cause is not None else ""
    return f"{outcome.comparison.verdict}: {cause}{first_difference(outcome.comparison)}"


def _reasons(outcome: Outcome, recorded: Record) -> Iterator[str]:
    """Yield why, the weightiest first: where there is no room, the last are left out."""
    comparison, explained = outcome.comparison, outcome.explanation
    if explained is not None:
        yield f"  why: {visible_line(explained.sentence)}"
    since = list(_since(outcome, recorded))
    yield from since
    if explained is not None:
        yield from (f"  - {visible_line(evidence.what)}" for evidence in explained.evidence[:1])
    if not since:
        yield from _unmoved(outcome, recorded)
    yield f"  {_movement(comparison)}"


def _whole(outcome: Outcome, recorded: Record) -> Iterator[str]:
    """Yield what `-vv` tells beside the first difference."""
    comparison, explained = outcome.comparison, outcome.explanation
    if explained is not None:
        yield f"  why: {visible_line(explained.sentence)}"
        yield from (f"  - {visible_line(evidence.what)}" for evidence in explained.evidence)
    for difference in comparison.differences[1:]:
        yield from _indented(_describe(difference, recorded, outcome.observed))
    yield f"  {_movement(comparison)}"
    yield from [*_since(outcome, recorded)] or _unmoved(outcome, recorded)
    yield f"  recorded with {_made_by(recorded)}"
    yield f"  now           {_made_by(outcome.observed)}"


def _commands(outcome: Outcome, recorded: Record) -> Iterator[str]:
    for suggested in () if outcome.explanation is None else outcome.explanation.suggests:
        yield f"  find the release: {suggested}"
    yield f"  {_next_step(outcome, recorded)}"


def _since(outcome: Outcome, recorded: Record) -> Iterator[str]:
    since = [*outcome.comparison.notes, *_version_changes(recorded, outcome.observed)]
    if since:
        yield f"  since recording: {'; '.join(since)}"


def _unmoved(outcome: Outcome, recorded: Record) -> Iterator[str]:
    """Yield that a library is accused of what it cannot be: it is the one that recorded."""
    then, now = recorded.provenance, outcome.observed.provenance
    here = (then.engine, then.implementation, then.device, then.cpu)
    moved = here != (now.engine, now.implementation, now.device, now.cpu)
    if not moved and outcome.explanation is not None and outcome.explanation.cause in _LIBRARY_S:
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


def header(versions: Iterable[tuple[str, str]], engines: Iterable[str], checkpoints: str) -> str:
    """Return the run's header line."""
    return (
        f"hfmodels: {', '.join(f'{name} {version}' for name, version in versions)}; "
        f"engines: {', '.join(engines) or 'none'}; checkpoints: {checkpoints}"
    )


def _missing(outcome: Outcome, file: str, *, verbose: bool) -> list[str]:
    advice = f"record it: {_update(outcome)}"
    if outcome.refused:
        advice = f"torch must record this file first: run the test on torch ({advice})"
    lines = [f"missing: there is no snapshot {visible_line(file)} yet", f"  observed: {_summary(outcome.observed)}"]
    return [*lines, f"  {advice}"] if verbose else _fitted(lines, [], "", f"  {advice}")


def first_difference(comparison: Comparison) -> str:
    """Return what differs first, in a line."""
    first = comparison.differences[0]
    if comparison.verdict is Verdict.DRIFT:
        return f"the same output, but numbers moved beyond tolerance, first the {first.what}{_place(first)}"
    if first.stage == "ids":
        return f"generated token {_ordinal(first)} differs"
    several = first.what.startswith(_SEVERAL)
    return f"{_cut(visible_line(first.what), _WHAT)} {'differ' if several else 'differs'}"


def _movement(comparison: Comparison) -> str:
    stages = {difference.stage for difference in comparison.differences}
    if stages & {"kind", "prompt"}:
        return "numbers are not comparable"
    where = "up to there" if "ids" in stages else "in all"
    if any(difference.stage == "ids" and difference.position == 0 for difference in comparison.differences):
        return "no numbers before it to compare"
    return f"numbers {where} moved by at most {comparison.drift:.2g} (tolerance {comparison.tolerance.absolute:.2g})"


def _version_changes(recorded: Record, observed: Record) -> Iterator[str]:
    for what in ("dtype", "attention", "implementation"):
        then, here = getattr(recorded.provenance, what), getattr(observed.provenance, what)
        if then != here:
            yield f"{what} {then} -> {here}"
    before, now = recorded.provenance.versions, observed.provenance.versions
    for package in sorted(before.keys() & now.keys()):
        if before[package] != now[package]:
            yield f"{package} {before[package]} -> {now[package]}"


def _place(difference: Difference) -> str:
    if difference.position is None or difference.what == "loss":
        return ""
    unit = _UNITS.get(difference.what)
    return f" {difference.position + 1}" if unit is None else f" of {unit} {difference.position + 1}"


# What the position of a number counts.
_UNITS = {
    **dict.fromkeys(("log-probability", "processed log-probability", "margin"), "token"),
    **dict.fromkeys(("logit", "margin of its labels"), "text"),
    "beam score": "beam",
}


def _more(differences: int) -> str:
    return f"{differences} more differences" if differences > 1 else "one more difference" if differences else ""


def _describe(difference: Difference, recorded: Record, observed: Record) -> Iterator[str]:
    detail = None if difference.stage == "kind" else kind_of(recorded).detail(difference, recorded, observed)
    if detail is not None:
        yield from _detail(detail)
    elif difference.stage == "text":
        yield from _texts(difference.recorded, difference.observed)
    elif difference.stage == "numbers":
        yield (
            f"{difference.what}{_place(difference)}: recorded {difference.recorded:.9g}, "
            f"now {difference.observed:.9g} (moved by {abs(difference.recorded - difference.observed):.2g})"
        )
    else:
        tokens = difference.stage == "prompt" and difference.position is not None
        where = f" (first at {(difference.position or 0) + 1})" if tokens else ""
        values = [
            _value(value, difference.position if tokens else None)
            for value in (difference.recorded, difference.observed)
        ]
        yield f"{_cut(visible_line(difference.what), _WHAT)}{where}: recorded {values[0]}, now {values[1]}"


def _detail(detail: Detail) -> Iterator[str]:
    if detail.title:
        yield detail.title
    for word, passage in (("recorded", detail.recorded), ("now     ", detail.observed)):
        context = _CONTEXT // 2 if passage.after else _CONTEXT
        marked = _marked(_tail(passage.before, context), _head(passage.different), passage.after[:20], context)
        yield f"{word} {passage.label}{marked}"
    yield from map(visible_line, detail.figures)


def _marked(before: str, different: str, after: str, context: int = _CONTEXT) -> str:
    """Return text on one line with a part of it marked; unseen characters are spelt out, and take their room."""
    shown = [visible_line(part) for part in (before, different, after)]
    marked = _cut(shown[1], 2 * _CONTEXT)
    return f"{_tail(shown[0], context + 1)}{MARKS[0]}{marked}{MARKS[1]}{_cut(shown[2], context + 1)}"


def _texts(recorded: str, observed: str) -> Iterator[str]:
    split = common_prefix(recorded, observed)
    rest = min(len(recorded), len(observed)) - split
    end = min(rest, common_prefix(recorded[split:][::-1], observed[split:][::-1]))
    for word, text in (("recorded", recorded), ("now     ", observed)):
        last = len(text) - end
        marked = text[split:last] if last - split <= _CONTEXT else f"{text[split : split + _CONTEXT]}…"
        yield f"{word} {_marked(_tail(text[:split]), marked, _head(text[last:]))}"


def _made_by(record: Record) -> str:
    made = record.provenance
    versions = ", ".join(f"{name} {version}" for name, version in sorted(made.versions.items()))
    own = () if made.implementation == "transformers" else (f"the model of {made.implementation}",)
    return f"{versions} ({', '.join((made.engine, *own, made.dtype, made.attention, made.cpu))})"


def _next_step(outcome: Outcome, recorded: Record) -> str:
    if outcome.variant is not None and outcome.from_base is not None and outcome.from_base.verdict is Verdict.SAME:
        entry = outcome.variant.entry
        return (
            f"the base snapshot matches here, so {entry.name} covers too many releases: narrow `when` at {entry.place}"
        )
    if outcome.repeated:
        return "not updated: an earlier run of this test in this session recorded a different output"
    if outcome.refused:
        made, now = recorded.provenance, outcome.observed.provenance
        if made.implementation != now.implementation:
            return (
                f"not updated: {made.implementation}'s model recorded this file, and {now.implementation}'s must agree"
            )
        return f"not updated: {made.engine} recorded this file, and every engine must match it"
    return f"accept it: {_update(outcome)}"


def _update(outcome: Outcome) -> str:
    return command("pytest", operand(outcome.to_type), "--snapshot-update")


def _ordinal(difference: Difference) -> str:
    return "?" if difference.position is None else str(difference.position + 1)


def _tail(text: str, size: int = _CONTEXT) -> str:
    return text if len(text) <= size else f"…{text[-size:]}"


def _head(text: str) -> str:
    return text if len(text) <= _CONTEXT else f"{text[:_CONTEXT]}…"


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"


def _value(value: Any, position: int | None) -> str:
    """Return a value, cut to what surrounds a position of it."""
    if position is not None and isinstance(value, tuple) and len(value) > 20:
        start = max(0, position - 3)
        return f"…{list(value[start : start + 8])}…, {len(value)} in all"
    text = visible_line(repr(value))
    return text if len(text) <= _VALUE else f"{text[:_VALUE]}…"


def _summary(record: Record) -> str:
    text = kind_of(record).summary(record)
    return visible_line(text if len(text) <= 4 * _CONTEXT else f"{text[: 4 * _CONTEXT]}…")
