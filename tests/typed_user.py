"""What a typed project writes. mypy checks it with our own files, pyright in test_typing.py; nothing runs it.

A mistake carries an ignore for both checkers. Both report an ignore that is not needed, so a mistake that a checker no
longer sees fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

import pytest

from pytest_hfmodels import (
    BatchRecord,
    ChatRecord,
    ClassificationRecord,
    EmbeddingRecord,
    GenerateSettings,
    GenerationRecord,
    NearTieWarning,
    ScoreRecord,
    TokensRecord,
)

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel, HFSnapshot, ModelCache
    from pytest_hfmodels import NoSuchThing as NoSuchThing  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]

SEARCH: GenerateSettings = {"num_beams": 4, "max_new_tokens": 40}


@pytest.mark.hf_model("./models/bot")
def test_reply(hf_model: HFModel, hf_snapshot: HFSnapshot) -> None:
    record = assert_type(hf_model.generate("Hello", **SEARCH), GenerationRecord)
    assert_type(record.steps[0].log_probability, float)
    assert_type(hf_model.generate(["Hello", "Good morning"], max_new_tokens=4), BatchRecord)
    assert record == hf_snapshot
    assert record.txt  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]


def test_keywords(hf_model: HFModel, own: dict[str, Any]) -> None:
    hf_model.generate("Hello", max_newtokens=4)  # type: ignore[call-overload] # pyright: ignore[reportCallIssue]
    hf_model.generate("Hello", num_beams="4")  # type: ignore[call-overload] # pyright: ignore[reportCallIssue, reportArgumentType]
    hf_model.chat([{"role": "user", "content": "Hello"}], max_newtokens=4)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    hf_model.classify("Hello", label=[0])  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    hf_model.embed("Hello", normalise=True)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    hf_model.score("Hello", max_length=4)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    hf_model.generate("Hello", **own)  # what a model's own generate takes


def test_records(hf_models: ModelCache) -> None:
    model = hf_models.load("./models/bot", task="text-classification")
    assert_type(model.chat([{"role": "user", "content": "Hello"}]), ChatRecord)
    assert_type(model.classify(["Hello"], labels=[0]), ClassificationRecord)
    assert_type(model.embed("Hello").cosine(0, 0), float)
    assert_type(model.embed("Hello"), EmbeddingRecord)
    assert_type(model.score(("Hello", " there")), ScoreRecord)
    assert_type(model.tag("Hello"), TokensRecord)


def test_upstream(hf_model: HFModel) -> None:
    hf_model.model.generate(**hf_model.tokenizer("Hello", return_tensors="pt"), max_new_tokens=4)
    assert hf_model.model.transformer.wte.weight.shape[0] == hf_model.config.vocab_size


def test_warning(hf_model: HFModel) -> None:
    with pytest.warns(NearTieWarning):
        hf_model.generate("Hello")
