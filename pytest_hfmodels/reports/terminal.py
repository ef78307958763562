"""A mismatch in words: what differs first, with its text and its figures, and what to type next."""

from __future__ import annotations

from os.path import relpath
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.records import Beam, ClassificationRecord, GenerationRecord, Step
from pytest_hfmodels.snapshots.compare import Verdict, first_divergence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_hfmodels.records import Record
    from pytest_hfmodels.snapshots.assertion import Outcome
    from pytest_hfmodels.snapshots.compare import Comparison, Difference

_CONTEXT = 50  # characters of text on each side of a divergence


def mismatch(outcome: Outcome, *, verbose: bool) -> list[str]:
    """Return the lines that stand for a failed `record == hf_snapshot`.

    Args:
        outcome: what the comparison said.
        verbose: also tell every further difference, and what made both sides (`-vv`). Without, the lines fit into the
            8 lines and 640 characters that pytest shows of an explanation.
    """
    comparison, recorded, file = outcome.comparison, outcome.recorded, relpath(outcome.path)
    if recorded is None:
        return _missing(outcome, file)
    differences = comparison.differences if verbose else comparison.differences[:1]
    lines = [f"{comparison.verdict}: {_headline(comparison)} ({file})"]
    for difference in differences:
        lines += [f"  {line}" for line in _describe(difference, recorded, outcome.observed)]
    lines.append(f"  {_movement(comparison)}{_rest(len(comparison.differences) - len(differences))}")
    since = [*comparison.notes, *_version_changes(recorded, outcome.observed)]
    if since:
        lines.append(f"  since recording: {'; '.join(since)}")
    if verbose:
        lines += [f"  recorded with {_made_by(recorded)}", f"  now           {_made_by(outcome.observed)}"]
    return [*lines, f"  {_next_step(outcome, recorded)}"]


def header(versions: Iterable[tuple[str, str]], engines: Iterable[str], checkpoints: str) -> str:
    """Return the run's header line."""
    return (
        f"hfmodels: {', '.join(f'{name} {version}' for name, version in versions)}; "
        f"engines: {', '.join(engines) or 'none'}; checkpoints: {checkpoints}"
    )


def _missing(outcome: Outcome, file: str) -> list[str]:
    advice = f'record it: pytest "{outcome.writer}" --snapshot-update'
    if outcome.refused:
        advice = f"torch writes this file, and has not: run the test on torch first ({advice})"
    return [f"missing: there is no snapshot {file} yet", f"  observed: {_text(outcome.observed)}", f"  {advice}"]


def _headline(comparison: Comparison) -> str:
    first = comparison.differences[0]
    if comparison.verdict is Verdict.DRIFT:
        return f"the same output, but numbers moved beyond tolerance, first the {first.what}{_place(first)}"
    if first.layer == "ids":
        return f"generated token {_ordinal(first)} differs"
    return f"{first.what} differs"


def _movement(comparison: Comparison) -> str:
    layers = {difference.layer for difference in comparison.differences}
    if layers & {"kind", "prompt"}:
        return "numbers are not comparable"
    where = "up to there" if "ids" in layers else "in all"
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
    kind = {"beam score": "beam", "logit": "text", "number of logits": "text"}.get(difference.what, "token")
    return f" of {kind} {difference.position + 1}"


def _rest(count: int) -> str:
    return f"; {count} more differences: -vv" if count > 1 else "; one more difference: -vv" if count else ""


def _describe(difference: Difference, recorded: Record, observed: Record) -> Iterator[str]:
    if difference.layer == "ids" and isinstance(recorded, GenerationRecord) and isinstance(observed, GenerationRecord):
        yield from _token(difference, recorded, observed)
    elif difference.layer == "text":
        yield from _texts(difference.recorded, difference.observed)
    elif difference.layer == "numbers":
        yield (
            f"{difference.what}{_place(difference)}: recorded {difference.recorded:.9g}, "
            f"now {difference.observed:.9g} (moved by {abs(difference.recorded - difference.observed):.2g})"
        )
    elif difference.layer == "beams" and isinstance(difference.recorded, Beam):
        yield from _beam(difference)
    else:
        tokens = difference.layer == "prompt" and difference.position is not None
        where = f" (first at {(difference.position or 0) + 1})" if tokens else ""
        yield f"{difference.what}{where}: recorded {difference.recorded!r}, now {difference.observed!r}"


