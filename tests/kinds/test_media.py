"""Generation from images and sounds: what is recorded, and which stage is named when it differs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels import EngineError, ModelCache
from pytest_hfmodels.engines import upstream
from pytest_hfmodels.kinds.generation.media import Media
from pytest_hfmodels.kinds.registry import kind_of
from pytest_hfmodels.snapshots import Tolerance, compare
from pytest_hfmodels.snapshots.format import dump, load

from ..explain.asking import ask, bent, stored
from ..other_checkpoints import edit_json
from ..projects.drawn import SPECIAL, WORDS, save, save_tokenizer
from ..projects.image_chat import make_model as image_chat
from ..projects.transcription.make_model import ID
from ..tiny_gpt2 import write_checkpoint

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel
    from pytest_hfmodels.kinds import Record

PROJECTS = Path(__file__).parents[1] / "projects"
RATE = 16000
SOUND = (np.sin(np.arange(8000) / 9) * np.linspace(0.2, 1, 8000)).astype(np.float32)
IMAGE = (np.arange(20 * 20 * 3).reshape(20, 20, 3) % 251).astype(np.uint8)
OTHER_IMAGE = IMAGE[::-1].copy()
PROMPT = "<image> is the cat"


@pytest.fixture(scope="module")
def cache(models: ModelCache, tmp_path_factory: pytest.TempPathFactory) -> ModelCache:
    del models  # transformers is imported with TensorFlow before a test imports it alone
    return ModelCache(tmp_path_factory.mktemp("media"))


@pytest.fixture(scope="module")
def whisper(cache: ModelCache) -> HFModel:
    return cache.load(PROJECTS / "transcription" / "model")


@pytest.fixture(scope="module")
def llava(cache: ModelCache) -> HFModel:
    pytest.importorskip("PIL", reason="image processors need pillow: pip install pillow")
    if not upstream.release_at_least("4.46"):
        pytest.skip("install transformers>=4.46: earlier, a processor puts one token for an image into a text")
    return cache.load(PROJECTS / "image_chat" / "model")


@pytest.fixture(scope="module")
def blip(cache: ModelCache) -> HFModel:
    pytest.importorskip("PIL", reason="image processors need pillow: pip install pillow")
    folder = cache._rootdir / "blip"
    words = {"vocab_size": len(SPECIAL + WORDS), "max_position_embeddings": 32, "bos_token_id": 2, "eos_token_id": 3}
    save(
        folder,
        "BlipForConditionalGeneration",
        scale=0.4,
        text_config={
            **image_chat.TOWER,
            **words,
            "num_hidden_layers": 1,
            "pad_token_id": 0,
            "sep_token_id": 3,
            "encoder_hidden_size": 16,
        },
        vision_config={**image_chat.TOWER, "image_size": 16, "patch_size": 8},
        projection_dim=8,
    )
    files: Any = image_chat.FILES
    settings = {**files["preprocessor_config.json"], "size": {"height": 16, "width": 16}}
    kinds = {"image_processor_type": "BlipImageProcessor", "processor_class": "BlipProcessor"}
    edit_json(folder / "preprocessor_config.json", **{**settings, **kinds})
    save_tokenizer(folder, model_input_names=["input_ids", "attention_mask"], processor_class="BlipProcessor")
    return cache.load(folder)


def transcribe(model: HFModel, sound: Any = SOUND, **settings: Any) -> Any:
    return model.generate(audio=sound, sampling_rate=RATE, **{"language": "en", "max_new_tokens": 6, **settings})


def caption(model: HFModel, prompts: Any = PROMPT, images: Any = IMAGE) -> Any:
    return model.generate(prompts, images=images, max_new_tokens=6)


def is_sound(record: Record) -> bool:
    """Return whether a file gives a record back, and generating agrees with a forward pass."""
    same = compare(load(dump(record), Path("a.toml")), record, Tolerance(1e-6)).verdict == "same"
    return same and kind_of(record).contradiction(record, Tolerance(1e-4)) is None


@pytest.mark.parametrize(
    "settings",
    [{}, {"num_beams": 2, "num_return_sequences": 2}, {"return_timestamps": True}],
    ids=["greedy", "beams", "timestamps"],
)
def test_a_sound_is_recorded_with_what_the_decoder_starts_with(whisper: HFModel, settings: dict[str, Any]) -> None:
    record = transcribe(whisper, **settings)

    words = ["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]
    assert record.start == tuple(ID[word] for word in words[: 3 if "return_timestamps" in settings else 4])
    assert record.media == (record.prompt.text,)
    assert record.media[0].startswith("audio 8000 float32 sha256:")
    assert [(one.name, one.shape) for one in record.processed] == [("input_features", (1, 8, 100))]
    assert record.effective["language"] == "en"
    assert record.blocks[0].name == "encoder embeddings"
    assert is_sound(record)
    if not settings:
        assert [step.processed for step in record.steps] == pytest.approx(
            [step.log_probability for step in record.steps], abs=1e-4
        )


def test_a_row_of_sounds_is_as_alone(whisper: HFModel) -> None:
    batch = transcribe(whisper, [SOUND, SOUND[:5000]])

    assert [row.ids for row in batch.rows] == [transcribe(whisper).ids, transcribe(whisper, SOUND[:5000]).ids]
    assert is_sound(batch)


def test_a_sound_beyond_the_window_gives_a_row_a_window(whisper: HFModel) -> None:
    long = np.concatenate([SOUND, 0.5 * SOUND[::-1], SOUND, SOUND[:3000]])

    record = transcribe(whisper, long, return_timestamps=True)

    assert len(record.rows) >= 2
    assert record.rows[1].prompt.text.startswith("window 2 of audio 27000 float32")
    assert record.rows[0].processed[0].shape == (len(record.rows), 8, 100)
    assert is_sound(record)
    moved = stored(record, transformers="4.50.0")
    rows = tuple(replace(row, steps=(replace(row.steps[0], margin=9.0), *row.steps[1:])) for row in moved.rows)
    assert ask(replace(moved, rows=rows), record).verdict == "drift"


@pytest.mark.parametrize("settings", [{"condition_on_prev_tokens": True}, {"num_beams": 2}], ids=str)
def test_windows_that_cannot_be_a_batch_are_refused(whisper: HFModel, settings: dict[str, Any]) -> None:
    if not upstream.release_at_least("4.41"):
        pytest.skip("install transformers>=4.41: earlier, every window starts alike")
    long = np.concatenate([SOUND, 0.5 * SOUND[::-1], SOUND, SOUND[:3000]])

    with pytest.raises(EngineError, match="with windows that do not depend on earlier ones") as raised:
        transcribe(whisper, long, return_timestamps=True, **settings)

    assert "or cut the sound into windows" in raised.value.hint


@pytest.mark.parametrize("name", ["whisper", "llava"])
def test_a_neighbour_that_changes_a_row_is_named(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if not upstream.release_at_least("4.38"):
        pytest.skip("install transformers>=4.38: earlier, Whisper generates language and task itself")
    model: HFModel = request.getfixturevalue(name)
    sounds, images = [SOUND, SOUND[::-1].copy()], [IMAGE, OTHER_IMAGE]
    heard = name == "whisper"

    def both() -> Any:
        return transcribe(model, sounds) if heard else caption(model, [PROMPT, PROMPT], images)

    recorded = stored(both())
    tower = (
        model.model.model.encoder
        if heard
        else next(one for one in model.model.modules() if type(one).__name__ == "CLIPVisionModel")
    )
    forward = type(tower).forward

    def mixed(self: Any, *arguments: Any, **keywords: Any) -> Any:
        name = "input_features" if heard else "pixel_values"
        given = arguments[0] if arguments else keywords.pop(name)
        return forward(self, 0.5 * given + 0.5 * given.roll(1, 0), *arguments[1:], **keywords)

    monkeypatch.setattr(type(tower), "forward", mixed)
    found = ask(recorded, both())

    assert found.cause == "forward"
    assert "the other rows of the batch change this one: on its own it gives the recorded output" in found.sentence


def test_the_images_of_a_row_are_known_if_each_row_has_one() -> None:
    arrays = {"pixel_values": np.zeros((2, 3, 4, 4))}
    two = Media(("one", "two"), arrays)

    own = two.row(1, [(9, 5), (9, 6)], 9)
    assert own is not None
    assert (own.given, len(own.arrays["pixel_values"])) == (("two",), 1)
    assert two.row(1, [(9, 9), (5, 6)], 9) is None  # both images are the first row's
    assert two.row(1, [(5,), (6,)], None) is not None
    assert Media(("one", "two"), {"pixel_values": np.zeros((8, 4))}).row(0, [(9,), (9,)], 9) is None
    assert Media(("one", "two", "three"), arrays).row(0, [(9,), (9,)], 9) is None


def test_features_of_the_test_s_own_are_its_own(whisper: HFModel) -> None:
    features = whisper.processor(SOUND, sampling_rate=RATE, return_tensors="np")["input_features"]
    record = whisper.generate(input_features=features, language="en", max_new_tokens=6)

    assert record.ids == transcribe(whisper).ids
    assert record.processed[0].given
    found = ask(stored(record), whisper.generate(input_features=features + 0.1, language="en", max_new_tokens=6))
    assert (found.verdict, found.cause) == ("changed", "test")


def test_the_stages_of_a_sound_are_told_apart(whisper: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.models.whisper import modeling_whisper

    recorded = stored(transcribe(whisper))
    assert ask(recorded, transcribe(whisper, SOUND[::-1].copy())).cause == "test"
    assert ask(recorded, transcribe(whisper, language="de")).cause == "test"

    extractor = type(whisper.processor.feature_extractor)
    plain = extractor.__call__
    with monkeypatch.context() as patch:
        patch.setattr(extractor, "__call__", lambda self, sound, **more: plain(self, [0.9 * sound[0]], **more))
        patch.setattr(extractor, "do_normalize", True, raising=False)
        assert ask(recorded, transcribe(whisper)).cause == "preprocessor"

    layer = modeling_whisper.WhisperDecoderLayer
    forward = layer.forward

    def shifted(self: Any, *arguments: Any, **keywords: Any) -> Any:
        output = forward(self, *arguments, **keywords)
        return (bent(output[0], 0.1), *output[1:]) if isinstance(output, tuple) else bent(output, 0.1)

    with monkeypatch.context() as patch:
        patch.setattr(layer, "forward", shifted)
        found = ask(recorded, transcribe(whisper))
    assert (found.cause, str(found.block).split(" or ")[0]) == ("forward", "decoder block 1")


@pytest.mark.parametrize("settings", [{}, {"num_beams": 2}], ids=["greedy", "beams"])
def test_a_text_with_an_image_is_recorded(llava: HFModel, settings: dict[str, Any]) -> None:
    record = llava.generate(PROMPT, images=IMAGE, max_new_tokens=6, **settings)

    assert record.prompt.text == PROMPT
    assert record.prompt.ids == (36, 36, 36, 36, 9, 4, 18)
    assert record.text == " ".join(step.text for step in record.steps)
    assert [one.name for one in record.processed] == ["pixel_values"]
    assert is_sound(record)


def test_what_a_processor_returned_is_a_prompt(llava: HFModel, whisper: HFModel) -> None:
    made = llava.processor(text=[PROMPT], images=[IMAGE])  # lists
    heard = whisper.processor(SOUND, sampling_rate=RATE, return_tensors="pt")

    record = llava.generate(made, max_new_tokens=6)

    assert (record.ids, record.prompt.ids) == (caption(llava).ids, caption(llava).prompt.ids)
    assert (record.text, record.decoded_ids) == (caption(llava).text, record.ids)
    assert [one.given for one in record.processed] == [True]
    assert whisper.generate(heard, language="en", max_new_tokens=6).ids == transcribe(whisper).ids
    assert is_sound(record)


def test_rows_with_images_are_as_alone(llava: HFModel) -> None:
    prompts, images = [PROMPT, "my <image> and a small dog"], [IMAGE, OTHER_IMAGE]

    batch = caption(llava, prompts, images)

    for prompt, image, row in zip(prompts, images, batch.rows, strict=True):
        assert row.ids == caption(llava, prompt, image).ids
    assert is_sound(batch)


def test_the_stages_of_an_image_are_told_apart(llava: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = stored(caption(llava))
    assert ask(recorded, caption(llava, images=OTHER_IMAGE)).cause == "test"
    assert ask(recorded, caption(llava, "<image> is the dog")).cause == "test"

    monkeypatch.setattr(llava.processor.image_processor, "image_mean", [0.1, 0.1, 0.1])
    assert ask(recorded, caption(llava)).cause == "test"  # the test has changed it
    monkeypatch.undo()
    plain = type(llava.processor.image_processor).preprocess

    def brighter(self: Any, *arguments: Any, **keywords: Any) -> Any:
        found = plain(self, *arguments, **keywords)
        found["pixel_values"] = found["pixel_values"] * 1.1
        return found

    with monkeypatch.context() as patch:
        patch.setattr(type(llava.processor.image_processor), "preprocess", brighter)
        assert ask(recorded, caption(llava)).cause == "preprocessor"

    fewer = replace(recorded, prompt=replace(recorded.prompt, ids=recorded.prompt.ids[1:]))
    assert ask(fewer, caption(llava)).cause == "preprocessor"  # another number of tokens for the same image


def test_an_image_alone_gets_a_caption(blip: HFModel) -> None:
    record = blip.generate(images=IMAGE, max_new_tokens=6)

    assert (record.prompt.ids, record.start) == ((), (2,))
    assert blip.generate("the red", images=IMAGE, max_new_tokens=6).start == (2,)
    assert is_sound(record)
    assert len(caption(blip, None, [IMAGE, OTHER_IMAGE]).rows) == 2
    below = tuple(replace(step, log_probability=step.log_probability - 1) for step in record.steps)
    assert ask(stored(replace(record, steps=below), transformers="4.50.0"), record).cause is not None


MESSAGES = [{"role": "user", "content": [{"type": "image", "image": IMAGE}, {"type": "text", "text": "what is in"}]}]


def chat(model: HFModel, messages: Any = MESSAGES, **settings: Any) -> Any:
    return model.chat(messages, **{"max_new_tokens": 6, **settings})


def test_a_conversation_with_an_image_is_rendered_by_the_processor(llava: HFModel) -> None:
    record = chat(llava)

    assert record.prompt.text == "user : <image> what is in the house : "
    assert record.prompt.ids.count(36) == 4
    assert record.messages[0]["content"][0] == {"type": "image", "image": record.media[0]}
    assert record.text == " ".join(step.text for step in record.steps)
    assert record.ids == llava.generate(record.prompt.text, images=IMAGE, max_new_tokens=6).ids
    assert is_sound(record)


def test_the_stages_of_a_conversation_with_an_image_are_told_apart(
    llava: HFModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = stored(chat(llava))
    other = [{"role": "user", "content": [{"type": "image", "image": OTHER_IMAGE}, *MESSAGES[0]["content"][1:]]}]

    assert ask(recorded, chat(llava, other)).cause == "test"
    monkeypatch.setattr(llava.processor, "chat_template", llava.processor.chat_template.replace("house", "dog"))
    found = ask(recorded, chat(llava))
    assert (found.cause, "processor.chat_template" in found.sentence) == ("test", True)
    monkeypatch.undo()
    kind = type(llava.processor)
    render = kind.apply_chat_template
    monkeypatch.setattr(kind, "apply_chat_template", lambda *a, **k: render(*a, **k).replace("user", "you"))
    assert ask(recorded, chat(llava)).cause == "chat-template"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([{"type": "image"}], "A message announces an image but has none: type."),
        (
            [{"type": "image", "url": "http://x/cat.png"}],
            "A message announces an image but has none: type, url.",
        ),
        ([{"type": "video", "video": IMAGE}], "A message holds a video"),
        ([{"type": "audio", "audio": SOUND}], "The checkpoint has no feature extractor, so it takes no audio."),
        ([{"type": "image", "image": "cat.png"}], "An image is a PIL image or an array of numbers"),
    ],
)
def test_what_no_conversation_holds_is_one_sentence(llava: HFModel, content: Any, said: str) -> None:
    with pytest.raises(EngineError, match=re.escape(said)):
        chat(llava, [{"role": "user", "content": content}])


def test_an_image_for_a_model_of_text_is_one_sentence(whisper: HFModel, cache: ModelCache) -> None:
    write_checkpoint(cache._rootdir / "bot")
    edit_json(cache._rootdir / "bot" / "tokenizer_config.json", chat_template=image_chat.TEMPLATE)
    with pytest.raises(EngineError, match="The checkpoint has no image processor, so it takes no images"):
        chat(cache.load("./bot"))
    with pytest.raises(EngineError, match="has no chat template"):
        chat(whisper)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sampling_rate": 8000}, "A sound has 8000 samples a second; the model takes 16000."),
        ({"audio": np.zeros((2, 800))}, "A sound is an array of numbers (samples,)"),
        ({"prompt": "the cat"}, "makes no prompt of a text with audio"),
        ({"audio": None, "prompt": "the cat"}, "generates from audio, and the test gives text alone"),
        ({"audio": None}, "There is nothing to generate from."),
        ({"audio": None, "images": IMAGE}, "The checkpoint has no image processor, so it takes no images."),
        ({"language": "xx"}, "Unsupported language: xx"),
        ({"temperature": (0.0, 0.5)}, "temperature= with several values draws tokens at random"),
        ({"audio": None, "input_features": np.zeros((1, 8, 30))}, "input_features 1 x 8 x 30"),
        ({"add_special_tokens": True}, "add_special_tokens= has no effect"),
    ],
)
def test_what_fits_no_model_of_sounds_is_one_sentence(whisper: HFModel, given: dict[str, Any], said: str) -> None:
    asked = {"audio": SOUND, "sampling_rate": RATE, "max_new_tokens": 4, **given}

    with pytest.raises(EngineError, match=re.escape(said)):
        whisper.generate(**asked)


def test_an_image_that_no_text_names_is_one_sentence(llava: HFModel) -> None:
    with pytest.raises(EngineError, match=r"^\S+ (refuses the text and images|cannot generate from)"):
        llava.generate("is the cat", images=IMAGE, max_new_tokens=4)
    with pytest.raises(EngineError, match="A prompt beside images or sounds is text, not an int"):
        llava.generate([3, 4], images=IMAGE, max_new_tokens=4)


def test_a_recogniser_without_a_decoder_generates_nothing(cache: ModelCache) -> None:
    recogniser = cache.load(PROJECTS / "speech" / "model")

    with pytest.raises(EngineError, match="is a Wav2Vec2ForCTC, which generates nothing"):
        recogniser.generate(audio=SOUND, sampling_rate=RATE)
