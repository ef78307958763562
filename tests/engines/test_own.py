"""An architecture and an engine that a project registers, and what a registry refuses."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.engines.availability import ENGINES
from pytest_hfmodels.foundation.architecture import ARCHITECTURES, Architecture, register_architecture
from pytest_hfmodels.foundation.errors import HFModelsError
from pytest_hfmodels.foundation.registry import Registry

from ..other_checkpoints import edit_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..project import Project

CONFTEST = """
from pytest_hfmodels import Architecture, Engine, register_architecture, register_engine

def find(name, implementation):
    import toy

    return getattr(toy, name)

register_architecture(
    Architecture(model_type="toy", classes={"text-generation": "ToyLMHeadModel"}, config="ToyConfig", find=find)
)
register_engine(
    Engine(name="toyrt", module="toyrt_engine", package="torch", models=frozenset(), install="Install it.")
)
"""
TOY = """
from transformers import GPT2Config, GPT2LMHeadModel

class ToyConfig(GPT2Config):
    model_type = "toy"

class ToyLMHeadModel(GPT2LMHeadModel):
    config_class = ToyConfig
"""
ENGINE = """
from pytest_hfmodels.engines import torch

class ToyModel(torch.TorchModel):
    engine = "toyrt"

def load(folder, task, options):
    return ToyModel(torch.load(folder, task, options).model)

def adopt(model):
    return ToyModel(model)
"""


@pytest.fixture
def toys(project: Project) -> Iterator[Project]:
    for name, source in {"conftest.py": CONFTEST, "toy.py": TOY, "toyrt_engine.py": ENGINE}.items():
        project.write(source, name)
    edit_json(project.path / "model" / "config.json", model_type="toy", architectures=["ToyLMHeadModel"])
    yield project
    for registry, name in ((ARCHITECTURES, "toy"), (ENGINES, "toyrt")):
        registry._values.pop(name, None)
        registry._sources.pop(name, None)
    for module in ("toy", "toyrt_engine"):
        sys.modules.pop(module, None)


def test_a_projects_own_architecture_runs_on_its_own_engine(toys: Project) -> None:
    toys.write("""
import pytest

@pytest.mark.hf_model("./model", engines=["torch", "toyrt"])
def test_a(hf_model, hf_snapshot):
    assert type(hf_model.model).__name__ == "ToyLMHeadModel"
    assert hf_model.loaded.implementation == "toy"
    assert hf_model.generate("Hi", max_new_tokens=3) == hf_snapshot
""")

    toys.run("--snapshot-update").assert_outcomes(passed=2)
    assert toys.recorded("test_it/test_a.toml")["provenance"]["recorded_with"]["engine"] == "torch"
    toys.run().assert_outcomes(passed=2)
    toys.run("--hfmodels-engines=toyrt").assert_outcomes(passed=1)


def test_a_snapshot_of_an_own_engine_is_read_again(toys: Project) -> None:
    toys.write("""
import pytest

@pytest.mark.hf_model("./model", engines=["toyrt"])
def test_a(hf_model, hf_snapshot):
    assert hf_model.generate("Hi", max_new_tokens=3) == hf_snapshot
""")

    toys.run("--snapshot-update").assert_outcomes(passed=1)
    toys.run().assert_outcomes(passed=1)


def test_a_name_is_registered_once() -> None:
    def find(name: str, _: str) -> object:
        return name

    with pytest.raises(ValueError, match="another architecture named 'transfo-xl', of this plugin"):
        register_architecture(Architecture("transfo-xl", {}, find, "Config"))


def test_entry_points_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"one": "things:ONE", "other": "things:ONE", "twice": "things:OTHER"}.items():
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[things]\nthing = {value}\n{name} = {value}\nlost = nowhere:X\n")
    (tmp_path / "things.py").write_text("ONE, OTHER = 1, 2")
    monkeypatch.syspath_prepend(tmp_path)
    found: Registry[int] = Registry("things", "thing", {"own": "math:pi"})

    assert found.names() == ("own", "lost", "one", "other", "thing", "twice")
    assert found.get("one") == 1
    assert found.get("nothing") is None
    with pytest.raises(HFModelsError, match="Several packages register a thing named 'thing': things:O"):
        found.get("thing")
    with pytest.raises(HFModelsError, match="The thing 'lost' cannot be imported from nowhere:X"):
        found.get("lost")
