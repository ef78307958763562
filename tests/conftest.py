"""Fixtures for the plugin's own tests: a tiny checkpoint, and projects that use it."""

from __future__ import annotations

import random
import shutil
import sys
import sysconfig
from importlib.metadata import PathDistribution
from typing import TYPE_CHECKING, Any

import pytest

from .project import Project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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


@pytest.fixture(scope="session", autouse=True)
def _distributions_read_once() -> Iterator[None]:
    """Each inner run reads the entry points of all distributions and the metadata of plugins, a fifth of its time."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("entry_points", "metadata"):
            patch.setattr(PathDistribution, name, property(_once(getattr(PathDistribution, name).fget)))
        yield


def _once(read: Callable[[PathDistribution], Any]) -> Callable[[PathDistribution], Any]:
    """Keep what a function returns for a distribution of this environment; tests may write others elsewhere."""
    environment, found = sysconfig.get_path("purelib"), {}

    def reading(distribution: PathDistribution) -> Any:
        path = str(distribution._path)
        if not path.startswith(environment):
            return read(distribution)
        if path not in found:
            found[path] = read(distribution)
        return found[path]

    return reading


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
