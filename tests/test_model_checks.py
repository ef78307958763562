"""Checks of a model without a test: `--hfmodels-model`, and `ModelChecks` as a class."""

from __future__ import annotations

import gc
import json
import shutil
import tomllib
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels import HFModel
from pytest_hfmodels.engines import upstream
from pytest_hfmodels.fixtures.model_checks import ModelChecks
from pytest_hfmodels.foundation.errors import EngineError, OptionError

from .tiny_gpt2 import write_checkpoint

if TYPE_CHECKING:
    from .project import Project

TORCH = "--hfmodels-engines=torch"
# An option names no rows with known answers.
CHECKS = [name for name in vars(ModelChecks) if name.startswith("test") and name != "test_accuracy"]


def ids(project: Project, *arguments: str) -> list[str]:
    """Return what a run collects."""
    result = project.run("--collect-only", "-q", TORCH, *arguments)
    return [line for line in result.stdout.lines if "::" in line]


def test_a_model_is_checked_without_a_test(project: Project) -> None:
    project.write("def test_own(): assert False")
    model = "--hfmodels-model=./model"

    recorded = project.run(model, TORCH, "--snapshot-update")
    again = project.run(model, TORCH)
    project.change_model()
    changed = project.run(model, TORCH)

    recorded.assert_outcomes(passed=10, skipped=2)
    again.assert_outcomes(passed=10, skipped=2)
    changed.assert_outcomes(passed=7, failed=3, skipped=2)
    assert list(project.snapshots) == [f"hfmodels/model/test_{name}.toml" for name in ("batch", "beams", "greedy")]
    changed.stdout.fnmatch_lines(["FAILED hfmodels/model::test_greedy[[]torch[]]*"])


def test_ids_are_those_of_a_file_that_is_not_there(bare_project: Project) -> None:
    bare_project.write("def test_own(): pass")
    write_checkpoint(bare_project.path / "models" / "bot-1.5")
    write_checkpoint(bare_project.path / "models" / "bot-1.6")
    models = ("--hfmodels-model", "models/bot-1.5/", "--hfmodels-model=./models/bot-1.6")

    both = ids(bare_project, *models)
    beside = ids(bare_project, *models, "test_it.py", "-k", "own or bot-1.5 and greedy")

    assert len(both) == 2 * (len(CHECKS) + 1)  # the cache is checked for one beam and for three
    assert both[0] == "hfmodels/models/bot-1.5::test_greedy[torch]"
    assert "hfmodels/models/bot-1.6::test_cache[torch-3]" in both
    assert beside == ["test_it.py::test_own", "hfmodels/models/bot-1.5::test_greedy[torch]"]


def test_a_model_named_twice_is_checked_once(bare_project: Project) -> None:
    write_checkpoint(bare_project.path / "model")
    bare_project.ini("addopts = --hfmodels-model=./model")

    assert len(ids(bare_project, "--hfmodels-model", "model/")) == len(CHECKS) + 1


def test_a_check_can_be_named_although_its_folder_exists(bare_project: Project) -> None:
    write_checkpoint(bare_project.path / "model")
    bare_project.write("", "hfmodels/model/conftest.py")

    assert ids(bare_project, "hfmodels/model::test_greedy") == ["hfmodels/model::test_greedy[torch]"]


def test_failed_checks_run_again_beside_failed_tests(project: Project) -> None:
    project.write("def test_own(): assert False")
    run = ("-p", "cacheprovider", "--hfmodels-model=./model", TORCH, "test_it.py", "-k", "own or greedy or alone")
    project.run(*run).assert_outcomes(failed=2, passed=1, deselected=len(CHECKS) - 1)  # greedy has no snapshot

    project.run(*run, "--lf").assert_outcomes(failed=2, deselected=len(CHECKS))


def test_the_order_of_new_tests_is_not_asked_of_checks(bare_project: Project) -> None:
    bare_project.write("def test_own(): pass")
    write_checkpoint(bare_project.path / "model")

    result = bare_project.run(
        *("-p", "cacheprovider", "--nf", "--collect-only", TORCH, "--hfmodels-model=./model", "test_it.py")
    )

    assert result.ret == 0


