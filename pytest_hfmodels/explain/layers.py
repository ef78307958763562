"""The stages of a record in causal order, and what changes one of them without the model's doing.

Pure: two records and their comparison. What needs the model is in `forward_pass`, `search` and `classifier`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import same_content
from pytest_hfmodels.engines.settings import SETTINGS, effective_settings, given_settings, wanted_length
from pytest_hfmodels.explain import in_memory
from pytest_hfmodels.explain.config_overrides import changed_overrides, overrides_sentence
from pytest_hfmodels.explain.decoder import find_setting
from pytest_hfmodels.explain.releases import moved_versions
from pytest_hfmodels.kinds import ClassificationRecord, GenerationRecord
from pytest_hfmodels.kinds.comparison import first_divergence
from pytest_hfmodels.kinds.explanation import Evidence
from pytest_hfmodels.kinds.prompt import vocabulary_size
from pytest_hfmodels.reference.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_hfmodels.kinds import Record
    from pytest_hfmodels.kinds.comparison import Comparison, Difference
    from pytest_hfmodels.kinds.evidence import Origin


@dataclass(frozen=True)
class Finding:
    """A cause or None, the sentence, its evidence, upstream's rules that explain it, and a package.

    A release of the package is the likeliest reason, see `Explanation.package`.
    """

    cause: str | None
    sentence: str
    evidence: list[Evidence] = field(default_factory=list)
    rules: tuple[str, ...] = ()
    package: str | None = None


ORDER = ("kind", "prompt", "settings", "numbers", "ids", "beams", "labels", "text")
_NO_RELEASE = (
    "but neither the release nor the checkpoint's configuration has changed: the test no longer gives the recorded "
    "value, something patches generate, or the file was edited"
)
_TESTS_OWN = ("skip_special_tokens", "loss", "labels given")


def first_layer(comparison: Comparison) -> str:
    """Return the earliest stage that differs, in causal order."""
    return min((difference.layer for difference in comparison.differences), key=ORDER.index)


def kind(comparison: Comparison) -> Finding:
    """Explain two kinds of record."""
    found = comparison.differences[0]
    return Finding("test", f"the test compares a {found.observed}, and a {found.recorded} is recorded")


def prompt(recorded: Record, observed: Record, origin: Origin | None) -> Finding:
    """Explain other prompt ids: another text, other files, or a tokenizer that reads them otherwise.

    Args:
        recorded: from the snapshot.
        observed: from the model.
        origin: the model, whose tokenizer names tokens; None where it is no longer in memory.
    """
    tokenizer = None if origin is None else origin.tokenizer
    before, now = _texts(recorded), _texts(observed)
    if [text for text, _ in before] != [text for text, _ in now]:
        other = next((pair for pair in zip(before, now, strict=False) if pair[0][0] != pair[1][0]), None)
        texts = [] if other is None else [Evidence(f"recorded {other[0][0]!r:.80}, now {other[1][0]!r:.80}")]
        return Finding("test", "the test gives the model a text that differs from the recorded one", texts)
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
        return Finding(
            "checkpoint:tokenizer",
            "the checkpoint's tokenizer files have changed and give the text other ids",
            evidence,
        )
    sentence = "the same tokenizer files split the same text into different tokens"
    proven = in_memory.is_proven_by_fresh_tokenizer(
        origin, lambda tokenizer: tuple(tokenizer(text)["input_ids"]), recorded=then, observed=here
    )
    found = _of_the_tokenizer("tokenizer", sentence, evidence, recorded, observed, origin, proven=proven)
    return replace(found, package="tokenizers")


def settings(
    comparison: Comparison,
    recorded: Record,
    observed: Record,
    asked: Mapping[str, Any] | None,
    origin: Origin | None = None,
) -> Finding:
    """Explain settings that differ: the test's, the checkpoint's, or the release's defaults.

    Args:
        comparison: of the two.
        recorded: from the snapshot.
        observed: from the model.
        asked: the settings that the test gave, or None where nobody knows.
        origin: the model; None where it is no longer in memory.
    """
    found = [difference for difference in comparison.differences if difference.layer == "settings"]
    told = ", ".join(f"{name.what} {name.recorded!r} -> {name.observed!r}" for name in found)
    evidence = [Evidence(f"resolved settings: {told:.300}")]
    given = [difference.what for difference in found if _is_given(difference, asked, observed)]
    if len(given) == len(found):
        return Finding(
            "test", f"the test asks for settings that differ from the recorded ones: {', '.join(given)}", evidence
        )
    not_given = [difference.what for difference in found if difference.what not in given]
    overridden = [name for name in changed_overrides(recorded, observed) if name in not_given]
    if overridden and len(overridden) == len(not_given):
        return Finding("test", overrides_sentence(recorded, observed, overridden), evidence)
    names = ", ".join(not_given)
    same = same_content(recorded.checkpoint.config, observed.checkpoint.config)
    if same is False:
        return Finding(
            "checkpoint:config", f"the checkpoint's configuration has changed, and with it {names}", evidence
        )
    changes = in_memory.of_settings(origin, [difference.what for difference in found])
    if changes:
        return Finding("test", in_memory.sentence(changes), evidence)
    if same:
        evidence.append(Evidence("the checkpoint's configuration has not changed (same digest)"))
    if isinstance(observed, ClassificationRecord):
        return Finding("settings", f"the classifier's settings differ from the recorded ones: {names}", evidence)
    if "transformers" not in moved_versions(recorded, observed):  # then the defaults are the same
        return Finding(None, f"{names} differs from the recorded value, {_NO_RELEASE}", evidence)
    rule = _length_rule(recorded, observed, names)
    rules = ("default_length_counts_prompt",) if rule else ()
    return Finding("generation-defaults", f"the release's defaults have changed: {names}{rule}", evidence, rules)


def decoding(recorded: GenerationRecord, observed: GenerationRecord, origin: Origin | None = None) -> Finding:
    """Explain a different text of the same ids; arguments as for `prompt`."""
    evidence = list(_decoded(recorded, observed))
    if recorded.checkpoint.tokenizer != observed.checkpoint.tokenizer:
        return Finding(
            "checkpoint:tokenizer",
            "the checkpoint's tokenizer files have changed and decode the tokens differently",
            evidence,
        )
    named = None if origin is None else find_setting(recorded, observed, origin.tokenizer)
    sentence = "the same token ids are decoded to a different text" if named is None else named.sentence
    ids, skip = [*observed.prompt.ids, *observed.ids], bool(observed.effective.get("skip_special_tokens"))
    proven = in_memory.is_proven_by_fresh_tokenizer(
        origin,
        lambda tokenizer: tokenizer.decode(ids, skip_special_tokens=skip),
        recorded=recorded.text,
        observed=observed.text,
    )
    found = _of_the_tokenizer("decoding", sentence, evidence, recorded, observed, origin, proven=proven)
    if found.cause != "decoding":
        return found
    if named is None:
        return replace(found, package="tokenizers")
    return replace(found, package="transformers", rules=() if named.rule is None else (named.rule,))


def _of_the_tokenizer(
    cause: str,
    sentence: str,
    evidence: list[Evidence],
    recorded: Record,
    observed: Record,
    origin: Origin | None,
    *,
    proven: bool,
) -> Finding:
    """Explain a tokenizer that behaves differently with unchanged files; blame the test if it changed the tokenizer.

    `proven` says that the same tokenizer, loaded again, gives what was recorded.
    """
    changes = in_memory.of_the_tokenizer(origin)
    if proven:
        evidence.append(Evidence("the tokenizer loaded again from the same files gives what was recorded"))
        said = in_memory.sentence(changes, "tokenizer") if changes else in_memory.TOKENIZER_NOT_NAMED
        return Finding("test", said, evidence)
    if changes and in_memory.stands_alone(recorded, observed):
        return Finding("test", in_memory.sentence(changes, "tokenizer"), evidence)
    if changes:
        evidence.insert(0, in_memory.as_evidence(changes, "tokenizer"))
    evidence.append(Evidence("the tokenizer's files have not changed (same digest)"))
    return Finding(cause, sentence, evidence)


def checkpoint_part(recorded: Record, observed: Record) -> str | None:
    """Return the changed part of the checkpoint that numbers depend on, or None."""
    for part in ("weights", "config"):
        if same_content(getattr(recorded.checkpoint, part), getattr(observed.checkpoint, part)) is False:
            return part
    return None


def outside_vocabulary(recorded: Record, origin: Origin) -> str | None:
    """Return a sentence about the first recorded token that the model does not have, or None."""
    size = vocabulary_size(origin.loaded.model.config)
    rows = [ids for _, ids in _texts(recorded)]
    if isinstance(recorded, GenerationRecord):
        rows += [recorded.ids, *(beam.ids for beam in recorded.beams)]
    outside = next((token for ids in rows for token in ids if size is not None and token >= size), None)
    if outside is None:
        return None
    return f"the file names token {outside}, but the vocabulary of the model has {size} tokens"


def _texts(record: Record) -> list[tuple[str, tuple[int, ...]]]:
    if isinstance(record, GenerationRecord):
        return [(record.prompt.text, record.prompt.ids)]
    return [(row.text, row.ids) for row in record.inputs]  # type: ignore[attr-defined]


def _token(ids: tuple[int, ...], position: int, tokenizer: Any) -> str:
    if position >= len(ids):
        return "the end"
    text = "" if tokenizer is None else f"{tokenizer.decode([ids[position]])!r} "
    return f"{text}(id {ids[position]})"


def _is_given(difference: Difference, asked: Mapping[str, Any] | None, observed: Record) -> bool:
    """Return whether the test itself requests the value that differs, as a keyword or in a `generation_config`."""
    if difference.what in _TESTS_OWN or difference.what not in _LISTED:
        return True  # what upstream resolves by itself has a name in every record
    if asked is None:
        return False
    if isinstance(observed, ClassificationRecord):
        return difference.what in asked
    config = SimpleNamespace(**given_settings(asked))
    prompt = len(observed.prompt.ids)
    if difference.what == "max_length":
        config.max_length = wanted_length(asked, prompt)
    given = difference.what in vars(config) or (difference.what == "min_length" and "min_new_tokens" in vars(config))
    return given and effective_settings(config, {}, prompt)[difference.what] == difference.observed


def _length_rule(recorded: Record, observed: Record, names: str) -> str:
    sides = [Rules.of(record.provenance.versions.get("transformers", "5.23")) for record in (recorded, observed)]
    before, now = (rules.default_length_counts_prompt for rules in sides)
    if "max_length" not in names or before == now:
        return ""
    words = {True: "20 tokens are the whole", False: "20 tokens are added to the prompt"}
    return f" (without a length, {words[now]}; before, {words[before]}; changed in 4.47)"


def _decoded(recorded: GenerationRecord, observed: GenerationRecord) -> Iterator[Evidence]:
    for position, (before, now) in enumerate(zip(recorded.steps, observed.steps, strict=False)):
        if before.text != now.text:
            yield Evidence(
                f"token {position + 1} (id {before.id}) was spelt {before.text!r}, and is {now.text!r}",
                {"position": position, "id": before.id},
            )
            return
    yield Evidence("each token alone is spelt as recorded: they are put together otherwise")


_LISTED = frozenset({*SETTINGS, "problem_type", "num_labels", "padding_side"})
