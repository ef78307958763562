"""Fixtures for the plugin's own tests: a tiny checkpoint, and projects that use it."""

from __future__ import annotations

import random
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from .project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

    from pytest_hfmodels import ModelCache


_OF_A_WORKER = ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID")


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder; tests that change files take a copy."""
    from .tiny_gpt2 import write_checkpoint

    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "model")


@pytest.fixture(scope="session")
def models(tiny_gpt2: Path) -> ModelCache:
    """A cache that both engines have been used in.

    transformers is imported once a process, so that it is imported with TensorFlow here, before any inner run;
    and what it imports late is imported now, because pytester drops modules that appear in its runs.
    """
    import hypothesis  # noqa: F401 - its plugin imports it in some runs

    from pytest_hfmodels.engines import usable
    from pytest_hfmodels.models import ModelCache

    cache = ModelCache(tiny_gpt2.parent, with_tensorflow="tensorflow" in usable())
    for engine in reversed(usable()):
        cache.load("./model", engine=engine).generate("Hi", max_new_tokens=1, num_beams=2)
        cache.load("./model", engine=engine, task="text-classification").classify("Hi", labels=[0])
    return cache


@pytest.fixture(scope="session")
def _imported() -> dict[str, ModuleType]:
    return {}


@pytest.fixture(autouse=True)
def _own_surroundings(monkeypatch: pytest.MonkeyPatch, _imported: dict[str, ModuleType]) -> Iterator[None]:
    """Each test starts where no CI runs; each leaves the modules that its inner runs imported, and the random state.

    Inner runs must not believe that they are workers of an outer xdist: syrupy prints no summary there.
    """
    for name in ("CI", *_OF_A_WORKER):
        monkeypatch.delenv(name, raising=False)
    state = random.getstate()
    yield
    random.setstate(state)
    sys.modules.update(_imported)


@pytest.fixture
def bare_project(pytester: pytest.Pytester, _imported: dict[str, ModuleType]) -> Project:
    """A project without a checkpoint: its tests must not load a model."""
    return Project(pytester, _imported)


@pytest.fixture
def project(bare_project: Project, tiny_gpt2: Path, models: ModelCache) -> Project:
    """A project with a checkpoint in `./model`."""
    del models
    shutil.copytree(tiny_gpt2, bare_project.path / "model")
    return bare_project


@pytest.fixture
def bundled(project: Project, tiny_gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project in whose runs the bundled `tiny-gpt2` is our tiny one, which runs faster than the trained one."""
    from dataclasses import asdict

    from pytest_hfmodels.checkpoints.digests import folder_digests

    shutil.copytree(tiny_gpt2, tmp_path / "bundled" / "tiny-gpt2")
    lines = [f'{part} = "{digest}"' for part, digest in asdict(folder_digests(tiny_gpt2)).items()]
    (tmp_path / "bundled" / "digests.toml").write_text("\n".join(["[tiny-gpt2]", *lines]))
    monkeypatch.setattr("pytest_hfmodels.checkpoints.bundled_files.BUNDLED", tmp_path / "bundled")
    return project