def test_an_option_of_the_project_adds_to_its_tests(bare_project: Project) -> None:
    write_checkpoint(bare_project.path / "model")
    bare_project.ini("addopts = --hfmodels-model=./model")
    bare_project.write("def test_own(): pass")

    assert len(ids(bare_project)) == len(CHECKS) + 2


def test_a_test_is_named_by_its_id_alone(bare_project: Project) -> None:
    bare_project.write("def test_own(): pass")
    write_checkpoint(bare_project.path / "models" / "bot-1.5")

    one = ids(bare_project, "hfmodels/models/bot-1.5::test_cache", "test_it.py")
    unknown = bare_project.run("--collect-only", TORCH, "hfmodels/models/bot-1.5::test_none")
    no_model = bare_project.run("--collect-only", TORCH, "hfmodels/other::test_greedy")

    cache = [f"hfmodels/models/bot-1.5::test_cache[torch-{beams}]" for beams in (1, 3)]
    assert one == ["test_it.py::test_own", *cache]
    assert unknown.ret == pytest.ExitCode.INTERRUPTED
    unknown.stdout.fnmatch_lines(["*not found: hfmodels/models/bot-1.5::test_none*"])
    assert no_model.ret == pytest.ExitCode.USAGE_ERROR
    no_model.stderr.fnmatch_lines(["ERROR: There is no model './other': *"])


