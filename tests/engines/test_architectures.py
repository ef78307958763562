from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels import EngineError, HFModelsError, ModelCache
from pytest_hfmodels.engines import usable
from pytest_hfmodels.engines.tasks import infer, of_class
from pytest_hfmodels.engines.upstream import release_at_least

from ..other_checkpoints import edit_json, save_model
from ..tiny_gpt2 import VOCABULARY, write_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    import torch
else:
    torch = pytest.importorskip("torch")


@pytest.fixture
def cache(models: ModelCache, tmp_path: Path) -> ModelCache:
    """An empty cache with its own folder."""
    del models
    return ModelCache(tmp_path, with_tensorflow="tensorflow" in usable())


IDS = np.array([[5, 6, 7, 2]])
TEXT = {"input_ids": IDS}
BOTH: dict[str, Any] = {"input_ids": IDS, "decoder_input_ids": IDS[:, :3]}
PIXELS = {"pixel_values": np.linspace(-1, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)}
MELS = {"input_features": np.linspace(-1, 1, 8 * 32).reshape(1, 8, 32), "decoder_input_ids": IDS}
SOUND = {"input_values": np.sin(np.arange(400.0))[None]}


@pytest.mark.parametrize(
    ("name", "task", "inputs", "outputs"),
    [
        ("GPT2Model", "feature-extraction", TEXT, {"last_hidden_state": (1, 4, 16)}),
        ("T5ForConditionalGeneration", "text2text-generation", BOTH, {"logits": (1, 3, VOCABULARY)}),
        ("T5EncoderModel", "feature-extraction", TEXT, {"last_hidden_state": (1, 4, 16)}),
        ("BartForConditionalGeneration", "text2text-generation", TEXT, {"logits": (1, 4, VOCABULARY)}),
        ("BartForSequenceClassification", "text-classification", TEXT, {"logits": (1, 3)}),
        ("MarianMTModel", "text2text-generation", BOTH, {"logits": (1, 3, VOCABULARY)}),
        ("WhisperForConditionalGeneration", "automatic-speech-recognition", MELS, {"logits": (1, 4, VOCABULARY)}),
        ("Wav2Vec2ForCTC", "automatic-speech-recognition", SOUND, {"logits": (1, 39, VOCABULARY)}),
        ("BertModel", "feature-extraction", TEXT, {"pooler_output": (1, 16)}),
        ("BertForMaskedLM", "fill-mask", TEXT, {"logits": (1, 4, VOCABULARY)}),
        ("BertForTokenClassification", "token-classification", TEXT, {"logits": (1, 4, 2)}),
        ("ViTForImageClassification", "image-classification", PIXELS, {"logits": (1, 2)}),
        ("YolosForObjectDetection", "object-detection", PIXELS, {"pred_boxes": (1, 3, 4)}),
        (
            "CLIPModel",
            "zero-shot-image-classification",
            {**TEXT, **PIXELS},
            {"logits_per_image": (1, 1), "text_model_output.last_hidden_state": (1, 4, 16)},
        ),
        pytest.param(
            *("CLIPTextModelWithProjection", "feature-extraction", TEXT, {"text_embeds": (1, 512)}),
            marks=pytest.mark.skipif(not release_at_least("4.49"), reason="transformers 4.37 has no such model_type"),
        ),
    ],
)
def test_a_checkpoint_loads_as_the_class_that_it_names(
    cache: ModelCache, tmp_path: Path, name: str, task: str, inputs: dict[str, Any], outputs: dict[str, Any]
) -> None:
    folder = save_model(tmp_path / "bot", name)
    for file in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"):  # a GPT-2's
        (folder / file).unlink(missing_ok=True)

    handle = cache.load("./bot")
    seen = handle.loaded.observe(inputs)

    assert (type(handle.model).__name__, handle.task) == (name, task)
    assert outputs.items() <= {path: array.shape for path, array in seen.outputs.items()}.items()
    assert seen.types.keys() >= seen.outputs.keys()
    assert not any("past_key_values" in path or "hidden_states" in path for path in seen.types)
    assert seen.hidden_states or name == "CLIPModel"  # 5.0.0 returns none of its towers'


def test_outputs_are_the_model_s_own_and_names_tell_what_holds_them(cache: ModelCache, tmp_path: Path) -> None:
    save_model(tmp_path / "bot", "CLIPModel")
    handle = cache.load("./bot")

    seen = handle.loaded.observe({**TEXT, **PIXELS})

    with torch.no_grad():
        own = handle.model(input_ids=torch.tensor(IDS), pixel_values=torch.tensor(PIXELS["pixel_values"]).float())
    np.testing.assert_allclose(seen.outputs["logits_per_text"], own.logits_per_text.numpy(), atol=1e-6)
    assert seen.types["text_model_output"] == "BaseModelOutputWithPooling"
    assert seen.types["text_model_output.last_hidden_state"] == "tensor"


