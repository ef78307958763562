"""The word tokenizer of Transformer-XL, equal to upstream's last working one (transformers 4.37.2).

For `registration`, inside this folder; others take it from `pytest_hfmodels.transfo_xl`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedTokenizer

from pytest_hfmodels.checkpoints.pickled_words import JSON_FILE, TEXT_FILE, write_words
from pytest_hfmodels.foundation.errors import CheckpointError, EngineUnavailable
from pytest_hfmodels.transfo_xl.vocabulary import Vocabulary, read_vocabulary

if TYPE_CHECKING:
    from collections.abc import Sequence

_NUMBER_SEPARATOR = re.compile(r"(?<=\d)[,.](?=\d)")


class TransfoXLTokenizer(PreTrainedTokenizer):  # type: ignore[misc] # transformers has no types
    """Moses tokenization into whole words; a word that the vocabulary lacks is its unknown word.

    An encoding holds `input_ids` only: the model takes no attention mask. Names and defaults are upstream's. A
    vocabulary is read from the first of these that there is: `vocab_file`, `vocab_json_file`,
    `pretrained_vocab_file`.

    Args:
        vocab_file: text, one word a line.
        vocab_json_file: JSON, a list of words or {word: id}.
        pretrained_vocab_file: a published `vocab.pkl`, of which nothing is run, whatever TRUST_REMOTE_CODE says.
        lower_case: whether to lower-case all but special tokens.
        delimiter: "" for tokens of one character each, None for words.
        never_split: patterns that Moses leaves whole; the special tokens by default.
        unk_token: the unknown word.
        eos_token: the end of a text.
        additional_special_tokens: more special tokens; those outside the vocabulary get ids after its end.
        language: whose rules Moses follows.
        **kwargs: the base class's.

    Raises:
        CheckpointError: no vocabulary is given, or it cannot be read, or lacks <unk> or `eos_token`.
        EngineUnavailable: sacremoses is not installed.
    """

    vocab_files_names = {  # noqa: RUF012 - the parent's form
        "vocab_file": TEXT_FILE,
        "vocab_json_file": JSON_FILE,
        "pretrained_vocab_file": "vocab.pkl",
    }
    model_input_names = ["input_ids"]  # noqa: RUF012 - the parent's form

    def __init__(
        self,
        vocab_file: str | None = None,
        vocab_json_file: str | None = None,
        pretrained_vocab_file: str | None = None,
        lower_case: bool = False,
        delimiter: str | None = None,
        never_split: Sequence[str] | None = None,
        unk_token: str = "<unk>",
        eos_token: str = "<eos>",
        additional_special_tokens: Sequence[str] = ("<formula>",),
        language: str = "en",
        **kwargs: Any,
    ) -> None:
        self.lower_case, self.delimiter, self.language = lower_case, delimiter, language
        self._vocabulary = _read_first(vocab_file, vocab_json_file, pretrained_vocab_file, eos_token=str(eos_token))
        self._normalize, self._split, self._join = _moses(language)
        # transformers 5 saves and hands back the same list by another name.
        if not isinstance(kwargs.get("extra_special_tokens"), list):
            kwargs["additional_special_tokens"] = list(additional_special_tokens)
        kwargs.setdefault("clean_up_tokenization_spaces", True)  # the default of 4.37.2
        super().__init__(
            lower_case=lower_case,
            delimiter=delimiter,
            never_split=never_split,
            unk_token=unk_token,
            eos_token=eos_token,
            language=language,
            **kwargs,
        )
        if not hasattr(self, "_added_tokens_decoder") and "name_or_path" not in kwargs:
            self.sanitize_special_tokens()  # through 4.33 only `from_pretrained` adds them to the vocabulary
        self.never_split = list(self.all_special_tokens if never_split is None else never_split)

    @property
    def do_lower_case(self) -> bool:
        """`lower_case`, by the name that the base class reads."""
        return self.lower_case

    @property
    def vocab_size(self) -> int:
        """Words in the vocabulary, added ones not counted."""
        return len(self._vocabulary.words)

    def get_vocab(self) -> dict[str, int]:
        """Return every word's id, added ones included."""
        # From 4.34 the base class asks before it has any, and under a private name.
        through_4_33 = self.__dict__.get("added_tokens_encoder", {})
        return {**self._vocabulary.ids, **getattr(self, "_added_tokens_encoder", through_4_33)}

    def tokenize(self, text: str, **kwargs: Any) -> list[str]:
        """Return the words of `text`.

        Lower-casing comes before special tokens are looked for, as in 4.37.2, on every release: with `lower_case`,
        "<EOS>" in a text is the end of it.
        """
        words: list[str] = super().tokenize(self._lowered(text) if self.lower_case else text, **kwargs)
        return words

    def _lowered(self, text: str) -> str:
        added = self.added_tokens_decoder.values()
        unchanged = {*self.all_special_tokens, *(str(token) for token in added if not _special_or_raw(token))}
        pattern = "|".join(re.escape(token) for token in unchanged)
        # Character by character as upstream does: a whole word in Greek would end in another sigma.
        return re.sub(rf"({pattern})|(.)", lambda found: found[1] or found[2].lower(), text)

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        line = text.strip()
        if self.lower_case:
            line = line.lower()
        return list(line) if self.delimiter == "" else self.moses_pipeline(line)

    def moses_pipeline(self, text: str) -> list[str]:
        """Normalise punctuation, split words and their hyphens, then the numbers.

        "23,000 men are well-read" gives 23 @,@ 000 men are well @-@ read.
        """
        words = self._split(
            self._normalize(text),
            aggressive_dash_splits=True,
            return_str=False,
            escape=False,
            protected_patterns=self.never_split,
        )
        return split_numbers(words)

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Join words and numbers again."""
        return join_numbers(self._join(tokens)).strip()

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return the ids of one text or of two in a row; nothing is put around them."""
        return token_ids_0 if token_ids_1 is None else token_ids_0 + token_ids_1

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str]:
        """Write the vocabulary as text, or as JSON where a word has a space; never as a pickle."""
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        return (str(write_words(self._vocabulary.words, Path(save_directory), prefix=prefix)),)

    def _convert_token_to_id(self, token: str) -> int:
        return self._vocabulary.ids.get(token, self._vocabulary.unknown)

    def _convert_id_to_token(self, index: int) -> str:
        if not 0 <= index < self.vocab_size:
            raise IndexError(f"{index} is not the id of a word in this vocabulary of {self.vocab_size} words.")
        return self._vocabulary.words[index]

    def _decode(
        self,
        token_ids: int | list[int],
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        spaces_between_special_tokens: bool = True,
        **_: Any,
    ) -> str:
        # Here, because releases treat added words differently.
        ids = [token_ids] if isinstance(token_ids, int) else token_ids
        added = self._added_words()
        parts: list[str] = []
        run: list[str] = []
        for token in self.convert_ids_to_tokens(ids, skip_special_tokens=skip_special_tokens):
            if token not in added:
                run.append(token)
                continue
            if run and (joined := self.convert_tokens_to_string(run)):
                parts.append(joined)
            parts.append(token)
            run = []
        if run:
            parts.append(self.convert_tokens_to_string(run))
        text = (" " if spaces_between_special_tokens else "").join(parts)
        if clean_up_tokenization_spaces is None:
            clean_up_tokenization_spaces = self.clean_up_tokenization_spaces
        return close_up(text) if clean_up_tokenization_spaces else text

    def _added_words(self) -> set[str]:
        """Return what Moses does not join: words added by a user, and additional special tokens without a word."""
        added = self.get_added_vocab()
        # transformers 5 has another name for them.
        additional = getattr(self, "additional_special_tokens", None) or getattr(self, "extra_special_tokens", None)
        apart = {str(token) for token in additional or () if added.get(str(token), 0) >= self.vocab_size}
        return set(added) - set(self.all_special_tokens) | apart


