"""The stages of a record in causal order, and what changes one of them without the model's doing.

Pure: two records and their comparison. What needs the model is in `forward_pass`, `search` and `classifier`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import same_content
from pytest_hfmodels.engines.settings import SETTINGS
from pytest_hfmodels.explain import mutations
from pytest_hfmodels.explain.config_overrides import changed_overrides, overrides_sentence
from pytest_hfmodels.kinds.comparison import first_divergence
from pytest_hfmodels.kinds.explanation import Evidence
from pytest_hfmodels.kinds.prompt import vocabulary_size
from pytest_hfmodels.kinds.registry import kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_hfmodels.explain.explainer import Explainer
    from pytest_hfmodels.kinds import Record
    from pytest_hfmodels.kinds.comparison import Comparison
    from pytest_hfmodels.kinds.evidence import LiveModel


@dataclass(frozen=True)
class Diagnosis:
    """A cause or None, the sentence, its evidence, upstream's rules that explain it, and a package.

    A release of the package is the likeliest reason, see `Explanation.package`.
    """

    cause: str | None
    sentence: str
    evidence: list[Evidence] = field(default_factory=list)
    rules: tuple[str, ...] = ()
    package: str | None = None


# By cause: numbers decide about ids. `comparison.STAGES` is the order for a reader, who looks at the ids first.
ORDER = ("kind", "prompt", "settings", "numbers", "ids", "beams", "labels", "text")
NO_RELEASE = (
    "but neither the release nor the checkpoint's configuration has changed: the test no longer gives the recorded "
    "value, something patches generate, or the file was edited"
)
_TESTS_OWN = ("skip_special_tokens", "loss", "labels given")


def first_stage(comparison: Comparison) -> str:
    """Return the earliest stage that differs, in causal order."""
    return min((difference.stage for difference in comparison.differences), key=ORDER.index)


def kind(comparison: Comparison) -> Diagnosis:
    """Explain two kinds of record."""
    found = comparison.differences[0]
    return Diagnosis("test", f"the test compares a {found.observed}, and a {found.recorded} is recorded")


def prompt(recorded: Record, observed: Record, origin: LiveModel | None) -> Diagnosis:
    """Explain other prompt ids: another text, other files, or a tokenizer that reads them otherwise.

    Args:
        recorded: from the snapshot.
        observed: from the model.
        origin: the model, whose tokenizer names tokens; None where it is no longer in memory.
    """
    tokenizer = None if origin is None else origin.tokenizer
    before, now = _inputs(recorded), _inputs(observed)
    if [text for text, _ in before] != [text for text, _ in now]:
        other = next((pair for pair in zip(before, now, strict=False) if pair[0][0] != pair[1][0]), None)
        texts = [] if other is None else [Evidence(f"recorded {other[0][0]!r:.80}, now {other[1][0]!r:.80}")]
        return Diagnosis("test", "the test gives the model a text that differs from the recorded one", texts)
    (text, then), (_, here) = next(pair for pair in zip(before, now, strict=True) if pair[0][1] != pair[1][1])
    position = first_divergence(then, here) or 0
    same_files = recorded.checkpoint.tokenizer == observed.checkpoint.tokenizer
    # Other files may give the recorded ids other words, so only their numbers are shown.
    names = [_token(then, position, tokenizer if same_files else None), _token(here, position, tokenizer)]
    evidence = [
        Evidence(
            f"of {text!r:.80} token {position + 1} was {names[0]} and is {names[1]}; {len(then)} tokens -> {len(here)}",
            {"position": position, "recorded_tokens": len(then), "observed_tokens": len(here)},
        )
    ]
    if not same_files:
        return Diagnosis(
            "checkpoint:tokenizer",
            "the checkpoint's tokenizer files have changed and give the text other ids",
            evidence,
        )
    sentence = "the same tokenizer files split the same text into different tokens"
    proven = mutations.is_proven_by_fresh_tokenizer(
        origin, lambda tokenizer: tuple(tokenizer(text)["input_ids"]), recorded=then, observed=here
    )
    found = of_the_tokenizer("tokenizer", sentence, evidence, recorded, observed, origin, proven=proven)
    return replace(found, package="tokenizers")


def settings(
    comparison: Comparison,
    recorded: Record,
    observed: Record,
    asked: Mapping[str, Any] | None,
    origin: LiveModel | None,
    explainer: Explainer[Any],
) -> Diagnosis:
    """Explain settings that differ: the test's, the checkpoint's, or the release's defaults.

    Args:
        comparison: of the two.
        recorded: from the snapshot.
        observed: from the model.
        asked: the settings that the test gave, or None where nobody knows.
        origin: the model; None where it is no longer in memory.
        explainer: of the records' kind.
    """
    found = [difference for difference in comparison.differences if difference.stage == "settings"]
    told = ", ".join(f"{name.what} {name.recorded!r} -> {name.observed!r}" for name in found)
    evidence = [Evidence(f"resolved settings: {told:.300}")]
    given = [difference.what for difference in found if explainer.is_given(difference, asked, observed)]
    if len(given) == len(found):
        return Diagnosis(
            "test", f"the test asks for settings that differ from the recorded ones: {', '.join(given)}", evidence
        )
    not_given = [difference.what for difference in found if difference.what not in given]
    overridden = [name for name in changed_overrides(recorded, observed) if name in not_given]
    if overridden and len(overridden) == len(not_given):
        return Diagnosis("test", overrides_sentence(recorded, observed, overridden), evidence)
    names = ", ".join(not_given)
    same = same_content(recorded.checkpoint.config, observed.checkpoint.config)
    if same is False:
        return Diagnosis(
            "checkpoint:config", f"the checkpoint's configuration has changed, and with it {names}", evidence
        )
    changes = mutations.of_settings(origin, [difference.what for difference in found])
    if changes:
        return Diagnosis("test", mutations.sentence(changes), evidence)
    if same:
        evidence.append(Evidence("the checkpoint's configuration has not changed (same digest)"))
    finding: Diagnosis = explainer.settings(recorded, observed, not_given, evidence)
    return finding


def of_the_tokenizer(
    cause: str,
    sentence: str,
    evidence: list[Evidence],
    recorded: Record,
    observed: Record,
    origin: LiveModel | None,
    *,
    proven: bool,
) -> Diagnosis:
    """Explain a tokenizer that behaves differently with unchanged files; blame the test if it changed the tokenizer.

    `proven` says that the same tokenizer, loaded again, gives what was recorded.
    """
    changes = mutations.of_the_tokenizer(origin)
    if proven:
        evidence.append(Evidence("the tokenizer loaded again from the same files gives what was recorded"))
        said = mutations.sentence(changes, "tokenizer") if changes else mutations.TOKENIZER_NOT_NAMED
        return Diagnosis("test", said, evidence)
    if changes and mutations.stands_alone(recorded, observed):
        return Diagnosis("test", mutations.sentence(changes, "tokenizer"), evidence)
    if changes:
        evidence.insert(0, mutations.as_evidence(changes, "tokenizer"))
    evidence.append(Evidence("the tokenizer's files have not changed (same digest)"))
    return Diagnosis(cause, sentence, evidence)


def checkpoint_part(recorded: Record, observed: Record) -> str | None:
    """Return the changed part of the checkpoint that numbers depend on, or None."""
    for part in ("weights", "config"):
        if same_content(getattr(recorded.checkpoint, part), getattr(observed.checkpoint, part)) is False:
            return part
    return None


def outside_vocabulary(recorded: Record, origin: LiveModel, explainer: Explainer[Any]) -> str | None:
    """Return a sentence about the first recorded token that the model does not have, or None."""
    size = vocabulary_size(origin.loaded.model.config)
    rows = [ids for _, ids in _inputs(recorded)]
    rows += map(tuple, explainer.output_ids(recorded))
    outside = next((token for ids in rows for token in ids if size is not None and token >= size), None)
    if outside is None:
        return None
    return f"the file names token {outside}, but the vocabulary of the model has {size} tokens"


def _inputs(record: Record) -> list[tuple[str, tuple[int, ...]]]:
    found: list[tuple[str, tuple[int, ...]]] = kind_of(record).inputs(record)
    return found


def _token(ids: tuple[int, ...], position: int, tokenizer: Any) -> str:
    if position >= len(ids):
        return "the end"
    text = "" if tokenizer is None else f"{tokenizer.decode([ids[position]])!r} "
    return f"{text}(id {ids[position]})"


def is_of_the_test(name: str) -> bool:
    """Return whether a setting is always the test's own: upstream resolves only the names that every record has."""
    return name in _TESTS_OWN or name not in _LISTED


_LISTED = frozenset({*SETTINGS, "problem_type", "num_labels", "padding_side"})
