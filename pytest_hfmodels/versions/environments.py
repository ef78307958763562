"""A row's environment: uv resolves it, installs it into its own cache, and runs programs in it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from pytest_hfmodels.foundation.errors import VersionsError
from pytest_hfmodels.versions import distributions
from pytest_hfmodels.versions.installed import INSTALL_HINT
from pytest_hfmodels.versions.package_index import NO_NETWORK, list_command, uv_environment
from pytest_hfmodels.versions.rows import requirement_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pytest_hfmodels.versions.installed import Installed
    from pytest_hfmodels.versions.rows import Row
    from pytest_hfmodels.versions.running import Processes

_SHOWN = 600  # characters of an error of uv
_NO_SPACE = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_SOURCE = re.compile(r"--(find-links|(extra-)?index-url|no-index)\b")


class EnvironmentsBlocked(VersionsError):
    """No environment can be built now, for any row: uv, the network or room on the disk is missing."""


@dataclass(frozen=True)
class ChangedPackage:
    """A package that changed version without being requested."""

    name: str  # canonical
    before: str  # the version in the current environment
    after: str | None  # None if the row does not have it


@dataclass(frozen=True)
class Environment:
    """The environment of a row."""

    python: tuple[str, ...]  # the command that starts its interpreter
    versions: Mapping[str, str]  # of every distribution in it, by canonical name
    moved: tuple[ChangedPackage, ...] = ()
    note: str = ""  # what the reader should know about how it was resolved
    digest: str = ""  # of the interpreter and everything that is installed; empty if unknown


def prepare(
    row: Row, installed: Installed, folder: Path, processes: Processes, *, offline: bool = False
) -> Environment:
    """Return a row's environment.

    Packages that the row does not name come from `installed`, at the same versions if possible. uv keeps every
    environment in its cache; its input and output for this row are in `folder`. `offline` resolves the row from uv's
    cache, as UV_OFFLINE does.

    Raises:
        EnvironmentsBlocked: uv, the network or room on the disk is missing.
        VersionsError: uv cannot resolve or build the row; the message ends with uv's own words.
        Stopped: another thread stopped `processes`.
    """
    if row.current:
        return Environment((sys.executable,), installed.versions, digest=str(distributions.listing()["digest"]))
    folder.mkdir(parents=True, exist_ok=True)
    uv = _Uv(row, folder, processes)
    note = uv.resolve(installed, offline=offline or bool(os.environ.get("UV_OFFLINE")))
    versions, digest = uv.install()
    return Environment(uv.python("--offline"), versions, tuple(_moved(row, installed, versions)), note, digest)


def conflict(row: Row, installed: Installed, folder: Path, processes: Processes) -> str | None:
    """Return why no environment can be resolved for a row, in uv's words; None if one can. It builds none.

    Raises:
        EnvironmentsBlocked: as for `prepare`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _Uv(row, folder, processes).resolve(installed, offline=bool(os.environ.get("UV_OFFLINE")))
    except EnvironmentsBlocked:
        raise
    except VersionsError as error:
        return error.message
    return None


def find_uv() -> str:
    """Return the path of uv, which is installed beside us or on PATH, or raise EnvironmentsBlocked."""
    with suppress(ImportError, FileNotFoundError):
        from uv import find_uv_bin

        return str(find_uv_bin())
    if found := shutil.which("uv"):
        return found
    raise EnvironmentsBlocked("Environments are built with uv, and uv is not installed.", hint=INSTALL_HINT)


