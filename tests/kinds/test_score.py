from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels import EngineError, HFModel, ModelCache, SnapshotError
from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.kinds.score.kind import divergence
from pytest_hfmodels.snapshots import Tolerance, compare
from pytest_hfmodels.snapshots.format import dump, load

from ..explain.asking import ask, blocks_shifted, stored
from ..projects.drawn import SPECIAL, WORDS, save, save_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

PAIR = ("Good dog", ", sit!")
BATCH = ["Hello", PAIR]


@pytest.fixture
def bot(models: ModelCache) -> HFModel:
    return models.load("./model")


def test_a_score_is_the_log_probability_of_each_token_but_the_first(bot: HFModel) -> None:
    record = bot.score("Hello")

    table = bot.log_probabilities([list(b"Hello")])[0]
    wanted = [table[position, token] for position, token in enumerate(b"ello")]
    (row,) = record.rows
    assert [token.log_probability for token in row.tokens] == pytest.approx(wanted)
    assert (row.context, row.ids, [token.text for token in row.tokens]) == ((72,), tuple(b"Hello"), [*"ello"])
    assert record.total == pytest.approx([sum(wanted)])
    assert record.perplexity == pytest.approx([math.exp(-sum(wanted) / 4)])
    assert row.tokens[0].rank == (table[0] > wanted[0]).sum()
    assert row.tokens[0].top == pytest.approx(sorted(table[0])[:-6:-1])


def test_of_a_pair_the_continuation_is_scored(bot: HFModel) -> None:
    (row,) = bot.score(PAIR).rows

    assert (row.prompt, row.text, bytes(token.id for token in row.tokens)) == (*PAIR, b", sit!")
    assert bot.score(tuple(list(part.encode()) for part in PAIR)).rows == (row,)


def test_a_batch_says_what_each_text_says_alone(bot: HFModel) -> None:
    together = bot.score(BATCH)

    for given, row in zip(BATCH, together.rows, strict=True):
        alone = bot.score(given).rows[0]
        assert [one.log_probability for one in row.tokens] == pytest.approx(
            [one.log_probability for one in alone.tokens], abs=1e-5
        )


def test_token_ids_stand_for_a_text(bot: HFModel) -> None:
    assert bot.score(list(b"Hello")) == bot.score(np.frombuffer(b"Hello", np.uint8)) == bot.score("Hello")
    assert len(bot.score([list(b"Hello"), list(b"Hi")]).rows) == 2


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ("H", "The text 'H' has no token to score"),
        ([], "the batch is empty"),
        (("a", ""), "has no token to score"),
        (("a", "b", "c"), "A pair is a prompt and its continuation, not 3 texts."),
        (("a", [66]), "A pair is two texts or the token ids of two."),
        (300 * "a", "A text has 300 tokens, but the model has 128 positions."),
        ([[72, 9000]], "Token id 9000 is outside of the model's vocabulary."),
    ],
)
def test_what_cannot_be_scored_is_refused(bot: HFModel, texts: Any, said: str) -> None:
    with pytest.raises(EngineError, match=re.escape(said)):
        bot.score(texts)


def test_a_snapshot_holds_it_in_little_room(bot: HFModel) -> None:
    record = bot.score(40 * "a")
    text = dump(record)

    assert load(text, __file__) == stored(record)  # type: ignore[arg-type]
    assert compare(stored(record), record, Tolerance(1e-6)).verdict is Verdict.SAME
    assert len(text) <= 8000


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("columns = [", 'columns = ["x", ', "columns"),
        ("top = [\n    [", "top = [\n    [0.0, ", "rows.0.top"),
        ("total = -", "total = -1", "total"),
        ("perplexity = ", "perplexity = 1", "perplexity"),
    ],
)
def test_an_edited_file_is_refused(bot: HFModel, tmp_path: Path, before: str, after: str, said: str) -> None:
    text = dump(bot.score("Hello"))
    assert before in text

    with pytest.raises(SnapshotError, match=said):
        load(text.replace(before, after, 1), tmp_path / "a.toml")


def test_a_rank_that_the_likeliest_tokens_do_not_give_is_refused(bot: HFModel, tmp_path: Path) -> None:
    record = bot.score("Hello")
    (row,) = record.rows
    other = replace(row.tokens[0], rank=0 if row.tokens[0].rank else 1)
    text = dump(replace(record, rows=(replace(row, tokens=(other, *row.tokens[1:])),)))

    with pytest.raises(SnapshotError, match="does not fit its top"):
        load(text, tmp_path / "a.toml")


def test_two_tokens_that_exchange_their_probabilities_are_seen(bot: HFModel) -> None:
    record = bot.score("Hello")
    (row,) = record.rows
    ids = row.tokens[1].top_ids
    token = replace(row.tokens[1], top_ids=(ids[1], ids[0], *ids[2:]))
    other = replace(record, rows=(replace(row, tokens=(row.tokens[0], token, *row.tokens[2:])),))

    found = compare(record, other, Tolerance(1e-4))

    assert found.verdict is Verdict.DRIFT
    assert found.drift == pytest.approx(row.tokens[1].top[0] - row.tokens[1].top[1])


