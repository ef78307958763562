"""Draw mismatch.svg: a real failing run, after the weights of a guarded model have changed.

The command: `python docs/images/mismatch.py` (needs rich and the torch engine).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text
from safetensors.numpy import load_file, save_file

BUNDLED = Path(__file__).parents[2] / "pytest_hfmodels" / "checkpoints" / "bundled" / "tiny-gpt2"
TEST = """\
import pytest

@pytest.mark.hf_model("./bot")
def test_bot(hf_model, hf_snapshot):
    assert hf_model.generate("My name is Hasnain and I am a", max_new_tokens=30) == hf_snapshot
"""


def main() -> None:
    """Record, change the model, fail, draw."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "test_bot.py").write_text(TEST)
        shutil.copytree(BUNDLED, project / "bot")
        pytest(project, "--snapshot-update", "--hfmodels-allow-update")
        retrain(project / "bot" / "model.safetensors")
        output = pytest(project)
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=112, file=nowhere)
        console.print(Text.from_ansi("$ pytest\n" + interesting(output)))
        console.save_svg(str(Path(__file__).with_suffix(".svg")), title="pytest")


def pytest(project: Path, *arguments: str) -> str:
    """Run pytest in a project and return what it prints."""
    command = [sys.executable, "-m", "pytest", "--color=yes", "-p", "no:cacheprovider", "--no-header", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False).stdout


def retrain(weights: Path) -> None:
    """Do to a model what a careless training run does: its last layer norm is no longer the same."""
    tensors = load_file(weights)
    tensors["transformer.ln_f.weight"] *= 0.3
    save_file(tensors, weights, metadata={"format": "pt"})


def interesting(output: str) -> str:
    """Leave out what every run of pytest prints."""
    hidden = ("rootdir", "test session starts", "hfmodels: ")
    return "\n".join(line for line in output.splitlines() if line.strip() and not any(text in line for text in hidden))


if __name__ == "__main__":
    main()
