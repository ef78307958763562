"""What a model that labels words records. The checkpoint is that of `tests/projects/tagger`."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_hfmodels import EngineError, HFModel, ModelCache, SnapshotError
from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.snapshots import Tolerance, compare
from pytest_hfmodels.snapshots.format import dump, load

from ..explain.asking import ask, stored

FOLDER = Path(__file__).parents[1] / "projects" / "tagger" / "model"
TEXT = "My name is Ada."


@pytest.fixture
def tagger(models: ModelCache) -> HFModel:
    return models.load(FOLDER)


def changed(record: Any, position: int, **fields: Any) -> Any:
    """Return the record with another token."""
    (row,) = record.rows
    tokens = [*row.tokens]
    tokens[position] = replace(tokens[position], **fields)
    return replace(record, rows=(replace(row, tokens=tuple(tokens)),))


def test_each_token_has_its_characters_its_label_and_its_score(tagger: HFModel) -> None:
    (row,) = tagger.tag(TEXT).rows

    logits = np.array(tagger.observe(text=TEXT).arrays["logits"].values)[0, 1:-1]
    names = tagger.config.id2label
    assert [token.text for token in row.tokens] == ["My", "name", "is", "Ada", "."]
    assert [TEXT[token.start : token.end] for token in row.tokens] == [token.text for token in row.tokens]
    assert [token.label for token in row.tokens] == [names[int(best)] for best in logits.argmax(axis=-1)]
    for token, own in zip(row.tokens, logits.tolist(), strict=True):
        first, second = sorted(own)[:-3:-1]
        assert token.score == pytest.approx(math.exp(first) / sum(map(math.exp, own)), abs=1e-5)
        assert token.margin == pytest.approx(first - second, abs=1e-5)
        assert token.label != token.runner_up


def test_a_text_is_tagged_alike_alone_and_in_a_batch(tagger: HFModel) -> None:
    together = tagger.tag([TEXT, "You"])

    assert together.labels == (*tagger.tag(TEXT).labels, *tagger.tag("You").labels)
    assert together.rows[1].tokens[0].score == pytest.approx(tagger.tag("You").rows[0].tokens[0].score, abs=1e-5)


def test_a_word_has_the_label_of_its_first_token(tagger: HFModel) -> None:
    assert tagger.tag(TEXT, words=True).rows[0].tokens == tagger.tag(TEXT).rows[0].tokens  # each word is a token here


@pytest.mark.parametrize("words", [False, True])
def test_words_that_the_test_has_split_keep_their_places(tagger: HFModel, words: bool) -> None:
    own = ["My", "name", "is", "Ada", "."]

    record = tagger.tag([own, ["You", "and", "they"]], words=words, is_split_into_words=True)

    row = record.rows[0]
    assert row.text == "My name is Ada ."
    assert [row.text[token.start : token.end] for token in row.tokens] == own
    assert record.labels[0] == tagger.tag(TEXT).labels[0]
    assert record.labels[0] == tagger.tag(own, is_split_into_words=True).labels[0]
    assert record.effective["is_split_into_words"] is True
    assert compare(stored(record), record, Tolerance(1e-6)).verdict is Verdict.SAME
    assert ask(stored(record), tagger.tag(["My name is Ada .", "You and they"], words=words)).cause == "test"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("My name", "With is_split_into_words=True a text is a list of words, not str."),
        ([["My", 3]], "A word that is tagged is text, not an int."),
        ([], "There is nothing to tag"),
    ],
)
def test_what_is_no_list_of_words_is_one_sentence(tagger: HFModel, given: Any, said: str) -> None:
    with pytest.raises(EngineError, match=re.escape(said)):
        tagger.tag(given, is_split_into_words=True)


def test_a_snapshot_holds_it(tagger: HFModel, tmp_path: Path) -> None:
    record = tagger.tag([TEXT, "You"])

    assert compare(stored(record), record, Tolerance(1e-6)).verdict is Verdict.SAME
    with pytest.raises(SnapshotError, match=re.escape("rows.0.tokens")):
        load(dump(record).replace("    [1, ", "    [99, ", 1), tmp_path / "a.toml")


def test_a_close_label_that_falls_the_other_way_is_a_near_tie(tagger: HFModel) -> None:
    record = tagger.tag(TEXT)
    token = record.rows[0].tokens[2]
    swapped = {"label": token.runner_up, "runner_up": token.label}

    close = changed(record, 2, margin=2e-5)
    assert compare(close, changed(close, 2, margin=1e-5, **swapped), Tolerance(1e-4)).verdict is Verdict.NEAR_TIE
    assert compare(close, changed(close, 2, margin=1e-2, **swapped), Tolerance(1e-4)).verdict is Verdict.CHANGED
    other = changed(close, 2, margin=1e-5, label="B-NEW")
    assert compare(close, other, Tolerance(1e-4)).verdict is Verdict.CHANGED


def test_other_names_of_the_labels_are_the_test_s(tagger: HFModel, models: ModelCache) -> None:
    names = {index: f"TAG-{index}" for index in range(5)}
    renamed = models.load(FOLDER, id2label=names, label2id={name: index for index, name in names.items()})

    found = ask(stored(tagger.tag(TEXT)), renamed.tag(TEXT))

    assert (found.verdict, found.cause) == ("changed", "test")


def test_other_weights_are_the_checkpoint_s(tagger: HFModel) -> None:
    recorded = stored(tagger.tag(TEXT))
    other = replace(recorded.checkpoint, weights="sha256:" + 64 * "0")
    moved = changed(recorded, 1, score=recorded.rows[0].tokens[1].score / 2)

    assert ask(replace(moved, checkpoint=other), tagger.tag(TEXT)).cause == "checkpoint:weights"


def test_places_that_the_tokenizer_gives_otherwise_are_its_own(tagger: HFModel) -> None:
    found = ask(changed(stored(tagger.tag(TEXT)), 1, end=4), tagger.tag(TEXT))

    assert (found.verdict, found.cause) == ("changed", "tokenizer")


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (3, "What is tagged is text, not an int."),
        (100 * "cat ", "A text has 102 tokens, but the model has 32 positions."),
    ],
)
def test_what_cannot_be_tagged_is_refused(tagger: HFModel, texts: Any, said: str) -> None:
    with pytest.raises(EngineError, match=re.escape(said)):
        tagger.tag(texts)


def test_a_slow_tokenizer_says_no_places_and_no_words(tagger: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(tagger.tokenizer), "is_fast", False)

    assert {(token.start, token.end) for token in tagger.tag(TEXT).rows[0].tokens} == {(-1, -1)}
    with pytest.raises(EngineError, match="does not say which tokens are a word's"):
        tagger.tag(TEXT, words=True)


def test_a_tagger_neither_classifies_nor_generates(tagger: HFModel) -> None:
    with pytest.raises(EngineError) as raised:
        tagger.classify("Hi")
    assert raised.value.hint.startswith("Use tag()")
    with pytest.raises(EngineError, match="needs a language model"):
        tagger.score("Hi there")
