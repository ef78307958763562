"""Where the projects are, and a copy of one with its checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

from examples.models import write as write_model

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
# The tests and snapshots of some projects are examples for users; their checkpoints and faults are here.
FOLDERS = {ini.parent.name: ini.parent for folder in (EXAMPLES, HERE) for ini in sorted(folder.glob("*/pytest.ini"))}
del FOLDERS["own_kind"]  # tests/kinds/test_own_kind.py runs it
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "make_model.py", "faults.py", "expected.toml", ".pytest_cache")


def copy(name: str, target: Path) -> Path:
    """Copy a project and its checkpoint into an existing folder; return where the project is."""
    folder = FOLDERS[name]
    shutil.copytree(folder, target, dirs_exist_ok=True, ignore=_LEFT_OUT)
    if folder.parent == EXAMPLES:
        write_model(name, target)
    return folder
