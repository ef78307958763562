"""The wheel and the sdist: what is in them, and that the wheel works in an empty environment."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
# Tracked, and of use in a checkout only.
IN_A_CHECKOUT = (".ci/", ".github/", ".gitignore")
# Tests of the sdist that need no engine, and what they import: ledger, paths, rows, reports.
WITHOUT_ENGINE = (
    *("tests/snapshots/test_ledger.py", "tests/snapshots/test_location.py", "tests/versions/test_rows.py"),
    *("tests/reports/test_terminal.py", "tests/reports/test_markdown.py"),
)
OF_THE_TESTS = ("numpy", "hypothesis")


def run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command, and show its output if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def find_python(version: str) -> str | None:
    """An interpreter of this version on the path, or among those of pyenv, that starts."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions").glob(f"{version}.*/bin/python")
    for python in (shutil.which(f"python{version}"), *map(str, sorted(pyenv))):
        if python is not None and subprocess.run((python, "-c", ""), capture_output=True, check=False).returncode == 0:
            return python
    return None


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    pytest.importorskip("build", reason="install build, which is in the extra tests")
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    return folder


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="run it in a git checkout: only git knows what is tracked")
def test_the_sdist_has_every_tracked_file(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = {name for name in run("git", "ls-files", cwd=ROOT).stdout.splitlines() if (ROOT / name).is_file()}

    assert {name for name in tracked if not name.startswith(IN_A_CHECKOUT)} - names == set()


def test_the_wheel_has_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"pytest_hfmodels"}
    assert {"pytest_hfmodels/py.typed", "pytest_hfmodels/checkpoints/bundled/tiny-gpt2/model.safetensors"} <= {*names}


def test_version_and_date_are_the_same_wherever_they_are_written() -> None:
    project, changes, citation = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "CHANGELOG.md", "CITATION.cff")
    )
    newest = re.findall(r"^## \[(\d.*)\] - (.*)$", changes, re.MULTILINE)[0]

    assert newest[0] == tomllib.loads(project)["project"]["version"]
    assert newest == tuple(re.findall(r"^(?:version|date-released): (.*)$", citation, re.MULTILINE))


def test_the_metadata_and_the_readme_render(built: Path) -> None:
    pytest.importorskip("twine", reason="install twine, which is in the extra tests")

    run(sys.executable, "-m", "twine", "check", "--strict", *map(str, built.iterdir()))


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_wheel_and_sdist_work_in_an_empty_environment_of_each_python(built: Path, tmp_path: Path, version: str) -> None:
    interpreter = find_python(version)
    if interpreter is None:
        pytest.skip(f"install Python {version}")
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    uv, python = (sys.executable, "-m", "uv"), str(tmp_path / "environment" / "bin" / "python")
    run(*uv, "venv", "--python", interpreter, str(tmp_path / "environment"))
    run(*uv, "pip", "install", "--python", python, str(wheel), *OF_THE_TESTS)
    (tmp_path / "test_it.py").write_text("def test_it(gpt2, hf_snapshot): pass\n", encoding="utf-8")
    shutil.unpack_archive(sdist, tmp_path, filter="data")
    (unpacked,) = tmp_path.glob("pytest_hfmodels-*")
    shutil.rmtree(unpacked / "pytest_hfmodels")  # so that its tests check the wheel

    said = run(python, "-m", "pytest_hfmodels", "--version", cwd=tmp_path).stdout
    tests = run(python, "-m", "pytest", "-rs", "-p", "no:cacheprovider", "test_it.py", cwd=tmp_path).stdout
    own = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *WITHOUT_ENGINE, cwd=unpacked).stdout

    assert said.split()[1] in wheel.name
    assert re.search(r"SKIPPED .*torch", tests)
    assert "1 skipped" in tests
    assert re.search(r"^\d{3,} passed", own, re.MULTILINE)


@pytest.fixture
def absolute() -> Callable[[str, str], str]:
    """The function of the build that makes links absolute."""
    pytest.importorskip("hatchling", reason="install hatchling, which builds the package")
    found: Callable[[str, str], str] = runpy.run_path(str(ROOT / "hatch_build.py"))["absolute"]
    return found


def test_with_the_repositorys_address_every_link_of_the_readme_is_absolute(absolute: Callable[[str, str], str]) -> None:
    text = absolute((ROOT / "README.md").read_text(encoding="utf-8"), "https://host.example/project")

    assert re.findall(r"\]\((?!https://host\.example/project/(?:blob|raw)/HEAD/)", text) == []
    assert "(https://host.example/project/raw/HEAD/docs/images/report.png)" in text