def test_its_snapshots_are_no_orphans_and_its_changes_can_be_accepted(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_hfmodels.commands.cli import main

    model = ("-p", "cacheprovider", "--hfmodels-model=./model", TORCH, "-k", "greedy")
    project.run(*model, "--snapshot-update")
    project.change_model()
    project.run(*model).assert_outcomes(failed=1, deselected=len(CHECKS))
    monkeypatch.chdir(project.path)

    orphans, pending = main(["orphans"]), main(["pending"])
    accepted = main(["accept", "hfmodels/model::test_greedy"])

    assert (orphans, pending, accepted) == (0, 1, 0), capsys.readouterr().out
    project.run(*model).assert_outcomes(passed=1, deselected=len(CHECKS))


def test_a_test_file_is_written_and_never_overwritten(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_hfmodels.commands.cli import main

    monkeypatch.chdir(project.path)

    first, again, missing = main(["init", "./model"]), main(["init", "model"]), main(["init", "./none"])

    assert (first, again, missing) == (0, 2, 2)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"hfmodels: {project.path / 'test_model.py'} exists already; it was not changed."
    assert said[2] == f"hfmodels: There is no model './none': {project.path / 'none'} does not exist."
    result = project.run(TORCH, "--snapshot-update", "-k", "greedy")
    result.assert_outcomes(passed=2, deselected=result.parseoutcomes()["deselected"])


def test_a_model_of_the_hub_is_named_with_its_commit(bare_project: Project) -> None:
    result = bare_project.run(TORCH, f"--hfmodels-model=some/model@{'0' * 40}", "-k", "greedy", "-rs")
    unpinned = bare_project.run(TORCH, "--hfmodels-model=some/model", "-k", "greedy")

    result.assert_outcomes(skipped=1, deselected=len(CHECKS))
    result.stdout.fnmatch_lines([f"SKIPPED*some/model*{'0' * 40}*", "*--hfmodels-checkpoints hub"])
    assert unpinned.ret == pytest.ExitCode.USAGE_ERROR
    unpinned.stderr.fnmatch_lines(
        ["ERROR: There is no folder 'some/model', and a repo of the Hub*", "*org/name@COMMIT*"]
    )


@pytest.mark.parametrize("typed", ["./none", "./none.gguf", "./tox.ini", ""])
def test_a_path_without_a_model_is_refused(bare_project: Project, typed: str) -> None:
    result = bare_project.run(f"--hfmodels-model={typed}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: There is no model '{typed}': *" if typed else "ERROR: No model is named."])


def test_a_classifier_gets_checks_of_its_own(project: Project) -> None:
    config = project.path / "model" / "config.json"
    fields = {**json.loads(config.read_text()), "architectures": ["GPT2ForSequenceClassification"], "pad_token_id": 0}
    config.write_text(json.dumps(fields))

    result = project.run("--hfmodels-model=./model", TORCH, "--snapshot-update", "-rs")

    result.assert_outcomes(passed=6, skipped=6)
    assert list(project.snapshots) == ["hfmodels/model/test_outputs.toml"]
    result.stdout.fnmatch_lines(
        ["SKIPPED*./model is a model for text-classification; this check is for text-generation*"]
    )


@pytest.mark.skipif(
    not upstream.release_at_least("4.57.0") or upstream.release_at_least("5"),
    reason="install transformers>=4.57,<5: it reorders Mamba's cache",
)
def test_mamba_s_beams_fail_without_a_baseline(project: Project) -> None:
    import torch
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    config = MambaConfig(vocab_size=257, hidden_size=32, state_size=8, num_hidden_layers=2, eos_token_id=None)
    write_checkpoint(project.path / "mamba")
    MambaForCausalLM(config).save_pretrained(str(project.path / "mamba"))

    result = project.run("--hfmodels-model=./mamba", TORCH, "-k", "cache")

    result.assert_outcomes(passed=1, failed=1, deselected=len(CHECKS) - 1)
    result.stdout.fnmatch_lines(["FAILED hfmodels/mamba::test_cache[[]torch-3[]]*"])


PROJECTS = Path(__file__).parent / "projects"
FAMILIES = [file.parts[-3] for file in sorted(PROJECTS.glob("*/model/config.json"))]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_of_every_family_passes(project: Project, family: str) -> None:
    shutil.copytree(PROJECTS / family / "model", project.path / family)

    result = project.run(f"--hfmodels-model=./{family}", TORCH, "--snapshot-update", "-rfE")

    outcomes = result.parseoutcomes()
    assert not outcomes.keys() & {"failed", "errors"}
    assert outcomes["passed"] >= {"transcription": 10, "image_chat": 10}.get(family, 4)


CLASS = """
import pytest

from pytest_hfmodels import ModelChecks

class TestBot(ModelChecks):
    checkpoint = "./model"
    prompts = ["Hi", "Good morning"]
    without = ["test_beams", "test_dtype"]

    @pytest.mark.skip("later")
    def test_alone(self):
        pass

    def test_own(self, hf_model, prompt):
        assert hf_model.checkpoint.name == "./model"
        assert prompt in self.prompts

class TestOther(TestBot):
    checkpoint = ["./other", "./third"]
    load = {"pad_token_id": 3}
    prompts = ["Hi"]

    def test_own(self, hf_model, prompt):
        assert hf_model.checkpoint.name in self.checkpoint
        assert hf_model.config.pad_token_id == 3
"""


def test_a_class_checks_its_model(project: Project) -> None:
    project.copy_model("other")
    project.copy_model("third")
    project.write(CLASS)

    found = ids(project)
    bot = [one.partition("TestBot::")[2] for one in found if "TestBot" in one]
    result = project.run(TORCH, "--snapshot-update", "-k", "own or greedy or alone or dtype")

    assert [one for one in bot if one.startswith(("test_own", "test_greedy"))] == [
        f"test_{name}[torch-{prompt}]" for name in ("greedy", "own") for prompt in ("Hi", "Good morning")
    ]
    assert "test_cache[torch-Hi-3]" in bot
    assert not any("beams[" in one or "dtype" in one for one in found)
    outcomes = result.parseoutcomes()
    assert (outcomes["passed"], outcomes["skipped"], outcomes.get("failed")) == (8, 2, None)
    assert "test_it/TestOther.test_greedy[._third-Hi].toml" in project.snapshots


ROWS = """
from pytest_hfmodels import ModelChecks

class TestBot(ModelChecks):
    checkpoint = "./model"
    rows = [{"text": "Hi", "label": "a", "choices": ["a", "b"]}, {"text": "Ho", "label": "b", "choices": ["a", "b"]}]
    may_fall = 0.5
"""


def test_a_class_with_rows_has_a_quality_floor(project: Project) -> None:
    project.write(ROWS)
    one = (TORCH, "-k", "accuracy")

    missing = project.run(*one, "-v")
    missing.stdout.fnmatch_lines(
        ["test_it.py::TestBot::test_accuracy* FAILED *", "*The model answers as many rows rightly*"]
    )
    missing.stdout.fnmatch_lines(["*missing: *", "test_it.py:4: AssertionError"])
    missing.stdout.no_fnmatch_line("*checks.py*")
    project.run(*one, "--snapshot-update").assert_outcomes(passed=1, deselected=len(CHECKS) + 1)
    text = project.snapshots["test_it/TestBot.test_accuracy.toml"]
    project.write(ROWS.replace("may_fall = 0.5", "rows = ()"))
    skipped = project.run(*one, "-rs")

    assert 'kind = "accuracy"' in text
    assert "may_fall = 0.5" in text
    skipped.assert_outcomes(skipped=1, deselected=len(CHECKS) + 1)
    skipped.stdout.fnmatch_lines(["SKIPPED*no rows with known answers*"])


@pytest.mark.parametrize(
    ("family", "inputs", "call"),
    [
        ("transcription", "# sounds = [", "hf_model.generate(audio=sound, sampling_rate=16000)"),
        ("vision_classifier", "# images = [", "hf_model.observe(images=image)"),
        ("tagger", "prompts = [", "hf_model.tag("),
    ],
)
def test_a_written_file_has_inputs_that_fit(
    bare_project: Project, monkeypatch: pytest.MonkeyPatch, family: str, inputs: str, call: str
) -> None:
    from pytest_hfmodels.commands.cli import main

    shutil.copytree(PROJECTS / family / "model", bare_project.path / family)
    monkeypatch.chdir(bare_project.path)

    assert main(["init", f"./{family}"]) == 0
    written = (bare_project.path / f"test_{family}.py").read_text(encoding="utf-8")
    assert f"\n    {inputs}" in written
    assert f"#     assert {call}" in written
    compile(written, "test", "exec")


def test_a_written_file_of_a_video_model_has_no_prompts(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_hfmodels.commands.cli import main

    from .other_checkpoints import save_model

    save_model(project.path / "video", "VivitForVideoClassification", **OF_IMAGES, **FRAMES)
    monkeypatch.chdir(project.path)

    assert main(["init", "./video"]) == 0

    written = (project.path / "test_video.py").read_text(encoding="utf-8")
    assert "prompts" not in written
    assert "#     assert hf_model.observe(images=frames) == hf_snapshot" in written


def test_sounds_of_the_project_are_read(tmp_path: Path) -> None:
    from pytest_hfmodels.kinds.media_files import read_wav

    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((2, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.array([[16384, 0], [-32768, -32768]], "<i2").tobytes())
    sound = read_wav(tmp_path / "a.wav")
    (tmp_path / "b.wav").write_bytes(b"RIFF")

    assert (sound["array"].tolist(), sound["sampling_rate"]) == ([0.25, -1.0], 8000)
    for name in ("b.wav", "none.wav"):
        with pytest.raises(EngineError, match=f"{name} cannot be read: "):
            read_wav(tmp_path / name)


def test_leaving_out_a_check_that_does_not_exist_is_a_sentence() -> None:
    with pytest.raises(OptionError, match=r"TestBot has no check 'test_beam' to leave out.\s+Its checks are"):
        type("TestBot", (ModelChecks,), {"checkpoint": "./model", "without": ["test_beam"]})


def test_prompts_are_a_list() -> None:
    with pytest.raises(OptionError, match=r"prompts of TestBot is one text.\s+Give a list"):
        type("TestBot", (ModelChecks,), {"checkpoint": "./model", "prompts": "Hello"})


def test_two_models_never_share_their_snapshots(project: Project, tmp_path: Path) -> None:
    for folder in ("a/other", "b/other", "c/model"):
        shutil.copytree(project.path / "model", tmp_path / folder)

    two = project.run(*(f"--hfmodels-model={tmp_path / folder}" for folder in ("a/other", "b/other")))
    same = project.run(f"--hfmodels-model={tmp_path / 'c' / 'model'}")

    assert {two.ret, same.ret} == {pytest.ExitCode.USAGE_ERROR}
    two.stderr.fnmatch_lines(["ERROR: Two models are called other: *"])
    same.stderr.fnmatch_lines(["ERROR: *the project, and the project has a model too."])


@pytest.mark.parametrize("name", ["a::b", "/"])
def test_a_name_that_cannot_be_in_an_id_is_refused(project: Project, name: str) -> None:
    folder = project.path / name
    folder.mkdir(exist_ok=True)

    result = project.run(f"--hfmodels-model={folder}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {folder} cannot be part of a test's id: *"])


def test_what_is_printed_for_a_model_outside_names_it_too(project: Project, tmp_path: Path) -> None:
    outside = f"--hfmodels-model={shutil.move(project.path / 'model', tmp_path / 'outside')}"

    result = project.run(TORCH, outside, "-k", "greedy")

    result.assert_outcomes(failed=1, deselected=len(CHECKS))
    update = f"pytest {outside} 'hfmodels/outside::test_greedy[torch]' --snapshot-update"
    assert update in result.stdout.str()


def test_a_model_of_the_project_s_options_is_found_from_a_folder_below(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.ini("addopts = --hfmodels-model ./model")
    project.write("def test_own(): pass", "below/test_own.py")
    monkeypatch.chdir(project.path / "below")

    result = project.run("-k", "own", "test_own.py")

    result.assert_outcomes(passed=1)


def test_a_class_without_a_checkpoint_says_so(bare_project: Project) -> None:
    bare_project.write("from pytest_hfmodels import ModelChecks\n\nclass TestBot(ModelChecks):\n    pass\n")

    result = bare_project.run(TORCH, "-k", "greedy")

    result.assert_outcomes(errors=1, deselected=len(CHECKS) + 1)
    result.stdout.fnmatch_lines(
        ["*TestBot::test_greedy[[]torch[]] asks for hf_model, but nothing names its checkpoint."]
    )


TEMPLATE = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}bot:"


def test_a_chat_template_is_recorded_and_followed(project: Project) -> None:
    file = project.path / "model" / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "chat_template": TEMPLATE}))
    chat = ("--hfmodels-model=./model", TORCH, "-k", "chat")

    project.run(*chat, "--snapshot-update").assert_outcomes(passed=1, deselected=len(CHECKS))
    file.write_text(file.read_text().replace("bot:", "assistant:"))
    result = project.run(*chat)

    assert list(project.snapshots) == ["hfmodels/model/test_chat.toml"]
    result.assert_outcomes(failed=1, deselected=len(CHECKS))
    result.stdout.fnmatch_lines(["*chat-template*"])


