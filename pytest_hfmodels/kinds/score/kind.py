"""The kind `score`: texts with the log-probability of each token; nothing is decided, so that there is no near-tie."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_hfmodels.kinds.base import Course, Kind, Part
from pytest_hfmodels.kinds.comparison import Difference, first_divergence, largest_movement
from pytest_hfmodels.kinds.layout import TokenId, rounded, sentences, settings_table
from pytest_hfmodels.kinds.score.record import ScoredText, ScoredToken, ScoreRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_hfmodels.explain.explainer import Explainer
    from pytest_hfmodels.snapshots.toml_reader import TomlFile

_COLUMNS = ["id", "text", "log-probability", "rank"]


class _Row(msgspec.Struct):
    """A text; `total` and `perplexity` follow from the tokens, and are written for a reader."""

    text: list[str]
    total: float
    perplexity: float
    context: tuple[TokenId, ...]
    columns: list[str]
    tokens: list[tuple[TokenId, str, float, int]]
    top_ids: list[tuple[TokenId, ...]]
    top: list[tuple[float, ...]]
    prompt: list[str] = []


class _Stored(msgspec.Struct):
    rows: list[_Row]
    effective: dict[str, Any] = {}


class _Score(Kind[ScoreRecord]):
    name = "score"
    tolerant = ("rows",)

    def tables(self, record: ScoreRecord) -> dict[str, Any]:
        settings = {"effective": settings_table(record.effective)} if record.effective else {}
        return {**settings, "rows": [_table(row) for row in record.rows]}

    def load(self, file: TomlFile, shared: Mapping[str, Any]) -> ScoreRecord:
        stored = file.convert(_Stored)
        rows = tuple(_row(file, number, row) for number, row in enumerate(stored.rows))
        return ScoreRecord(rows=rows, effective=stored.effective, **shared)

    def differences(self, recorded: ScoreRecord, observed: ScoreRecord) -> Iterator[Difference]:
        if len(recorded.rows) != len(observed.rows):
            yield Difference("prompt", "number of texts", len(recorded.rows), len(observed.rows))
        for position, (before, now) in enumerate(zip(recorded.rows, observed.rows, strict=False)):
            yield from _differences(position, before, now)

    def numbers(self, recorded: ScoreRecord, observed: ScoreRecord) -> Iterator[tuple[str, int, float, float]]:
        for position, (before, now) in enumerate(_pairs(recorded, observed)):
            yield "log-probability", position, before.log_probability, now.log_probability
            for recorded_one, observed_one in _likeliest(before, now):
                yield "log-probability of a likelier token", position, recorded_one, observed_one

    def texts(self, record: ScoreRecord) -> dict[str, str]:
        lines = [
            f"{row.prompt}[{row.text}]: log-probability {row.total:.6g}, perplexity {row.perplexity:.6g}"
            for row in record.rows
        ]
        tokens = [f"{token.text!r} {token.log_probability:.5g}" for row in record.rows for token in row.tokens]
        return {"scores": "\n".join([*lines, *tokens])}

    def inputs(self, record: ScoreRecord) -> list[tuple[str, tuple[int, ...]]]:
        return [(row.prompt + row.text, row.ids) for row in record.rows]

    def course(self, recorded: ScoreRecord | None, observed: ScoreRecord) -> Course:
        pairs = [] if recorded is None else _pairs(recorded, observed)
        drift = [largest_movement([before.log_probability], [now.log_probability]) for before, now in pairs]
        return Course("token", None, () if recorded is None else _parts(recorded), _parts(observed), tuple(drift))

    def explainer(self) -> Explainer[ScoreRecord]:
        from pytest_hfmodels.kinds.score.explain import EXPLAINER  # computes with NumPy

        return EXPLAINER


def divergence(before: ScoredToken, now: ScoredToken) -> float:
    """Return the Kullback-Leibler divergence of two distributions, nats, over the tokens in both tops and the rest.

    Lumping tokens together can only lower it (Cover and Thomas 2006, theorem 2.7.1), so that it is at least this.
    """
    sides = [dict(zip(side.top_ids, side.top, strict=True)) for side in (before, now)]
    both = [token for token in sides[0] if token in sides[1]]
    pairs = [(math.exp(sides[0][token]), math.exp(sides[1][token])) for token in both]
    rest = (max(0.0, 1 - sum(one for one, _ in pairs)), max(0.0, 1 - sum(other for _, other in pairs)))
    found = [p * math.log(p / q) if q > 0 else math.inf for p, q in (*pairs, rest) if p > 0]
    return max(0.0, math.fsum(found))


def _likeliest(before: ScoredToken, now: ScoredToken) -> Iterator[tuple[float, float]]:
    """Yield both log-probabilities of each token that is among the likeliest of a side.

    One that is not among those of the other side has at most the least of theirs there.
    """
    then, here = (dict(zip(side.top_ids, side.top, strict=True)) for side in (before, now))
    least = [min(side.top, default=-math.inf) for side in (before, now)]
    for token, value in then.items():
        yield value, here.get(token, min(value, least[1]))
    for token, value in here.items():
        if token not in then:
            yield min(value, least[0]), value


def _pairs(recorded: ScoreRecord, observed: ScoreRecord) -> list[tuple[ScoredToken, ScoredToken]]:
    """Return the scored tokens of both sides, of the texts with equal ids."""
    rows = zip(recorded.rows, observed.rows, strict=False)
    same = [(before, now) for before, now in rows if (before.context, before.ids) == (now.context, now.ids)]
    return [pair for before, now in same for pair in zip(before.tokens, now.tokens, strict=True)]


def _parts(record: ScoreRecord) -> tuple[Part, ...]:
    return tuple(Part(None, one.id, one.text, one.log_probability) for row in record.rows for one in row.tokens)


def _differences(position: int, before: ScoredText, now: ScoredText) -> Iterator[Difference]:
    if before.ids != now.ids:
        token = first_divergence(before.ids, now.ids)
        yield Difference("prompt", f"ids of {now.text!r}", before.ids, now.ids, token)
    elif len(before.context) != len(now.context):
        what = f"number of scored tokens of {now.text!r}"
        yield Difference("prompt", what, len(before.tokens), len(now.tokens), position)
    elif (before.prompt, before.text) != (now.prompt, now.text):
        yield Difference("prompt", "scored text", before.prompt + before.text, now.prompt + now.text, position)
    else:
        pairs = zip(before.tokens, now.tokens, strict=True)
        other = next((pair for pair in pairs if pair[0].text != pair[1].text), None)
        if other is not None:
            yield Difference("text", f"text of token {other[0].id}", other[0].text, other[1].text, position)


def _table(row: ScoredText) -> dict[str, Any]:
    return {
        **({"prompt": sentences(row.prompt)} if row.prompt else {}),
        "text": sentences(row.text),
        "total": rounded(row.total),
        "perplexity": rounded(row.perplexity),
        "context": list(row.context),
        "columns": _COLUMNS,
        "tokens": [[one.id, one.text, rounded(one.log_probability), one.rank] for one in row.tokens],
        "top_ids": [list(one.top_ids) for one in row.tokens],
        "top": [rounded(one.top) for one in row.tokens],
    }


def _row(file: TomlFile, number: int, row: _Row) -> ScoredText:
    if row.columns != _COLUMNS:
        raise file.error(f"the columns are not {', '.join(_COLUMNS)}", "rows", str(number), "columns")
    counts = {len(row.tokens), len(row.top_ids), len(row.top)}
    if len(counts) != 1 or any(len(ids) != len(top) for ids, top in zip(row.top_ids, row.top, strict=False)):
        raise file.error("top_ids and top do not have one row a token", "rows", str(number), "top")
    if not row.tokens or not row.context:
        raise file.error("it has no tokens, or none before them", "rows", str(number), "tokens")
    tokens = tuple(
        ScoredToken(*token, ids, top) for token, ids, top in zip(row.tokens, row.top_ids, row.top, strict=True)
    )
    for token in tokens:
        if not _fits(token):
            said = f"rank {token.rank} of {token.text!r} does not fit its top"
            raise file.error(said, "rows", str(number), "tokens")
    found = ScoredText("".join(row.prompt), "".join(row.text), row.context, tokens)
    for name in ("total", "perplexity"):
        if not _alike(getattr(row, name), getattr(found, name)):
            raise file.error("it does not follow from the tokens", "rows", str(number), name)
    return found


def _fits(token: ScoredToken) -> bool:
    """Return whether a token has the rank that the likeliest tokens give it; several may be equally likely."""
    if 0 <= token.rank < len(token.top):
        return _alike(token.top[token.rank], token.log_probability)
    return token.rank >= 0 and token.id not in token.top_ids


def _alike(stored: float, computed: float) -> bool:
    return math.isclose(stored, computed, rel_tol=1e-6) or (math.isnan(stored) and math.isnan(computed))


KIND = _Score()