@dataclass(frozen=True)
class _Uv:
    """Calls uv for one row."""

    row: Row
    folder: Path
    processes: Processes

    @property
    def interpreter(self) -> str:
        """The Python of the row: its release, or the running one."""
        return self.row.python or sys.executable

    @property
    def requirements(self) -> Path:
        """The file with exact requirements for everything in the row."""
        return self.folder / "requirements.txt"

    def resolve(self, installed: Installed, *, offline: bool) -> str:
        """Write `requirements`; return what the reader should know about them."""
        blocked: VersionsError | None = None
        if not offline:
            try:
                self._compile(installed)
            except EnvironmentsBlocked as error:
                blocked = error
            else:
                return ""
        try:
            self._compile(installed, "--offline")
        except VersionsError as error:
            raise blocked or error from None
        return "resolved from uv's cache, without the package index"

    def _compile(self, installed: Installed, *options: str) -> None:
        wishes = self.folder / "requirements.in"
        wishes.write_text("".join(f"{line}\n" for line in _wishes(self.row, installed)), encoding="utf-8")
        # uv prefers the versions that its output file names already.
        self.requirements.write_text("".join(_preferred(self.row, installed)), encoding="utf-8")
        files = (str(wishes), "--output-file", str(self.requirements))
        self._call(
            find_uv(), "pip", "compile", *files, "--python", self.interpreter, "--no-header", *_annotated(), *options
        )

    def install(self) -> tuple[dict[str, str], str]:
        """Build the environment, unless uv has it; return the versions in it, and a digest of all that is in it."""
        listing = self.folder / "versions.json"  # a file: uv itself prints to the same output
        list_versions = ("-I", distributions.__file__, str(listing))
        try:
            self._call(*self.python("--offline"), *list_versions)
        except VersionsError:
            self._call(*self.python(), *list_versions)
        found = json.loads(listing.read_text(encoding="utf-8"))
        versions = {str(canonicalize_name(name)): version for name, version in found["versions"].items()}
        return versions, found["digest"]

    def python(self, *options: str) -> tuple[str, ...]:
        """Return the command that starts the environment's interpreter."""
        # uv ignores such lines in the file, and the variable where there is an option.
        links = [f"--find-links {link}" for link in uv_environment().get("UV_FIND_LINKS", "").split(",") if link]
        lines = [line for line in (*links, *self.row.requirements) if _SOURCE.match(line)]
        sources = [*(word for line in lines for word in shlex.split(line)), *self._backend_index()]
        alone = ("--isolated", "--no-project", "--no-env-file", "--quiet", "--python", self.interpreter, *options)
        return (find_uv(), "run", *alone, *sources, "--with-requirements", str(self.requirements), "python")

    def _backend_index(self) -> list[str]:
        """Return the options for the index of torch's builds: `uv pip` takes UV_TORCH_BACKEND, `uv run` does not."""
        if not _annotated() or not self.requirements.is_file():
            return []
        named = re.findall(r"^\s*# from (https?://\S+)", self.requirements.read_text(encoding="utf-8"), re.MULTILINE)
        builds = [address for address in dict.fromkeys(named) if "torch" in address]
        options = [word for address in builds for word in ("--index", address)]
        return [*options, "--index-strategy", "unsafe-best-match"] if options else []

    def _call(self, *arguments: str) -> None:
        output = self.folder / "uv.log"
        environment = {**uv_environment(), "NO_COLOR": "1", "UV_NO_PROGRESS": "1", "COLUMNS": "1000"}
        ended = self.processes.run(arguments, output=output, environment=environment)
        if ended.code:
            raise _complaint(self.row, output.read_text(encoding="utf-8", errors="replace"), ended.code)


def _annotated() -> tuple[str, ...]:
    return ("--emit-index-annotation",) if os.environ.get("UV_TORCH_BACKEND") else ()


def _wishes(row: Row, installed: Installed) -> list[str]:
    """Return the lines to resolve: those of the row, and the other packages of the current environment."""
    others = [line for name, line in installed.wanted.items() if name not in row.named]
    return [*row.requirements, *others]


def _preferred(row: Row, installed: Installed) -> Iterator[str]:
    for name, version in installed.versions.items():
        line = installed.wanted.get(name, name)
        if name not in row.asked and not line.startswith("-e ") and "@" not in line:
            yield f"{name}=={version}\n"


def _moved(row: Row, installed: Installed, versions: Mapping[str, str]) -> Iterator[ChangedPackage]:
    # What only a left-out distribution required is left out with it.
    expected = installed.reached_from({*installed.wanted, *row.asked} - {*row.without})
    for name, before in installed.versions.items():
        after = versions.get(name)
        if name not in row.named and after != before and (after is not None or name in expected):
            yield ChangedPackage(name, before, after)


def _complaint(row: Row, output: str, code: int) -> VersionsError:
    words = _words(output) or f"uv ended with exit code {code}"
    if _NO_SPACE.search(output):
        return EnvironmentsBlocked(
            f"The disk is full: {row.name} cannot be built.",
            hint="Make room on it (uv cache prune), or set UV_CACHE_DIR to a folder on another disk.",
        )
    if NO_NETWORK.search(output):
        return EnvironmentsBlocked(
            f"{row.name} is not in uv's cache, and the package index cannot be reached ({words})",
            hint="Run it again with the network, or leave the row out.",
        )
    missing = re.search(r"there is no version of (\S+==[^\s,]+)", words)
    if missing and missing[1] in {line.partition(";")[0].replace(" ", "") for line in row.requirements}:
        asking = list_command(str(requirement_name(missing[1])))
        return VersionsError(f"There is no such release: {missing[1]} ({asking} lists the releases).", hint=asking)
    return VersionsError(
        f"uv cannot build {row.name}: {words}",
        hint="Ask for other versions (--with REQUIREMENT), or leave out what conflicts (--without NAME).",
    )


def _words(output: str) -> str:
    """Return uv's error in one line, without decoration, advice and passwords in addresses."""
    said = re.split(r"^\W*(?:error: |× )", output, maxsplit=1, flags=re.MULTILINE)[-1]
    said = re.split(r"^\W*hint: ", said, maxsplit=1, flags=re.MULTILINE)[0]
    said = re.sub(r":?\s*\n\s*(?:cause: |[╰├]─▶ )", ": ", said).replace("│", " ")
    words = re.sub(r"(\w+://)[^/\s@]+@", r"\1", " ".join(said.split()))
    return words if len(words) <= _SHOWN else f"…{words[-_SHOWN:]}"