def split_numbers(words: Sequence[str]) -> list[str]:
    """Split numbers at their commas and points: "5,000" gives 5 @,@ 000."""
    return [part for word in words for part in _NUMBER_SEPARATOR.sub(r" @\g<0>@ ", word).split()]


def join_numbers(text: str) -> str:
    """Join what `split_numbers` has split: "5 @,@ 000" gives 5,000."""
    for separator in (",", "."):  # one after the other: where two touch, only the first finds both its spaces
        text = text.replace(f" @{separator}@ ", separator)
    return text


def close_up(text: str) -> str:
    """Drop the space before a mark or an English contraction, as the base class does (and that of 5.0 does not)."""
    for mark in (".", "?", "!", ","):
        text = text.replace(f" {mark}", mark)
    text = text.replace(" ' ", "'")
    for ending in ("n't", "'m", "'s", "'ve", "'re"):
        text = text.replace(f" {ending}", ending)
    return text


def _read_first(*files: str | None, eos_token: str) -> Vocabulary:
    found = next((file for file in files if file is not None), None)
    if found is None:
        raise CheckpointError(
            f"The Transformer-XL tokenizer has no vocabulary: expected {TEXT_FILE}, {JSON_FILE} or vocab.pkl.",
            hint="Put one of them beside the checkpoint's config.json.",
        )
    return read_vocabulary(Path(found), end=eos_token)


def _moses(language: str) -> tuple[Any, Any, Any]:
    try:
        # An extra: only this tokenizer needs it.
        from sacremoses import MosesDetokenizer, MosesPunctNormalizer, MosesTokenizer
    except ImportError as error:
        raise EngineUnavailable(
            "The Transformer-XL tokenizer needs sacremoses, which is not installed.",
            hint='Install it with `python -m pip install "pytest-hfmodels[transfo-xl]"`.',
        ) from error
    return (
        MosesPunctNormalizer(language).normalize,
        MosesTokenizer(language).tokenize,
        MosesDetokenizer(language).detokenize,
    )


def _special_or_raw(token: Any) -> bool:
    """Return whether an added word is matched as it is, not in lower case."""
    if isinstance(token, str):  # through 4.33
        return False
    return bool(token.special or not token.normalized)
