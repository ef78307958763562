"""Why a snapshot differs, as plain data: `explain` makes it, every report shows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_hfmodels.foundation.causes import CAUSES as CAUSES

# For a reader, where the name alone says too little.
WORDS = {"test": "the test itself"}
NOT_KNOWN = "cause not known"


def in_words(cause: str | None) -> str:
    """Return a cause for a reader's eyes; its name is what options and files hold."""
    return NOT_KNOWN if cause is None else WORDS.get(cause, cause)


@dataclass(frozen=True)
class Evidence:
    """One thing that was measured or looked up: a sentence, and its figures by name for programs.

    In a JSON report a figure that is not finite is None.
    """

    what: str
    figures: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Ablation:
    """The model loaded again with one thing changed, and how far its numbers then were from the recorded ones.

    Args:
        what: the change (`eager attention instead of sdpa`).
        before: the largest movement as the test ran. Like `after`, None in a JSON report if it is not finite.
        after: the largest movement with the change.
        returns: whether the change reproduces the recorded numbers.
    """

    what: str
    before: float | None
    after: float | None
    returns: bool


@dataclass(frozen=True)
class Explanation:
    """Why one output differs.

    Args:
        verdict: of the comparison.
        cause: one of `CAUSES`, or None if it is unknown.
        sentence: the cause in words, or why there is none.
        evidence: the evidence, the strongest first.
        ablations: the ablations that were tried, in order.
        block: the first part of the model whose output differs, or None: `embeddings`, `block 2`,
            `block 3 or final norm`, `at or shortly before block 2`, `head`, `loss` or `pooling`.
        rules: names in `reference.Rules` of rules that differ in the recording release and explain the difference.
        package: the package to bisect first, because it is the likeliest reason; None if none is likelier.
        suggests: commands that would find out more, ready to paste.
        releases: the releases that give the recorded output, if the cause names them: `transformers<4.50`.
        known: names of the known changes of transformers (`reference.known_changes`) that fit the evidence.
    """

    verdict: str
    cause: str | None
    sentence: str
    evidence: tuple[Evidence, ...] = ()
    ablations: tuple[Ablation, ...] = ()
    block: str | None = None
    rules: tuple[str, ...] = ()
    package: str | None = None
    suggests: tuple[str, ...] = ()
    releases: str = ""
    known: tuple[str, ...] = ()
