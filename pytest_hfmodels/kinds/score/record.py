"""What a language model says of given texts: one forward pass and no search, as evaluation harnesses do it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from os.path import commonprefix
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_hfmodels.foundation.durations import Timed
from pytest_hfmodels.foundation.errors import EngineError
from pytest_hfmodels.kinds.base import Record
from pytest_hfmodels.kinds.evidence import NOT_COMPARABLE, LivePass, ModelRef, fingerprint, log_softmax
from pytest_hfmodels.kinds.inputs import Encoded, padded
from pytest_hfmodels.kinds.layout import TokenId  # noqa: TC001 - msgspec reads the annotations
from pytest_hfmodels.kinds.prompt import listed, require_ids, require_length, require_text, vocabulary_size
from pytest_hfmodels.kinds.provenance import CheckpointSeen, Provenance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.checkpoints import Checkpoint
    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.engines.base import FloatArray, IntArray
    from pytest_hfmodels.kinds.evidence import LiveModel

TOP = 5
_HOW = (
    "A list is a batch, and a tuple a pair: score('Hello'), score(('2 + 2 =', ' 4')), score([('a', 'b'), ('c', 'd')])."
)


@dataclass(frozen=True)
class ScoredToken:
    """One token that is scored.

    Args:
        id: the token.
        text: the token alone, decoded.
        log_probability: of the token after all before it, nats.
        rank: how many tokens are more probable.
        top_ids: the most probable tokens there, the best first.
        top: their log-probabilities.
    """

    id: int
    text: str
    log_probability: float
    rank: int
    top_ids: tuple[TokenId, ...]
    top: tuple[float, ...]


@dataclass(frozen=True)
class ScoredText:
    """One text of a batch.

    Args:
        prompt: the text before it, which is not scored; empty for a text alone.
        text: the scored text.
        context: the token ids before the first scored one: the prompt's, or the first token of a text without one.
        tokens: the scored ones.
    """

    prompt: str
    text: str
    context: tuple[TokenId, ...]
    tokens: tuple[ScoredToken, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """All token ids, context and scored."""
        return (*self.context, *(token.id for token in self.tokens))

    @property
    def total(self) -> float:
        """The log-probability of the scored tokens together, nats."""
        return math.fsum(token.log_probability for token in self.tokens)

    @property
    def perplexity(self) -> float:
        """`exp` of the mean negative log-probability; infinite if too large for a float."""
        mean = -self.total / len(self.tokens)
        return math.exp(mean) if mean < 700 else math.inf

    @property
    def greedy(self) -> bool:
        """Whether every scored token is the most probable one."""
        return all(token.rank == 0 for token in self.tokens)


@dataclass(frozen=True, kw_only=True, repr=False)
class ScoreRecord(Record):
    """What `HFModel.score` observed; compare it with `hf_snapshot`. For the other fields see `Record`.

    Args:
        rows: the texts, in order.
    """

    kind: ClassVar[str] = "score"
    rows: tuple[ScoredText, ...]
    live: LivePass | None = field(default=None, compare=False, repr=False)

    @property
    def total(self) -> tuple[float, ...]:
        """The log-probability of each text, nats."""
        return tuple(row.total for row in self.rows)

    @property
    def perplexity(self) -> tuple[float, ...]:
        """The perplexity of each text."""
        return tuple(row.perplexity for row in self.rows)

    def __repr__(self) -> str:
        totals = ", ".join(f"{total:.5g}" for total in self.total)
        return f"<ScoreRecord {self.checkpoint.name} on {self.provenance.engine}: {totals}>"


@dataclass(frozen=True)
class _Given:
    """A text with its ids, and the index of the first scored one."""

    prompt: str
    text: str
    ids: tuple[int, ...]
    start: int


@Timed("evidence")
def observe_score(
    checkpoint: Checkpoint, loaded: LoadedModel, tokenizer: Any, texts: Any, origin: LiveModel | None = None
) -> ScoreRecord:
    """Run a language model once over texts, padded on the right, and return what it says of each token.

    Args:
        checkpoint: what `loaded` was loaded from.
        loaded: the language model; of an encoder-decoder the encoder gets the prompt.
        tokenizer: upstream's tokenizer; None if only ids are given.
        texts: a text, a (prompt, continuation), or a list of either; each text may be its token ids.
        origin: what a mismatch may ask again, see `ModelRef`.

    Raises:
        EngineError: nothing to score, a text that is too long or of another kind, or numbers that are not finite.
    """
    config = getattr(loaded.model, "config", None)
    start = _decoder_start(loaded.model)
    both = start is not None
    given = [_given(row, tokenizer, vocabulary_size(config), both=both) for row in _rows(texts)]
    if not given:
        raise EngineError("There is nothing to score: the batch is empty.", hint=_HOW)
    require_length(loaded.model, max(len(row.ids) for row in given), "A text")
    inputs = _inputs(given, start)
    seen = loaded.forward(inputs["input_ids"], inputs.get("attention_mask"), inputs.get("decoder_input_ids"))
    rows = tuple(_scored(row, seen.logits[number], tokenizer, both=both) for number, row in enumerate(given))
    if not all(math.isfinite(token.log_probability) for row in rows for token in row.tokens):
        raise EngineError(
            f"{checkpoint.name} on {loaded.engine} returned NaN or infinity for a scored token.", hint=NOT_COMPARABLE
        )
    return ScoreRecord(
        provenance=Provenance.of(loaded),
        checkpoint=CheckpointSeen.of(checkpoint),
        rows=rows,
        blocks=fingerprint(seen.hidden_states, None if both else inputs.get("attention_mask"), seen.encoder),
        live=None if origin is None else LivePass(inputs, ModelRef(origin, {})),
    )


def _decoder_start(model: Any) -> int | None:
    """Return what the decoder of an encoder-decoder begins with; None for a decoder alone."""
    if not getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        return None
    configs = (getattr(model, "generation_config", None), model.config)
    found = next((one for config in configs for one in [getattr(config, "decoder_start_token_id", None)] if one), None)
    return int(getattr(model.config, "bos_token_id", None) or 0) if found is None else int(found)


def _rows(texts: Any) -> Sequence[Any]:
    """Return a batch: a list is one, unless it is the ids of one text."""
    values = listed(texts)
    if isinstance(values, list) and not all(isinstance(value, int) for value in values):
        return values
    return [values] if values != [] else []


def _given(row: Any, tokenizer: Any, vocabulary: int | None, *, both: bool) -> _Given:
    if both and not isinstance(row, tuple):
        raise EngineError("An encoder-decoder scores what follows a text, so it takes pairs.", hint=_HOW)
    if not isinstance(row, tuple):
        text, ids = _encoded(row, tokenizer, vocabulary)
        return _require_scored(_Given("", text, ids, 1))
    if len(row) != 2:
        raise EngineError(f"A pair is a prompt and its continuation, not {len(row)} texts.", hint=_HOW)
    (prompt, before), text = _encoded(row[0], tokenizer, vocabulary), row[1]
    if both and isinstance(row[0], str) and isinstance(text, str):
        wanted = require_ids(tokenizer(text_target=require_text(text, "What is scored"))["input_ids"], vocabulary)
        return _require_scored(_Given(prompt, text, (*before, *wanted), len(before)))
    if isinstance(row[0], str) and isinstance(text, str):
        _, ids = _encoded(prompt + text, tokenizer, vocabulary)
        # A token of both belongs to the continuation; so does what the tokenizer puts behind a text.
        return _require_scored(_Given(prompt, text, ids, max(1, len(commonprefix([before, ids])))))  # noqa: RUF071
    if isinstance(row[0], str) or isinstance(text, str):
        raise EngineError("A pair is two texts or the token ids of two.", hint=_HOW)
    text, more = _encoded(text, tokenizer, vocabulary)
    return _require_scored(_Given(prompt, text, (*before, *more), len(before) if both else max(1, len(before))))


def _encoded(text: Any, tokenizer: Any, vocabulary: int | None) -> tuple[str, tuple[int, ...]]:
    """Return a text and its ids, whichever of the two is given."""
    if isinstance(text, str):
        if tokenizer is None:
            raise EngineError("The checkpoint has no tokenizer to score a text with.", hint="Give token ids instead.")
        return text, require_ids(tokenizer(require_text(text, "What is scored"))["input_ids"], vocabulary)
    ids = require_ids(text, vocabulary)
    return "" if tokenizer is None else str(tokenizer.decode(list(ids))), ids


def _require_scored(given: _Given) -> _Given:
    if given.start >= len(given.ids):
        raise EngineError(
            f"The text {given.text!r:.60} has no token to score: the first one has nothing before it.",
            hint="Give a text of two tokens or more, or a pair: score((prompt, continuation)).",
        )
    return given


def _inputs(given: Sequence[_Given], start: int | None) -> dict[str, IntArray]:
    """Return the batch padded on the right, which no causal model looks at.

    An encoder-decoder reads the context, and its decoder begins with `start`.
    """
    if start is None:
        return padded([Encoded(row.text, ids=row.ids) for row in given], 0, "right")
    read = padded([Encoded(row.text, ids=row.ids[: row.start]) for row in given], 0, "right")
    written = padded([Encoded(row.text, ids=(start, *row.ids[row.start : -1])) for row in given], 0, "right")
    return {**read, "decoder_input_ids": written["input_ids"]}


def _scored(given: _Given, logits: FloatArray, tokenizer: Any, *, both: bool) -> ScoredText:
    """Return a text with what the logits (L, V) say of its scored tokens."""
    ids = given.ids[given.start :]
    first = 0 if both else given.start - 1
    table = log_softmax(logits[first : first + len(ids)])
    return ScoredText(
        prompt=given.prompt,
        text=given.text,
        context=given.ids[: given.start],
        tokens=tuple(_token(token, row, tokenizer) for token, row in zip(ids, table, strict=True)),
    )


def _token(token: int, row: FloatArray, tokenizer: Any) -> ScoredToken:
    best = (-row).argsort(kind="stable")[:TOP]
    return ScoredToken(
        id=token,
        text="" if tokenizer is None else str(tokenizer.decode([token])),
        log_probability=float(row[token]),
        rank=int((row > row[token]).sum()),
        top_ids=tuple(int(index) for index in best),
        top=tuple(float(value) for value in row[best]),
    )