def test_a_model_that_takes_images_gets_images(project: Project) -> None:
    from .other_checkpoints import save_model

    save_model(project.path / "vit", "ViTForImageClassification", image_size=16, patch_size=8)

    result = project.run("--hfmodels-model=./vit", TORCH, "--snapshot-update")

    result.assert_outcomes(passed=5, skipped=7)
    (snapshot,) = project.snapshots.values()
    assert tomllib.loads(snapshot)["kind"] == "tensors"


OF_IMAGES = {"image_size": 16, "patch_size": 8}
DECODER = {
    f"decoder_{name}": 1 if name == "num_hidden_layers" else 2 if name == "num_attention_heads" else 16
    for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
}
PART = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
OWL = {
    "text_config": {**PART, "vocab_size": 257, "max_position_embeddings": 32},
    "vision_config": {**PART, **OF_IMAGES},
    "projection_dim": 16,
}
FRAMES = {"num_frames": 4, "tubelet_size": [2, 8, 8]}
PEGASUS_X = {"num_global_tokens": 4, "block_size": 8}


@pytest.mark.parametrize(
    ("name", "fields", "passed"),
    [
        pytest.param("ElectraForPreTraining", {"embedding_size": 16}, 5, id="discriminator"),
        pytest.param("ViTMAEForPreTraining", {**OF_IMAGES, **DECODER}, 4, id="draws-random-numbers"),
        pytest.param("OwlViTForObjectDetection", OWL, 4, id="needs-texts-and-images"),
        pytest.param("ViltForQuestionAnswering", OF_IMAGES, 4, id="reads-an-image-with-each-text"),
        pytest.param("VivitForVideoClassification", {**OF_IMAGES, **FRAMES}, 4, id="reads-videos"),
        pytest.param("PegasusXForConditionalGeneration", PEGASUS_X, 4, id="pair-of-hidden-states"),
    ],
)
def test_a_model_of_an_unusual_kind_passes(project: Project, name: str, fields: dict[str, Any], passed: int) -> None:
    from .other_checkpoints import save_model

    save_model(project.path / "bot", name, **fields)

    for update in (("--snapshot-update",), ("-k", "outputs"), ()):  # alone, it draws no other numbers
        outcomes = project.run("--hfmodels-model=./bot", TORCH, "-rfE", *update).parseoutcomes()
        assert not outcomes.keys() & {"failed", "errors"}
    assert outcomes["passed"] >= passed


