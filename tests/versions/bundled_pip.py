"""A pip that is there without a network: the one that Python brings along."""

from __future__ import annotations

import ensurepip
import sys
from pathlib import Path

import pytest

from pytest_hfmodels.versions import index


def use_bundled_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let releases be listed by it, from where uv looks and from nowhere else; skip where Python came without."""
    found = sorted((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    if not found:
        pytest.skip("this Python was built without ensurepip: run the tests with one that has it")
    monkeypatch.setattr(index, "_pip", lambda: (sys.executable, f"{found[-1]}/pip"))
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
