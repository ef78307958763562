from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels import EngineError, HFModel, ModelCache
from pytest_hfmodels.engines import upstream
from pytest_hfmodels.kinds.generation.observe import _generated

from ..surroundings import needs_both_engines

if TYPE_CHECKING:
    from pytest_hfmodels import GenerationRecord

BEAM: dict[str, Any] = {"num_beams": 3, "num_return_sequences": 2, "max_new_tokens": 6, "no_repeat_ngram_size": 2}


@pytest.fixture
def bot(models: ModelCache) -> HFModel:
    return models.load("./model")


def test_a_greedy_record_tells_each_token(bot: HFModel) -> None:
    record = bot.generate("Hello", max_new_tokens=5)

    assert record.prompt.ids == tuple(b"Hello")
    assert record.text == "Hello" + "".join(step.text for step in record.steps)
    assert record.ids == tuple(step.id for step in record.steps)
    assert record.beams == ()
    assert record.beam_cutoff_margin == ()
    assert [block.name for block in record.blocks] == ["embeddings", "block 1", "block 2"]
    assert record.effective["max_length"] == 10
    assert (record.provenance.engine, record.provenance.dtype) == ("torch", "float32")
    assert all(step.margin > 0 and step.runner_up != step.id for step in record.steps)
    assert repr(record) == f"<GenerationRecord ./model on torch: {record.text!r}>"


def test_a_step_s_figures_are_those_of_a_separate_forward_pass(bot: HFModel) -> None:
    record = bot.generate("Hello", max_new_tokens=4)

    for position, step in enumerate(record.steps):
        ids = [*record.prompt.ids, *record.ids[:position]]
        told = bot.log_probabilities([ids])[0, -1]
        best, second = np.sort(told)[::-1][:2]
        assert step.log_probability == pytest.approx(told[step.id], abs=1e-5)
        assert step.processed == pytest.approx(step.log_probability, abs=1e-5)
        assert step.margin == pytest.approx(best - second, abs=1e-5)
        assert told[step.runner_up] == second