def _token(difference: Difference, recorded: GenerationRecord, observed: GenerationRecord) -> Iterator[str]:
    position = difference.position or 0
    before = recorded.prompt.text + "".join(step.text for step in recorded.steps[:position])
    yield f"after {_tail(before)!r}"
    then, now = difference.recorded, difference.observed
    yield f"recorded {_step(then)}"
    yield f"now      {_step(now)}{_recorded_token_now(then, position, observed)}"


def _step(step: Step | None) -> str:
    if step is None:
        return "the end of the sequence"
    return (
        f"{step.text!r} (id {step.id}), log-probability {step.log_probability:.4g}, "
        f"margin {step.margin:.4g} over {step.runner_up_text!r} (id {step.runner_up})"
    )


def _recorded_token_now(step: Step | None, position: int, observed: GenerationRecord) -> str:
    live = observed.live
    if step is None or live is None or position >= len(live.log_probabilities):
        return ""
    if step.id >= live.log_probabilities.shape[1]:
        return f"; id {step.id} is beyond the vocabulary now"
    value = float(live.log_probabilities[position, step.id])
    return f"; {step.text!r} now {value:.4g}, moved by {abs(value - step.log_probability):.2g}"


def _texts(recorded: str, observed: str) -> Iterator[str]:
    split = first_divergence([ord(char) for char in recorded], [ord(char) for char in observed]) or 0
    start = max(0, split - _CONTEXT)
    yield f"text after {recorded[start:split]!r}"
    yield f"recorded {recorded[split : split + _CONTEXT]!r}"
    yield f"now      {observed[split : split + _CONTEXT]!r}"


def _beam(difference: Difference) -> Iterator[str]:
    yield f"returned beam {(difference.position or 0) + 1} differs"
    yield f"recorded {difference.recorded.score:.6g} {_tail(difference.recorded.text)!r}"
    yield f"now      {difference.observed.score:.6g} {_tail(difference.observed.text)!r}"


def _made_by(record: Record) -> str:
    made = record.provenance
    versions = ", ".join(f"{name} {version}" for name, version in sorted(made.versions.items()))
    own = () if made.implementation == "transformers" else (f"the model of {made.implementation}",)
    return f"{versions} ({', '.join((made.engine, *own, made.dtype, made.attention, made.cpu))})"


def _next_step(outcome: Outcome, recorded: Record) -> str:
    if outcome.variant is not None and outcome.from_base is not None and outcome.from_base.verdict is Verdict.SAME:
        entry = outcome.variant.entry
        return f"this is what the base says: {entry.name} holds for too many releases; narrow `when` of {entry.place}"
    if outcome.refused:
        made, now = recorded.provenance, outcome.observed.provenance
        if made.implementation != now.implementation:
            return (
                f"not updated: {made.implementation}'s model recorded this file, and {now.implementation}'s must agree"
            )
        return f"not updated: this file is {made.engine}'s, and engines must agree on it"
    return f'accept it: pytest "{outcome.writer}" --snapshot-update'


def _ordinal(difference: Difference) -> str:
    return "?" if difference.position is None else str(difference.position + 1)


def _tail(text: str) -> str:
    return text if len(text) <= _CONTEXT else f"…{text[-_CONTEXT:]}"


def _text(record: Any) -> str:
    if isinstance(record, ClassificationRecord):
        return ", ".join(f"{row.text!r}: {row.label}" for row in record.inputs)
    return repr(record.text)
