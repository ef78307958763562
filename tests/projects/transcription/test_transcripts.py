"""A recogniser that writes what it hears: the transcript, with and without timestamps, and a batch."""

import numpy as np
import pytest

pytestmark = pytest.mark.hf_model("./model")
TIME = np.arange(8000) / 16000
SOUND = (TIME * (np.sin(2 * np.pi * 440 * TIME) + 0.3 * np.sin(2 * np.pi * 1230 * TIME))).astype(np.float32)


def test_transcript(hf_model, hf_snapshot):
    record = hf_model.generate(audio=SOUND, sampling_rate=16000, language="en", max_new_tokens=6)

    assert record == hf_snapshot


def test_two_sounds(hf_model, hf_snapshot):
    record = hf_model.generate(audio=[SOUND, SOUND[::2]], sampling_rate=16000, language="de", max_new_tokens=6)

    assert record == hf_snapshot
