"""Which processor a checkpoint has, which files it is made from, and that each is in the digests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels import CheckpointError, ModelCache
from pytest_hfmodels.engines.upstream import release_at_least

from ..other_checkpoints import save_model
from ..tiny_gpt2 import write_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    import torch
else:
    torch = pytest.importorskip("torch")

TOKENIZER = ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")
IMAGES = {
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": 16, "width": 16},
    "resample": 2,
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
    "rescale_factor": 1 / 255,
}
SOUND = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": 16000, "feature_size": 1}
WORDS = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "A": 5, "B": 6}
CHAT = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


@pytest.fixture
def cache(models: ModelCache, tmp_path: Path) -> ModelCache:
    """An empty cache with its own folder."""
    del models
    return ModelCache(tmp_path)


def without_tokenizer(folder: Path) -> Path:
    for name in TOKENIZER:
        (folder / name).unlink(missing_ok=True)
    return folder


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def test_an_image_classifier_has_an_image_processor_and_no_tokenizer(cache: ModelCache, tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="image processors need pillow: pip install pillow")
    folder = without_tokenizer(save_model(tmp_path / "vit", "ViTForImageClassification"))
    write(folder / "preprocessor_config.json", IMAGES)

    handle = cache.load("./vit")
    pixels = handle.processor(np.full((20, 30, 3), 255, dtype=np.uint8))["pixel_values"]

    assert handle.tokenizer is None
    assert np.asarray(pixels).shape == (1, 3, 16, 16)
    assert np.asarray(pixels).max() == pytest.approx(1.0)
    assert handle.loaded.observe({"pixel_values": pixels}).outputs["logits"].shape == (1, 2)


def captions_folder(folder: Path) -> Path:
    """Save a model of an image encoder and a decoder, with a tokenizer and an image processor."""
    import transformers

    write_checkpoint(folder)
    special_tokens = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 0}
    sizes = {"intermediate_size": 16, "image_size": 16, "patch_size": 8}
    parts = (
        transformers.ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, **sizes),
        transformers.GPT2Config(
            n_embd=16, n_layer=1, n_head=2, vocab_size=257, add_cross_attention=True, **special_tokens
        ),
    )
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(*parts, **special_tokens)
    transformers.VisionEncoderDecoderModel(config).save_pretrained(str(folder))
    write(folder / "preprocessor_config.json", IMAGES)
    return folder


def test_an_image_encoder_with_a_decoder_has_both_parts(cache: ModelCache, tmp_path: Path) -> None:
    """AutoProcessor finds the tokenizer alone, as in the folder of ViT-GPT2."""
    pytest.importorskip("PIL", reason="image processors need pillow: pip install pillow")
    captions_folder(tmp_path / "captions")

    captions = cache.load("./captions")

    picture = np.full((20, 30, 3), 255, dtype=np.uint8)
    assert captions.tokenizer is captions.processor.tokenizer
    assert captions.generate(images=picture, max_new_tokens=3).ids
    batch: Any = captions.generate(images=[picture, picture], max_new_tokens=3)
    assert len(batch.rows) == 2


def test_a_broken_tokenizer_of_an_image_encoder_with_a_decoder_is_an_error(cache: ModelCache, tmp_path: Path) -> None:
    """AutoProcessor would return the image processor, and checks that need a prompt would be skipped."""
    pytest.importorskip("PIL", reason="image processors need pillow: pip install pillow")
    write(captions_folder(tmp_path / "captions") / "tokenizer.json", "{broken")

    with pytest.raises(CheckpointError, match=r"The processor of \./captions cannot be loaded"):
        cache.load("./captions")


def test_a_feature_extractor_that_cannot_be_joined_leaves_the_tokenizer(
    cache: ModelCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before transformers 5, Wav2Vec2Processor refuses other classes."""
    import transformers

    def refuses(*_: Any, **__: Any) -> None:
        raise TypeError("Received a SeamlessM4TFeatureExtractor")

    monkeypatch.setattr(transformers.TrOCRProcessor, "__init__", refuses)
    captions_folder(tmp_path / "captions")

    captions = cache.load("./captions")

    assert captions.processor is captions.tokenizer


def test_a_sound_encoder_with_a_decoder_has_both_parts(cache: ModelCache, tmp_path: Path) -> None:
    import transformers

    folder, encoder = write_checkpoint(tmp_path / "hears"), save_model(tmp_path / "encoder", "Wav2Vec2ForCTC")
    special_tokens = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 0}
    parts = (
        transformers.AutoConfig.from_pretrained(str(encoder)),
        transformers.GPT2Config(
            n_embd=16, n_layer=1, n_head=2, vocab_size=257, add_cross_attention=True, **special_tokens
        ),
    )
    config = transformers.SpeechEncoderDecoderConfig.from_encoder_decoder_configs(*parts, **special_tokens)
    transformers.SpeechEncoderDecoderModel(config).save_pretrained(str(folder))
    write(folder / "preprocessor_config.json", SOUND)

    model = cache.load("./hears")

    sound = {"array": np.sin(np.arange(4000) / 9).astype(np.float32), "sampling_rate": 16000}
    assert model.tokenizer is model.processor.tokenizer
    assert model.generate(audio=sound, max_new_tokens=3).ids


