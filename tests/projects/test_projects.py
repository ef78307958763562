from __future__ import annotations

import importlib
import tomllib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
from packaging.specifiers import SpecifierSet

from pytest_hfmodels.results.model import Results, decode
from tests.projects import later
from tests.projects.folders import FOLDERS, HERE, copy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pytest_hfmodels import ModelCache
    from tests.project import Project
    from tests.projects.fault import ProjectFault

RELEASE = version("transformers")


def faults(*, seen: bool) -> Iterator[Any]:
    for name, fault in (*_faults_of_the_projects(), *later.FAULTS):
        if bool(fault.test) == seen:
            yield pytest.param(name, fault, id=f"{name}-{fault.name}")


def _faults_of_the_projects() -> Iterator[tuple[str, ProjectFault]]:
    for name in FOLDERS:
        if (HERE / name / "faults.py").is_file():
            for fault in importlib.import_module(f"tests.projects.{name}.faults").FAULTS:
                yield name, fault


def expected(folder: Path) -> dict[str, Mapping[str, str]]:
    file = HERE / folder.name / "expected.toml"
    table = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    found: dict[str, Mapping[str, str]] = {}
    for releases, tests in table.items():
        if SpecifierSet(releases, prereleases=True).contains(RELEASE):
            found |= tests
    return found


@pytest.fixture
def run(bare_project: Project, models: ModelCache) -> Any:
    """Run a project's tests in a copy of its folder; return what came out by test."""
    del models

    def run(folder: Path, *arguments: str) -> dict[str, Mapping[str, str | None]]:
        copy(folder.name, bare_project.path)
        (bare_project.path / "tox.ini").unlink()  # pytester's; the project has one of its own
        bare_project.run("--hfmodels-json=results.json", *arguments)
        results = decode((bare_project.path / "results.json").read_bytes(), Results)
        return {test.id.rpartition("::")[2]: _came_out(test) for test in results.tests}

    return run


def _came_out(test: Any) -> Mapping[str, str | None]:
    differing = [one for one in test.comparisons if not one.equal]
    if differing:
        return {"verdict": str(differing[0].verdict), "cause": differing[0].cause}
    return {"outcome": test.outcome}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_project_passes_or_fails_for_the_known_reason(run: Any, name: str) -> None:
    known = expected(FOLDERS[name])

    found = run(FOLDERS[name])

    assert found
    wrong = {}
    for test, came_out in found.items():
        wanted = known.get(test.partition("[")[0], {"outcome": "passed"})
        if came_out != wanted and came_out.get("outcome") != "skipped":
            wrong[test] = came_out
    assert not wrong


@pytest.mark.parametrize(("name", "fault"), [*faults(seen=True)])
def test_a_project_sees_a_fault_and_names_its_stage(run: Any, name: str, fault: ProjectFault) -> None:
    _needs_release_of(fault)

    with fault.patch():
        found = run(FOLDERS[name], "-k", fault.test)

    came_out = [one for test, one in found.items() if test.partition("[")[0] == fault.test]
    assert came_out == [{"verdict": fault.verdict, "cause": fault.cause}]


@pytest.mark.parametrize(("name", "fault"), [*faults(seen=False)])
def test_a_project_misses_a_fault_that_is_listed_as_missed(run: Any, name: str, fault: ProjectFault) -> None:
    _needs_release_of(fault)

    with fault.patch():
        found = run(FOLDERS[name])

    assert found
    assert {test: one for test, one in found.items() if one.get("outcome") not in {"passed", "skipped"}} == {}


def _needs_release_of(fault: ProjectFault) -> None:
    if not SpecifierSet(fault.releases, prereleases=True).contains(RELEASE):
        pytest.skip(f"the fault patches the code of transformers{fault.releases}: install one of those")
