"""Draw report.png: the page of a run in which a search rule and the weights of a model have changed.

The command: `python docs/images/report.py PYTHON_4_49 PYTHON_5_23`, with the interpreters of two environments that have
the plugin, torch and transformers 4.49.0 and 5.23.0. It needs Chromium.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mismatch import BUNDLED, retrain

BROWSER = ("chromium", "--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1100,1050")
TESTS = """\
import pytest

BEAMS = {"num_beams": 4, "num_return_sequences": 2, "early_stopping": True, "length_penalty": 2.0}

@pytest.mark.hf_model("./bot")
@pytest.mark.parametrize("prompt", ["My name is Hasnain and I am a", "The weather in", "We have a dog that"])
def test_bot(hf_model, prompt, hf_snapshot):
    assert hf_model.generate(prompt, max_new_tokens=30) == hf_snapshot

def test_early_stopping(gpt2, hf_snapshot):
    assert gpt2.generate("It is not easy to learn the trumpet.", max_new_tokens=80, **BEAMS) == hf_snapshot

@pytest.mark.parametrize("prompt", ["I like", "My name is", "Every morning", "The park", "My sister"])
def test_greedy(gpt2, prompt, hf_snapshot):
    assert gpt2.generate(prompt, max_new_tokens=20) == hf_snapshot
"""


def main(then: str, now: str) -> None:
    """Record with one release, change a model, compare with another, draw."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "test_bot.py").write_text(TESTS)
        shutil.copytree(BUNDLED, project / "bot")
        for python, arguments in ((then, ("--snapshot-update", "--hfmodels-allow-update")), (now, ())):
            command = (python, "-m", "pytest", "-q", "--hfmodels-engines=torch", "--hfmodels-html=report.html")
            subprocess.run((*command, *arguments), cwd=project, check=False)  # the second run fails
            if arguments:
                retrain(project / "bot" / "model.safetensors")
        target = Path(__file__).with_suffix(".png")
        page = (project / "report.html").as_uri()
        subprocess.run((*BROWSER, f"--screenshot={target}", page), check=True, capture_output=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
