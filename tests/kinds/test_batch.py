from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_hfmodels import EngineError, HFModel, ModelCache, SnapshotError
from pytest_hfmodels.kinds import BatchRecord, GenerationRecord
from pytest_hfmodels.kinds.generation.prompts import RepeatedStartWarning
from pytest_hfmodels.kinds.generation.teacher import rounding_of_the_cache
from pytest_hfmodels.results.describe import describe
from pytest_hfmodels.snapshots import Tolerance, compare
from pytest_hfmodels.snapshots.format import dump, load

from ..explain.test_consistency import cache_broken
from ..other_checkpoints import edit_json, save_model
from ..surroundings import needs_both_engines

PROMPTS = ["Hello", "Hi", "Good day to you"]
BEAM: dict[str, Any] = {"num_beams": 3, "num_return_sequences": 2}


@pytest.fixture
def bot(models: ModelCache) -> HFModel:
    return models.load("./model")


@pytest.mark.parametrize("settings", [{}, BEAM], ids=["greedy", "beams"])
def test_each_row_is_as_the_prompt_alone(bot: HFModel, settings: dict[str, Any]) -> None:
    batch = bot.generate(PROMPTS, max_new_tokens=6, **settings)

    assert isinstance(batch, BatchRecord)
    assert batch.effective["pad_token_id"] == 256
    for prompt, row in zip(PROMPTS, batch.rows, strict=True):
        alone = bot.generate(prompt, max_new_tokens=6, **settings)
        assert (row.prompt, row.text, row.ids) == (alone.prompt, alone.text, alone.ids)
        assert [beam.ids for beam in row.beams] == [beam.ids for beam in alone.beams]
        for step, own in zip(row.steps, alone.steps, strict=True):
            assert step.runner_up == own.runner_up
            assert step.processed == pytest.approx(own.processed, abs=1e-5)
            assert step.log_probability == pytest.approx(own.log_probability, abs=1e-5)


