"""Causes of other prompts, settings and texts: the test, the checkpoint's files, a default of the release."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import same_content
from pytest_hfmodels.engines.settings import SETTINGS
from pytest_hfmodels.explain import mutations
from pytest_hfmodels.explain.case import listed
from pytest_hfmodels.kinds.comparison import first_divergence
from pytest_hfmodels.kinds.explanation import Evidence
from pytest_hfmodels.kinds.prompt import vocabulary_size
from pytest_hfmodels.kinds.registry import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytest_hfmodels.explain.case import Case
    from pytest_hfmodels.explain.explainer import Explainer
    from pytest_hfmodels.kinds.comparison import Difference
    from pytest_hfmodels.kinds.explanation import Explanation
    from pytest_hfmodels.kinds.inputs import ModelInput

NO_RELEASE = (
    "but neither the release nor the checkpoint's configuration has changed: the test no longer gives the recorded "
    "value, something patches generate, or the file was edited"
)
_TESTS_OWN = frozenset({"skip_special_tokens", "loss", "labels given"})
_FILES = {
    "config": "configuration",
    "tokenizer": "tokenizer files",
    "preprocessor": "preprocessor files",
    "chat_template": "chat template",
}
_RESOLVED = frozenset({*SETTINGS, "problem_type", "num_labels", "padding_side"})


def kind(case: Case[Any]) -> Explanation:
    """Explain two kinds of record."""
    recorded, observed = case.recorded.kind, case.observed.kind
    return of_the_test(
        case, f"the test compares a record of kind {observed}, and the snapshot has one of kind {recorded}"
    )


def prompt(case: Case[Any], explainer: Explainer[Any]) -> Explanation:
    """Explain other prompt ids: another text, other files, or a tokenizer that reads them otherwise."""
    before, now = (kind_of(record).inputs(record) for record in (case.recorded, case.observed))
    if [text for text, _ in before] != [text for text, _ in now]:
        return _other_text(case, before, now)
    pairs = (pair for pair in zip(before, now, strict=True) if pair[0][1] != pair[1][1])
    (text, then), (_, here) = next(pairs, (before[0], now[0]))  # a test may draw the line elsewhere in equal ids
    same = same_files(case, "tokenizer")
    asked = [record.effective.get("add_special_tokens") for record in (case.recorded, case.observed)]
    evidence = _other_ids(case, text, then, here, same=same is not False)
    if asked[0] != asked[1]:
        said = f"the test asks for add_special_tokens={asked[1]}, and {asked[0]} is recorded"
        return case.because("test", said, [evidence])
    if getattr(case.observed, "media", ()) and _without_repeats(then) == _without_repeats(here):
        return _made_otherwise(case, "preprocessor", [evidence], "a different number of tokens for images or sounds")
    if then == here:
        said = "the ids are the recorded ones, but the test splits them differently into prompt and text"
        return case.because(None, said)
    if same is False:
        said = "the checkpoint's tokenizer files have changed, and the text has different ids"
        found = case.of_files("tokenizer", said, [evidence])
    elif same is None or not explainer.covered:
        said = (
            "the same text has different ids; a snapshot does not cover all that makes them (of an adopted tokenizer "
        )
        said += "only the vocabulary, of an embedding model not the files of its modules)"
        found = case.because(None, said, [evidence])
    else:
        said = "the same tokenizer files split the same text into different tokens"
        found = case.because("tokenizer", said, [evidence], package="tokenizers")
    given = {} if asked[1] is None else {"add_special_tokens": asked[1]}
    return unless_changed(case, found, "tokenizer", lambda one: tuple(one(text, **given)["input_ids"]), (then, here))


def _other_ids(case: Case[Any], text: str, then: tuple[int, ...], here: tuple[int, ...], *, same: bool) -> Evidence:
    """Return the first token of a text that differs, in numbers and words."""
    position = first_divergence(then, here) or 0
    tokenizer = None if case.origin is None else case.origin.tokenizer
    # Other files may give the recorded ids other words, so only their numbers are shown.
    names = _token(then, position, tokenizer if same else None), _token(here, position, tokenizer)
    return Evidence(
        f"of {text!r:.80} token {position + 1} was {names[0]} and is {names[1]}; {len(then)} tokens -> {len(here)}",
        {"position": position, "recorded_tokens": len(then), "observed_tokens": len(here)},
    )


def of_the_test(case: Case[Any], said: str, evidence: Iterable[Evidence] = ()) -> Explanation:
    """Return that the test gives something else, unless it may take that from what has changed, too.

    A test may have a library or the checkpoint's files make what it gives: a prompt of the chat template, arrays of the
    processor, ids of the tokenizer, a number of the configuration.
    """
    files = [words for part, words in _FILES.items() if same_files(case, part) is False]
    changed = [*case.changed_packages(), *(f"the checkpoint's {one}" for one in files)]
    if not changed:
        return case.because("test", said, evidence)
    said = f"{said}; either the test was edited, or this comes from something else that changed ({listed(changed)})"
    return case.because(None, said, evidence)


def same_files(case: Case[Any], part: str) -> bool | None:
    """Return whether a part of the checkpoint is the recorded one; None if its digests do not tell."""
    before, now = (getattr(record.checkpoint, part, "") for record in (case.recorded, case.observed))
    if len({record.checkpoint.origin == "adopted" for record in (case.recorded, case.observed)}) == 2:
        return None  # one is of files, and one of what they became
    if before == now:  # that of an adopted tokenizer is of its vocabulary alone
        return None if part == "tokenizer" and case.observed.checkpoint.origin == "adopted" else True
    return same_content(before, now) if before and now else None  # files of earlier versions may have no digest


def _other_text(case: Case[Any], before: Sequence[tuple[str, Any]], now: Sequence[tuple[str, Any]]) -> Explanation:
    other = next((pair for pair in zip(before, now, strict=False) if pair[0][0] != pair[1][0]), None)
    texts = [] if other is None else [Evidence(f"recorded {other[0][0]!r:.80}, now {other[1][0]!r:.80}")]
    said = "the test gives the model an input that differs from the recorded one"
    return of_the_test(case, said, texts)


def _without_repeats(ids: Sequence[int]) -> list[int]:
    return [token for token, _ in groupby(ids)]


def inputs(
    case: Case[Any],
    maker: str,
    made: Iterable[ModelInput] = (),
    moved: Sequence[Difference] = (),
    given: Iterable[ModelInput] = (),
) -> Explanation:
    """Explain other inputs of the model.

    Args:
        case: the difference.
        maker: the `tokenizer` or the `preprocessor`, which makes them of the same given things.
        made: the observed ones, some of which the test may have given itself.
        given: the recorded ones, likewise: the test may no longer give one.
        moved: the inputs that differ, if the comparison does not list them.
    """
    found = moved or [one for one in case.comparison.differences if one.stage == "inputs"]
    evidence = [Evidence(f"{one.what}: {one.recorded!s:.100} -> {one.observed!s:.100}") for one in found[:3]]
    if found and found[0].what in {one.name for one in (*made, *given) if one.given}:
        verb = (
            "no longer gives"
            if found[0].observed == "nothing"
            else "now gives"
            if found[0].recorded == "nothing"
            else ""
        )
        said = f"the test {verb or 'gives different values of'} {found[0].what}"
        return of_the_test(case, said, evidence[:1])
    return _made_otherwise(case, maker, evidence, "different inputs")


def _made_otherwise(case: Case[Any], maker: str, evidence: list[Evidence], what: str) -> Explanation:
    same = same_files(case, maker)
    if same is False:
        said = f"the checkpoint's {maker} files have changed, and the model is given {what}"
        return unless_changed(case, case.of_files(maker, said, evidence), maker)
    if same is None:
        said = f"with the same data from the test, the {maker} gives the model {what}; the snapshot does not show "
        return case.because(None, f"{said}whether the {maker} itself has changed", evidence)
    said = f"with the same files and the same data from the test, the {maker} gives the model {what}"
    package = "tokenizers" if maker == "tokenizer" else "transformers"
    return unless_changed(case, case.because(maker, said, evidence, package=package), maker)


def structure(case: Case[Any], found: Difference) -> Explanation:
    """Explain outputs of another type, shape or name."""
    sides = f"{found.recorded!s:.80} -> {found.observed!s:.80}"
    if case.part is not None:
        said = f"the checkpoint's {case.part} differs from the recorded one, and so does the {found.what}: {sides}"
        return case.of_files(case.part, said)
    said = f"the structure of the model's output has changed: the {found.what} differs ({sides})"
    return of_structure(case, said)


def of_structure(case: Case[Any], said: str, evidence: Iterable[Evidence] = ()) -> Explanation:
    """Return that the model returns something else: in the same release that is not the library's doing."""
    if case.changed_packages():
        return case.because("forward", said, evidence, package="transformers")
    said += "; no package changed version, so the test loads or asks for something else, or something patches the model"
    return case.because(None, said, evidence)


