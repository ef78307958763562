from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.foundation.errors import VersionsError
from pytest_hfmodels.versions.environments import ChangedPackage, Environment, EnvironmentsBlocked, prepare
from pytest_hfmodels.versions.rows import parse_rows
from pytest_hfmodels.versions.running import Processes

from . import wheels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import LibProject

OFFLINE = """
if "--offline" in arguments:
    uv()
print("error: Request failed after 3 retries in 9.1s", file=sys.stderr)
print("  cause: Failed to fetch: http://me:secret@127.0.0.1/simple/lib/", file=sys.stderr)
print("  cause: dns error", file=sys.stderr)
sys.exit(2)
"""
BACKEND = """
import zipfile
from pathlib import Path

def build_editable(folder, config=None, metadata=None):
    name, info = "lib-3.0-py3-none-any.whl", "lib-3.0.dist-info/"
    with zipfile.ZipFile(Path(folder, name), "w") as archive:
        archive.writestr("lib-tree.pth", str(Path.cwd()))
        archive.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: lib\\nVersion: 3.0\\n")
        archive.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(info + "RECORD", "")
    return name
"""
NARROW = """
Using Python 3.11
  × No solution found when resolving dependencies:
  ╰─▶ Because lib was not found in the provided package
      locations and you require lib==1.0, we can conclude
      that your requirements are unsatisfiable.

hint: Packages were unavailable because index lookups
      were disabled
"""


def built(project: LibProject, row: str, *, without: tuple[str, ...] = ()) -> Environment:
    parsed = parse_rows([row], (), without)[0]
    return prepare(parsed, project.installed, project.path.parent / "row", Processes())


def imported(environment: Environment) -> str:
    result = subprocess.run(
        [*environment.python, "-c", "import lib; print(lib.VERSION)"], capture_output=True, text=True
    )
    return (result.stdout or result.stderr).strip()


def test_a_row_has_what_it_asks_for_and_the_versions_say_so(lib_project: LibProject) -> None:
    environment = built(lib_project, "lib==2.0")

    assert imported(environment) == environment.versions["lib"] == "2.0"
    assert environment.versions["pytest"] == lib_project.installed.versions["pytest"]
    assert (environment.moved, environment.note) == ((), "")


