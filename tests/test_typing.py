from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def test_pyright_sees_what_mypy_sees_in_a_typed_project(tmp_path: Path) -> None:
    pytest.importorskip("pyright", reason="install pyright, which is in the extra tests")
    settings = {
        "extraPaths": [str(HERE.parent)],
        "enableTypeIgnoreComments": False,
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    shutil.copy(HERE / "typed_user.py", tmp_path)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")

    command = (sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path))
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)

    assert found["summary"]["filesAnalyzed"] == 1
    assert [(line["range"]["start"]["line"] + 1, line["message"]) for line in found["generalDiagnostics"]] == []
