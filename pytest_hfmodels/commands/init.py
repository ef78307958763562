"""`hfmodels init`: write a test file that checks a model, to read and edit."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hfmodels.commands import init_ci
from pytest_hfmodels.foundation.errors import OptionError
from pytest_hfmodels.foundation.rootdir import project_root
from pytest_hfmodels.foundation.shell import command

if TYPE_CHECKING:
    import argparse

    from pytest_hfmodels.commands import Commands

_FILE = '''\
"""Checks of {shown}. `pytest --snapshot-update` records its outputs; `pytest` then compares them."""

from pytest_hfmodels import ModelChecks


class Test{name}(ModelChecks):
    checkpoint = {checkpoint}
    {load}
    {inputs}
    # rows = "data/rows.jsonl"  # for test_accuracy, one row per line: {{"text": "It crashed.", "label": "bug"}}
    # without = ["test_beams"]  # checks to leave out

    # Tests of your own go here; hf_model is this model:
    # def test_own(self, hf_model, hf_snapshot):
    #     assert hf_model.{call} == hf_snapshot
'''
_PROMPTS = 'prompts = ["The weather in Paris is", "Once upon a time"]'
# By words in the names of tasks: an attribute of the class, and what a call is given.
_MEDIA = {
    ("video",): ("# the plugin draws a video; for frames of your own, write a test as below", "images=frames"),
    ("image", "depth", "object", "mask-gen", "keypoint"): (
        '# images = ["data/cat.png"]  # files; without them the plugin draws some',
        "images=image",
    ),
    ("audio", "speech"): (
        '# sounds = ["data/hello.wav"]  # files; without them the plugin makes some up',
        "audio=sound, sampling_rate=16000",
    ),
}
_GENERATE = ("image-text-to-text", "automatic-speech-recognition")
_CALLS = {
    "text-classification": 'classify(["It works.", "It crashed."])',
    "token-classification": 'tag("My name is Ada.")',
    "feature-extraction": 'embed(["a cat", "a dog"])',
}
_LOAD = '# load = {"dtype": "bfloat16"}  # arguments of hf_models.load'


def add(commands: Commands) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "init",
        help="write a test file that checks a model",
        description="Write a test file that checks a model. Read and edit it. An existing file is never overwritten.",
    )
    parser.add_argument("model", nargs="?", help="a folder, or a repo of the Hub with its full commit: org/name@COMMIT")
    parser.add_argument("file", nargs="?", help="the test file (default: test_<model>.py, in tests/ if there is one)")
    init_ci.add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Return 0 once the file is written."""
    init_ci.require_fitting(options)
    if options.ci:
        return init_ci.write_workflow(options)
    if options.model is None:
        raise OptionError("No model is given.", hint="Name one, or a CI: hfmodels init --ci github")
    from pytest_hfmodels.fixtures.model_checks.collection import NamedModel  # imports pytest

    root = project_root()
    model = NamedModel.parse(options.model, Path.cwd(), root)
    words = re.findall(r"[A-Za-z0-9]+", Path(model.shown).name) or ["model"]
    folder = root / "tests" if (root / "tests").is_dir() else root
    file = Path(options.file) if options.file else folder / f"test_{'_'.join(words).lower()}.py"
    text = _FILE.format(
        shown=model.shown,
        name="".join(word[0].upper() + word[1:] for word in words),
        checkpoint=json.dumps(model.checkpoint),
        load=f"load = {json.dumps(model.load)}" if model.load else _LOAD,
        **_inputs(root / model.checkpoint),
    )
    _write(file, text)
    print(f"{file} is written; record the outputs: {command('pytest', str(file), '--snapshot-update')}")
    return 0


def _inputs(folder: Path) -> dict[str, str]:
    """Return the lines about inputs that fit a model's folder; those of a model of text if it is not there."""
    from pytest_hfmodels.checkpoints import model_card_tag
    from pytest_hfmodels.engines import architectures

    task = architectures.infer_task(folder, model_card_tag(folder)) if (folder / "config.json").is_file() else ""
    for words, (attribute, given) in _MEDIA.items():
        if any(word in task for word in words) and not task.startswith("text-to"):
            method = "generate" if task in _GENERATE else "observe"
            return {"inputs": attribute, "call": f"{method}({given})"}
    return {"inputs": _PROMPTS, "call": _CALLS.get(task, 'generate("Hello", max_new_tokens=40)')}


def _write(file: Path, text: str) -> None:
    """Write a new file.

    Raises:
        OptionError: it exists, or cannot be written.
    """
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError as error:
        raise OptionError(
            f"{file} exists already; it was not changed.", hint="Give another file: hfmodels init MODEL FILE."
        ) from error
    except OSError as error:
        raise OptionError(f"{file} cannot be written: {error.strerror}.", hint="Name a file in a folder.") from error