def test_a_speech_model_has_a_joint_processor_or_a_feature_extractor(cache: ModelCache, tmp_path: Path) -> None:
    folder = without_tokenizer(save_model(tmp_path / "hears", "Wav2Vec2ForCTC"))
    write(folder / "preprocessor_config.json", SOUND)
    alone = cache.load("./hears")
    write(folder / "vocab.json", WORDS)
    write(folder / "tokenizer_config.json", {"tokenizer_class": "Wav2Vec2CTCTokenizer"})
    both = cache.load("./hears")

    assert type(alone.processor).__name__ == "Wav2Vec2FeatureExtractor"
    assert alone.tokenizer is None
    assert type(both.processor).__name__ == "Wav2Vec2Processor"
    assert both.tokenizer.decode([5, 6]) == "AB"
    assert str(folder) in str(both.processor.tokenizer.name_or_path)


@pytest.mark.parametrize(
    ("file", "content", "part"),
    [
        ("preprocessor_config.json", {**IMAGES, "image_mean": [0.4] * 3}, "preprocessor"),
        ("video_preprocessor_config.json", {"size": 3}, "preprocessor"),
        ("chat_template.jinja", CHAT, "chat_template"),
        ("chat_template.json", {"chat_template": CHAT}, "chat_template"),
        ("additional_chat_templates/tools.jinja", CHAT, "chat_template"),
        ("tokenizer_config.json", {"chat_template": CHAT}, "chat_template"),
        ("processor_config.json", {"chat_template": CHAT}, "chat_template"),
    ],
)
def test_every_file_of_a_processor_is_in_the_digests(
    cache: ModelCache, tmp_path: Path, file: str, content: Any, part: str
) -> None:
    folder = write_checkpoint(tmp_path / "bot")
    write(folder / "preprocessor_config.json", IMAGES)
    before = cache._resolve(("./bot", None, None)).digests

    write(folder / file, content)
    after = cache._resolve(("./bot", None, None)).digests

    assert getattr(before, part) != getattr(after, part)
    assert (before.weights, before.config) == (after.weights, after.config)


@pytest.mark.skipif(not release_at_least("4.49"), reason="older releases read no chat_template.jinja")
def test_a_template_in_a_file_of_its_own_reaches_the_tokenizer(cache: ModelCache, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "bot")
    write(folder / "chat_template.jinja", CHAT)
    said = [{"role": "user", "content": "Hi"}]

    assert cache.load("./bot").tokenizer.apply_chat_template(said, tokenize=False) == "Hi"


def test_changed_settings_of_a_processor_are_a_change_of_the_model(cache: ModelCache, tmp_path: Path) -> None:
    folder = without_tokenizer(save_model(tmp_path / "hears", "Wav2Vec2ForCTC"))
    write(folder / "preprocessor_config.json", SOUND)
    handle = cache.load("./hears")

    handle.processor.sampling_rate = 8000

    ((_, changes),) = cache.dirty()
    assert changes == ["processor.sampling_rate: 16000 -> 8000"]


@pytest.mark.parametrize("name", ["Trainer", "GPT2LMHeadModel", "pipeline", 5])
def test_a_class_that_is_not_a_processor_is_refused(cache: ModelCache, tmp_path: Path, name: object) -> None:
    write(write_checkpoint(tmp_path / "bot") / "preprocessor_config.json", {"image_processor_type": name})

    with pytest.raises(CheckpointError, match="not a processor of transformers") as raised:
        cache.load("./bot")

    assert "processor.save_pretrained(folder)" in raised.value.hint


@pytest.mark.parametrize("error", [ImportError, ValueError])
def test_the_library_that_a_processor_lacks_is_named(
    cache: ModelCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    import transformers

    def lacking(folder: str, **_: Any) -> None:
        raise error(f"{folder} requires the PIL library to be installed.")

    write(save_model(tmp_path / "vit", "ViTForImageClassification") / "preprocessor_config.json", IMAGES)
    monkeypatch.setattr(transformers.AutoProcessor, "from_pretrained", lacking)

    with pytest.raises(CheckpointError, match="vit requires the PIL library") as raised:
        cache.load("./vit")

    assert raised.value.hint == "Install the library that it names."