def test_a_video_goes_through_the_processor(project: Project) -> None:
    pytest.importorskip("PIL", reason="image processors need pillow: pip install pillow")
    from .other_checkpoints import edit_json, save_model

    folder = save_model(project.path / "video", "VivitForVideoClassification", **OF_IMAGES, **FRAMES)
    for file in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"):  # a GPT-2's
        (folder / file).unlink(missing_ok=True)
    sizes = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
    edit_json(folder / "preprocessor_config.json", image_processor_type="VivitImageProcessor", **sizes)
    outputs = ("--hfmodels-model=./video", TORCH, "-k", "outputs")

    recorded = project.run(*outputs, "--snapshot-update")
    edit_json(folder / "preprocessor_config.json", image_mean=[0.1] * 3)
    changed = project.run(*outputs)

    recorded.assert_outcomes(passed=1, deselected=len(CHECKS))
    changed.assert_outcomes(failed=1, deselected=len(CHECKS))
    changed.stdout.fnmatch_lines(["*checkpoint:preprocessor*"])


def test_a_batch_is_padded_as_the_tokenizer_does_it(project: Project) -> None:
    """Qwen3's configuration names neither a pad token nor an end by default."""
    from .other_checkpoints import edit_json, save_model

    folder = save_model(project.path / "llama", "LlamaForCausalLM")
    edit_json(folder / "tokenizer_config.json", pad_token="<|endoftext|>")
    for file in ("config.json", "generation_config.json"):
        edit_json(folder / file, pad_token_id=None, eos_token_id=None, max_target_positions=None)

    result = project.run("--hfmodels-model=./llama", TORCH, "--snapshot-update", "-k", "batch or padding")

    result.assert_outcomes(passed=2, deselected=len(CHECKS) - 1)


