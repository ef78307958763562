from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from pytest_hfmodels import kinds

HERE = Path(__file__).parent
_NAMED = re.compile(r"^ +(\w+): |`(\w+)`", re.MULTILINE)


def documented(record: type) -> set[str]:
    """The names in the docstrings of a class and of the classes that it extends."""
    texts = "\n".join(base.__doc__ or "" for base in record.__mro__)
    return {name for found in _NAMED.findall(texts) for name in found}


def test_every_attribute_of_a_record_is_documented_by_name() -> None:
    records = [getattr(kinds, name) for name in kinds.__all__]
    records = [one for one in records if isinstance(one, type) and is_dataclass(one)]

    missing = {one.__name__: {field.name for field in fields(one)} - documented(one) - {"live"} for one in records}

    assert len(records) > 15
    assert {name: names for name, names in missing.items() if names} == {}


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
