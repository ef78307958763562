"""One environment a row: resolved and installed with uv, kept in the user's cache, made once."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from pytest_hfmodels.checkpoints.conversion import CACHE_VARIABLE, cache_folder
from pytest_hfmodels.errors import VersionsError
from pytest_hfmodels.files import write_atomically
from pytest_hfmodels.shell import command
from pytest_hfmodels.versions.index_config import environment_for_uv
from pytest_hfmodels.versions.installed import INSTALL_HINT
from pytest_hfmodels.versions.processes import Processes
from pytest_hfmodels.versions.rows import requirement_name, requirement_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_hfmodels.versions.installed import Installed
    from pytest_hfmodels.versions.rows import Row

REPORT_LOG = "pytest-reportlog>=0.4"
_LAYOUT = "environment 1"  # raise it when the same resolution has to be installed differently
_MARKER = "hfmodels.json"  # written last: an environment without it is not whole
_BUILD_FILES = ("pyproject.toml", "setup.py", "setup.cfg")
_SHOWN = 600  # characters of an installer's complaint
_NETWORK = re.compile(
    r"network was disabled|network connectivity is disabled|dns error|failed to lookup address|tcp connect error|"
    r"connection (refused|reset|timed out)|operation timed out|network is unreachable|error sending request",
    re.IGNORECASE,
)
_LABEL = re.compile(r"^(error|cause|caused by): ", re.IGNORECASE)
_ADVICE = re.compile(r"hint: |Resolved |Prepared |Using |Creating |Installed |Building |Built |[+-] ")
_NO_SPACE = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)


class UvMissing(VersionsError):
    """There is no uv to build an environment with."""


class NoSuchRelease(VersionsError):
    """The requested release does not exist."""


class Unreachable(VersionsError):
    """The index cannot be reached, and the cache does not do."""


class DiskFull(VersionsError):
    """There is no room to build an environment in."""


@dataclass(frozen=True)
class ChangedPackage:
    """A distribution whose version in a row is another one although the row does not speak of it.

    Args:
        name: its canonical name.
        before: the version in the current environment.
        after: the version in the row; None where the row has none.
    """

    name: str
    before: str
    after: str | None


@dataclass(frozen=True)
class Environment:
    """An interpreter that runs a row's tests.

    Args:
        row: what it was made for.
        python: the interpreter.
        versions: the version of every distribution in it, by canonical name.
        moved: what else is different in it.
        key: names what is installed; two rows with one key share an environment.
        seconds: what it cost to get it.
        fresh: whether it was built, not found.
        note: what the reader should know of how it came about, or nothing.
    """

    row: Row
    python: Path
    versions: Mapping[str, str]
    moved: tuple[ChangedPackage, ...] = ()
    key: str = ""
    seconds: float = 0.0
    fresh: bool = False
    note: str = ""


def prepare(row: Row, installed: Installed, processes: Processes | None = None) -> Environment:
    """Return a row's environment, built if need be.

    What a row does not speak of comes from `installed`: its distributions are wanted, and its versions are taken
    wherever they fit. A row that names exact releases is resolved once; others are resolved every time, because
    what they mean can change. A row whose environment is kept calls no installer.

    Args:
        row: what to get.
        installed: what to hold to, most often `read_installed()`; and what `moved` is told from.
        processes: runs the installer, so that it can be stopped from another thread.

    Raises:
        UvMissing: something must be resolved or built, and there is no uv.
        VersionsError: uv cannot resolve or build it; the message ends in uv's own words.
        Stopped: `processes` was stopped.
    """
    begin = time.monotonic()
    if row.current:
        return Environment(row, Path(sys.executable), installed.versions, key=_digest(json.dumps(_sorted(installed))))
    processes = processes or Processes()
    try:
        resolution, note = _resolution(row, installed, processes)
        folder, fresh = _environment(row, resolution, processes)
        versions = _read_marker(folder)
    except OSError as error:
        kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else VersionsError
        raise kind(
            f"The environment of {row.name} cannot be kept in {_folder()}: {error}.",
            hint=f"Make room there, or set {CACHE_VARIABLE} to a folder that can be written to.",
        ) from error
    if versions is None:
        raise VersionsError(f"{folder} was removed while it was in use.", hint="Run the command again.")
    moved = tuple(_moved(row, installed, versions))
    seconds = time.monotonic() - begin
    return Environment(row, _python(folder), versions, moved, folder.name, seconds, fresh, note)


def is_kept(row: Row, installed: Installed) -> bool:
    """Tell whether a row can be had without an installer."""
    if row.current:
        return True
    kept = _kept_resolution(row, installed)
    return row.exact and kept is not None and _read_marker(_folder() / "environments" / _key(kept)) is not None


def find_uv() -> str:
    """Return the uv to call: the one installed beside us, else the one on PATH.

    Raises:
        UvMissing: there is neither.
    """
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise UvMissing("Environments are built with uv, and there is none.", hint=INSTALL_HINT)
    return found


def _folder() -> Path:
    try:
        return cache_folder()
    except ImportError as error:
        raise VersionsError(f"Environments cannot be kept: {error}.", hint=INSTALL_HINT) from error


# -- what to install -------------------------------------------------------------------------------------------------


def _wishes(row: Row, installed: Installed) -> list[str]:
    """Return the lines to resolve: what the row asks for, and what the current environment has besides."""
    spoken_of = row.asked | {*row.without}
    kept = [line for name, line in installed.wanted.items() if name not in spoken_of]
    return [*row.requirements, *kept, REPORT_LOG]


def _kept_resolution(row: Row, installed: Installed) -> str | None:
    try:
        return _resolution_file(row, installed).read_text(encoding="utf-8")
    except OSError:
        return None


def _resolution_file(row: Row, installed: Installed) -> Path:
    """Return where the answer is kept; its name stands for everything that the answer depends on, but time."""
    wishes = _wishes(row, installed)
    configured = {name: value for name, value in os.environ.items() if _is_source(name)}
    question = [_LAYOUT, wishes, _sorted(installed), _interpreter(), sorted(configured.items())]
    constraints = [path.read_text(encoding="utf-8") for line in wishes if (path := _constraints(line)) is not None]
    builds = [_fingerprint(path, build_only=True) for line in wishes if (path := requirement_path(line))]
    return _folder() / "resolutions" / f"{_digest(json.dumps([question, constraints, builds]))}.txt"


def _is_source(variable: str) -> bool:
    return variable.startswith(("UV_", "PIP_")) and variable not in ("UV_OFFLINE", "UV_CACHE_DIR")


def _constraints(line: str) -> Path | None:
    return Path(line[3:]) if line.startswith("-c ") and "://" not in line else None


def _resolution(row: Row, installed: Installed, processes: Processes) -> tuple[str, str]:
    """Return exact requirements for everything in the row, and a note where they may be out of date."""
    kept = _kept_resolution(row, installed)
    if kept is not None and row.exact:
        return kept, ""
    try:
        resolved = _resolve(row, installed, processes)
    except Unreachable:
        if kept is None:
            raise
        return kept, "resolved on an earlier day, because the index cannot be reached now"
    write_atomically(_resolution_file(row, installed), resolved)
    return resolved, ""


def _resolve(row: Row, installed: Installed, processes: Processes) -> str:
    with tempfile.TemporaryDirectory(prefix="hfmodels-") as name:
        wishes, answer = Path(name) / "requirements.in", Path(name) / "requirements.txt"
        wishes.write_text("\n".join(_wishes(row, installed)) + "\n", encoding="utf-8")
        # uv keeps to the versions that its output file already names, wherever they fit.
        answer.write_text("".join(f"{package}=={held}\n" for package, held in _held(row, installed)), encoding="utf-8")
        options = ["--python", sys.executable, "--no-header", "--no-annotate"]
        _uv(row, processes, Path(name), "pip", "compile", str(wishes), "--output-file", str(answer), *options)
        return answer.read_text(encoding="utf-8")


def _held(row: Row, installed: Installed) -> Iterator[tuple[str, str]]:
    for name, version in installed.versions.items():
        line = installed.wanted.get(name, name)
        if name not in row.asked and requirement_path(line) is None and "@" not in line:
            yield name, version


# -- the environment -------------------------------------------------------------------------------------------------


def _environment(row: Row, resolution: str, processes: Processes) -> tuple[Path, bool]:
    """Return a whole environment's folder, and whether it was built now."""
    from filelock import FileLock

    folder = _folder() / "environments" / _key(resolution)
    if _read_marker(folder) is not None:
        return folder, False
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if _read_marker(folder) is not None:  # another process built it while this one waited
            return folder, False
        shutil.rmtree(folder, ignore_errors=True)
        try:
            _build(row, folder, resolution, processes)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return folder, True


