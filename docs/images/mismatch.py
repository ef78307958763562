"""Draw mismatch.svg: a real failing run, on a snapshot in which one recorded token has been edited.

The command: `python docs/images/mismatch.py` (needs rich and the torch engine).
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

TEST = """\
PROMPT = "My name is Hasnain and I am a software engineer."

def test_greedy(gpt2, hf_snapshot):
    assert gpt2.generate(PROMPT, max_length=50) == hf_snapshot
"""


def main() -> None:
    """Record, edit, fail, draw."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "test_bot.py").write_text(TEST)
        (project / "pytest.ini").write_text("[pytest]\nhfmodels_engines = torch\n")
        pytest(project, "--snapshot-update", "--hfmodels-allow-update")
        edit(project / "snapshots/test_bot/test_greedy.toml")
        output = pytest(project)
    console = Console(record=True, width=118, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(Text.from_ansi("$ pytest\n" + interesting(output)))
    console.save_svg(str(Path(__file__).with_suffix(".svg")), title="pytest")


def pytest(project: Path, *arguments: str) -> str:
    """Run pytest in a project and return what it prints."""
    command = [sys.executable, "-m", "pytest", "--color=yes", "-p", "no:cacheprovider", "--no-header", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False).stdout


def edit(snapshot: Path) -> None:
    """Exchange the sixth token for its runner-up."""
    row = re.compile(r'\[(\d+), ("[^"]*"), (\S+), (\S+), (\S+), (\d+), ("[^"]*")\]')
    text = snapshot.read_text(encoding="utf-8")
    found = list(row.finditer(text))[5]
    token, word, raw, processed, margin, other, other_word = found.groups()
    new = f"[{other}, {other_word}, {raw}, {processed}, {margin}, {token}, {word}]"
    snapshot.write_text(text[: found.start()] + new + text[found.end() :], encoding="utf-8")


def interesting(output: str) -> str:
    """Keep the failure and the summary."""
    start = output.index("def ") if "def " in output else 0
    lines = output[output.rfind("\n", 0, start) + 1 :].splitlines()
    return "\n".join(line for line in lines if "rootdir" not in line and line.strip())


if __name__ == "__main__":
    main()