@pytest.fixture
def passes(bot: HFModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each forward pass of a record has."""
    rows: list[int] = []
    original = type(bot.loaded).forward

    def counted(self: Any, ids: Any, *arguments: Any, **keywords: Any) -> Any:
        rows.append(len(ids))
        return original(self, ids, *arguments, **keywords)

    monkeypatch.setattr(type(bot.loaded), "forward", counted)
    return rows


@pytest.mark.parametrize(
    "settings",
    [{}, BEAM, {"no_repeat_ngram_size": 2}, {**BEAM, "repetition_penalty": 1.3}, {"do_sample": True, "seed": 1}],
    ids=["greedy", "beams", "n-grams", "beams with a penalty", "drawn"],
)
def test_only_the_row_with_most_padding_is_read_again(
    bot: HFModel, passes: list[int], settings: dict[str, Any]
) -> None:
    batch = bot.generate(PROMPTS, max_new_tokens=6, **settings)

    assert (passes, batch.fingerprinted) == ([1], 1)
    assert 0 < rounding_of_the_cache(batch.rows) < 1e-5
    for row in batch.rows:
        whole = bot.log_probabilities([[*row.prompt.ids, *row.ids]])[0, len(row.prompt.ids) - 1 :]
        own = [float(numbers[one]) for numbers, one in zip(whole, row.ids, strict=False)]
        assert [step.log_probability for step in row.steps] == pytest.approx(own, abs=1e-5)


@pytest.mark.parametrize("settings", [{}, BEAM, {"no_repeat_ngram_size": 2}], ids=["greedy", "beams", "n-grams"])
def test_all_rows_are_read_again_if_the_cache_changes_the_numbers(
    bot: HFModel, passes: list[int], settings: dict[str, Any]
) -> None:
    with cache_broken(bot.model):
        batch = bot.generate(PROMPTS, max_new_tokens=6, **settings)

    assert (passes, batch.fingerprinted) == ([1, 3], None)
    row = batch.rows[2]
    own = bot.log_probabilities([[*row.prompt.ids, *row.ids]])[0, len(row.prompt.ids) - 1 :]
    assert [step.log_probability for step in row.steps] == pytest.approx(
        [float(numbers[one]) for numbers, one in zip(own, row.ids, strict=False)], abs=1e-5
    )


@pytest.mark.parametrize(("row", "said"), [("1", ""), ("3", "there are only 3 rows"), ("-1", ">= 0")])
def test_the_fingerprinted_row_is_in_the_file(bot: HFModel, row: str, said: str) -> None:
    text = dump(bot.generate(PROMPTS, max_new_tokens=2)).replace("fingerprinted = 1", f"fingerprinted = {row}")
    read: Any

    if said:
        with pytest.raises(SnapshotError, match=said):
            load(text, Path("a.toml"))
    else:
        read = load(text, Path("a.toml"))
        assert read.fingerprinted == 1
        earlier: Any = load(text.replace("fingerprinted = 1\n", ""), Path("a.toml"))
        assert earlier.fingerprinted is None


@needs_both_engines
@pytest.mark.parametrize("settings", [{}, BEAM], ids=["greedy", "beams"])
def test_the_engines_agree_on_a_batch(models: ModelCache, settings: dict[str, Any]) -> None:
    torch, tensorflow = (
        models.load("./model", engine=engine).generate(PROMPTS, max_new_tokens=5, **settings)
        for engine in ("torch", "tensorflow")
    )

    assert compare(torch, tensorflow, Tolerance(2e-4)).verdict == "same"


@pytest.mark.parametrize("settings", [{}, BEAM], ids=["greedy", "beams"])
def test_a_file_gives_the_record_back(bot: HFModel, settings: dict[str, Any]) -> None:
    batch = bot.generate(PROMPTS, max_new_tokens=3, eos_token_id=101, **settings)
    text = dump(batch)
    read: Any = load(text, Path("a.toml"))

    assert dump(read) == text
    assert text.count("[[rows]]") == 3
    assert 'prompt = "Hi"' in text
    assert "padding = 13" in text
    assert compare(read, batch, Tolerance(1e-6)).verdict == "same"


def test_rows_of_ids_and_tensors_are_batches(bot: HFModel) -> None:
    padded = {"input_ids": np.array([[72, 105, 0], [72, 111, 33]]), "attention_mask": np.array([[1, 1, 0], [1, 1, 1]])}
    wanted = bot.generate(["Hi", "Ho!"], max_new_tokens=2)

    given: Any
    for given in (["Hi", [72, 111, 33]], [[72, 105], [72, 111, 33]], padded, [np.array([72, 105]), (72, 111, 33)]):
        assert bot.generate(given, max_new_tokens=2) == wanted
    assert isinstance(bot.generate(["Hi"], max_new_tokens=1), BatchRecord)
    assert isinstance(bot.generate(bot.tokenizer(["Hi"]), max_new_tokens=1), GenerationRecord)


@pytest.mark.usefixtures("models")
def test_without_an_id_to_pad_with_only_one_length_is_a_batch(tmp_path: Path) -> None:
    save_model(tmp_path / "bot", "GPT2LMHeadModel")
    for file in ("config.json", "generation_config.json"):
        edit_json(tmp_path / "bot" / file, eos_token_id=None, pad_token_id=None)
    bot = ModelCache(tmp_path).load("./bot")

    with pytest.raises(EngineError, match="Prompts of different lengths need padding"):
        bot.generate(["Hi", "Hello"], max_new_tokens=1)
    assert len(bot.generate(["Hi", "Ho"], max_new_tokens=1).rows) == 2


def rows(*changed: GenerationRecord | None, of: BatchRecord) -> BatchRecord:
    return replace(of, rows=tuple(new or row for new, row in zip(changed, of.rows, strict=True)))


def test_a_comparison_names_the_row(bot: HFModel) -> None:
    batch = bot.generate(PROMPTS, max_new_tokens=3)
    first, second, _ = batch.rows
    step = replace(second.steps[1], id=35, text="#")
    other = replace(second, steps=(second.steps[0], step, second.steps[2]))
    moved = replace(first, steps=(replace(first.steps[0], log_probability=-9.0), *first.steps[1:]))

    found = compare(rows(None, other, None, of=batch), batch, Tolerance(1e-4))
    assert (found.verdict, found.differences[0].stage, found.differences[0].position) == ("changed", "ids", 1)
    assert found.differences[0].what == "row 2: generated token"
    assert headline(rows(None, other, None, of=batch), batch) == "row 2: generated token 2 differs"
    drift = compare(rows(moved, None, None, of=batch), batch, Tolerance(1e-4))
    assert (drift.verdict, drift.differences[0].what) == ("drift", "row 1: log-probability")
    assert headline(rows(moved, None, None, of=batch), batch).endswith("first the row 1: log-probability of token 1")
    fewer = compare(replace(batch, rows=batch.rows[:2]), batch, Tolerance(1e-4))
    assert (fewer.verdict, fewer.differences[0].stage) == ("changed", "prompt")


def headline(recorded: BatchRecord, observed: BatchRecord) -> str:
    comparison = compare(recorded, observed, Tolerance(1e-4))
    about: dict[str, Any] = {"entry": None, "base": None, "writer": "", "refusal": None}
    return describe(recorded, observed, comparison, None, snapshot="a.toml", equal=False, **about).headline


def tied(record: BatchRecord, number: int) -> BatchRecord:
    """Return a batch in which one row's first token was the runner-up, by next to nothing."""
    row = record.rows[number]
    first = row.steps[0]
    assert row.live is not None
    now = float(row.live.log_probabilities[0, first.runner_up])
    row.live.scores[0][first.runner_up] = row.live.scores[0][first.id] - 1e-6
    step = replace(
        first, id=first.runner_up, text=first.runner_up_text, log_probability=now, processed=now, margin=1e-6
    )
    found = list(record.rows)
    found[number] = replace(row, steps=(step, *row.steps[1:]))
    return replace(record, rows=tuple(found))


def test_a_near_tie_is_one_only_if_every_row_that_differs_is_one(bot: HFModel) -> None:
    batch = bot.generate(PROMPTS, max_new_tokens=3)
    recorded = tied(tied(batch, 0), 2)
    assert compare(recorded, batch, Tolerance(1e-4)).verdict == "near-tie"

    moved = replace(
        batch.rows[1], steps=(replace(batch.rows[1].steps[0], log_probability=-9.0), *batch.rows[1].steps[1:])
    )
    drifting = rows(recorded.rows[0], moved, recorded.rows[2], of=recorded)
    assert compare(drifting, batch, Tolerance(1e-4)).verdict == "changed"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("padding = 13", "padding = 12", "a.toml:49: rows.1.padding: it is not what the longest prompt leaves"),
        ('columns = ["id"', 'columns = ["it"', "batch.columns: the columns are not id, text"),
    ],
)
def test_an_edited_file_is_refused_with_its_line(bot: HFModel, old: str, new: str, said: str) -> None:
    text = dump(bot.generate(PROMPTS, max_new_tokens=3))
    assert old in text

    with pytest.raises(Exception, match="a\\.toml") as raised:
        load(text.replace(old, new), Path("a.toml"))
    assert said.split(": ", 1)[1] in str(raised.value)


