"""What a test gives to `generate`, as token ids: one prompt or a batch, in every form that the library's users have."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.errors import CheckpointError, EngineError
from pytest_hfmodels.kinds.generation.media import Media, is_one, media_without_text, read_media
from pytest_hfmodels.kinds.generation.record import Prompt
from pytest_hfmodels.kinds.prompt import AS_IN, listed, require_ids, require_text, vocabulary_size

if TYPE_CHECKING:
    from pytest_hfmodels.engines import LoadedModel

_SHOWN_IDS = 8


class RepeatedStartWarning(UserWarning):
    """A text starts with the token for the beginning of a text, and the tokenizer adds it once more."""


@dataclass(frozen=True)
class Prompts:
    """The prompts of one `generate`; `one` says that the test gave a single prompt and no batch."""

    rows: tuple[Prompt, ...]
    one: bool = True
    media: Media = field(default_factory=Media)


def read_prompts(
    given: Any, tokenizer: Any, config: Any, *, name: str, add_special_tokens: bool | None = None
) -> Prompts:
    """Return what a test gives to `generate` as prompts.

    Args:
        given: text; token ids as a sequence, an array or a tensor (L,) or (B, L); what a tokenizer returned, whose mask
            says which ids are padding; or a list of texts or of rows of ids, which is a batch.
        tokenizer: upstream's.
        config: the model's.
        name: of the checkpoint, for a message.
        add_special_tokens: as the tokenizer takes it; None leaves it to the tokenizer.

    Raises:
        EngineError: it is none of these, or a prompt has no tokens.
    """
    asked = {} if add_special_tokens is None else {"add_special_tokens": add_special_tokens}
    if isinstance(given, list | tuple) and not given:
        raise EngineError("The prompt is an empty list.", hint=AS_IN)
    values, one = _separated(given)
    rows = tuple(_prompt(value, tokenizer, vocabulary_size(config), asked) for value in values)
    start = getattr(tokenizer, "bos_token", None)
    twice = (getattr(tokenizer, "bos_token_id", None),) * 2
    texts = [row for value, row in zip(values, rows, strict=True) if isinstance(value, str)]
    if start and any(row.text.startswith(start) and row.ids[:2] == twice for row in texts):
        warnings.warn(
            f"A prompt for {name} starts with {start!r}, and its tokenizer adds that once more: "
            "take it out of the text, or give add_special_tokens=False.",
            RepeatedStartWarning,
            stacklevel=3,
        )
    return Prompts(rows, one)


def read_media_prompts(
    given: Mapping[str, Any],
    rate: int | None,
    direct: Mapping[str, Any],
    processor: Any,
    tokenizer: Any,
    loaded: LoadedModel,
) -> Prompts:
    """Return what a test gives to `generate` with images or sounds as prompts; see `read_media`.

    Raises:
        EngineError: an input does not fit, or there is not one text a row.
    """
    media, ids = read_media(given, rate, direct, processor, loaded)
    vocabulary = vocabulary_size(getattr(loaded.model, "config", None))
    if ids is None:
        count = len(media.given) or max((len(array) for array in media.arrays.values()), default=0)
        rows = tuple(Prompt(text, ()) for text in media_without_text(media, count))
    else:
        texts = given.get("text", [decode(tokenizer, row, skip_special_tokens=False) for row in ids])
        texts = texts if isinstance(texts, list) else [texts]
        rows = tuple(Prompt(text, require_ids(row, vocabulary)) for text, row in zip(texts, ids, strict=True))
    return Prompts(rows, is_one(given, direct), media)


def decode(tokenizer: Any, ids: Sequence[int], *, skip_special_tokens: bool) -> str:
    """Return token ids as text.

    Raises:
        CheckpointError: the tokenizer fails at it.
    """
    try:
        return str(tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens))
    except Exception as error:  # each tokenizer has its own kinds
        raise CheckpointError(
            f"{type(tokenizer).__name__} cannot decode token ids of this model "
            f"({', '.join(map(str, ids[-_SHOWN_IDS:]))}): {type(error).__name__}: {error}",
            hint="Save the tokenizer that the model was trained with beside it: tokenizer.save_pretrained(folder).",
        ) from error


def _separated(given: Any) -> tuple[Sequence[Any], bool]:
    """Return the prompts, and whether there is one and no batch: a tensor of one row is one, a list of one is not."""
    if isinstance(given, Mapping):
        return _encoded(given)
    values = listed(given)
    if (
        not _is_sequence(values)
        or not values
        or not any(isinstance(row, str) or _is_sequence(listed(row)) for row in values)
    ):
        return [values], True
    return values, len(values) == 1 and values is not given


def _encoded(given: Mapping[str, Any]) -> tuple[Sequence[Any], bool]:
    """Return the ids that a tokenizer gave, without the padding that its mask names."""
    if "input_ids" not in given:
        raise EngineError(
            f"A prompt that a tokenizer made has input_ids, and this {type(given).__name__} has none.",
            hint="Give what tokenizer(text) returns, or the text itself.",
        )
    ids, mask = listed(given["input_ids"]), listed(given.get("attention_mask"))
    nested = _is_sequence(ids) and len(ids) > 0 and _is_sequence(listed(ids[0]))
    rows = [listed(row) for row in ids] if nested else [ids]
    masks = [None] * len(rows) if mask is None else [listed(row) for row in mask] if nested else [mask]
    if any(
        own is not None and (not _is_sequence(own) or len(own) != len(row))
        for row, own in zip(rows, masks, strict=False)
    ):
        raise EngineError("The prompt's attention_mask has another shape than its input_ids.", hint=AS_IN)
    return [_unpadded(row, own) for row, own in zip(rows, masks, strict=True)], len(rows) == 1


def _unpadded(ids: Any, mask: Sequence[int] | None) -> Any:
    return ids if mask is None else [token for token, real in zip(ids, mask, strict=True) if real]


def _is_sequence(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview)


def _prompt(value: Any, tokenizer: Any, vocabulary: int | None, asked: Mapping[str, Any]) -> Prompt:
    if isinstance(value, str):
        ids = require_ids(tokenizer(require_text(value, "The prompt"), **asked)["input_ids"], vocabulary)
        given = Prompt(text=value, ids=ids)
    else:
        ids = require_ids(value, vocabulary)
        given = Prompt(text=decode(tokenizer, ids, skip_special_tokens=False), ids=ids)
    if not given.ids:
        raise EngineError(
            f"The prompt {given.text!r} has no tokens.",
            hint="Generation needs one: start from the tokenizer's bos token, generate([tokenizer.bos_token_id]).",
        )
    return given
