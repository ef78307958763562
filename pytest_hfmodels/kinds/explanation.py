"""What can be said of why a snapshot differs: plain data. `explain` makes it, and every report tells it."""

from __future__ import annotations

from dataclasses import dataclass, field

# In causal order; what each means is told in docs/explain.md.
CAUSES = (
    "test",
    "checkpoint:tokenizer",
    "tokenizer",
    "checkpoint:config",
    "generation-defaults",
    "settings",
    "checkpoint:weights",
    "dtype",
    "attention",
    "backend",
    "forward",
    "search",
    "decoding",
)
# For a reader, where the name alone says too little.
WORDS = {"test": "the test itself"}


def in_words(cause: str | None) -> str:
    """Return a cause for a reader's eyes; its name is what options and files hold."""
    return NOT_KNOWN if cause is None else WORDS.get(cause, cause)


NOT_KNOWN = "cause not known"


@dataclass(frozen=True)
class Evidence:
    """One thing that was measured or looked up.

    Args:
        what: a sentence, with its figures.
        figures: the same figures by name, for programs; None in a JSON report if it is not finite.
    """

    what: str
    figures: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Ablation:
    """One thing that was exchanged, and how far the recorded tokens' numbers then were from what was recorded.

    Args:
        what: in place of what (`eager attention instead of sdpa`).
        before: the largest movement as the test ran. Like `after`, None in a JSON report if it is not finite.
        after: the largest movement with the exchange.
        returns: whether that brought the recorded numbers back.
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
        cause: one of `CAUSES`, or None where it cannot be told.
        sentence: the cause in words, or why there is none.
        evidence: the evidence, the strongest first.
        ablations: the ablations that were tried, in order.
        block: the first part of the model whose output differs, or None: `embeddings`, `block 2`, `final norm`,
            `block 2 or final norm`, `at or shortly before block 2`, `head`, `loss` or `pooling`.
        rules: names in `reference.Rules` of rules that differ in the recording release and explain the difference.
        package: the package to bisect first, because it is the likeliest reason; None if none is likelier.
        suggests: commands that would find out more, ready to paste.
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
