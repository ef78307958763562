"""What the checks of any model give a model: here one that compares texts with sounds, as CLAP does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pytest_hfmodels.fixtures.model_checks.inputs import example_inputs


class Compares:
    """A model with two towers."""

    main_input_name = "input_ids"

    def forward(self, input_ids: Any = None, input_features: Any = None, attention_mask: Any = None) -> None: ...

    def get_text_features(self) -> None: ...

    def get_audio_features(self) -> None: ...


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