def settings(case: Case[Any], explainer: Explainer[Any]) -> Explanation:
    """Explain settings that differ: the test's, the checkpoint's, or the release's defaults."""
    found = [difference for difference in case.comparison.differences if difference.stage == "settings"]
    changes = ", ".join(f"{one.what} {one.recorded!r} -> {one.observed!r}" for one in found)
    evidence = [Evidence(f"resolved settings: {changes:.300}")]
    given = [one.what for one in found if explainer.is_given(case, one)]
    if len(given) == len(found):
        said = f"the test asks for settings that differ from the recorded ones: {', '.join(given)}"
        # A setting that only one side has is the test's: no release and no checkpoint makes a test give it.
        one_sided = all(one.recorded is None or one.observed is None for one in found)
        return case.because("test", said, evidence) if one_sided else of_the_test(case, said, evidence)
    others = [one.what for one in found if one.what not in given]
    if case.changed_overrides(others) == others:
        return case.because("test", case.overrides_sentence(sorted(others)), evidence)
    altered = [name for name in others if mutations.of_settings(case.origin, [name])]
    if altered == others:
        return case.because("test", mutations.sentence(mutations.of_settings(case.origin, others)), evidence)
    known = explainer.by_a_rule(case, others, evidence)
    if known is not None:
        return known
    same = case.same("config")
    if same is False and explainer.covered and explainer.is_configured(case, others):
        said = f"the checkpoint's configuration has changed, and with it {', '.join(others)}"
        return case.of_files("config", said, evidence)
    if same is False and explainer.covered:
        said = (
            f"the checkpoint's configuration has changed, but does not set {', '.join(others)} now: either it used to, "
        )
        return case.because(None, f"{said}or the test did", evidence)
    if same:
        evidence.append(Evidence("the checkpoint's configuration has not changed (same digest)"))
    return explainer.settings(case, others, evidence)


