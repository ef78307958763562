"""The kind `tokens`: texts, with the label of each token or word and how sure the model is of it."""

from __future__ import annotations

import math
from dataclasses import astuple
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_hfmodels.kinds.base import Course, Kind
from pytest_hfmodels.kinds.comparison import Difference, abs_diff, first_divergence
from pytest_hfmodels.kinds.layout import TokenId, rounded, sentences, settings_table
from pytest_hfmodels.kinds.tokens.record import TaggedText, TaggedToken, TokensRecord
from pytest_hfmodels.kinds.tolerance import Tie, all_proven, floor_of_tie

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_hfmodels.explain.explainer import Explainer
    from pytest_hfmodels.snapshots.toml_reader import TomlFile

_COLUMNS = ["index", "text", "start", "end", "label", "score", "margin", "runner-up"]


class _Row(msgspec.Struct):
    text: list[str]
    ids: tuple[TokenId, ...]
    tokens: list[tuple[int, str, int, int, str, float, float, str]]


class _Columns(msgspec.Struct):
    columns: list[str]


class _Stored(msgspec.Struct):
    effective: dict[str, Any]
    token: _Columns
    rows: list[_Row]


class _Tokens(Kind[TokensRecord]):
    name = "tokens"
    tolerant = ("rows",)

    def tables(self, record: TokensRecord) -> dict[str, Any]:
        return {
            "effective": settings_table(record.effective),
            "token": {"columns": _COLUMNS},
            "rows": [
                {
                    "text": sentences(row.text),
                    "ids": list(row.ids),
                    "tokens": [rounded(astuple(token)) for token in row.tokens],
                }
                for row in record.rows
            ],
        }

    def load(self, file: TomlFile, shared: Mapping[str, Any]) -> TokensRecord:
        stored = file.convert(_Stored)
        if stored.token.columns != _COLUMNS:
            raise file.error(f"the columns are not {', '.join(_COLUMNS)}", "token", "columns")
        for number, row in enumerate(stored.rows):
            if not all(0 <= token[0] < len(row.ids) for token in row.tokens):
                raise file.error("an index is that of no token", "rows", str(number), "tokens")
        rows = tuple(
            TaggedText("".join(row.text), row.ids, tuple(TaggedToken(*token) for token in row.tokens))
            for row in stored.rows
        )
        return TokensRecord(rows=rows, effective=stored.effective, **shared)

    def differences(self, recorded: TokensRecord, observed: TokensRecord) -> Iterator[Difference]:
        if len(recorded.rows) != len(observed.rows):
            yield Difference("prompt", "number of texts", len(recorded.rows), len(observed.rows))
        for position, (before, now) in enumerate(zip(recorded.rows, observed.rows, strict=False)):
            yield from _differences(position, before, now)

    def numbers(self, recorded: TokensRecord, observed: TokensRecord) -> Iterator[tuple[str, int, float, float]]:
        for position, (before, now) in enumerate(pairs(recorded, observed)):
            if before.label == now.label:
                yield "score", position, before.score, now.score
                yield "margin", position, before.margin, now.margin

    def texts(self, record: TokensRecord) -> dict[str, str]:
        lines = [f"{token.text}: {token.label} {token.score:.4g}" for row in record.rows for token in row.tokens]
        return {"labels": "\n".join(lines) or "no token"}

    def inputs(self, record: TokensRecord) -> list[tuple[str, tuple[int, ...]]]:
        return [(row.text, row.ids) for row in record.rows]

    def is_near_tie(self, recorded: TokensRecord, observed: TokensRecord, differences: Sequence[Difference]) -> bool:
        return {one.stage for one in differences} == {"labels"} and all_proven(ties(recorded, observed))

    def course(self, recorded: TokensRecord | None, observed: TokensRecord) -> Course:
        sides = ([(one.margin, [one.score]) for one in tokens(record)] for record in (recorded, observed))
        return Course.independent("token", *sides)

    def explainer(self) -> Explainer[TokensRecord]:
        from pytest_hfmodels.kinds.tokens.explain import EXPLAINER  # computes with NumPy

        return EXPLAINER


def tokens(record: TokensRecord | None) -> list[TaggedToken]:
    """Return the tokens of all texts."""
    return [] if record is None else [token for row in record.rows for token in row.tokens]


def pairs(recorded: TokensRecord, observed: TokensRecord) -> list[tuple[TaggedToken, TaggedToken]]:
    """Return the tokens of both sides."""
    return list(zip(tokens(recorded), tokens(observed), strict=False))


def ties(recorded: TokensRecord, observed: TokensRecord) -> list[Tie]:
    """Return the figures of every label that fell the other way.

    Two labels that changed places say how far the difference of their logits moved: by both margins together, and so
    one of the two by at least half of that. Of any other label, the movement is unknown.
    """
    floor, found = floor_of_tie(recorded, observed), []
    for position, (before, now) in enumerate(pairs(recorded, observed)):
        if before.label != now.label:
            swapped = (before.label, before.runner_up) == (now.runner_up, now.label)
            drift = max((before.margin + now.margin) / 2, abs_diff(before.score, now.score)) if swapped else math.inf
            found.append(Tie(position, drift, floor, before.margin, now.margin))
    return found


def _differences(position: int, before: TaggedText, now: TaggedText) -> Iterator[Difference]:
    if before.ids != now.ids:
        token = first_divergence(before.ids, now.ids)
        yield Difference("prompt", f"ids of {now.text!r}", before.ids, now.ids, token)
        return
    if before.text != now.text:
        yield Difference("prompt", "tagged text", before.text, now.text, position)
        return
    sides = [[(one.index, one.start, one.end, one.text) for one in side.tokens] for side in (before, now)]
    for number, (place, here) in enumerate(zip_longest(*sides)):
        if place != here:
            yield Difference("inputs", f"place of token {number + 1} of {now.text!r}", place, here, number)
            return
    for number, (one, other) in enumerate(zip(before.tokens, now.tokens, strict=True)):
        if one.label != other.label:
            yield Difference("labels", f"label of {other.text!r}", one.label, other.label, number)


KIND = _Tokens()