def test_another_distribution_is_drift_although_the_scored_token_has_not_moved(bot: HFModel) -> None:
    record = bot.score("Hello")
    (row,) = record.rows
    token = replace(row.tokens[1], top=(row.tokens[1].top[0] + 0.01, *row.tokens[1].top[1:]))
    other = replace(record, rows=(replace(row, tokens=(row.tokens[0], token, *row.tokens[2:])),))

    found = compare(record, other, Tolerance(1e-4))

    assert found.verdict is Verdict.DRIFT
    assert [(one.what, one.position) for one in found.differences] == [("log-probability of a likelier token", 1)]


def test_another_continuation_is_the_test_s(bot: HFModel) -> None:
    found = ask(stored(bot.score(PAIR)), bot.score((PAIR[0], ", run!")))

    assert (found.verdict, found.cause) == ("changed", "test")


def test_another_border_between_prompt_and_continuation_is_seen(bot: HFModel) -> None:
    found = compare(bot.score(PAIR), bot.score(("Good", " dog, sit!")), Tolerance(1e-4))

    assert found.verdict is Verdict.CHANGED
    assert found.differences[0].stage == "prompt"


def test_a_fault_in_a_block_is_found_with_what_it_did_to_the_distribution(bot: HFModel) -> None:
    recorded = stored(bot.score(BATCH), transformers="4.49.0")
    with blocks_shifted(bot.model, 1, 0.3):
        found = ask(recorded, bot.score(BATCH))

    assert (found.verdict, found.cause) == ("drift", "forward")
    assert found.block is not None
    assert "block 2" in found.block
    figures = {name: value for evidence in found.evidence for name, value in evidence.figures.items()}
    assert figures["kl_divergence"] > 1e-4  # type: ignore[operator]
    assert {"rank", "rank_now", "input"} <= figures.keys()


def test_another_dtype_is_found(bot: HFModel, models: ModelCache) -> None:
    assert ask(stored(bot.score(BATCH)), models.load("./model", dtype="bfloat16").score(BATCH)).cause == "dtype"


def test_the_divergence_is_at_most_the_true_one(bot: HFModel) -> None:
    before, now = bot.score("Hello").rows[0].tokens[:2]
    tables = np.exp(bot.log_probabilities([list(b"Hello")])[0][:2])

    assert 0 < divergence(before, now) <= (tables[0] * np.log(tables[0] / tables[1])).sum()
    assert divergence(before, before) == 0


@pytest.fixture
def translator(models: ModelCache, tmp_path: Path) -> HFModel:
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2}
    fields = {**sizes, "pad_token_id": 0, "eos_token_id": 3, "decoder_start_token_id": 0}
    save(tmp_path / "translator", "T5ForConditionalGeneration", vocab_size=len(SPECIAL + WORDS), **fields)
    save_tokenizer(tmp_path / "translator")
    return models.load(tmp_path / "translator")


def test_an_encoder_decoder_scores_what_follows(translator: HFModel) -> None:
    import torch

    pairs = [("my cat is red", "the dog"), ("you", "a small house in the")]
    record = translator.score(pairs)

    for (prompt, text), row in zip(pairs, record.rows, strict=True):
        ids = [translator.tokenizer(part, return_tensors="pt")["input_ids"] for part in (prompt, text)]
        with torch.no_grad():
            loss = translator.model(input_ids=ids[0], labels=ids[1]).loss
        assert row.total / len(row.tokens) == pytest.approx(-float(loss), abs=1e-5)
        assert [token.id for token in row.tokens] == ids[1][0].tolist()
    assert compare(stored(record), record, Tolerance(1e-6)).verdict is Verdict.SAME
    with pytest.raises(EngineError, match="so it takes pairs"):
        translator.score("my cat")


def test_a_fault_of_an_encoder_decoder_is_found(translator: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [("my cat is red", "the dog"), ("you", "a small house in the")]
    recorded = stored(translator.score(pairs), transformers="4.49.0")
    layer = type(translator.model.decoder.block[0].layer[-1])
    original = layer.forward
    monkeypatch.setattr(layer, "forward", lambda *arguments: original(*arguments).flip(-1))

    found = ask(recorded, translator.score(pairs))

    assert (found.verdict, found.cause) == ("drift", "forward")
    assert "encoder" in str(found.block)


def test_a_classifier_scores_no_text(models: ModelCache) -> None:
    classifier = models.load("./model", task="text-classification")

    with pytest.raises(EngineError, match=re.escape("score() needs a text-generation model")):
        classifier.score("Hello")
