"""Finds the `decode` setting that gives the recorded text from the same ids, with the tokenizer in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.reference.rules import Rules
from pytest_hfmodels.reference.spaces import clean_up_spaces

if TYPE_CHECKING:
    from pytest_hfmodels.kinds import GenerationRecord

CLEAN_UP = "clean_up_tokenization_spaces"
_SETTINGS = (CLEAN_UP, "spaces_between_special_tokens", "skip_special_tokens")


@dataclass(frozen=True)
class Setting:
    """A setting of `decode` that explains both the recorded text and today's.

    Args:
        name: the library's name for it.
        recorded: the value that gives the recorded text.
        rule: the name in `reference.Rules` of the default or rule that changed; None if unknown.
        words: what changed in which release, to end a sentence with; empty if unknown.
    """

    name: str
    recorded: bool
    rule: str | None = None
    words: str = ""

    @property
    def sentence(self) -> str:
        """The setting, both values and the release."""
        return (
            f"{self.name} was {self.recorded} at recording and is {not self.recorded} now"
            f"{self.words}; decoding with {self.recorded} gives the recorded text"
        )


def find_setting(recorded: GenerationRecord, observed: GenerationRecord, tokenizer: Any) -> Setting | None:
    """Return the setting of `decode` that explains two texts of the same ids, or None.

    Args:
        recorded: from the snapshot.
        observed: from the model.
        tokenizer: upstream's.
    """
    for name in _SETTINGS:
        try:
            texts = _decoded(observed, tokenizer, name)
        except Exception:  # a custom tokenizer without this setting
            continue
        for value in (True, False):
            if (texts[value], texts[not value]) == (recorded.text, observed.text):
                return _with_rule(Setting(name, value), recorded, observed, tokenizer)
    return None


def _decoded(record: GenerationRecord, tokenizer: Any, name: str) -> dict[bool, str]:
    """Return the text of a record's ids with both values of a setting."""
    ids = [*record.prompt.ids, *record.ids]
    asked = {"skip_special_tokens": bool(record.effective.get("skip_special_tokens"))}
    texts = {value: str(tokenizer.decode(ids, **{**asked, name: value})) for value in (True, False)}
    if name == CLEAN_UP and texts[True] == texts[False]:  # from 5.7 on True does nothing for byte-level BPE
        texts[True] = clean_up_spaces(texts[False])
    return texts


def _with_rule(found: Setting, recorded: GenerationRecord, observed: GenerationRecord, tokenizer: Any) -> Setting:
    """Add the release that changed a default, if one record is from before it and one from after."""
    if found.name != CLEAN_UP:
        return found
    then, now = (Rules.of(side.provenance.versions.get("transformers", "5.23")) for side in (recorded, observed))
    of_files = (getattr(tokenizer, "init_kwargs", None) or {}).get(CLEAN_UP)  # then no default decides
    if of_files is None and (then.spaces_cleaned_up, now.spaces_cleaned_up) == (found.recorded, not found.recorded):
        words = " (the default is True through transformers 4.45.0 and False from 4.45.1 on)"
        return Setting(found.name, found.recorded, "spaces_cleaned_up", words)
    if of_files and (then.bpe_keeps_spaces, now.bpe_keeps_spaces) == (not found.recorded, found.recorded):
        words = ", in effect (from transformers 5.7 on True does nothing for byte-level BPE)"
        return Setting(found.name, found.recorded, "bpe_keeps_spaces", words)
    return found