def test_the_encoder_s_states_come_before_the_decoder_s(cache: ModelCache, tmp_path: Path) -> None:
    """Upstream's output has them the other way round."""
    save_model(tmp_path / "bot", "T5ForConditionalGeneration")
    handle = cache.load("./bot")

    record = handle.observe(**BOTH)
    seen = handle.loaded.observe(BOTH)

    lengths, names = [state.shape[1] for state in seen.hidden_states], [block.name for block in record.blocks]
    assert lengths == [4] * seen.encoder + [3] * (len(lengths) - seen.encoder)
    assert 0 < seen.encoder < len(lengths)
    assert names[0] == "encoder embeddings"
    assert names[seen.encoder] == "decoder embeddings"


def test_labels_leave_the_configuration_unchanged(cache: ModelCache, tmp_path: Path) -> None:
    """Upstream writes the problem type that it infers from labels into the configuration."""
    save_model(tmp_path / "bot", "BertForSequenceClassification")
    handle = cache.load("./bot")

    handle.loaded.observe({**TEXT, "labels": [1]})

    assert handle.config.problem_type is None


def test_a_model_of_one_s_own_can_be_observed(cache: ModelCache) -> None:
    class Twice(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2

    handle = cache.adopt(Twice())

    seen = handle.loaded.observe({"x": [[1.0, 2.0]]})

    assert seen.outputs["output"].tolist() == [[2.0, 4.0]]
    assert (handle.tokenizer, seen.types, seen.hidden_states) == (None, {"output": "tensor"}, ())


@pytest.mark.parametrize(
    ("names", "config", "tag", "task"),
    [
        (["GPT2LMHeadModel"], {}, "text-classification", "text-generation"),
        (["BertModel"], {}, "sentence-similarity", "feature-extraction"),
        (["CLIPModel"], {}, "", "zero-shot-image-classification"),
        (["XModel"], {}, "zero-shot-image-classification", "zero-shot-image-classification"),
        (["XModel"], {}, "no-such-task", "feature-extraction"),
        ([], {}, "", "text-generation"),
        ([], {}, "translation", "text2text-generation"),
        (["LlavaForConditionalGeneration"], {"vision_config": {}}, "", "image-text-to-text"),
        (["Wav2Vec2ForSequenceClassification"], {"feat_extract_norm": "group"}, "", "audio-classification"),
        (["BertForNextSentencePrediction"], {}, "", "feature-extraction"),
    ],
)
def test_the_class_says_the_task_or_else_the_model_card(
    names: list[str], config: dict[str, Any], tag: str, task: str
) -> None:
    assert infer(names, config, tag) == task


def test_a_model_card_gives_the_task_of_a_model_without_a_head(cache: ModelCache, tmp_path: Path) -> None:
    save_model(tmp_path / "bot", "GPT2Model")
    (tmp_path / "bot" / "README.md").write_text("---\nlicense: mit\npipeline_tag: text-generation\n---\n# A bot\n")

    assert type(cache.load("./bot").model).__name__ == "GPT2LMHeadModel"


@pytest.mark.parametrize(
    ("name", "task", "said"),
    [
        ("BertForMaskedLM", "text-generation", "text-generation would load it as BertLMHeadModel"),
        ("BartForConditionalGeneration", "text-classification", "would load it as BartForSequenceClassification"),
        ("BartForConditionalGeneration", "text-generation", "would load it as BartForCausalLM"),
        ("ViTForImageClassification", "text-generation", "which does not run for text-generation"),
    ],
)
def test_a_task_that_would_load_another_class_is_refused(
    cache: ModelCache, tmp_path: Path, name: str, task: str, said: str
) -> None:
    save_model(tmp_path / "bot", name)

    with pytest.raises(EngineError) as raised:
        cache.load("./bot", task=task)

    assert said in raised.value.message
    assert f'task="{of_class(name, {})}"' in raised.value.hint


def test_weights_of_a_decoder_are_not_lost_for_an_encoder_s_task(cache: ModelCache, tmp_path: Path) -> None:
    save_model(tmp_path / "bot", "WhisperForConditionalGeneration")

    with pytest.raises(HFModelsError, match=r"WhisperForAudioClassification|lacks weights"):
        cache.load("./bot", task="audio-classification", head="fixed")


def test_a_class_that_the_installed_release_lacks_is_named_with_the_release_that_has_it(
    cache: ModelCache, tmp_path: Path
) -> None:
    edit_json(
        write_checkpoint(tmp_path / "bot") / "config.json",
        model_type="gpt9",
        architectures=["GPT9LMHeadModel"],
        transformers_version="9.1.0",
    )

    with pytest.raises(EngineError, match=r"is a 'GPT9LMHeadModel' \('gpt9'\), which transformers") as raised:
        cache.load("./bot")

    assert "Install transformers 9.1.0" in raised.value.hint


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"architectures": ["BertLMHeadModel"]}, "'BertLMHeadModel'"),
        ({"architectures": ["NoSuchModel"]}, "'NoSuchModel'"),
        ({"architectures": ["NoSuchModel"], "auto_map": {"AutoModelForCausalLM": "m.NoSuchModel"}}, "its own code"),
        ({"architectures": ["GPT2LMHeadModel", "ViTModel"]}, "'ViTModel'"),
        ({"architectures": ["AutoModelForCausalLM"]}, "'AutoModelForCausalLM'"),
        ({"architectures": ["\x1b[31mGPT2"]}, r"'\x1b[31mGPT2'"),
    ],
    ids=["another model", "unknown", "custom", "one of two", "an auto class", "escapes"],
)
@pytest.mark.parametrize("engine", usable())
def test_a_class_that_would_not_be_loaded_is_refused(
    cache: ModelCache, tmp_path: Path, fields: dict[str, Any], said: str, engine: Any
) -> None:
    edit_json(write_checkpoint(tmp_path / "bot") / "config.json", **fields)

    with pytest.raises(EngineError) as raised:
        cache.load("./bot", engine=engine)

    assert said in raised.value.message
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize("name", ["BertForMaskedLM", "BartForConditionalGeneration"])
def test_a_checkpoint_without_architectures_that_could_be_several_classes_is_refused(
    cache: ModelCache, tmp_path: Path, name: str
) -> None:
    edit_json(save_model(tmp_path / "bot", name) / "config.json", architectures=None)

    with pytest.raises(EngineError, match="names no architecture"):
        cache.load("./bot")


