"""Writes the checkpoints of the examples: `python -m examples.models`, in the root of the repository.

Weights are not committed here: they are drawn ones of `tests/projects`, or trained by the `train.py` of an example.
"""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

HERE = Path(__file__).parent
DRAWN = HERE.parent / "tests" / "projects"
FOLDERS = ("model", "base")


def write(name: str, target: Path) -> None:
    """Write the checkpoints of one example.

    Args:
        name: the example's folder.
        target: the folder that gets `model` and what else the example needs.
    """
    train = HERE / name / "train.py"
    if train.is_file():
        runpy.run_path(str(train))["train"](target / "model")
        return
    for folder in FOLDERS:
        source = DRAWN / name / folder
        if source.is_dir():
            shutil.copytree(source, target / folder, dirs_exist_ok=True)


if __name__ == "__main__":
    for ini in sorted(HERE.glob("*/pytest.ini")):
        write(ini.parent.name, ini.parent)
        print(f"{ini.parent.name}: ready")