def _build(row: Row, folder: Path, resolution: str, processes: Processes) -> None:
    with tempfile.TemporaryDirectory(prefix="hfmodels-") as name:
        pins = Path(name) / "requirements.txt"
        pins.write_text(resolution, encoding="utf-8")
        _uv(row, processes, Path(name), "venv", "--no-project", "--python", sys.executable, str(folder))
        python = _python(folder)
        # uv keeps what it built from a tree until the tree's build files change; its sources change more often.
        anew = [
            option
            for line in resolution.splitlines()
            if not line.startswith("-") and (path := requirement_path(line)) is not None and path.is_dir()
            for option in ("--reinstall-package", str(requirement_name(line)))
        ]
        _uv(row, processes, Path(name), "pip", "sync", "--python", str(python), *anew, str(pins))
    versions = dict(_installed_in(python))
    write_atomically(folder / _MARKER, json.dumps({"versions": versions, "resolution": resolution}, indent=1))


def _installed_in(python: Path) -> Iterator[tuple[str, str]]:
    from importlib.metadata import distributions

    folders = [str(path) for path in python.parent.parent.glob("lib/python*/site-packages")]
    for distribution in distributions(path=folders):
        yield canonicalize_name(distribution.metadata["Name"]), distribution.version


def _read_marker(folder: Path) -> dict[str, str] | None:
    """Return what is installed in an environment; None where it is not whole."""
    try:
        content = json.loads((folder / _MARKER).read_text(encoding="utf-8"))
        versions = content["versions"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return versions if isinstance(versions, dict) and _python(folder).exists() else None


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _key(resolution: str) -> str:
    """Name an environment by all that it is made of."""
    trees = [
        _fingerprint(path, build_only=line.startswith("-e "))  # an editable tree is read where it lies
        for line in resolution.splitlines()
        if (path := _path_in(line)) is not None
    ]
    return _digest(json.dumps([_LAYOUT, resolution, _interpreter(), trees]))


def _path_in(line: str) -> Path | None:
    return requirement_path(line) if line.startswith("-e ") or " @ " in line else None


def _fingerprint(path: Path, *, build_only: bool = False) -> list[object]:
    """Return what changes when a tree, or its build files alone, would install differently."""
    files: Iterable[Path]
    if path.is_dir() and not build_only:
        files = source_files(path)
    else:
        files = (path / name for name in _BUILD_FILES) if path.is_dir() else (path,)
    return [str(path), *([str(file), *file_stamp(file)] for file in files)]


def source_files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in a stable order, without hidden ones, caches, builds and environments."""
    seen: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        if not _is_first(Path(parent), seen):  # a link leads back to it
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not _is_made(Path(parent, name)))
        yield from (Path(parent, name) for name in sorted(files) if not name.startswith("."))


def file_stamp(file: Path) -> tuple[int, int]:
    """Return when a file was written, in nanoseconds, and its size; zeros where it is not there."""
    with suppress(OSError):
        stat = file.stat()
        return stat.st_mtime_ns, stat.st_size
    return 0, 0


def _is_first(folder: Path, seen: set[tuple[int, int]]) -> bool:
    try:
        stat = folder.stat()
    except OSError:
        return False
    known = (stat.st_dev, stat.st_ino) in seen
    seen.add((stat.st_dev, stat.st_ino))
    return not known


def _is_made(folder: Path) -> bool:
    name = folder.name
    return name.startswith(".") or name.endswith(".egg-info") or name == "__pycache__" or _is_environment(folder)


def _is_environment(folder: Path) -> bool:
    return (folder / "pyvenv.cfg").exists()


def _moved(row: Row, installed: Installed, versions: Mapping[str, str]) -> Iterator[ChangedPackage]:
    spoken_of = row.asked | {*row.without}
    # What only a distribution needed that the row goes without was to go too.
    kept = installed.reached_from({*installed.wanted, *row.asked} - {*row.without})
    for name, before in installed.versions.items():
        after = versions.get(name)
        if name not in spoken_of and after != before and (after is not None or name in kept):
            yield ChangedPackage(name, before, after)


# -- uv --------------------------------------------------------------------------------------------------------------


def _uv(row: Row, processes: Processes, folder: Path, *arguments: str) -> None:
    """Call uv, its words kept in a folder of ours.

    Raises:
        VersionsError: it failed, with its last words.
    """
    output = folder / "uv.txt"
    environment = {**environment_for_uv(), "NO_COLOR": "1", "UV_NO_PROGRESS": "1", "COLUMNS": "1000"}
    finished = processes.run([find_uv(), *arguments], output=output, environment=environment)
    if finished.code:
        raise _complaint(row, output.read_text(encoding="utf-8", errors="replace"), finished.code)


def _complaint(row: Row, text: str, code: int) -> VersionsError:
    words = _words(text) or f"uv ended with exit code {code}"
    if _NO_SPACE.search(text):
        return DiskFull(
            f"The disk is full: {row.name} cannot be built in {_folder()}.",
            hint=f"Make room there, or set {CACHE_VARIABLE} (and UV_CACHE_DIR) to a folder on another disk.",
        )
    if _NETWORK.search(text):
        return Unreachable(
            f"{row.name} is not in the cache, and the package index cannot be reached ({words})",
            hint="Run it again with the network, or leave the row out.",
        )
    if release := _absent_release(row, words):
        package = release.partition("==")[0].partition("[")[0]
        asking = command("python", "-m", "pip", "index", "versions", package)
        return NoSuchRelease(f"There is no such release: {release} ({asking} lists those there are).", hint=asking)
    return VersionsError(
        f"uv cannot build {row.name}: {words}",
        hint="Ask for other versions (--with), or do without what stands in the way (--without NAME).",
    )


def _absent_release(row: Row, words: str) -> str | None:
    """Return the release that the row itself asks for, and that does not exist; None where it is something else."""
    found = re.search(r"there is no version of (\S+==[^\s,]+)", words)
    return found[1] if found and requirement_name(found[1]) in row.asked and found[1] in _plain_pins(row) else None


def _plain_pins(row: Row) -> set[str]:
    return {line.partition(";")[0].replace(" ", "") for line in row.requirements}


def _words(text: str) -> str:
    """Return an installer's complaint in one line, without its decoration, addresses' passwords and advice."""
    clauses: list[str] = []
    follows = passed_over = printed = False  # of the lines before: what a line goes on with
    for raw in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines():
        line = re.sub(r"^[\s╰├│─▶×]+", "", raw)
        bare = _LABEL.sub("", line)
        if not line:
            follows = False
        elif _ADVICE.match(bare):
            follows, passed_over = True, True
        elif follows and bare == line and raw[0] in " │" and not re.match(r"\s*[╰├×]", raw):
            if not passed_over:  # uv breaks its lines where the terminal ends
                clauses[-1] = f"{clauses[-1]}{': ' if printed else ' '}{line}"
        else:
            printed = (printed and bare == line) or line in ("[stderr]", "[stdout]")
            follows, passed_over = True, bare == "No solution found when resolving dependencies"
            if not passed_over:
                clauses.append(bare)
    words = re.sub(r"(\w+://)[^/\s@]+@", r"\1", ": ".join(clauses))
    return words if len(words) <= _SHOWN else f"…{words[-_SHOWN:]}"


def _interpreter() -> list[str]:
    return [sys.version, sys.platform, sys.base_prefix]


def _sorted(installed: Installed) -> Sequence[object]:
    return [sorted(installed.wanted.items()), sorted(installed.versions.items())]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
