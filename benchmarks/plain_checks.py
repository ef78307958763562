"""The checks of suites/gpt2 on torch, written the plain way; `plain_way.py` copies this file elsewhere and times it.

Every test loads what it needs with `from_pretrained`, and the n-gram property calls `generate` once a drawn prompt.
The expected values are those of the committed snapshots. Not part of any test run of this repository.
"""

from __future__ import annotations

import logging
import os
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, GPT2ForSequenceClassification, GPT2LMHeadModel

from pytest_hfmodels.properties import banned_tokens, repeated_ngram
from suites.gpt2 import EOS, PROMPT

CHECKPOINT = os.environ["PLAIN_CHECKPOINT"]
SNAPSHOTS = Path(os.environ["PLAIN_SNAPSHOTS"])
DRAWN_PROMPTS = int(os.environ["PLAIN_DRAWN_PROMPTS"])
BEAM: dict[str, Any] = {"max_length": 50, "num_beams": 5, "no_repeat_ngram_size": 2, "early_stopping": True}
NAME = "My name is Hasnain"
DOG = "I was going with my dog"
BATCH = [NAME, PROMPT, DOG]
OUTING, WORK = 3, 7
NEAR = 1e-4


def expected(name: str) -> dict[str, Any]:
    return tomllib.loads((SNAPSHOTS / f"{name}.toml").read_text(encoding="utf-8"))


def load_tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(CHECKPOINT)


def load_model(**overrides: Any) -> Any:
    return GPT2LMHeadModel.from_pretrained(CHECKPOINT, **overrides)


def load_classifier(**overrides: Any) -> Any:
    return GPT2ForSequenceClassification.from_pretrained(CHECKPOINT, pad_token_id=EOS, **overrides)


def generate(model: Any, tokenizer: Any, **given_settings: Any) -> Any:
    return model.generate(
        **tokenizer(PROMPT, return_tensors="pt"),
        do_sample=False,
        pad_token_id=EOS,
        return_dict_in_generate=True,
        output_scores=True,
        **given_settings,
    )


def cut(row: list[int]) -> list[int]:
    return row[: row.index(EOS) + 1] if EOS in row else row


def generated(model: Any, tokenizer: Any, **given_settings: Any) -> list[int]:
    output = generate(model, tokenizer, **given_settings)
    return cut(output.sequences[0].tolist()[len(tokenizer.encode(PROMPT)) :])


def check_generation(name: str, skip_special_tokens: bool = False, **given_settings: Any) -> Any:
    model, tokenizer, recorded = load_model(), load_tokenizer(), expected(name)
    output = generate(model, tokenizer, **given_settings)
    start = len(recorded["prompt"]["ids"])
    ids = cut(output.sequences[0].tolist()[start:])
    whole = torch.tensor([[*recorded["prompt"]["ids"], *ids]])
    assert ids == [row[0] for row in recorded["steps"]["rows"]]
    assert tokenizer.decode(whole[0], skip_special_tokens=skip_special_tokens) == "".join(recorded["output"]["text"])
    with torch.no_grad():
        own = model(whole).logits[0, start - 1 : -1].log_softmax(-1)
    chosen = own[torch.arange(len(ids)), torch.tensor(ids)]
    assert chosen.tolist() == pytest.approx([row[2] for row in recorded["steps"]["rows"]], abs=NEAR)
    for index, beam in enumerate(recorded.get("beams", ())):
        assert cut(output.sequences[index].tolist()[start:]) == beam["ids"]
        assert float(output.sequences_scores[index]) == pytest.approx(beam["score"], abs=NEAR)
    return output


def classify(model: Any, texts: list[str], labels: Any = None) -> Any:
    tokenizer = load_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    with torch.no_grad():
        return model(**tokenizer(texts, return_tensors="pt", padding=True), labels=labels)


def check_logits(name: str, logits: Any) -> None:
    recorded = [row["logits"] for row in expected(name)["inputs"]]
    np.testing.assert_allclose(logits.numpy(), recorded, atol=NEAR)


def test_end_of_text_is_the_last_id() -> None:
    tokenizer = load_tokenizer()
    assert tokenizer.eos_token == "<|endoftext|>"
    assert tokenizer.eos_token_id == EOS == len(tokenizer) - 1


def test_prompt_has_these_ids() -> None:
    assert load_tokenizer().encode(PROMPT) == expected("test_greedy/test_greedy")["prompt"]["ids"]


