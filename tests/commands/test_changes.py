"""`hfmodels changes`: what it lists, and its sentences for bad input."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.commands.cli import main

if TYPE_CHECKING:
    from pathlib import Path


def test_it_lists_what_begins_and_what_ends(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["changes", "transformers", "4.49.0", "5.23.0"]) == 0

    begins, ends = capsys.readouterr().out.split("No longer in 5.23.0:")
    assert "checkpoint's dtype" in begins
    assert "ended beams come before" in ends
    assert "huggingface/transformers#35802" in ends
    assert "suites/gpt2/test_beam.py" in ends


def test_a_folder_is_asked_for_its_model_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}), encoding="utf-8")

    assert main(["changes", "transformers", "5.0.0", "5.23.0", "--model", str(tmp_path)]) == 0
    assert "scale_attn_weights" in capsys.readouterr().out
    assert main(["changes", "transformers", "5.0.0", "5.23.0", "--model", "llama"]) == 0
    assert "scale_attn_weights" not in capsys.readouterr().out


def test_a_type_that_no_suite_checks_gets_what_reaches_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "esm"}), encoding="utf-8")

    assert main(["changes", "transformers", "4.49.0", "5.23.0", "--model", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "no model of this type" in out
    assert "ended beams come before" in out


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["transformers", "4.49.1", "5.23.0"], "The nearest is 4.49.0."),
        (["transformers", "4.49.0", "5.23.0", "--model", "lama"], "The nearest model type is llama."),
        (["torch", "2.0", "2.1"], "hfmodels bisect"),
    ],
    ids=["release", "model-type", "package"],
)
def test_bad_input_says_what_to_type(typed: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["changes", *typed]) == 2
    assert said in capsys.readouterr().err
