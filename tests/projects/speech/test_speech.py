"""A speech recogniser: what its forward pass gives, and what is read from it."""

import numpy as np
import pytest

from pytest_hfmodels import EngineError

pytestmark = pytest.mark.hf_model("./model")
TIME = np.arange(800) / 16000
SOUND = (np.sin(2 * np.pi * 440 * TIME) + 0.3 * np.sin(2 * np.pi * 1230 * TIME)).astype(np.float32)


def test_outputs(hf_model, hf_snapshot):
    assert hf_model.observe(audio=SOUND, sampling_rate=16000) == hf_snapshot


def test_a_quiet_sound(hf_model, hf_snapshot):
    assert hf_model.observe(audio=0.001 * SOUND, sampling_rate=16000) == hf_snapshot


def test_silence(hf_model, hf_snapshot):
    assert hf_model.observe(audio=0 * SOUND, sampling_rate=16000) == hf_snapshot


def test_another_rate_is_refused(hf_model):
    with pytest.raises(EngineError, match="A sound has 8000 samples a second; the model takes 16000"):
        hf_model.observe(audio=SOUND, sampling_rate=8000)


def test_letters(hf_model, hf_snapshot):
    values = hf_model.processor(SOUND, sampling_rate=16000)["input_values"]
    logits = hf_model.loaded.observe({"input_values": np.asarray(values)}).outputs["logits"]

    assert hf_model.processor.batch_decode(logits.argmax(-1)) == hf_snapshot