def test_the_logits_of_a_long_prompt_are_not_kept(bot: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    floats, vocabulary = type(bot.loaded).floats, bot.config.vocab_size

    def seen(self: Any, tensor: Any) -> Any:
        sizes.append(tensor.numel() // vocabulary if tensor.shape[-1] == vocabulary else 0)
        return floats(self, tensor)

    monkeypatch.setattr(type(bot.loaded), "floats", seen)

    record = bot.generate("Hello " * 15, max_new_tokens=2, num_beams=1)

    assert max(sizes) <= 3
    assert [step.log_probability for step in record.steps] == pytest.approx(
        [
            bot.log_probabilities([[*record.prompt.ids, *record.ids[:position]]])[0, -1, step.id]
            for position, step in enumerate(record.steps)
        ],
        abs=1e-5,
    )


def test_blocking_shows_in_processed_figures_alone(bot: HFModel) -> None:
    record = bot.generate("Hi", max_new_tokens=8, no_repeat_ngram_size=1)

    assert len(set(record.prompt.ids + record.ids)) == 10
    assert any(step.processed > step.log_probability + 0.01 for step in record.steps)
    assert all(step.runner_up not in record.ids[:n] for n, step in enumerate(record.steps))


def test_a_beam_record_has_every_returned_beam(bot: HFModel) -> None:
    record = bot.generate("Hello", **BEAM)

    assert len(record.beams) == 2
    assert record.beams[0].ids == record.ids
    assert record.beams[0].text == record.text
    assert record.beams[0].score > record.beams[1].score
    assert len(record.beam_cutoff_margin) == 6
    assert all(gap >= 0 for gap in record.beam_cutoff_margin)
    # Without an end of text, a score is the mean log-probability: beams are not renormalised after a ban.
    length = 6 if upstream.release_at_least("4.35") else 6 + len("Hello")  # transformers#26624
    total = sum(step.log_probability for step in record.steps)
    assert record.beams[0].score == pytest.approx(total / length, abs=1e-5)


def test_recorded_tokens_can_be_looked_up_live(bot: HFModel) -> None:
    record = bot.generate("Hello", max_new_tokens=3)

    assert record.live is not None
    assert record.live.log_probabilities.shape == (3, 257)
    assert [record.live.log_probabilities[n, step.id] for n, step in enumerate(record.steps)] == [
        step.log_probability for step in record.steps
    ]


@pytest.mark.parametrize(
    ("row", "eos", "generated"),
    [
        ([1, 2, 3, 4], [9], (3, 4)),
        ([1, 2, 3, 9, 9], [9], (3, 9)),
        ([1, 9, 3, 9, 0], [9], (3, 9)),
        ([1, 2, 3, 8, 9], [9, 8], (3, 8)),
        ([1, 2, 3, 4], [], (3, 4)),
        ([1, 2], [9], ()),
    ],
)
def test_a_sequence_ends_with_its_first_end_of_text(row: list[int], eos: list[int], generated: tuple[int, ...]) -> None:
    assert _generated(np.array(row), 2, eos) == generated


def test_a_sequence_that_ends_early_has_no_padding(bot: HFModel) -> None:
    free = bot.generate("Hello", max_new_tokens=4)

    ended = bot.generate("Hello", max_new_tokens=4, eos_token_id=free.ids[1])

    assert ended.ids == free.ids[: free.ids.index(free.ids[1]) + 1]
    assert ended.effective["eos_token_id"] == [free.ids[1]]


def test_special_tokens_are_skipped_where_that_is_asked(bot: HFModel) -> None:
    ids = [256, 72, 105]

    assert bot.generate(ids, max_new_tokens=1).text.startswith("<|endoftext|>Hi")
    assert bot.generate(ids, max_new_tokens=1, skip_special_tokens=True).text.startswith("Hi")


@pytest.mark.parametrize(
    ("side", "place", "number", "said"),
    [
        *((side, np.s_[:], np.nan, "NaN") for side in ("forward", "generate")),
        *((side, np.s_[..., 5], np.inf, "infinity") for side in ("forward", "generate")),
        *((side, np.s_[:], np.inf, "infinity") for side in ("forward", "generate")),
        ("forward", np.s_[:], -np.inf, "-infinity for every token"),  # `generate` gives it to a suppressed token
    ],
)
def test_numbers_that_nothing_can_compare_are_refused(
    bot: HFModel, monkeypatch: pytest.MonkeyPatch, side: str, place: Any, number: float, said: str
) -> None:
    original = getattr(type(bot.loaded), side)

    def broken(self: object, *arguments: object, **keywords: object) -> object:
        result = original(self, *arguments, **keywords)
        for array in [result.logits] if side == "forward" else result.steps:
            array[place] = number
        return result

    monkeypatch.setattr(type(bot.loaded), side, broken)

    with pytest.raises(EngineError, match=f"./model on torch returned {said} after 'Hi'"):
        bot.generate("Hi", max_new_tokens=1)


def test_logits_beyond_float16_are_refused(bot: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = bot.model.forward

    def overflow(*arguments: Any, **keywords: Any) -> Any:
        output = forward(*arguments, **keywords)
        output.logits = (output.logits * 1e6).half().float()
        return output

    monkeypatch.setattr(bot.model, "forward", overflow)

    with pytest.raises(EngineError, match="returned infinity after 'Hi'"):
        bot.generate("Hi", max_new_tokens=1)


@pytest.mark.parametrize("beams", [1, 2])
@pytest.mark.filterwarnings("error")
def test_a_step_without_any_token_raises_no_warning_of_numpy(bot: HFModel, beams: int) -> None:
    record = bot.generate("Hi", max_new_tokens=2, num_beams=beams, suppress_tokens=list(range(257)))

    assert np.isnan([step.margin for step in record.steps]).all()
    assert np.isfinite([step.log_probability for step in record.steps]).all()


@needs_both_engines
@pytest.mark.parametrize("wanted", [{"max_new_tokens": 6}, BEAM], ids=["greedy", "beam"])
def test_engines_agree(models: ModelCache, wanted: dict[str, Any]) -> None:
    torch, tensorflow = (
        models.load("./model", engine=engine).generate("Hello", **wanted) for engine in ("torch", "tensorflow")
    )

    assert ids_of(tensorflow) == ids_of(torch)
    assert tensorflow.effective == torch.effective
    for one, other in zip(torch.steps, tensorflow.steps, strict=True):
        assert other.log_probability == pytest.approx(one.log_probability, abs=1e-4)
        assert other.margin == pytest.approx(one.margin, abs=1e-4)
    assert tensorflow.beam_cutoff_margin == pytest.approx(torch.beam_cutoff_margin, abs=1e-4)
    for block, counterpart in zip(torch.blocks, tensorflow.blocks, strict=True):
        assert counterpart.projection == pytest.approx(block.projection, abs=1e-4)


def ids_of(record: GenerationRecord) -> tuple[object, ...]:
    return record.prompt, record.ids, tuple(beam.ids for beam in record.beams), record.text
