"""Why the same token ids are decoded to another text: the checkpoint's files, the test, a setting, or the release."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.explain.case import rules_of
from pytest_hfmodels.explain.stages import same_files, unless_changed
from pytest_hfmodels.kinds.explanation import Evidence
from pytest_hfmodels.reference.spaces import clean_up_spaces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.explain.case import Case
    from pytest_hfmodels.kinds.explanation import Explanation
    from pytest_hfmodels.kinds.generation.record import GenerationRecord

_CLEAN_UP = "clean_up_tokenization_spaces"
_SETTINGS = (_CLEAN_UP, "spaces_between_special_tokens", "skip_special_tokens")


def decoding(case: Case[GenerationRecord]) -> Explanation:
    """Explain a different text of the same ids."""
    recorded, observed = case.recorded, case.observed
    evidence = [_other_spelling(recorded, observed)]
    found = of_tokens(case, evidence)
    comparable = same_files(case, "tokenizer") is not False
    setting = _setting(case, case.origin.tokenizer) if case.origin is not None and comparable else None
    if setting is not None:
        name, value = setting
        words, rules = _change(case, name, value)
        said = f"{name} was {value} at recording and is {not value} now{words}"
        said = f"{said}; decoding with {value} gives the recorded text"
        found = replace(found, cause="decoding", sentence=said, package="transformers", rules=rules)
    ids, skip = list(observed.decoded_ids), bool(observed.effective.get("skip_special_tokens"))
    texts = recorded.text, observed.text
    return unless_changed(case, found, "tokenizer", lambda one: one.decode(ids, skip_special_tokens=skip), texts)


def of_tokens(case: Case[Any], evidence: Sequence[Evidence] = ()) -> Explanation:
    """Return that the same ids are decoded to another text, by other files or by the library."""
    same = same_files(case, "tokenizer")
    if same is False:
        said = "the checkpoint's tokenizer files have changed, and the tokens are decoded differently"
        return case.of_files("tokenizer", said, evidence)
    if same is None:
        said = (
            "the same token ids are decoded to a different text. For an adopted tokenizer a snapshot records only the "
        )
        return case.because(None, f"{said}vocabulary, so the reason is unknown", evidence)
    return case.because(
        "decoding", "the same token ids are decoded to a different text", evidence, package="tokenizers"
    )


def _other_spelling(recorded: GenerationRecord, observed: GenerationRecord) -> Evidence:
    for position, (before, now) in enumerate(zip(recorded.steps, observed.steps, strict=False)):
        if before.text != now.text:
            said = f"token {position + 1} (id {before.id}) was spelt {before.text!r}, and is now {now.text!r}"
            return Evidence(said, {"position": position, "id": before.id})
    return Evidence("each token on its own is spelt as recorded, but they are joined differently")


def _setting(case: Case[GenerationRecord], tokenizer: Any) -> tuple[str, bool] | None:
    """Return the setting of `decode` that gives both texts with the tokenizer in memory, and its recorded value."""
    for name in _SETTINGS:
        try:
            texts = _texts(case.observed, tokenizer, name)
        except Exception:  # a custom tokenizer without this setting
            continue
        for value in (True, False):
            if (texts[value], texts[not value]) == (case.recorded.text, case.observed.text):
                return name, value
    return None


def _texts(record: GenerationRecord, tokenizer: Any, name: str) -> dict[bool, str]:
    """Return the text of a record's ids with both values of a setting."""
    ids = list(record.decoded_ids)
    asked = {"skip_special_tokens": bool(record.effective.get("skip_special_tokens"))}
    texts = {value: str(tokenizer.decode(ids, **{**asked, name: value})) for value in (True, False)}
    if name == _CLEAN_UP and texts[True] == texts[False]:  # from 5.7 on True does nothing for byte-level BPE
        texts[True] = clean_up_spaces(texts[False])
    return texts


def _change(case: Case[GenerationRecord], name: str, value: bool) -> tuple[str, tuple[str, ...]]:
    """Return which release changed a default, in words and as a rule, if one record is from before and one after."""
    if name != _CLEAN_UP or case.origin is None:
        return "", ()
    then, now = rules_of(case.recorded), rules_of(case.observed)
    of_files = (getattr(case.origin.tokenizer, "init_kwargs", None) or {}).get(_CLEAN_UP)  # then no default decides
    if of_files is None and (then.spaces_cleaned_up, now.spaces_cleaned_up) == (value, not value):
        words = " (the default is True through transformers 4.45.0 and False from 4.45.1 on)"
        return words, ("spaces_cleaned_up",)
    if of_files and (then.bpe_keeps_spaces, now.bpe_keeps_spaces) == (not value, value):
        words = ", in effect (from transformers 5.7 on True does nothing for byte-level BPE)"
        return words, ("bpe_keeps_spaces",)
    return "", ()
