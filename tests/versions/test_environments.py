from __future__ import annotations

import errno
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.errors import VersionsError
from pytest_hfmodels.versions import environments
from pytest_hfmodels.versions.environments import (
    ChangedPackage,
    DiskFull,
    Environment,
    NoSuchRelease,
    UvMissing,
    is_kept,
    prepare,
    source_files,
)
from pytest_hfmodels.versions.rows import parse_rows

from . import wheels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import LibProject

OFFLINE = """
print("error: Request failed after 3 retries in 9.1s", file=sys.stderr)
print("  cause: Failed to fetch: http://me:secret@127.0.0.1/simple/lib/", file=sys.stderr)
print("  cause: dns error", file=sys.stderr)
sys.exit(2)
"""
BACKEND = """
import zipfile
from pathlib import Path

def build_wheel(folder, config=None, metadata=None):
    name, info = "lib-3.0-py3-none-any.whl", "lib-3.0.dist-info/"
    with zipfile.ZipFile(Path(folder, name), "w") as archive:
        archive.write("lib.py")
        archive.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: lib\\nVersion: 3.0\\n")
        archive.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(info + "RECORD", "")
    return name
"""
DISK_FULL = """
if arguments[0] == "venv":
    (Path(arguments[-1]) / "bin").mkdir(parents=True)
if arguments[:2] == ["pip", "sync"]:
    print("error: failed to write: No space left on device (os error 28)", file=sys.stderr)
    sys.exit(2)
"""


def built(project: LibProject, row: str, *, without: tuple[str, ...] = ()) -> Environment:
    return prepare(parse_rows([row], (), without)[0], project.installed)


def imports(environment: Environment, what: str) -> str:
    result = subprocess.run([environment.python, "-c", f"import lib; print({what})"], capture_output=True, text=True)
    return (result.stdout or result.stderr).strip()


@pytest.mark.usefixtures("own_cache")
def test_a_row_is_built_once_and_then_found_without_uv(lib_project: LibProject, fake_uv: Callable[[str], Path]) -> None:
    first = built(lib_project, "lib==2.0")
    calls = fake_uv("sys.exit(1)")
    second = built(lib_project, "lib==2.0")

    assert imports(first, "lib.VERSION") == "2.0"
    assert first.versions["lib"] == "2.0"
    assert first.fresh
    assert not second.fresh
    assert (second.python, second.versions) == (first.python, first.versions)
    assert is_kept(parse_rows(["lib==2.0"])[0], lib_project.installed)
    assert calls.read_text() == ""