@pytest.mark.parametrize(("side", "outcome"), [("left", "passed"), ("right", "failed")])
def test_inputs_are_padded_on_the_side_of_the_tokenizer(project: Project, side: str, outcome: str) -> None:
    """This model reads the last position, which is a pad token if padding is on the right."""
    from .other_checkpoints import edit_json, save_model

    folder = save_model(project.path / "last", "LlamaModel")
    edit_json(folder / "tokenizer_config.json", padding_side=side, pad_token="<|endoftext|>")
    project.write(LAST, "conftest.py")

    result = project.run("--hfmodels-model=./last", TORCH, "-k", "padding")

    result.assert_outcomes(**{outcome: 1}, deselected=len(CHECKS))


LAST = """
from functools import wraps

from transformers import LlamaModel

forward = LlamaModel.forward

@wraps(forward)
def reading_the_last(self, *arguments, **keywords):
    output = forward(self, *arguments, **keywords)
    output.last_hidden_state = output.last_hidden_state[:, -1]
    return output

LlamaModel.forward = reading_the_last

def pytest_unconfigure():
    LlamaModel.forward = forward
"""
FAULTS = {
    # A row of a batch sees its neighbours.
    "test_alone": "hidden = hidden + (hidden.mean(0, keepdim=True) if len(hidden) > 1 else 0)",
    # Eager attention and sdpa scale differently.
    "test_attention": 'hidden = hidden * (2 if self.config._attn_implementation == "sdpa" else 1)',
    # Half precision overflows.
    "test_dtype": "hidden = hidden * (float('nan') if hidden.dtype == torch.bfloat16 else 1)",
    # With a cache, a step sees less.
    "test_cache": "hidden = hidden * (2 if hidden.shape[1] == 1 else 1)",
}
BROKEN = """
import torch
from transformers import GPT2Model

forward = GPT2Model.forward

def broken(self, *arguments, **keywords):
    output = forward(self, *arguments, **keywords)
    hidden = output[0]
    {fault}
    output.last_hidden_state = hidden
    return output

GPT2Model.forward = broken

def pytest_unconfigure():
    GPT2Model.forward = forward
"""


