from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest_hfmodels.reference


def test_the_reference_imports_only_numpy_and_the_projects_errors() -> None:
    folder = Path(pytest_hfmodels.reference.__file__).parent
    imported = set()
    for file in sorted(folder.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
    others = {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names}

    ours = {name for name in others if name.startswith("pytest_hfmodels.reference")}
    assert ours
    # The table of known changes computes nothing.
    table = {"msgspec", "packaging.specifiers", "packaging.version"}
    assert others - ours == {"numpy", "numpy.typing", "pytest_hfmodels.foundation.errors", *table}