def test_a_model_type_is_never_guessed_from_the_folders_name(cache: ModelCache, tmp_path: Path) -> None:
    edit_json(write_checkpoint(tmp_path / "gpt2") / "config.json", model_type=None, architectures=None)

    with pytest.raises(HFModelsError, match="model_type"):
        cache.load("./gpt2")


@pytest.mark.parametrize(
    "name",
    [
        "GPT2Model",
        "GPT2LMHeadModel",
        "GPT2DoubleHeadsModel",
        "GPT2ForSequenceClassification",
        "TFGPT2LMHeadModel",
        None,
    ],
)
@pytest.mark.parametrize("task", ["text-generation", "text-classification"])
def test_a_head_over_the_same_base_is_loaded(cache: ModelCache, tmp_path: Path, name: str | None, task: Any) -> None:
    edit_json(write_checkpoint(tmp_path / "bot") / "config.json", architectures=name and [name])

    loaded = cache.load("./bot", task=task).model

    assert type(loaded).__name__ == (
        "GPT2LMHeadModel" if task == "text-generation" else "GPT2ForSequenceClassification"
    )


@pytest.mark.parametrize(
    ("name", "task", "fields"),
    [
        ("BartForCausalLM", None, {}),
        ("BertLMHeadModel", None, {"is_decoder": True}),
        ("BertForSequenceClassification", None, {}),
        ("LlamaForCausalLM", None, {"num_key_value_heads": 2}),
        ("BertForPreTraining", "text-classification", {}),
    ],
)
def test_a_class_that_a_checkpoint_names_is_loaded(
    cache: ModelCache, tmp_path: Path, name: str, task: Any, fields: dict[str, Any]
) -> None:
    save_model(tmp_path / "bot", name, **fields)

    handle = cache.load("./bot", task=task, head="fixed")

    assert type(handle.model).__name__ == ("BertForSequenceClassification" if task else name)


def test_an_encoder_decoder_can_be_adopted(cache: ModelCache, tmp_path: Path) -> None:
    import transformers

    folder = save_model(tmp_path / "bart", "BartForConditionalGeneration")
    model = transformers.BartForConditionalGeneration.from_pretrained(str(folder))

    assert cache.adopt(model, cache.load("./bart").tokenizer).task == "text2text-generation"