@pytest.mark.parametrize("check", FAULTS)
def test_a_fault_fails_its_check(project: Project, check: str) -> None:
    project.write(BROKEN.format(fault=FAULTS[check]), "conftest.py")

    result = project.run("--hfmodels-model=./model", TORCH, "-k", check)

    assert result.parseoutcomes().get("failed", 0) >= 1


def test_a_check_names_the_inputs_that_the_model_refuses(project: Project) -> None:
    project.write(BROKEN.format(fault="raise ValueError('boxes are missing')"), "conftest.py")

    result = project.run("--hfmodels-model=./model", TORCH, "-k", "alone or padding or dtype or attention")

    assert result.parseoutcomes()["failed"] >= 3
    result.stdout.fnmatch_lines(
        ["E*GPT2LMHeadModel refuses its inputs (input_ids 2 x *): ValueError: boxes are missing"]
    )


def test_attention_is_skipped_if_a_part_has_no_sdpa(project: Project) -> None:
    project.write(
        """
from transformers import GPT2Model

make = GPT2Model.__init__

def lacking(self, config):
    if config._attn_implementation == "sdpa":
        raise ValueError("ResNetBackbone does not support torch.nn.functional.scaled_dot_product_attention yet.")
    make(self, config)

GPT2Model.__init__ = lacking

def pytest_unconfigure():
    GPT2Model.__init__ = make
""",
        "conftest.py",
    )

    result = project.run("--hfmodels-model=./model", TORCH, "-k", "attention", "-rs")

    result.assert_outcomes(skipped=1, deselected=len(CHECKS))
    result.stdout.fnmatch_lines(["SKIPPED*a part of GPT2LMHeadModel has no sdpa attention*"])


def test_a_model_that_cannot_run_in_half_precision_says_so(project: Project) -> None:
    fault = "hidden = hidden @ torch.eye(hidden.shape[-1])  # in float32, as a part of DeBERTa computes"
    project.write(BROKEN.format(fault=fault), "conftest.py")

    result = project.run("--hfmodels-model=./model", TORCH, "-k", "dtype")

    result.assert_outcomes(failed=1, deselected=len(CHECKS))
    result.stdout.fnmatch_lines(["*In bfloat16, outputs are far*: the model cannot run: RuntimeError: *"])


