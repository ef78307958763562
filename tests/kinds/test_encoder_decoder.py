from __future__ import annotations

import shutil
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels import HFModel, ModelCache
from pytest_hfmodels.kinds.registry import kind_of
from pytest_hfmodels.snapshots import Tolerance, compare
from pytest_hfmodels.snapshots.format import dump, load

from ..explain.asking import after, all_said, ask, bent, searches, stored
from ..other_checkpoints import edit_json, save_model

if TYPE_CHECKING:
    from pytest_hfmodels.kinds import GenerationRecord

FAMILIES = ("T5ForConditionalGeneration", "BartForConditionalGeneration", "MarianMTModel")


def translator(folder: Path, name: str = FAMILIES[0], *, seed: int = 0) -> HFModel:
    """Load a tiny encoder-decoder with drawn weights, whose outputs differ by prompt."""
    from safetensors.numpy import load_file, save_file

    save_model(folder / "model", name)
    file = folder / "model" / "model.safetensors"
    drawn = {}
    for tensor, value in load_file(file).items():
        random = np.random.Generator(np.random.PCG64(zlib.crc32(tensor.encode()) + seed))
        scale = 0.6 if value.ndim > 1 else 0.0
        drawn[tensor] = (scale * random.standard_normal(value.shape)).astype(np.float32)
        if "norm" in tensor and tensor.endswith("weight"):
            drawn[tensor] += 1
    save_file(drawn, file, metadata={"format": "pt"})
    return ModelCache(folder).load("./model")


@pytest.fixture(params=FAMILIES)
def any_family(request: pytest.FixtureRequest, models: ModelCache, tmp_path: Path) -> HFModel:
    del models
    return translator(tmp_path, request.param)


@pytest.fixture
def model(models: ModelCache, tmp_path: Path) -> HFModel:
    del models
    return translator(tmp_path)


def translate(model: HFModel, **settings: Any) -> GenerationRecord:
    return model.generate("Hello", **{"max_new_tokens": 6, **settings})


@searches
def test_the_encoder_s_input_and_the_decoder_s_start_are_recorded(
    any_family: HFModel, settings: dict[str, Any]
) -> None:
    record = translate(any_family, **settings)

    assert record.prompt.ids == tuple(b"Hello")
    assert record.start == (2,)
    assert record.effective["max_length"] == 1 + settings.get("max_new_tokens", 6)
    assert [block.name for block in record.blocks] == [
        *("encoder embeddings", "encoder block 1 or final norm", "decoder embeddings", "decoder block 1"),
    ]
    assert len({record.ids, translate_other(any_family, **settings).ids}) == 2
    for step in record.steps:
        if not settings:
            assert step.processed == pytest.approx(step.log_probability, abs=1e-4)
    read: Any = load(dump(record), Path("a.toml"))
    assert "[decoder]\nstart = [2]" in dump(record)
    assert compare(read, record, Tolerance(1e-6)).verdict == "same"


def translate_other(model: HFModel, **settings: Any) -> GenerationRecord:
    return model.generate("Good day", **{"max_new_tokens": 6, **settings})


def test_a_batch_is_padded_on_the_right_and_each_row_is_as_alone(any_family: HFModel) -> None:
    batch = any_family.generate(["Hello", "Good day to you"], max_new_tokens=6)

    alone = batch.rows[0].ids == translate(any_family).ids
    assert alone or kind_of(batch).contradiction(batch, Tolerance(1e-4)), "nothing says that the row is not as alone"
    text = dump(batch)
    assert 'padding_side = "right"' in text
    assert "padding = 10" in text
    assert compare(load(text, Path("a.toml")), batch, Tolerance(1e-6)).verdict == "same"


@searches
@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_fault_of_the_forward_pass_is_found_in_its_half(model: HFModel, settings: dict[str, Any], part: str) -> None:
    from transformers.models.t5 import modeling_t5

    recorded = stored(translate(model, **settings))
    with pytest.MonkeyPatch.context() as patch:
        plain = modeling_t5.T5Block.forward

        def shifted(self: Any, *arguments: Any, **keywords: Any) -> Any:
            output = plain(self, *arguments, **keywords)
            return bent_output(output) if self.is_decoder == (part == "decoder") else output

        patch.setattr(modeling_t5.T5Block, "forward", shifted)
        found = ask(recorded, translate(model, **settings))

    assert (found.cause, str(found.block).split(" or ")[0]) == ("forward", f"{part} block 1")


def bent_output(output: Any) -> Any:
    return (bent(output[0], 0.05), *output[1:]) if isinstance(output, tuple) else bent(output, 0.05)


@searches
def test_a_search_that_changed_is_found_by_the_reference(model: HFModel, settings: dict[str, Any]) -> None:
    import torch

    def worse(_: HFModel, patch: pytest.MonkeyPatch) -> None:
        argmax, topk = torch.argmax, torch.topk

        def second(values: Any, *arguments: Any, **keywords: Any) -> Any:
            found = argmax(values, *arguments, **keywords)
            return topk(values, 2, dim=-1).indices[..., 1] if values.ndim == 2 else found

        patch.setattr(torch, "argmax", second)

        def last(values: Any, k: int, *arguments: Any, **keywords: Any) -> Any:
            found = topk(values, k, *arguments, **keywords)
            return found if values.shape[-1] < 100 else (found.values.flip(-1), found.indices.flip(-1))

        patch.setattr(torch, "topk", last if settings else topk)

    found = after(worse, model, translate, **settings)

    assert found.cause == "search", all_said(found)


def test_weights_prompts_and_the_decoder_s_start_are_told_apart(model: HFModel, tmp_path: Path) -> None:
    recorded = stored(translate(model))

    assert ask(recorded, translate(translator(tmp_path / "other", seed=1))).cause == "checkpoint:weights"
    assert ask(recorded, translate_other(model)).cause == "test"
    folder = Path(model.checkpoint.folder).parent / "copy"
    edit_json(
        shutil.copytree(model.checkpoint.folder, folder / "model") / "generation_config.json", decoder_start_token_id=3
    )
    assert ask(recorded, translate(ModelCache(folder).load("./model"))).cause == "checkpoint:config"
    found = ask(recorded, translate(model, decoder_start_token_id=3))
    assert (found.cause, found.sentence.rpartition(": ")[2]) == ("test", "decoder_start_token_id")


def test_a_near_tie_of_the_decoder_is_one(model: HFModel) -> None:
    record = translate(model)
    first = record.steps[0]
    assert record.live is not None
    now = float(record.live.log_probabilities[0, first.runner_up])
    record.live.scores[0][first.runner_up] = record.live.scores[0][first.id] - 1e-6
    tied = replace(
        first, id=first.runner_up, text=first.runner_up_text, log_probability=now, processed=now, margin=1e-6
    )

    assert compare(replace(record, steps=(tied, *record.steps[1:])), record, Tolerance(1e-4)).verdict == "near-tie"
