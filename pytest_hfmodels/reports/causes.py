"""The causes of a run, each once: in a sentence, since when, how many tests, and how to get the old output back."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement

from pytest_hfmodels.foundation.verdicts import severity
from pytest_hfmodels.kinds.explanation import in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_hfmodels.results.model import Compared, Side, TestResult

# What differs from test to test even if the cause is the same: the row of a batch, the share of a movement.
_OWN = re.compile(r"^row \d+: |(?<= )\d+ %(?= )")
# Causes that a release brings; others have a remedy of their own.
_OF_RELEASES = ("backend", "forward", "search", "decoding", "tokenizer", "preprocessor", "chat-template")
_NAMED = 4  # settings in a remedy


@dataclass(frozen=True)
class Cause:
    """One cause, and the comparisons that it explains.

    Args:
        name: one of `CAUSES`; None if it is not known.
        sentence: the cause in words; empty if those of unknown causes differ.
        since: from which release the output differs, or the releases in between; empty if no release is the reason.
        figures: `2 tests, 14 tokens changed, numbers up to the change moved by at most 0.001`.
        command: the command that says more, or None.
        remedy: what to do for the old output, or an empty string.
        verdict: the gravest.
        tests: names of the tests.
    """

    name: str | None
    sentence: str
    since: str
    figures: str
    command: str | None
    remedy: str
    verdict: str
    tests: tuple[str, ...]

    @property
    def title(self) -> str:
        """The name for a reader."""
        return in_words(self.name)


def shared_sentence(sentence: str) -> str:
    """Return what tests of one cause share of its sentence."""
    return _OWN.sub("", sentence)


def causes(found: Iterable[tuple[TestResult, Compared]]) -> tuple[Cause, ...]:
    """Return the causes of comparisons that differ: the gravest first, of those the commonest, unknown ones last."""
    groups: dict[tuple[str | None, str], list[tuple[TestResult, Compared]]] = defaultdict(list)
    for test, one in found:
        if one.explanation is not None:
            groups[one.cause, shared_sentence(one.explanation.sentence) if one.cause else ""].append((test, one))
    every = [_cause(group) for group in groups.values()]
    return tuple(sorted(every, key=lambda cause: (severity(cause.verdict), cause.name is None, -len(cause.tests))))


def _cause(group: Sequence[tuple[TestResult, Compared]]) -> Cause:
    members = [one for _, one in group]
    first, tests = members[0], tuple(dict.fromkeys(test.id for test, _ in group))
    explained = [one.explanation for one in members if one.explanation is not None]
    sentences = dict.fromkeys(shared_sentence(one.sentence) for one in explained)
    # A share of one test is not that of the others.
    sentence = explained[0].sentence if len(members) == 1 else next(iter(sentences))
    return Cause(
        name=first.cause,
        sentence=sentence if len(sentences) == 1 else "",
        since=_since(members),
        figures=", ".join(_figures(len(tests), members)),
        command=next((command for one in explained for command in one.suggests), None),
        remedy="; ".join([one for one in dict.fromkeys(map(remedy, members)) if one][:_NAMED]),
        verdict=min((one.verdict for one in members), key=severity),
        tests=tests,
    )


def _figures(tests: int, members: Sequence[Compared]) -> Iterator[str]:
    yield counted(tests, "test")
    tokens = sum(one.changed for one in members)
    if tokens:
        yield f"{counted(tokens, 'token')} changed"
    moved = [one.drift for one in members if one.drift is not None]
    if moved:
        largest = math.nan if any(map(math.isnan, moved)) else max(moved)
        numbers = "numbers up to the change" if tokens else "numbers"  # an explanation may count those after it, too
        yield (
            f"{numbers} moved by at most {largest:.2g}"
            if largest
            else f"no {numbers.replace('numbers', 'number')} moved"
        )


def _since(members: Sequence[Compared]) -> str:
    releases = next((one.explanation.releases for one in members if one.explanation and one.explanation.releases), "")
    if releases:
        return since_words(releases)
    if not any(one.explanation and one.explanation.suggests for one in members):
        return ""
    pairs = dict.fromkeys(pair for one in members for pair in moved_packages(one))
    return ", ".join(f"{name} {then} → {now}" for name, then, now in pairs)


def since_words(releases: str) -> str:
    """Return `since transformers 4.50` for the range of the old output, `transformers<4.50`."""
    try:
        named = Requirement(releases)
    except InvalidRequirement:
        return ""
    bounds = [(one.operator, one.version) for one in named.specifier]
    words = {"<": "since", ">=": "before"}
    return f"{words[bounds[0][0]]} {named.name} {bounds[0][1]}" if len(bounds) == 1 and bounds[0][0] in words else ""


def moved_packages(found: Compared) -> Iterator[tuple[str, str, str]]:
    """Yield each package whose version differs from the recorded one, with both versions; transformers first."""
    if found.recorded is None:
        return
    then, now = found.recorded.provenance.versions, found.observed.provenance.versions
    for name in sorted({*then} & {*now}, key=lambda name: (name != "transformers", name)):
        if then[name] != now[name]:
            yield name, then[name], now[name]


def remedy(found: Compared) -> str:
    """Return what to do for the recorded output, or an empty string if there is nothing to say."""
    if found.recorded is None or found.explanation is None or found.cause is None:
        return ""
    then, now, cause = found.recorded.provenance, found.observed.provenance, found.cause
    if cause == "dtype":
        return f'load the model in {then.dtype}: dtype="{then.dtype}"'
    if cause == "attention" and then.attention != now.attention:
        return f'load the model with {then.attention} attention: attention="{then.attention}"'
    settings = [one for one in found.differences if one.stage == "settings"]
    if cause in ("generation-defaults", "settings") and settings:
        return f"ask for the recorded values: {', '.join(f'{one.what}={one.recorded}' for one in settings[:_NAMED])}"
    if cause.startswith("checkpoint:"):
        return _of_checkpoint(found.recorded, found.observed)
    return _of_releases(found) if cause in _OF_RELEASES else ""


def _of_checkpoint(recorded: Side, observed: Side) -> str:
    then, now = recorded.checkpoint, observed.checkpoint
    if then.revision and then.revision != now.revision:
        return f'load the recorded revision: revision="{then.revision}"'
    return f"restore the recorded files of {then.name}"


def _of_releases(found: Compared) -> str:
    assert found.explanation is not None
    if found.explanation.releases:
        return f"install {found.explanation.releases}"
    if not found.explanation.suggests:
        return ""
    return f"install {', '.join(f'{name}=={then}' for name, then, _ in moved_packages(found))}"


def counted(number: int, what: str) -> str:
    """Return `1 test`, `2 tests`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