def test_a_model_that_loses_weights_when_it_is_saved_fails(project: Project) -> None:
    project.write(
        """
import torch
from transformers import GPT2LMHeadModel

save = GPT2LMHeadModel.save_pretrained

def losing(self, *arguments, **keywords):
    with torch.no_grad():
        self.transformer.ln_f.bias.add_(1)
        save(self, *arguments, **keywords)
        self.transformer.ln_f.bias.sub_(1)

GPT2LMHeadModel.save_pretrained = losing

def pytest_unconfigure():
    GPT2LMHeadModel.save_pretrained = save
""",
        "conftest.py",
    )

    result = project.run("--hfmodels-model=./model", TORCH, "-k", "reload")

    result.stdout.fnmatch_lines(["*Saved and loaded again, the model has different outputs: logits differs by *"])


def test_checks_share_the_runs_of_equal_calls(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    original = HFModel.generate

    def generate(self: HFModel, *arguments: Any, **settings: Any) -> Any:
        calls.append(settings)
        return original(self, *arguments, **settings)

    monkeypatch.setattr(HFModel, "generate", generate)

    project.run("--hfmodels-model=./model", TORCH, "--snapshot-update").assert_outcomes(passed=10, skipped=2)

    assert len(calls) == 6, calls  # both prompts, beams, the batch, and both searches without a cache


HOOKS = """
import pytest

def seen(config, what):
    with (config.rootpath / "seen").open("a") as file:
        file.write(what + "\\n")

@pytest.fixture(autouse=True)
def own(request):
    seen(request.config, "fixture")

def pytest_pycollect_makeitem(collector, name, obj):
    if name == "test_alone":
        seen(collector.config, "makeitem")

def pytest_itemcollected(item):
    seen(item.config, "itemcollected")

def pytest_runtest_setup(item):
    seen(item.config, "setup")

def pytest_pyfunc_call(pyfuncitem):
    seen(pyfuncitem.config, "call")

def pytest_runtest_makereport(item, call):
    seen(item.config, f"report of {call.when}")
"""


@pytest.mark.parametrize("folder", ["", "below"])
def test_hooks_of_the_project_s_conftest_see_the_checks(
    project: Project, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(HOOKS, "conftest.py")
    (project.path / "below").mkdir()
    monkeypatch.chdir(project.path / folder)

    project.run(f"--hfmodels-model={project.path / 'model'}", TORCH, "-k", "test_alone", "--rootdir", str(project.path))

    seen = (project.path / "seen").read_text().splitlines()
    reports = ["setup", "fixture", "report of setup", "call", "report of call", "report of teardown"]
    assert seen == ["makeitem", *["itemcollected"] * (len(CHECKS) + 1), *reports]


COUNTING = """
import gc

def pytest_sessionfinish(session):
    (session.config.rootpath / "frozen").write_text(str(gc.get_freeze_count()))
"""


@pytest.mark.parametrize(("arguments", "frozen"), [((), True), (("test_it.py",), False)])
def test_imports_are_frozen_while_no_test_of_the_project_runs(
    project: Project, arguments: tuple[str, ...], frozen: bool
) -> None:
    project.write(COUNTING, "conftest.py")
    project.write("def test_own(): pass")

    project.run("--hfmodels-model=./model", TORCH, "-k", "own or alone", *arguments)

    count = int((project.path / "frozen").read_text())
    assert (count > 10_000) is frozen
    assert gc.get_freeze_count() == 0


ENDING = """
import pytest

def pytest_runtest_logreport(report):
    if report.when == "call":
        raise {error}
"""


@pytest.mark.parametrize(
    ("error", "code"),
    # Exit ends a run as Ctrl-C does; pytester would raise a KeyboardInterrupt again in this process.
    [("pytest.exit.Exception", pytest.ExitCode.INTERRUPTED), ("ValueError", pytest.ExitCode.INTERNAL_ERROR)],
)
def test_imports_are_unfrozen_however_a_run_ends(project: Project, error: str, code: pytest.ExitCode) -> None:
    project.write(COUNTING + ENDING.format(error=error), "conftest.py")

    result = project.run("--hfmodels-model=./model", TORCH, "-k", "alone")

    assert result.ret == code
    assert int((project.path / "frozen").read_text()) > 10_000
    assert gc.get_freeze_count() == 0