def unless_changed(
    case: Case[Any],
    found: Explanation,
    maker: str,
    give: Callable[[Any], object] | None = None,
    sides: tuple[object, object] | None = None,
) -> Explanation:
    """Return `found` for a `tokenizer` or a `preprocessor` that behaves differently, unless the test changed it.

    Args:
        case: the difference.
        found: names the release, or a part of the checkpoint.
        maker: of what differs.
        give: applies a maker to what the record holds, to prove that one loaded again does as recorded.
        sides: what that gave then and gives now.
    """
    changes = mutations.of_the_maker(case.origin, maker)
    of_files = str(found.cause).startswith("checkpoint:") or same_files(case, maker) is not True
    if give is not None and sides is not None and mutations.is_proven_by_fresh(case.origin, maker, give, sides):
        proof = Evidence(f"the {maker} loaded again from the same files gives what was recorded")
        return case.because("test", mutations.sentence(changes, maker), [*found.evidence, proof])
    if changes and not of_files and not case.changed_packages():
        return case.because("test", mutations.sentence(changes, maker), found.evidence)
    if changes and found.cause is not None and of_files:
        said = (
            f"{found.sentence}; the {maker} in memory has changed, too, so it is unknown which of these is the reason"
        )
        found = replace(found, cause=None, sentence=said)
    first = [mutations.as_evidence(changes, maker)] if changes else []
    same = [] if of_files else [Evidence(f"the {maker}'s files have not changed (same digest)")]
    return replace(found, evidence=(*first, *found.evidence, *same))


def outside_vocabulary(case: Case[Any], explainer: Explainer[Any]) -> str | None:
    """Return a sentence about the first recorded token that the model does not have, or None."""
    if case.origin is None:
        return None
    size = vocabulary_size(getattr(case.origin.loaded.model, "config", None))
    rows: list[Sequence[int]] = [ids for _, ids in kind_of(case.recorded).inputs(case.recorded)]
    rows += explainer.output_ids(case.recorded)
    outside = next((token for ids in rows for token in ids if size is not None and token >= size), None)
    if outside is None:
        return None
    return f"the file names token {outside}, but the vocabulary of the model has {size} tokens"


def is_of_the_test(name: str) -> bool:
    """Return whether a setting is always the test's own: upstream resolves only the names that every record has."""
    return name in _TESTS_OWN or name not in _RESOLVED


def _token(ids: tuple[int, ...], position: int, tokenizer: Any) -> str:
    if position >= len(ids):
        return "the end"
    text = "" if tokenizer is None else f"{tokenizer.decode([ids[position]])!r} "
    return f"{text}(id {ids[position]})"
