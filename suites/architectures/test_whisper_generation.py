"""Whisper's words, and the times when they are said: in a window of 30 seconds, and beyond (arXiv:2212.04356)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suites.architectures import test_whisper
from suites.architectures.checks import Media
from suites.architectures.processors import WHISPER_FILES, WHISPER_TOKENS, with_times

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel, HFSnapshot

OF_FORWARD = test_whisper.TestWhisper


class TestWhisperGeneration(Media):
    model_class = OF_FORWARD.model_class
    model_type = "whisper"
    needs = ("4.38", "prompts of language and task in place of generated ones")
    name = "drawn-whisper-30-seconds"
    tokenizer = False
    files = WHISPER_FILES
    seed = 3
    gain = 3.5
    fields = {
        **OF_FORWARD.fields,
        **WHISPER_TOKENS,
        "vocab_size": 1543,
        "max_source_positions": 1500,
        "max_target_positions": 40,
    }
    switch = {"activation_function": "relu"}
    weights = OF_FORWARD.weights.replace("60x16", "1543x16").replace("50x16", "1500x16").replace("32x16", "40x16")

    def test_timestamps(self, hf_model: HFModel, hf_snapshot: HFSnapshot) -> None:
        """A sound of 20 seconds gives the recorded words and times."""
        assert hf_model.generate(**with_times(20)) == hf_snapshot

    def test_long(self, hf_model: HFModel, hf_snapshot: HFSnapshot) -> None:
        """A sound of 70 seconds gives the recorded words and times of each window."""
        assert hf_model.generate(**with_times(70)) == hf_snapshot
