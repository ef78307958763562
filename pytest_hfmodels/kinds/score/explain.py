"""Why the score of a text differs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.explain.stages import unless_changed
from pytest_hfmodels.kinds.comparison import abs_diff
from pytest_hfmodels.kinds.evidence import log_softmax
from pytest_hfmodels.kinds.explanation import Evidence
from pytest_hfmodels.kinds.forward_pass import ForwardPassExplainer
from pytest_hfmodels.kinds.generation.decoding import of_tokens
from pytest_hfmodels.kinds.score.kind import divergence
from pytest_hfmodels.kinds.score.record import TOP, ScoreRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.explain.case import Case
    from pytest_hfmodels.kinds.evidence import LivePass
    from pytest_hfmodels.kinds.explanation import Explanation

    ScoreCase = Case[ScoreRecord]


class _Score(ForwardPassExplainer[ScoreRecord]):
    compared = "log-probabilities"

    def output(self, case: ScoreCase) -> Explanation:
        if case.comparison.differences[0].stage == "text":
            return _decoding(case)
        found = super().output(case)
        return replace(found, evidence=(*found.evidence, *_at_the_first(case)))

    def rows(self, record: ScoreRecord) -> list[list[float]]:
        return [_flat((one.log_probability, one.top) for one in row.tokens) for row in record.rows]

    def read(self, record: ScoreRecord, seen: Any, live: LivePass) -> list[list[float]]:
        rows = []
        for row, logits in zip(record.rows[live.first :], seen.logits, strict=False):
            first = 0 if "decoder_input_ids" in live.inputs else len(row.context) - 1
            table = log_softmax(logits[first : first + len(row.tokens)])
            best = np.sort(table, axis=-1)[:, ::-1]
            numbers = zip(row.tokens, table, best, strict=True)
            rows.append(_flat((now[token.id], top[: len(token.top)]) for token, now, top in numbers))
        return rows

    def run(self, case: ScoreCase, live: LivePass, loaded: LoadedModel | None) -> Any:
        assert case.passes is not None
        decoder = live.inputs.get("decoder_input_ids")
        return case.passes.forward(live.inputs["input_ids"], loaded, live.mask, decoder)


def _flat(tokens: Iterable[tuple[float, Iterable[float]]]) -> list[float]:
    return [float(number) for own, top in tokens for number in (own, *top)]


def _at_the_first(case: ScoreCase) -> Iterator[Evidence]:
    """Yield what the two distributions say at the first token that moved beyond the tolerance."""
    accepts = case.comparison.tolerance.accepts
    rows = list(zip(case.recorded.rows, case.observed.rows, strict=False))
    tokens = [pair for before, now in rows for pair in zip(before.tokens, now.tokens, strict=False)]
    largest = max((divergence(*pair) for pair in tokens), default=0.0)
    first = next((pair for pair in tokens if not accepts(*(one.log_probability for one in pair))), None)
    if first is not None:
        before, now = first
        best = before.top_ids[0] == now.top_ids[0]
        within = "is still among" if before.top_ids[0] in now.top_ids else "is no longer among"
        word = "the most probable token is the same" if best else f"the most probable token {within} the first {TOP}"
        moved = abs_diff(before.log_probability, now.log_probability)
        said = f"at the first token that moved, {before.text!r:.40} (by {moved:.2g}), {word}"
        yield Evidence(said, {"rank": before.rank, "rank_now": now.rank, "moved": moved})
    for then, here in rows:
        if then.greedy != here.greedy:
            words = [("the most probable" if side.greedy else "not the most probable") for side in (then, here)]
            yield Evidence(f"{here.text!r:.40} was {words[0]} continuation, token by token, and is {words[1]} now")
    said = f"the Kullback-Leibler divergence at a token is at least {largest:.2g} nats where it is largest"
    yield Evidence(f"{said} (over {TOP} tokens and the rest)", {"kl_divergence": largest})


def _decoding(case: ScoreCase) -> Explanation:
    """Explain another text of the same token."""
    texts = tuple([token.text for row in side.rows for token in row.tokens] for side in (case.recorded, case.observed))
    ids = [token.id for row in case.observed.rows for token in row.tokens]
    found = of_tokens(case)
    sides = texts[0], texts[1]
    return unless_changed(case, found, "tokenizer", lambda one: [one.decode([token]) for token in ids], sides)


EXPLAINER = _Score()
