"""Wheels for an index that is a folder: `lib`, written by hand, and what rows need, packed from what is installed.

With it, rows are built without a network.
"""

from __future__ import annotations

import tomllib
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from pytest_hfmodels.versions.installed import read_installed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_HERE = read_installed()
_WANTED = {*(Requirement(line).name for line in _PROJECT["dependencies"]), "pytest-reportlog"} & _HERE.versions.keys()
NEEDED = tuple(sorted(_HERE.reached_from(_WANTED)))
_TAG = "py3-none-any"
_NOT_PACKED = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


def index(folder: Path) -> Path:
    """Fill a folder with the wheels of `lib` 1.0, 1.1 and 2.0, of this plugin, and of what both need."""
    folder.mkdir(parents=True)
    for name in NEEDED:
        pack(folder, name)
    # The plugin is read where it lies, as an editable one is; its entry point is the wheel's own.
    ours = distribution("pytest-hfmodels")
    points = "[pytest11]\nhfmodels = pytest_hfmodels.plugin\n"
    write_wheel(folder, "pytest_hfmodels", ours.version, {"here.pth": f"{ROOT}\n"}, *NEEDED, entry_points=points)
    for version in ("1.0", "1.1", "2.0"):
        write_wheel(folder, "lib", version, {"lib.py": f"VERSION = {version!r}\n"})
    return folder


def write_wheel(
    folder: Path, name: str, version: str, files: Mapping[str, str], *requires: str, entry_points: str = ""
) -> Path:
    """Write a wheel of a package that is pure Python.

    Args:
        folder: where to.
        name: of the distribution.
        version: of the release.
        files: the modules' sources by their path.
        requires: what it requires.
        entry_points: the content of the file of that name.
    """
    info = f"{name}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Requires-Dist: {line}" for line in requires]
    content = {**files, f"{info}/METADATA": "\n".join(metadata) + "\n"}
    if entry_points:
        content[f"{info}/entry_points.txt"] = entry_points
    tags = ["Wheel-Version: 1.0", "Generator: by hand", "Root-Is-Purelib: true", f"Tag: {_TAG}"]
    content[f"{info}/WHEEL"] = "\n".join(tags) + "\n"
    return _zip(folder, name, version, {path: text.encode() for path, text in content.items()})


def pack(folder: Path, name: str) -> Path:
    """Pack a wheel from what is installed here."""
    found = distribution(name)
    stem = next(file.parts[0] for file in found.files or () if file.name == "METADATA").removesuffix(".dist-info")
    return _zip(folder, stem.rpartition("-")[0], found.version, dict(_installed_files(name)))


def _installed_files(name: str) -> Iterator[tuple[str, bytes]]:
    for file in distribution(name).files or ():
        outside = file.parts[0] == ".." or "__pycache__" in file.parts
        if not outside and file.name not in _NOT_PACKED:
            yield file.as_posix(), Path(str(file.locate())).read_bytes()


def _zip(folder: Path, name: str, version: str, content: Mapping[str, bytes]) -> Path:
    wheel, record = folder / f"{name}-{version}-{_TAG}.whl", f"{name}-{version}.dist-info/RECORD"
    lines = "".join(f"{path},,\n" for path in (*content, record))
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, data in {**content, record: lines.encode()}.items():
            archive.writestr(path, data)
    return wheel
