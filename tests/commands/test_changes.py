"""`hfmodels changes`: what it lists, and its sentences for bad input."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.commands import changes
from pytest_hfmodels.commands.cli import main

if TYPE_CHECKING:
    from pathlib import Path


def test_it_lists_what_begins_and_what_ends(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["changes", "transformers", "4.49.0", "5.23.0"]) == 0

    begins, ends = capsys.readouterr().out.split("No longer in 5.23.0:")
    assert "checkpoint's dtype" in begins
    assert "a finished beam beats" in ends
    assert "huggingface/transformers#35802" in ends
    assert "proof: our test test_early_stopping_at_the_length_limit (gpt2)" in ends


def test_a_folder_is_asked_for_its_model_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}), encoding="utf-8")

    assert main(["changes", "transformers", "5.0.0", "5.23.0", "--model", str(tmp_path)]) == 0
    assert "scale_attn_weights" in capsys.readouterr().out
    assert main(["changes", "transformers", "5.0.0", "5.23.0", "--model", "llama"]) == 0
    assert "scale_attn_weights" not in capsys.readouterr().out


def test_an_adapter_is_of_the_type_of_its_base(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").touch()
    for name, file, fields in (
        ("base", "config.json", {"model_type": "gpt2"}),
        ("lora", "adapter_config.json", {"peft_type": "LORA", "base_model_name_or_path": "base"}),
        ("remote", "adapter_config.json", {"peft_type": "LORA", "base_model_name_or_path": "org/name"}),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(json.dumps(fields), encoding="utf-8")

    assert main(["changes", "transformers", "5.0.0", "5.23.0", "--model", "lora"]) == 0
    assert "scale_attn_weights" in capsys.readouterr().out
    assert main(["changes", "transformers", "5.0.0", "5.23.0", "--model", "remote"]) == 2
    assert "org/name, is not a local folder" in capsys.readouterr().err


def listed(folder: Path, capsys: pytest.CaptureFixture[str], before: str = "4.38.2", **config: object) -> str:
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert main(["changes", "transformers", before, "5.23.0", "--model", str(folder)]) == 0
    return capsys.readouterr().out


def test_tensorflows_changes_count_where_it_is_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(*, installed: bool) -> str:
        monkeypatch.setattr(changes, "find_spec", lambda _name: True if installed else None)
        return listed(tmp_path, capsys, model_type="gpt2", architectures=["GPT2LMHeadModel"])

    with_it, without = told(installed=True), told(installed=False)

    assert "cannot read a safetensors file that torch saved" in with_it
    assert "TensorFlow" in without.partition("Not listed")[2].partition("In 5")[0]
    assert "cannot read a safetensors file that torch saved" not in without
    (tmp_path / "tf_model.h5").touch()
    assert "cannot read a safetensors file that torch saved" in told(installed=False)


def test_changes_that_a_folder_cannot_use_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "find_spec", lambda _name: None)
    encoder = listed(tmp_path, capsys, model_type="bert", architectures=["BertForMaskedLM"])
    decoder = listed(tmp_path, capsys, model_type="opt", architectures=["OPTForCausalLM"])
    heads = listed(tmp_path, capsys, model_type="gpt2", architectures=["GPT2DoubleHeadsModel"])

    assert "a finished beam beats" in decoder
    assert "a finished beam beats" in heads
    assert "tokenizers" in heads.partition("Not listed")[2].partition("In 5")[0]
    (tmp_path / "spiece.model").touch()
    assert "tokenizers" not in listed(tmp_path, capsys, model_type="t5", architectures=["T5Model"]).partition("In 5")[0]
    assert "a finished beam beats" not in encoder
    assert "changes to beam search, caches" in encoder
    for out in (encoder, decoder):
        assert "safetensors file that TensorFlow saved" not in out
        assert "raises in float64" not in out.lower()
    exact = listed(tmp_path, capsys, model_type="opt", architectures=["OPTForCausalLM"], torch_dtype="float64")
    assert "raises in float64" in exact.lower()


def test_a_change_that_needs_a_field_to_be_absent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["CohereForCausalLM"]
    assert "rope_theta" in listed(tmp_path, capsys, "4.57.6", model_type="cohere", architectures=names)
    assert "rope_theta" not in listed(
        tmp_path, capsys, "4.57.6", model_type="cohere", architectures=names, rope_theta=10000.0
    )


def test_a_type_that_no_suite_checks_gets_what_reaches_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "esm"}), encoding="utf-8")

    assert main(["changes", "transformers", "4.49.0", "5.23.0", "--model", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "no model of this type" in out
    assert "a finished beam beats" in out


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["transformers", "4.49.1", "5.23.0"], "The nearest is 4.49.0."),
        (["transformers", "4.49.0", "5.23.0", "--model", "lama"], "The nearest model type is llama."),
        (["transformers", "4.49.0", "5.23.0", "--model", "~nobody-of-that-name/bot"], "neither a folder nor"),
        (["torch", "2.0", "2.1"], "hfmodels bisect"),
    ],
    ids=["release", "model-type", "user", "package"],
)
def test_bad_input_says_what_to_type(typed: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["changes", *typed]) == 2
    assert said in capsys.readouterr().err
