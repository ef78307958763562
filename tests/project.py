"""Somebody's project that uses the plugin, in a temporary folder, run in this process or in one of its own."""

from __future__ import annotations

import shutil
import sys
import tomllib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import syrupy

from pytest_hfmodels.engines import upstream

from .tiny_gpt2 import Weights, tiny_weights, write_weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    import pytest

GENERATING = """
import pytest

@pytest.mark.hf_model("./model")
def test_reply(hf_model, hf_snapshot):
    assert hf_model.generate("Hi", max_new_tokens=4) == hf_snapshot
"""


class Project:
    """A folder with tests, an ini file that is not ours, and perhaps a checkpoint in `./model`."""

    def __init__(self, pytester: pytest.Pytester, imported: dict[str, ModuleType]) -> None:
        self._pytester = pytester
        self._imported = imported
        self.path = pytester.path
        self.ini()

    def ini(self, *lines: str) -> None:
        self._pytester.makeini("\n".join(["[pytest]", *lines]))

    def write(self, source: str, name: str = "test_it.py") -> Path:
        """Write a file, most often the tests."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")
        return file

    def run(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in this process, as a person's process would: no caches, no filters and no options of ours."""
        before, writes = syrupy._syrupy, sys.dont_write_bytecode
        sys.modules.update(self._imported)
        sys.dont_write_bytecode = True  # a test file that is written twice in a second must be read twice
        try:
            with warnings.catch_warnings():
                warnings.resetwarnings()
                plugins = [_Imports(self._imported, self.path)]
                return self._pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments, plugins=plugins)
        finally:
            syrupy._syrupy, sys.dont_write_bytecode = before, writes

    def run_alone(self, *arguments: str, environment: Mapping[str, str] | None = None) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        with upstream.environment(environment or {}):
            return self._pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)

    def run_python(self, *arguments: str) -> pytest.RunResult:
        """Run this interpreter in a process of its own."""
        return self._pytester.run(sys.executable, *arguments)

    @property
    def snapshots(self) -> dict[str, str]:
        """The snapshot files by their path under `snapshots/`."""
        root = self.path / "snapshots"
        return {
            str(path.relative_to(root)): path.read_text(encoding="utf-8")
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }

    def snapshot(self, name: str = "test_it/test_reply.toml") -> Path:
        return self.path / "snapshots" / name

    def recorded(self, name: str = "test_it/test_reply.toml") -> dict[str, Any]:
        """A snapshot as plain data."""
        return tomllib.loads(self.snapshot(name).read_text(encoding="utf-8"))

    def copy_model(self, name: str) -> None:
        shutil.copytree(self.path / "model", self.path / name)

    def change_model(self, *, amount: float = 1.0, tensor: str = "transformer.ln_f.bias") -> None:
        """Write other weights into `./model`: `amount` is added to a tensor, in alternating directions."""
        import numpy as np

        weights: Weights = tiny_weights()
        signs = np.where(np.arange(weights[tensor].size) % 2, 1, -1).reshape(weights[tensor].shape)
        weights[tensor] = (weights[tensor] + amount * signs).astype(np.float32)
        write_weights(self.path / "model", weights)


class _Imports:
    """Keep what an inner run imported: pytester would drop it, and torch cannot be imported twice in a process."""

    def __init__(self, imported: dict[str, ModuleType], path: Path) -> None:
        self._imported = imported
        self._path = str(path)

    def pytest_unconfigure(self) -> None:
        for name, module in list(sys.modules.items()):
            if self._imported.get(name) is module:  # thousands of them, at every run
                continue
            file = getattr(module, "__file__", None)
            if file and Path(file).is_absolute() and not file.startswith(self._path) and name != "conftest":
                self._imported[name] = module