def started(tokenizer: Any) -> Any:
    """Return a tokenizer that adds its start to every text, as Llama's does."""

    class Started(type(tokenizer)):  # type: ignore[misc]
        def __call__(self, text: Any, *, add_special_tokens: bool = True, **keywords: Any) -> Any:
            found = super().__call__(text, **keywords)
            if add_special_tokens:
                found["input_ids"] = [self.bos_token_id, *found["input_ids"]]
            return found

    tokenizer.__class__ = Started
    return tokenizer


@pytest.mark.usefixtures("models")
def test_a_start_that_is_there_twice_is_warned_about(tiny_gpt2: Path) -> None:
    bot = ModelCache(tiny_gpt2.parent).load("./model")
    started(bot.tokenizer)
    texts = ["<|endoftext|>Hi", "<|endoftext|>Ho"]

    with pytest.warns(RepeatedStartWarning, match="add_special_tokens=False") as caught:
        twice = bot.generate(texts, max_new_tokens=1)
    assert len(caught) == 1
    assert twice.rows[0].prompt.ids[:3] == (256, 256, 72)
    once = bot.generate(texts, max_new_tokens=1, add_special_tokens=False)
    assert once.rows[0].prompt.ids == (256, 72, 105)
    assert bot.generate("Hi", max_new_tokens=1).prompt.ids == (256, 72, 105)
