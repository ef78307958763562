"""What a test hands in as text or token ids, checked before a tokenizer or a model trips on it.

For this package and `models`. Every sentence names the argument at fault and what belongs there.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

from pytest_hfmodels.foundation.errors import EngineError

AS_IN = "Write it as in generate('Hello') or generate([72, 105]); a batch as in generate(['Hello', 'Good day'])."
_IS = "A prompt is text or a sequence of token ids"


def require_text(text: object, what: str) -> str:
    """Return `text`, which `what` names in a message.

    Raises:
        EngineError: it is no text, or holds half of a surrogate pair.
    """
    if not isinstance(text, str):
        raise EngineError(f"{what} is text, not {_type(text)}.", hint="Give a str.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise EngineError(
            f"{what} holds a lone surrogate, {text[error.start]!a}, which no UTF-8 file can.",
            hint="Decode it properly, or replace it: text.encode(errors='replace').decode().",
        ) from error
    return text


def require_tokenizer(tokenizer: object, checkpoint: str) -> None:
    """Refuse text for a checkpoint without a tokenizer.

    Raises:
        EngineError: naming the checkpoint.
    """
    if tokenizer is None:
        raise EngineError(
            f"{checkpoint} has no tokenizer, so it takes no text.",
            hint="Save one beside the model: tokenizer.save_pretrained(folder). Or give the model's own inputs to "
            "hf_model.observe(…).",
        )


def require_ids(ids: object, vocabulary: int | None) -> tuple[int, ...]:
    """Return the token ids of one prompt.

    Args:
        ids: a sequence of integers, or an array or tensor of one dimension.
        vocabulary: how many token ids there are, or None if the model does not say.

    Raises:
        EngineError: it is no such sequence, or an id lies outside of the vocabulary.
    """
    values = listed(ids)
    if not isinstance(values, Sequence) or isinstance(values, str | bytes | bytearray | memoryview):
        raise EngineError(f"{_IS}, not {_type(ids)}.", hint=AS_IN)
    return tuple(_require_id(value, vocabulary) for value in values)


def require_rows(rows: object, vocabulary: int | None) -> list[tuple[int, ...]]:
    """Return a batch of token ids, (B, L).

    Raises:
        EngineError: it is not a batch, or a row is not a sequence of ids; see `require_ids`.
    """
    values = listed(rows)
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        raise EngineError(
            f"A batch is a list of rows of token ids, not {_type(rows)}.", hint="Write it as in [[72, 105], [66, 121]]."
        )
    return [require_ids(listed(row), vocabulary) for row in values]


def vocabulary_size(config: Any) -> int | None:
    """Return how many token ids a model takes, or None if its configuration does not say."""
    size = getattr(config, "vocab_size", None)
    return size if isinstance(size, int) and size > 0 else None


def positions(model: Any) -> int | None:
    """Return how many positions of a model a text can use, or None if its configuration sets no limit.

    RoBERTa and its descendants number positions from `padding_idx + 1` in a table of `max_position_embeddings` rows; a
    text cannot use the rows before that.

    Args:
        model: upstream's model of either engine.
    """
    limit = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    if not isinstance(limit, int) or limit <= 0:
        return None
    modules = model.modules() if hasattr(model, "modules") else getattr(model, "submodules", ())
    return limit - max((_reserved_rows(module, limit) for module in modules), default=0)


def require_room(model: Any, prompt_length: int, wanted: int | None) -> None:
    """Refuse a run that would need more positions than the model has.

    Args:
        model: upstream's model.
        prompt_length: in tokens.
        wanted: the total length that the settings request, including the prompt; None if they set no length.

    Raises:
        EngineError: there are too few positions.
    """
    limit = positions(model)
    if limit is None:
        return
    if prompt_length >= limit:
        raise EngineError(
            f"The prompt has {prompt_length} tokens, but the model has {limit} positions.",
            hint="Shorten the prompt: at least one position must be left to generate.",
        )
    if wanted is not None and wanted > limit:
        raise EngineError(
            f"The settings allow {wanted} tokens, {prompt_length} of them the prompt, "
            f"and the model has {limit} positions.",
            hint=f"Lower max_new_tokens to {limit - prompt_length} or max_length to {limit}, or shorten the prompt.",
        )


def require_length(model: Any, length: int, what: str) -> None:
    """Refuse more tokens than the model has positions.

    Raises:
        EngineError: `what` has too many.
    """
    limit = positions(model)
    if limit is not None and length > limit:
        raise EngineError(
            f"{what} has {length} tokens, but the model has {limit} positions.", hint=f"Shorten it to {limit} tokens."
        )


def listed(value: Any) -> Any:
    """Return an array or tensor of any library as nested lists, and anything else as it is."""
    if hasattr(value, "tolist") and not isinstance(value, memoryview):
        return value.tolist()
    return value.numpy().tolist() if hasattr(value, "numpy") else value


def _reserved_rows(module: Any, limit: int) -> int:
    """Return how many of the `limit` rows of a module's position table come before the first position of a text."""
    padding, table = getattr(module, "padding_idx", None), getattr(module, "position_embeddings", None)
    shape: Any = getattr(getattr(table, "weight", table), "shape", ())
    return padding + 1 if isinstance(padding, int) and len(shape) == 2 and int(shape[0]) == limit else 0


def _require_id(value: Any, vocabulary: int | None) -> int:
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        raise EngineError(f"{_IS}, not a sequence of sequences.", hint=AS_IN)
    try:
        token = None if isinstance(value, bool) else index(value)
    except TypeError:
        token = None
    if token is None:
        raise EngineError(f"{_IS}, and {value!r:.40} is {_type(value)}.", hint=AS_IN)
    if token < 0 or (vocabulary is not None and token >= vocabulary):
        span = "0 or more" if vocabulary is None else f"0 to {vocabulary - 1}"
        raise EngineError(f"Token id {token} is outside of the model's vocabulary.", hint=f"Its token ids are {span}.")
    return token


def _type(value: object) -> str:
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