def test_prompt_survives_a_round_trip() -> None:
    tokenizer = load_tokenizer()
    assert tokenizer.decode(tokenizer.encode(PROMPT)) == PROMPT


@pytest.mark.parametrize("text", ["", " ", "Grüße, 世界!\n\t🐕", "<|endoftext|>", "a  b   c"])
def test_any_text_survives_a_round_trip(text: str) -> None:
    tokenizer = load_tokenizer()
    assert tokenizer.decode(tokenizer.encode(text), clean_up_tokenization_spaces=False) == text


def test_return_tensors_gives_tensors_of_the_engine() -> None:
    ids = load_tokenizer().encode(PROMPT, return_tensors="pt")
    assert isinstance(ids, torch.Tensor)
    assert ids.tolist() == [expected("test_greedy/test_greedy")["prompt"]["ids"]]


def test_pad_is_eos_when_given_at_load() -> None:
    assert load_model().config.pad_token_id is None
    padded = load_model(pad_token_id=load_tokenizer().eos_token_id)
    assert padded.config.pad_token_id == EOS
    assert padded.generation_config.pad_token_id == EOS


def test_generate_does_not_warn_if_pad_is_given_at_load(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    model, tokenizer = load_model(pad_token_id=EOS), load_tokenizer()
    with caplog.at_level(logging.WARNING):
        logging.getLogger("transformers").addHandler(caplog.handler)
        try:
            model.generate(**tokenizer(PROMPT, return_tensors="pt"), max_length=20)
        finally:
            logging.getLogger("transformers").removeHandler(caplog.handler)
    assert [message for message in caplog.messages if "pad" in message or "attention mask" in message] == []
    assert [str(warning.message) for warning in recwarn] == []


def test_greedy() -> None:
    check_generation("test_greedy/test_greedy", max_length=50)


def test_greedy_loops_as_gpt2_does() -> None:
    tokenizer = load_tokenizer()
    prompt, ids = tokenizer.encode(PROMPT), generated(load_model(), tokenizer, max_length=50)
    assert len(prompt) + len(ids) == 50
    assert repeated_ngram(prompt, ids, 6) is not None


def test_blocking_bigrams_breaks_the_loop() -> None:
    output = check_generation(
        "test_greedy/test_blocking_bigrams_breaks_the_loop", max_length=50, no_repeat_ngram_size=2
    )
    start = len(load_tokenizer().encode(PROMPT))
    ids = output.sequences[0].tolist()
    assert repeated_ngram(ids[:start], cut(ids[start:]), 2) is None


def test_greedy_of_a_shorter_length_is_a_prefix() -> None:
    model, tokenizer = load_model(), load_tokenizer()
    short, long = (generated(model, tokenizer, max_length=length) for length in (30, 50))
    assert short == long[: len(short)]


def test_beam() -> None:
    check_generation("test_beam/test_beam", skip_special_tokens=True, **BEAM)


def test_beam_differs_from_greedy() -> None:
    model, tokenizer = load_model(), load_tokenizer()
    assert generated(model, tokenizer, **BEAM) != generated(model, tokenizer, max_length=50)


def test_all_five_beams() -> None:
    output = check_generation("test_beam/test_all_five_beams", skip_special_tokens=True, num_return_sequences=5, **BEAM)
    scores = output.sequences_scores.tolist()
    assert len({tuple(row) for row in output.sequences.tolist()}) == 5
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("texts", [[NAME], [NAME, DOG], BATCH], ids=len)
def test_logits_have_a_row_per_text_and_a_column_per_label(texts: list[str]) -> None:
    model = load_classifier()
    assert classify(model, texts).logits.shape == (len(texts), model.config.num_labels)


def test_one_call_gives_the_same_logits_as_a_batch() -> None:
    model = load_classifier()
    alone = model(**load_tokenizer()(NAME, return_tensors="pt")).logits
    assert alone.shape == (1, model.config.num_labels)
    np.testing.assert_allclose(alone.detach().numpy(), classify(model, [NAME]).logits, atol=1e-5)


def test_single_label_prediction_is_the_argmax() -> None:
    model = load_classifier()
    logits = classify(model, BATCH).logits
    predicted = [model.config.id2label[int(index)] for index in logits.argmax(-1)]
    assert predicted == ["work", "work", "outing"]
    check_logits("test_classification/test_single_label_prediction_is_the_argmax", logits)


def test_num_labels_given_at_load_sets_the_width() -> None:
    wider = load_classifier(num_labels=11, ignore_mismatched_sizes=True)
    assert classify(wider, BATCH).logits.shape == (3, 11)
    assert wider.config.id2label == {index: f"LABEL_{index}" for index in range(11)}


def test_num_labels_of_the_checkpoint_given_at_load_changes_nothing() -> None:
    model = load_classifier()
    same = load_classifier(num_labels=model.config.num_labels)
    assert torch.equal(classify(same, BATCH).logits, classify(model, BATCH).logits)


def test_single_label_loss() -> None:
    labels = torch.tensor([WORK, WORK, OUTING])
    output = classify(load_classifier(), BATCH, labels)
    by_hand = -output.logits.log_softmax(-1)[torch.arange(3), labels].mean()
    recorded = expected("test_classification/test_single_label_loss")
    assert float(output.loss) == pytest.approx(float(by_hand), abs=1e-5)
    assert float(output.loss) == pytest.approx(recorded["loss"]["value"], abs=NEAR)
    check_logits("test_classification/test_single_label_loss", output.logits)


def test_multi_label_prediction_is_every_label_above_one_half() -> None:
    model = load_classifier()
    logits = classify(model, [DOG]).logits
    predicted = torch.arange(model.config.num_labels)[logits[0].sigmoid() > 0.5]
    assert [model.config.id2label[int(index)] for index in predicted] == ["animals", "outing"]
    check_logits("test_classification/test_multi_label_prediction_is_every_label_above_one_half", logits)


def test_multi_label_loss() -> None:
    model = load_classifier(problem_type="multi_label_classification")
    logits = classify(model, [DOG]).logits
    labels = torch.eye(logits.shape[1])[logits[0] > 0].sum(0, keepdim=True)
    loss = classify(model, [DOG], labels).loss
    probabilities = logits.sigmoid()
    by_hand = -(labels * probabilities.log() + (1 - labels) * (1 - probabilities).log()).mean()
    assert float(loss) == pytest.approx(float(by_hand), abs=1e-5)
    recorded = expected("test_classification/test_multi_label_loss")
    assert float(loss) == pytest.approx(recorded["loss"]["value"], abs=NEAR)


def test_a_labelled_call_sets_the_problem_type() -> None:
    model = load_classifier()
    classify(model, BATCH, torch.tensor([WORK, WORK, OUTING]))
    assert model.config.problem_type == "single_label_classification"  # called directly, upstream keeps it


@st.composite
def prompts(draw: st.DrawFn) -> list[int]:
    """Draw one prompt the way `prompt_batches` draws each of a batch."""
    length, free = draw(st.integers(1, 8)), st.integers(0, 1023)
    few = draw(st.lists(free, min_size=1, max_size=4))
    token = st.sampled_from(few) if draw(st.booleans()) else free
    return draw(st.lists(token, min_size=length, max_size=length))


def test_no_ngram_repeats() -> None:
    model = load_model()

    @settings(max_examples=DRAWN_PROMPTS, deadline=None, derandomize=True, database=None)
    @given(prompt=prompts(), size=st.integers(1, 4), beams=st.sampled_from([1, 3]))
    def check(prompt: list[int], size: int, beams: int) -> None:
        ids = torch.tensor([prompt])
        output = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            pad_token_id=EOS,
            return_dict_in_generate=True,
            output_scores=True,
            no_repeat_ngram_size=size,
            num_beams=beams,
            max_new_tokens=12,
        )
        check_blocked(model, prompt, output, size)

    check()


def check_blocked(model: Any, prompt: list[int], output: Any, size: int) -> None:
    """Assert what `pytest_hfmodels.properties.check_blocking` returns as a violation."""
    ids = cut(output.sequences[0].tolist()[len(prompt) :])
    assert repeated_ngram(prompt, ids, size) is None
    rows = output.beam_indices[0].tolist() if "beam_indices" in output else [0] * len(ids)
    with torch.no_grad():
        own = model(output.sequences).logits[0].double().log_softmax(-1)
    for position in range(len(ids)):
        whole = [*prompt, *ids[:position]]
        scores = output.scores[position][rows[position]].double()
        allowed = ~torch.isneginf(scores)
        assert torch.nonzero(~allowed).flatten().tolist() == sorted(banned_tokens(whole, size))
        kept, wanted = scores[allowed], own[len(whole) - 1][allowed]
        assert float(((kept - kept.max()) - (wanted - wanted[kept.argmax()])).abs().max()) <= 1e-3
