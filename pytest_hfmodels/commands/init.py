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
    prompts = ["The weather in Paris is", "Once upon a time"]  # for models of text
    # without = ["test_beams"]  # checks to leave out

    # Tests of your own go here; hf_model is this model:
    # def test_reply(self, hf_model, hf_snapshot):
    #     assert hf_model.generate("Hello", max_new_tokens=40) == hf_snapshot
'''
_LOAD = '# load = {"dtype": "bfloat16"}  # arguments of hf_models.load'


def add(commands: Commands) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "init",
        help="write a test file that checks a model",
        description="Write a test file that checks a model, to read and edit. An existing file is never overwritten.",
    )
    parser.add_argument("model", nargs="?", help="a folder, or a repo of the Hub with its full commit: org/name@COMMIT")
    parser.add_argument("file", nargs="?", help="the test file (default: test_<model>.py, in tests/ if there is one)")
    init_ci.add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Return 0 once the file is written."""
    if options.ci:
        return init_ci.write_workflow(options)
    if options.model is None:
        raise OptionError("No model is named.", hint="Name one, or a CI: hfmodels init --ci github")
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
    )
    _write(file, text)
    print(f"{file} is written; record the outputs: {command('pytest', str(file), '--snapshot-update')}")
    return 0


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
            f"{file} exists, and is left as it is.", hint="Give another file: hfmodels init MODEL FILE."
        ) from error
    except OSError as error:
        raise OptionError(f"{file} cannot be written: {error.strerror}.", hint="Name a file in a folder.") from error