def test_other_packages_keep_their_versions_and_what_moved_all_the_same_is_reported(
    lib_project: LibProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1.0", "2.0"):
        wheels.write_wheel(tmp_path, "helper", version, {})
        wheels.write_wheel(tmp_path, "steady", version, {})
    wheels.write_wheel(tmp_path, "gone", "1.0", {})
    wheels.write_wheel(tmp_path, "app", "1.0", {}, "helper>=1", "steady>=1", "gone")
    wheels.write_wheel(tmp_path, "app", "2.0", {}, "helper>=2", "steady>=1")
    monkeypatch.setenv("UV_FIND_LINKS", f"{lib_project.index},{tmp_path}")
    before = lib_project.installed
    lib_project.installed = replace(
        before,
        wanted={**before.wanted, "app": "app"},
        versions={**before.versions, "app": "1.0", "helper": "1.0", "steady": "1.0", "gone": "1.0"},
        requires={"app": frozenset({"helper", "steady", "gone"})},
    )

    assert set(built(lib_project, "app==2.0").moved) == {
        ChangedPackage("helper", "1.0", "2.0"),
        ChangedPackage("gone", "1.0", None),
    }
    assert built(lib_project, "app==1.0").moved == ()


def test_what_a_row_leaves_out_takes_along_what_only_that_needed(lib_project: LibProject) -> None:
    before = lib_project.installed
    lib_project.installed = replace(
        before,
        wanted={**before.wanted, "heavy": "heavy"},
        versions={**before.versions, "heavy": "1.0", "weight": "1.0"},
        requires={"heavy": frozenset({"weight"})},
    )
    environment = built(lib_project, "lib==1.0", without=("heavy",))

    assert environment.moved == ()
    assert "heavy" not in environment.versions


def test_a_source_tree_is_read_where_it_lies(lib_project: LibProject, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "backend.py").write_text(BACKEND)
    (tree / "pyproject.toml").write_text(
        '[project]\nname = "lib"\nversion = "3.0"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    for content in ("tree", "changed tree"):
        (tree / "lib.py").write_text(f"VERSION = {content!r}\n")

        assert imported(built(lib_project, str(tree))) == content


def test_a_wheel_that_was_built_again_is_installed_again(lib_project: LibProject, tmp_path: Path) -> None:
    for content in ("first", "second, which is longer"):
        wheel = wheels.write_wheel(tmp_path, "lib", "3.0", {"lib.py": f"VERSION = {content!r}\n"})

        assert imported(built(lib_project, str(wheel))) == content


def test_a_requirements_file_may_name_its_own_folder_of_wheels(lib_project: LibProject, tmp_path: Path) -> None:
    wheels.write_wheel(tmp_path, "lib", "7.0", {"lib.py": "VERSION = 'its own'\n"})
    (tmp_path / "row.txt").write_text("lib==7.0\n--find-links .\n")

    assert imported(built(lib_project, str(tmp_path / "row.txt"))) == "its own"


def test_a_release_that_does_not_exist_is_named_with_the_command_that_lists_others(lib_project: LibProject) -> None:
    with pytest.raises(VersionsError, match=r"There is no such release: lib==9\.9") as caught:
        built(lib_project, "lib==9.9")

    assert caught.value.hint == "python -m pip index versions lib"


@pytest.mark.parametrize(
    ("row", "output", "message"),
    [
        ("lib>9", None, "uv cannot build lib>9: No solution found when resolving dependencies: Because only"),
        (
            "lib==1.0",
            NARROW,
            "No solution found when resolving dependencies: Because lib was not found in the provided package "
            "locations and you require lib==1.0, we can conclude that your requirements are unsatisfiable.",
        ),
        (
            "lib==1.0",
            "error: no\n  cause: Failed to fetch: ftp://me:secret@host/x",
            "no: Failed to fetch: ftp://host/x",
        ),
        ("lib==1.0", "", "uv cannot build lib==1.0: uv ended with exit code 1"),
    ],
)
def test_uv_explains_in_one_line_what_else_is_wrong(
    row: str, output: str | None, message: str, lib_project: LibProject, fake_uv: Callable[[str], None]
) -> None:
    if output is not None:
        fake_uv(f"print({output!r}, file=sys.stderr)\nsys.exit(1)")
    with pytest.raises(VersionsError) as caught:
        built(lib_project, row)

    assert message in caught.value.message
    assert "\n" not in caught.value.message
    assert "--without" in caught.value.hint


COMPILING = """
if "compile" in arguments:
    file = arguments[arguments.index("--output-file") + 1]
    open(file, "w").write("lib==1.0\\n    # from https://example.org/torch/cpu\\nsix==1\\n    # from https://example.org/all")
else:
    sys.exit("error: asked with " + " ".join(arguments))
"""


@pytest.mark.parametrize("backend", ["cpu", ""])
def test_builds_of_torch_come_from_the_index_that_uv_resolved_them_with(
    backend: str, lib_project: LibProject, fake_uv: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_TORCH_BACKEND", backend)
    fake_uv(COMPILING)

    with pytest.raises(VersionsError) as caught:
        built(lib_project, "lib==1.0")

    options = "--index https://example.org/torch/cpu --index-strategy unsafe-best-match --with-requirements"
    assert (options in caught.value.message) is bool(backend)
    assert "example.org/all" not in caught.value.message


def test_a_row_may_ask_for_a_release_of_python(lib_project: LibProject) -> None:
    here = ".".join(map(str, sys.version_info[:2]))
    environment = built(lib_project, f"python=={here}")

    assert environment.versions["lib"] == "1.1"
    assert environment.python[environment.python.index("--python") + 1] == here
    with pytest.raises(VersionsError, match=r"python==three is not a release of Python"):
        built(lib_project, "python==three")


def test_without_a_network_what_uv_has_still_runs_and_says_so(
    lib_project: LibProject, fake_uv: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert built(lib_project, "lib==1.0").note == ""
    with monkeypatch.context() as patch:
        patch.setenv("UV_OFFLINE", "1")
        assert "from uv's cache" in built(lib_project, "lib==1.0").note
    fake_uv(OFFLINE)

    assert "from uv's cache" in built(lib_project, "lib==1.0").note
    with pytest.raises(EnvironmentsBlocked, match=r"lib==9\.0 is not in uv's cache, and the package index") as caught:
        built(lib_project, "lib==9.0")
    assert "secret" not in str(caught.value)


def test_a_full_disk_and_a_missing_uv_say_what_to_do(
    lib_project: LibProject, fake_uv: Callable[[str], None], request: pytest.FixtureRequest
) -> None:
    fake_uv("print('error: failed to write: No space left on device (os error 28)', file=sys.stderr)\nsys.exit(2)")
    with pytest.raises(EnvironmentsBlocked, match="The disk is full") as caught:
        built(lib_project, "lib==1.0")
    assert "UV_CACHE_DIR" in caught.value.hint

    request.getfixturevalue("monkeypatch").undo()
    request.getfixturevalue("no_uv")
    with pytest.raises(EnvironmentsBlocked, match=r"pip install 'pytest-hfmodels\[versions\]'"):
        built(lib_project, "lib==1.0")


@pytest.mark.usefixtures("no_uv")
def test_the_current_environment_needs_no_uv(lib_project: LibProject) -> None:
    environment = built(lib_project, "current")

    assert environment.versions == lib_project.installed.versions
    assert environment.moved == ()
