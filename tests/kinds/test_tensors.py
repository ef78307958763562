"""What any model returns. The checkpoints are those of `tests/projects`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pytest_hfmodels import EngineError, HFModel, ModelCache
from pytest_hfmodels.engines.base import Observation
from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.kinds.tensors.record import output_arrays
from pytest_hfmodels.snapshots import Tolerance, compare

from ..explain.asking import ask, stored

PROJECTS = Path(__file__).parents[1] / "projects"
IDS = [[2, 6, 18, 3]]


@pytest.fixture
def pairs(models: ModelCache) -> HFModel:
    return models.load(PROJECTS / "pair_classifier" / "model")


def test_every_output_is_recorded_under_its_name(pairs: HFModel) -> None:
    record = pairs.observe(input_ids=IDS, labels=[1], output_attentions=True)

    assert list(record.arrays) == ["loss", "logits", "attentions.0", "attentions.1"]
    assert record.effective == {"output_attentions": True}
    assert [(one.name, one.numbers, one.given) for one in record.inputs] == [
        ("input_ids", tuple(IDS[0]), True),
        ("labels", (1,), True),
    ]
    assert compare(stored(record), record, Tolerance(1e-6)).verdict is Verdict.SAME


def test_text_goes_through_the_tokenizer(pairs: HFModel) -> None:
    record = pairs.observe(text="My cat")

    assert record.given == ("My cat",)
    assert record.inputs[0].numbers == tuple(IDS[0])
    assert np.array_equal(record.arrays["logits"].values, pairs.observe(input_ids=IDS).arrays["logits"].values)
    assert ask(stored(record), pairs.observe(text="My dog")).cause == "test"


def test_gradients_are_norms_by_parameter(pairs: HFModel) -> None:
    import torch

    record = pairs.observe(input_ids=IDS, labels=[1], gradients=True)

    model = pairs.model
    loss = model(input_ids=torch.tensor(IDS), labels=torch.tensor([1])).loss
    wanted = torch.autograd.grad(loss, model.classifier.weight)[0].norm()
    model.config.problem_type = None  # upstream keeps what it infers
    assert record.gradients["classifier.weight"] == pytest.approx(float(wanted), rel=1e-4)
    assert len(record.gradients) == len([*model.parameters()])
    assert all(parameter.grad is None for parameter in model.parameters())
    assert compare(stored(record), record, Tolerance(1e-6)).verdict is Verdict.SAME


def test_parameters_may_have_other_names_but_not_other_gradients(pairs: HFModel) -> None:
    record = pairs.observe(input_ids=IDS, labels=[1], gradients=True)
    renamed = {f"new.{name}": norm for name, norm in record.gradients.items()}

    assert compare(record, replace(record, gradients=renamed), Tolerance(1e-6)).verdict is Verdict.SAME
    scaled = {name: 2 * norm for name, norm in record.gradients.items()}
    found = ask(stored(replace(record, gradients=scaled)), record)
    assert (found.verdict, found.cause) == ("drift", None)
    assert "the outputs are as recorded" in found.sentence


def test_the_loss_leaves_the_configuration_as_it_was(pairs: HFModel) -> None:
    before = pairs.config.problem_type

    pairs.observe(input_ids=IDS, labels=[1])

    assert pairs.config.problem_type == before


def test_an_output_of_another_type_is_a_difference_of_structure(pairs: HFModel) -> None:
    record = pairs.observe(input_ids=IDS)
    types = {"logits": "ModelOutput", "logits.pooled": "tensor"}
    other = replace(record, types=types, arrays={"logits.pooled": record.arrays["logits"]})

    comparison = compare(record, other, Tolerance(1e-4))
    found = ask(stored(record, transformers="4.50.0"), replace(other, live=record.live))

    assert comparison.differences[0].stage == "structure"
    assert (found.verdict, found.cause) == ("changed", "forward")
    assert "the type of logits differs (tensor -> ModelOutput)" in found.sentence


def test_other_numbers_of_the_test_are_its_own(pairs: HFModel) -> None:
    found = ask(stored(pairs.observe(input_ids=IDS)), pairs.observe(input_ids=[[2, 6, 19, 3]]))

    assert (found.verdict, found.cause) == ("changed", "test")


def test_a_fault_is_found_in_its_block(pairs: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = stored(pairs.observe(input_ids=IDS), transformers="4.50.0")
    layer = type(pairs.model.bert.encoder.layer[1].output)
    original = layer.forward
    monkeypatch.setattr(layer, "forward", lambda *arguments: original(*arguments).flip(-1))

    found = ask(recorded, pairs.observe(input_ids=IDS))

    assert (found.verdict, found.cause, found.block) == ("drift", "forward", "block 1")


def test_large_numbers_are_compared_by_their_size(pairs: HFModel) -> None:
    record = pairs.observe(input_ids=IDS)

    def scaled(by: float) -> Any:
        outputs = {"boxes": np.array([[500.0, 20.0]]) * by}
        return replace(record, types={"boxes": "tensor"}, arrays=output_arrays(outputs, "float32"))

    assert compare(scaled(1), scaled(1 + 1e-6), Tolerance(1e-4)).verdict is Verdict.SAME
    assert compare(scaled(1), scaled(1 + 1e-4), Tolerance(1e-4)).verdict is Verdict.DRIFT


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"words": IDS}, "refuses its inputs (words 1 x 4)"),
        ({"input_ids": [2, 6]}, "refuses its inputs (input_ids 2)"),
        ({"input_ids": [[2, 6], [3]]}, "input_ids= is not an array of numbers, but list."),
        ({"input_ids": [["a"]]}, "input_ids= is not an array of numbers, but list."),
        ({"input_ids": None}, "input_ids= is not an array of numbers, but NoneType."),
        ({"input_ids": IDS, "gradients": True}, "returns no loss to take gradients of"),
        ({"text": 3}, "text= is text, not an int."),
    ],
)
def test_what_the_model_does_not_take_is_refused(pairs: HFModel, inputs: Any, said: str) -> None:
    with pytest.raises(EngineError, match=re.escape(said)):
        pairs.observe(**inputs)


def test_a_model_without_a_processor_takes_no_text(models: ModelCache) -> None:
    import torch

    own = models.adopt(torch.nn.Linear(2, 2), name="linear")

    with pytest.raises(EngineError, match="no processor, so it takes no text"):
        own.observe(text="Hi")
    assert own.observe(input=[[1.0, 2.0]]).arrays["output"].shape == (1, 2)


def test_the_mask_of_sounds_does_not_hide_blocks(pairs: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask of samples has another length than the frames."""
    seen = Observation({"logits": np.zeros((1, 2))}, {"logits": "tensor"}, (np.ones((1, 3, 4)),))
    monkeypatch.setattr(type(pairs.loaded), "observe", lambda *_: seen)

    record = pairs.observe(input_values=np.zeros((1, 90)), attention_mask=np.ones((1, 90), dtype=np.int64))

    assert [block.name for block in record.blocks] == ["embeddings"]


def test_nothing_else_of_the_engine_takes_gradients(pairs: HFModel) -> None:
    from pytest_hfmodels.engines.loaded_model import LoadedModel

    with pytest.raises(EngineError, match="Gradients cannot be recorded with other"):
        LoadedModel.gradient_norms(SimpleNamespace(engine="other"), {})  # type: ignore[arg-type]
    del pairs
