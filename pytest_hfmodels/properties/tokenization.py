"""Checks of a tokenizer: it decodes what it encoded, its offsets are right, and batch = alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

# A slow tokenizer would put spaces around words that were added to its vocabulary.
_PLAIN = {"clean_up_tokenization_spaces": False, "spaces_between_special_tokens": False}
_UNCHANGED = {"skip_special_tokens": False, **_PLAIN}


@dataclass(frozen=True)
class TokenizerViolation:
    """A counterexample.

    Args:
        given: a text, texts, or token ids.
        found: the tokenizer's result.
        expected: the correct result.
        what: the difference, in words.
    """

    given: Any
    found: Any
    expected: Any
    what: str

    def __str__(self) -> str:
        return f"{self.what}: {self.found!r} instead of {self.expected!r}, for {self.given!r}"


def check_round_trip(tokenizer: Any, text: str) -> TokenizerViolation | None:
    """Return how a text differs after encoding and decoding, or None; for tokenizers of bytes, which lose nothing.

    Args:
        tokenizer: upstream's.
        text: any text, special tokens included.
    """
    found = tokenizer.decode(_encode(tokenizer, text), **_UNCHANGED)
    return None if found == text else TokenizerViolation(text, found, text, "encoded and decoded it is")


def check_decoded_bytes(tokenizer: Any, ids: Sequence[int]) -> TokenizerViolation | None:
    """Return how the decoded ids differ from the bytes of their tokens, or None; for tokenizers of bytes.

    Bytes of an incomplete character become U+FFFD, as Unicode recommends.

    Args:
        tokenizer: upstream's.
        ids: ids of its vocabulary.
    """
    expected = b"".join(_bytes_of(tokenizer, ids)).decode("utf-8", errors="replace")
    found = tokenizer.decode(list(ids), **_UNCHANGED)
    return None if found == expected else TokenizerViolation(list(ids), found, expected, "decoded they are")


def check_offsets(tokenizer: Any, text: str) -> TokenizerViolation | None:
    """Return how the offsets differ from the places of the tokens' bytes, or None; for fast tokenizers of bytes.

    A token covers the characters of its first byte, its last byte and all between; so all tokens together cover the
    text, spaces included.

    Args:
        tokenizer: upstream's.
        text: any text.
    """
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    owners = [index for index, character in enumerate(text) for _ in character.encode("utf-8")]
    expected, start = [], 0
    for piece in _bytes_of(tokenizer, encoding["input_ids"]):
        own = owners[start : start + len(piece)]
        expected.append((own[0], own[-1] + 1) if own else (0, 0))
        start += len(piece)
    found = [(int(first), int(last)) for first, last in encoding["offset_mapping"]]
    return None if found == expected else TokenizerViolation(text, found, expected, "its offsets are")


def check_special_token(
    tokenizer: Any, before: str, special: str, after: str, *, skipped: bool = True
) -> TokenizerViolation | None:
    """Return how a special token between two texts is not one token, or None; for tokenizers of bytes.

    It must be one token, both texts must be encoded as if alone, and decoding must leave it out on request.

    Args:
        tokenizer: upstream's.
        before: a text without special tokens.
        special: the special token.
        after: another text.
        skipped: whether to check `skip_special_tokens` as well.
    """
    text = before + special + after
    ids = _encode(tokenizer, text)
    one = tokenizer.convert_tokens_to_ids(special)
    expected = [*_encode(tokenizer, before), one, *_encode(tokenizer, after)]
    if ids != expected:
        return TokenizerViolation(text, ids, expected, "the ids around a special token are")
    found = tokenizer.decode(ids, skip_special_tokens=True, **_PLAIN)
    if skipped and found != before + after:
        return TokenizerViolation(text, found, before + after, "without special tokens it is")
    return None


def check_clean_up(tokenizer: Any, text: str) -> TokenizerViolation | None:
    """Return how `clean_up_tokenization_spaces=True` differs from its documentation, or None.

    It removes the space before a mark or an English contraction from the text that decoding gives without it.

    Args:
        tokenizer: upstream's.
        text: any text.
    """
    from pytest_hfmodels.reference.spaces import clean_up_spaces  # with NumPy

    ids = _encode(tokenizer, text)
    plain = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    found = tokenizer.decode(ids, clean_up_tokenization_spaces=True)
    expected = clean_up_spaces(plain)
    return None if found == expected else TokenizerViolation(text, found, expected, "with spaces cleaned up, it is")


def check_batch(
    tokenizer: Any, texts: Sequence[str], *, max_length: int | None = None, filled: bool = False, multiple: int = 1
) -> TokenizerViolation | None:
    """Return how a batch of texts differs from the same texts alone, or None.

    Each row must be the text's own ids, cut to `max_length` on the tokenizer's `truncation_side` and padded on its
    `padding_side`, to the longest row or to `max_length`. The mask, if there is one, must be 1 for them and 0 for
    padding. For tokenizers that have a padding token and add nothing around a text.

    Args:
        tokenizer: upstream's.
        texts: at least one.
        max_length: the most tokens of a row; None cuts nothing.
        filled: whether rows are padded to `max_length` instead of to the longest row.
        multiple: `pad_to_multiple_of`.
    """
    cutting = {} if max_length is None else {"truncation": True, "max_length": max_length}
    rows = [_cut(list(tokenizer(text)["input_ids"]), max_length, tokenizer.truncation_side) for text in texts]
    longest = max_length if filled and max_length is not None else max(len(row) for row in rows)
    longest = -(-longest // multiple) * multiple
    rounding = {"pad_to_multiple_of": multiple} if multiple > 1 else {}
    batch = tokenizer(list(texts), padding="max_length" if filled else True, **rounding, **cutting)
    wanted = {"input_ids": (rows, tokenizer.pad_token_id), "attention_mask": ([[1] * len(row) for row in rows], 0)}
    for name, (values, fill) in wanted.items():
        if name not in batch:  # Transformer-XL takes no mask
            continue
        expected = [_padded(row, fill, longest, tokenizer.padding_side) for row in values]
        found = [list(row) for row in batch[name]]
        if found != expected:
            return TokenizerViolation(list(texts), found, expected, f"{name} of the batch is")
    return None


def _padded(row: list[int], fill: int, length: int, side: str) -> list[int]:
    gap = [fill] * (length - len(row))
    return gap + row if side == "left" else row + gap


def check_same(tokenizer: Any, other: Any, text: str) -> TokenizerViolation | None:
    """Return how another tokenizer (slow for fast, reloaded for saved) treats a text differently, or None.

    Args:
        tokenizer: upstream's.
        other: the tokenizer that should do the same.
        text: any text.
    """
    expected, found = _encode(tokenizer, text), _encode(other, text)
    if found != expected:
        return TokenizerViolation(text, found, expected, "the other tokenizer's ids are")
    for skip in (False, True):
        again, wanted = (known.decode(expected, skip_special_tokens=skip) for known in (other, tokenizer))
        if again != wanted:
            return TokenizerViolation(text, again, wanted, "the other tokenizer decodes it to")
    return None


def _encode(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))


def _cut(ids: list[int], most: int | None, side: str) -> list[int]:
    if most is None or len(ids) <= most:
        return ids
    return ids[len(ids) - most :] if side == "left" else ids[:most]


def _bytes_of(tokenizer: Any, ids: Sequence[int]) -> list[bytes]:
    """Return the bytes that each id stands for."""
    table = _byte_of_each_character()
    whole = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}
    return [
        token.encode("utf-8") if token in whole else bytes(table[character] for character in token)
        for token in tokenizer.convert_ids_to_tokens(list(ids))
    ]


def _byte_of_each_character() -> dict[str, int]:
    """Return GPT-2's table: printable bytes are their own Latin-1 characters, the others U+0100 and following."""
    own = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(0x100) if byte not in own]
    return {chr(byte): byte for byte in own} | {chr(0x100 + index): byte for index, byte in enumerate(others)}