def test_a_row_holds_to_current_versions_and_tells_what_moved_all_the_same(
    lib_project: LibProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    for version in ("1.0", "2.0"):
        wheels.write_wheel(folder, "helper", version, {})
        wheels.write_wheel(folder, "steady", version, {})
    wheels.write_wheel(folder, "gone", "1.0", {})
    wheels.write_wheel(folder, "app", "1.0", {}, "helper>=1", "steady>=1", "gone")
    wheels.write_wheel(folder, "app", "2.0", {}, "helper>=2", "steady>=1")
    monkeypatch.setenv("UV_FIND_LINKS", f"{lib_project.index},{folder}")
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


def test_what_a_row_goes_without_takes_along_what_only_that_needed(lib_project: LibProject) -> None:
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


def test_a_source_tree_is_built_again_when_a_file_of_it_changes(lib_project: LibProject, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "backend.py").write_text(BACKEND)
    (tree / "pyproject.toml").write_text(
        '[project]\nname = "lib"\nversion = "3.0"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (tree / "lib.py").write_text("VERSION = 'tree'\n")
    first = built(lib_project, str(tree))
    again = built(lib_project, str(tree))
    (tree / "lib.py").write_text("VERSION = 'changed tree'\n")
    changed = built(lib_project, str(tree))

    assert imports(first, "lib.VERSION") == "tree"
    assert again.python == first.python
    assert imports(changed, "lib.VERSION") == "changed tree"


def test_a_release_that_does_not_exist_is_said_with_where_to_find_others(lib_project: LibProject) -> None:
    with pytest.raises(NoSuchRelease) as caught:
        built(lib_project, "lib==9.9")

    assert caught.value.message.startswith("There is no such release: lib==9.9")
    assert "python -m pip index versions lib" in caught.value.message
    assert "--with" not in str(caught.value)


def test_what_else_cannot_be_resolved_is_said_in_uvs_words(lib_project: LibProject) -> None:
    with pytest.raises(VersionsError) as caught:
        built(lib_project, "lib>9")

    assert caught.value.message.startswith("uv cannot build lib>9: Because only")
    assert "--without" in caught.value.hint


NARROW = """
print("error: No solution found when resolving dependencies", file=sys.stderr)
print("  cause: Because lib was not found in the provided package", file=sys.stderr)
print("         locations and you require lib==1.0, we can conclude", file=sys.stderr)
print("         that your requirements are unsatisfiable.", file=sys.stderr)
print("", file=sys.stderr)
print("hint: Packages were unavailable because index lookups", file=sys.stderr)
print("      were disabled", file=sys.stderr)
sys.exit(1)
"""
NARROW_TREE = """
print("  × No solution found when resolving dependencies:", file=sys.stderr)
print("  ╰─▶ Because lib was not found in the provided package", file=sys.stderr)
print("      locations and you require lib==1.0, we can conclude", file=sys.stderr)
print("      that your requirements are unsatisfiable.", file=sys.stderr)
sys.exit(1)
"""


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("program", [NARROW, NARROW_TREE])
def test_uvs_words_are_one_sentence_however_narrow_it_writes(
    program: str, lib_project: LibProject, fake_uv: Callable[[str], Path]
) -> None:
    fake_uv(program)
    with pytest.raises(VersionsError) as caught:
        built(lib_project, "lib==1.0")

    assert caught.value.message.endswith(
        "Because lib was not found in the provided package locations and you require lib==1.0, "
        "we can conclude that your requirements are unsatisfiable."
    )


def test_files_below_linked_folders_count_and_a_link_back_does_not_lead_round(tmp_path: Path) -> None:
    project, shared = tmp_path / "project", tmp_path / "shared"
    project.mkdir()
    shared.mkdir()
    (shared / "data.txt").touch()
    (project / "linked").symlink_to(shared)
    (shared / "back").symlink_to(project)

    assert list(source_files(project)) == [project / "linked" / "data.txt"]


@pytest.mark.usefixtures("own_cache")
def test_without_uv_the_reader_is_told_what_to_type_and_kept_rows_still_run(
    lib_project: LibProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = built(lib_project, "lib==1.0")

    def none() -> str:
        raise FileNotFoundError

    monkeypatch.setattr("uv.find_uv_bin", none)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UvMissing, match=r"pip install 'pytest-hfmodels\[versions\]'"):
        built(lib_project, "lib==2.0")

    assert built(lib_project, "lib==1.0").python == kept.python
    assert not is_kept(parse_rows(["lib==2.0"])[0], lib_project.installed)


@pytest.mark.usefixtures("own_cache")
def test_without_a_network_kept_rows_run_and_others_say_so(
    lib_project: LibProject, fake_uv: Callable[[str], Path]
) -> None:
    built(lib_project, "lib==1.0")
    built(lib_project, "lib<2")
    fake_uv(OFFLINE)
    with pytest.raises(VersionsError) as caught:
        built(lib_project, "lib==2.0")

    assert "lib==2.0 is not in the cache, and the package index cannot be reached" in caught.value.message
    assert "secret" not in str(caught.value)
    assert built(lib_project, "lib==1.0").note == ""
    assert "resolved on an earlier day" in built(lib_project, "lib<2").note


def test_a_full_disk_leaves_nothing_that_looks_whole(
    lib_project: LibProject, fake_uv: Callable[[str], Path], own_cache: Path
) -> None:
    fake_uv(DISK_FULL)
    with pytest.raises(DiskFull) as caught:
        built(lib_project, "lib==1.0")

    assert "The disk is full" in caught.value.message
    assert "PYTEST_HFMODELS_CACHE" in caught.value.hint
    assert [path.name for path in (own_cache / "environments").iterdir() if path.is_dir()] == []
    assert not is_kept(parse_rows(["lib==1.0"])[0], lib_project.installed)


@pytest.mark.usefixtures("own_cache")
def test_a_disk_that_is_full_when_the_rest_is_written_is_one_too(
    lib_project: LibProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, _text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(environments, "write_atomically", full)
    with pytest.raises(DiskFull, match=r"cannot be kept in .*No space left"):
        built(lib_project, "lib==1.0")


def test_what_was_left_half_built_is_built_again(lib_project: LibProject, own_cache: Path) -> None:
    environment = built(lib_project, "lib==1.0")
    (own_cache / "environments" / environment.key / environments._MARKER).unlink()
    again = built(lib_project, "lib==1.0")

    assert again.fresh
    assert imports(again, "lib.VERSION") == "1.0"


def test_a_cache_that_cannot_be_written_is_named(lib_project: LibProject, own_cache: Path) -> None:
    own_cache.write_text("a file")

    with pytest.raises(VersionsError, match=r"cannot be kept in .*own-cache"):
        built(lib_project, "lib==1.0")


def test_the_current_environment_is_a_row_at_no_cost(lib_project: LibProject, fake_uv: Callable[[str], Path]) -> None:
    calls = fake_uv("sys.exit(1)")
    environment = built(lib_project, "current")

    assert environment.versions == lib_project.installed.versions
    assert environment.moved == ()
    assert calls.read_text() == ""
