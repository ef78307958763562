"""What one call of a token classifier observed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_hfmodels.foundation.durations import Timed
from pytest_hfmodels.foundation.errors import EngineError
from pytest_hfmodels.kinds.base import Record
from pytest_hfmodels.kinds.evidence import NOT_COMPARABLE, LivePass, ModelRef, fingerprint, log_softmax
from pytest_hfmodels.kinds.inputs import Encoded, batch_of, encode, label_names, padded
from pytest_hfmodels.kinds.layout import TokenId  # noqa: TC001 - msgspec reads the annotations
from pytest_hfmodels.kinds.prompt import listed, require_ids, require_length, require_text, vocabulary_size
from pytest_hfmodels.kinds.provenance import CheckpointSeen, Provenance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_hfmodels.checkpoints import Checkpoint
    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.engines.base import FloatArray
    from pytest_hfmodels.kinds.evidence import LiveModel

UNKNOWN = -1  # a slow tokenizer does not say where a token stands


@dataclass(frozen=True)
class TaggedToken:
    """A token, or a word by its first token, and what the model says of it.

    Args:
        index: of the token in the text's ids.
        text: as it stands in the text; the tokenizer's own spelling if that is unknown.
        start: of its first character in the text; -1 with a slow tokenizer, which does not report it.
        end: after its last character; likewise.
        label: the one with the largest logit.
        score: its probability, after a softmax over the labels.
        margin: its logit less the second largest; infinite for a model of one label.
        runner_up: the label of that one.
    """

    index: int
    text: str
    start: int
    end: int
    label: str
    score: float
    margin: float
    runner_up: str


@dataclass(frozen=True)
class TaggedText:
    """A text of a batch.

    Args:
        text: the input, or its words joined by spaces.
        ids: its token ids, without padding.
        tokens: its tokens or words with their labels, without special ones.
    """

    text: str
    ids: tuple[TokenId, ...]
    tokens: tuple[TaggedToken, ...]


@dataclass(frozen=True, kw_only=True, repr=False)
class TokensRecord(Record):
    """What `HFModel.tag` observed; compare it with `hf_snapshot`. For the other fields see `Record`.

    Args:
        rows: the texts, in order.
    """

    kind: ClassVar[str] = "tokens"
    rows: tuple[TaggedText, ...]
    live: LivePass | None = field(default=None, compare=False, repr=False)

    @property
    def labels(self) -> tuple[tuple[str, ...], ...]:
        """The label of every token, text by text."""
        return tuple(tuple(token.label for token in row.tokens) for row in self.rows)

    def __repr__(self) -> str:
        labels = "; ".join(" ".join(row) for row in self.labels)
        return f"<TokensRecord {self.checkpoint.name} on {self.provenance.engine}: {labels:.200}>"


@Timed("evidence")
def observe_tokens(
    checkpoint: Checkpoint,
    loaded: LoadedModel,
    tokenizer: Any,
    texts: Any,
    *,
    words: bool = False,
    is_split_into_words: bool = False,
    origin: LiveModel | None = None,
) -> TokensRecord:
    """Label the tokens of texts in one forward pass, and return what was seen.

    Args:
        checkpoint: what `loaded` was loaded from.
        loaded: the token classifier.
        tokenizer: upstream's; a fast one says where tokens stand.
        texts: one text or a list of them.
        words: give each word the label of its first token.
        is_split_into_words: a text is a list of its words; characters are counted with a space between them.
        origin: what a mismatch may ask again, see `ModelRef`.

    Raises:
        EngineError: nothing to label, a text of another kind or too long, words with a slow tokenizer, a batch that
            needs padding without a pad token, or logits that are not finite.
    """
    import numpy as np

    fast = bool(getattr(tokenizer, "is_fast", False))
    if words and not fast:
        raise EngineError(
            "The checkpoint's tokenizer is a slow one, which does not say which tokens are a word's.",
            hint="Tag its tokens: tag(text) without words=True; or save a tokenizer.json beside the model.",
        )
    settings = {"return_special_tokens_mask": True, **({"return_offsets_mapping": True} if fast else {})}
    if is_split_into_words:
        rows = [_of_words(tokenizer, row, loaded.model, settings) for row in _batch_of_words(texts)]
    else:
        rows = [encode(tokenizer, text, loaded.model, "What is tagged", **settings) for text in batch_of(texts)]
    if not rows:
        raise EngineError("There is nothing to tag.", hint="Give at least one text.")
    config = getattr(loaded.model, "config", None)
    pad = getattr(config, "pad_token_id", None)
    inputs = padded(rows, tokenizer.pad_token_id if pad is None else pad, tokenizer.padding_side)
    seen = loaded.observe(inputs)
    logits = own_rows(seen.outputs["logits"], inputs, len(rows))
    if not all(np.isfinite(row).all() for row in logits):
        raise EngineError(f"{checkpoint.name} on {loaded.engine} returned NaN or infinity.", hint=NOT_COMPARABLE)
    names = label_names(config, logits[0].shape[-1])
    return TokensRecord(
        provenance=Provenance.of(loaded),
        checkpoint=CheckpointSeen.of(checkpoint),
        effective={
            "num_labels": int(logits[0].shape[-1]),
            "words": words,
            **({"is_split_into_words": True} if is_split_into_words else {}),
        },
        rows=tuple(
            TaggedText(row.text, row.ids, tuple(_tokens(row, own, names, tokenizer, words=words)))
            for row, own in zip(rows, logits, strict=True)
        ),
        blocks=fingerprint(seen.hidden_states, inputs.get("attention_mask")),
        live=None if origin is None else LivePass(inputs, ModelRef(origin, {})),
    )


def _batch_of_words(texts: Any) -> list[Any]:
    """Return the rows of words that a test gives: a list of texts is one row."""
    found = _listed_words(texts)
    return [found] if found and all(isinstance(word, str) for word in found) else found


def _listed_words(words: Any) -> list[Any]:
    found = listed(words)
    if not isinstance(found, list | tuple):
        raise EngineError(
            f"With is_split_into_words=True a text is a list of words, not {type(words).__name__}.",
            hint='Write it as in tag(["My", "name"], is_split_into_words=True); a batch is a list of such lists.',
        )
    return [*found]


def _of_words(tokenizer: Any, words: Any, model: Any, settings: Mapping[str, Any]) -> Encoded:
    """Return a row of words as ids."""
    row = [require_text(word, "A word that is tagged") for word in _listed_words(words)]
    encoding = tokenizer(row, is_split_into_words=True, **settings)
    ids = require_ids(encoding["input_ids"], vocabulary_size(getattr(model, "config", None)))
    require_length(model, len(ids), "A text")
    starts = (0, *accumulate(len(word) + 1 for word in row))
    return Encoded(" ".join(row), ids=ids, encoding=encoding, starts=starts)


def own_rows(logits: Any, inputs: Mapping[str, Any], count: int) -> list[FloatArray]:
    """Return the logits (L, labels) of each text, without those at padding."""
    mask = inputs.get("attention_mask")
    return [logits[row] if mask is None else logits[row][mask[row].astype(bool)] for row in range(count)]


def _tokens(
    row: Encoded, logits: FloatArray, names: Sequence[str], tokenizer: Any, *, words: bool
) -> Iterator[TaggedToken]:
    """Yield each token that is not special, or the first of each word."""
    special, offsets = row.encoding["special_tokens_mask"], row.encoding.get("offset_mapping")
    word_of = row.encoding.word_ids() if words else range(len(row.ids))
    probabilities = log_softmax(logits)
    before: int | None = None
    for index, word in enumerate(word_of):
        if special[index] or word is None or word == before:
            continue
        before = word
        start, end = (UNKNOWN, UNKNOWN) if offsets is None else offsets[index]
        if words and row.starts:
            start, end = row.starts[word], row.starts[word + 1] - 1
        elif words:
            start, end = row.encoding.word_to_chars(word)
        elif row.starts and offsets is not None:  # offsets are those in the word
            shift = row.starts[row.encoding.word_ids()[index]]
            start, end = start + shift, end + shift
        spelt = str(tokenizer.convert_ids_to_tokens(row.ids[index])) if offsets is None else row.text[start:end]
        order = logits[index].argsort()[::-1]
        yield TaggedToken(
            index=index,
            text=spelt,
            start=int(start),
            end=int(end),
            label=names[int(order[0])],
            score=math.exp(probabilities[index, order[0]]),
            margin=float(logits[index, order[0]] - logits[index, order[1]]) if len(order) > 1 else float("inf"),
            runner_up=names[int(order[1])] if len(order) > 1 else "",
        )
