"""What the checks of any model give a model: here one that compares texts with sounds, as CLAP does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_hfmodels.fixtures.model_checks.inputs import example_inputs, row_of


class Compares:
    """A model with two towers."""

    main_input_name = "input_ids"

    def forward(self, input_ids: Any = None, input_features: Any = None, attention_mask: Any = None) -> None: ...

    def get_text_features(self) -> None: ...

    def get_audio_features(self) -> None: ...


class Sees:
    """A model that reads an image with each text."""

    main_input_name = "input_ids"

    def forward(self, input_ids: Any, pixel_values: Any) -> None: ...


class SeesBoxes(Sees):
    """A model that also reads where each word stands."""

    def forward(self, input_ids: Any, pixel_values: Any, boxes: Any) -> None: ...  # type: ignore[override]


class Tokenizer:
    """Maps each letter to its position in the alphabet."""

    padding_side = "right"

    def __call__(self, text: str) -> Any:
        return {"input_ids": [ord(letter) - 96 for letter in text]}


def sees(model: object) -> Any:
    config = SimpleNamespace(vocab_size=30, pad_token_id=0, vision_config=SimpleNamespace(image_size=16))
    parts = {"tokenizer": None, "processor": None, "task": "zero-shot-object-detection"}
    return SimpleNamespace(model=model, config=config, checkpoint=SimpleNamespace(name="owl"), **parts)


def test_a_model_that_needs_images_with_texts_gets_both() -> None:
    given = example_inputs(sees(Sees()), ["a cat", "a dog barks"])

    assert {name: value.shape for name, value in given.items()} == {"input_ids": (2, 5), "pixel_values": (2, 3, 16, 16)}


def test_padding_is_on_the_side_of_the_tokenizer() -> None:
    class Reads(Sees):
        def forward(self, input_ids: Any, attention_mask: Any) -> None: ...

    def given(side: str) -> Any:
        model = sees(Reads())
        model.tokenizer = Tokenizer()
        model.tokenizer.padding_side = side
        return example_inputs(model, ["a", "abc"], padded=True)

    assert given("left")["input_ids"].tolist() == [[0, 0, 1], [1, 2, 3]]
    assert given("left")["attention_mask"].tolist() == [[0, 0, 1], [1, 1, 1]]
    assert given("right")["input_ids"].tolist() == [[1, 0, 0], [1, 2, 3]]
    assert row_of(given("left"), 0)["input_ids"].tolist() == [[1]]


def test_an_encoder_with_a_decoder_gets_what_its_encoder_reads() -> None:
    class Hears:
        main_input_name = "inputs"
        encoder = SimpleNamespace(main_input_name="input_values")

        def forward(self, input_values: Any = None, decoder_input_ids: Any = None) -> None: ...

    config = SimpleNamespace(is_encoder_decoder=True, decoder_start_token_id=1)
    parts = {"tokenizer": None, "processor": None, "task": "automatic-speech-recognition"}
    model: Any = SimpleNamespace(model=Hears(), config=config, **parts)

    assert set(example_inputs(model, ["a cat"])) == {"input_values", "decoder_input_ids"}


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        ({"vision_config": SimpleNamespace(image_size=16)}, (1, 3, 16, 16)),
        ({"encoder": SimpleNamespace(image_size=8, num_channels=1)}, (1, 1, 8, 8)),
        ({"image_size": 16, "num_frames": 4}, (1, 4, 3, 16, 16)),
        ({"crop_size": 16, "frames_per_clip": 2}, (1, 2, 3, 16, 16)),
    ],
)
def test_images_and_videos_have_the_size_of_the_vision_config(config: dict[str, Any], shape: tuple[int, ...]) -> None:
    class Looks:
        main_input_name = "pixel_values"

        def forward(self, pixel_values: Any) -> None: ...

    parts = {"tokenizer": None, "processor": None, "task": "image-feature-extraction"}
    model: Any = SimpleNamespace(model=Looks(), config=SimpleNamespace(**config), **parts)

    assert example_inputs(model, ["a cat"])["pixel_values"].shape == shape


def test_an_input_that_is_not_known_is_named() -> None:
    with pytest.raises(pytest.skip.Exception, match="SeesBoxes, which also needs boxes"):
        example_inputs(sees(SeesBoxes()), ["a cat"])


def test_a_model_that_compares_texts_with_sounds_gets_both() -> None:
    config = SimpleNamespace(vocab_size=30, pad_token_id=0, audio_config=SimpleNamespace(num_mel_bins=8, spec_size=32))
    parts = {"tokenizer": None, "processor": None, "task": "feature-extraction"}
    model: Any = SimpleNamespace(model=Compares(), config=config, **parts)

    given = example_inputs(model, ["a cat", "a dog barks"], padded=True)

    assert {name: value.shape for name, value in given.items()} == {
        "input_ids": (2, 11),
        "attention_mask": (2, 11),
        "input_features": (2, 1, 128, 8),
    }
