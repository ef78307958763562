"""Which releases of a package there are: asked of the index that pip is configured with. No address is known here.

May be imported by `bisect`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pytest_hfmodels.errors import VersionsError
from pytest_hfmodels.shell import command
from pytest_hfmodels.versions.environments import find_uv

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True)
class Package:
    """A package as it was typed, perhaps with extras, without a version.

    Args:
        name: its name.
        extras: the extras to install with it.
    """

    name: str
    extras: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Package:
        """Read `name` or `name[extra]`.

        Raises:
            VersionsError: it is something else.
        """
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            requirement = None
        if requirement is None or requirement.specifier or requirement.url or requirement.marker:
            raise VersionsError(
                f"{text!r} is no name of a package.",
                hint="Name one without a version: hfmodels bisect transformers --good 4.49.0 --bad 4.53.3",
            )
        return cls(canonicalize_name(requirement.name), tuple(sorted(requirement.extras)))

    def at(self, version: str) -> str:
        """Return the requirement for one release."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return f"{self.name}{extras}=={version}"


def candidates(package: Package, good: str, bad: str, *, pre: bool = False) -> tuple[str, ...]:
    """Return the releases from `good` to `bad`, both included, in the order of a walk from one to the other.

    Args:
        package: whose releases.
        good: one end; it may be the newer one.
        bad: the other end.
        pre: also the pre-releases between the two.

    Raises:
        VersionsError: an end is no release that this Python can install, both are the same, or the index does not say.
    """
    ends = [_version(good), _version(bad)]
    if ends[0] == ends[1]:
        raise VersionsError(
            f"Good and bad are the same release of {package.name}: {good}.",
            hint="Name two releases: --good one that does what you expect, --bad one that does not.",
        )
    known = _releases(package)
    for end in ends:
        if end not in known:
            raise VersionsError(
                f"There is no release {end} of {package.name} that this Python ({_python()}) can install.",
                hint=f"{_nearby(end, known)} See them all: {_asking(package)} --pre",
            )
    low, high = sorted(ends)
    between = [release for release in known if low < release < high and (pre or not release.is_prerelease)]
    return tuple(map(str, sorted([low, *between, high], reverse=ends[0] > ends[1])))


def _asking(package: Package) -> str:
    return command("python", "-m", "pip", "index", "versions", package.name)


def _releases(package: Package) -> list[Version]:
    """Return every release, pre-releases too, in order. Builds of one release (`2.0+cpu`) count once."""
    result = subprocess.run(
        [*_pip(), "index", "versions", package.name, "--pre", "--no-input", "--disable-pip-version-check"],
        env=_environment(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    listed = re.search(r"^Available versions:(.*)$", result.stdout, re.MULTILINE)
    if result.returncode or listed is None:
        raise _unanswered(package, result.stderr)
    return sorted({Version(found.public) for text in listed[1].split(",") if (found := _parsed(text.strip()))})


def _pip() -> Sequence[str]:
    """Return a pip of the running Python: what it lists depends on the Python's version."""
    try:
        if Version(version("pip")) >= _FIRST_PIP:
            return (sys.executable, "-m", "pip")
    except PackageNotFoundError:
        pass
    # uv keeps this environment in its own cache; nothing is installed anywhere else.
    return (find_uv(), "tool", "run", "--quiet", "--python", sys.executable, "pip")


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return the process's environment, where pip is told what uv was told, unless it was told something itself."""
    environment = {"PIP_RETRIES": "1", "PYTHONWARNINGS": "ignore", **own}
    named = [address.partition("=")[2] or address for address in own.get("UV_INDEX", "").split()]
    told = {
        "PIP_INDEX_URL": own.get("UV_DEFAULT_INDEX") or own.get("UV_INDEX_URL"),
        "PIP_EXTRA_INDEX_URL": " ".join([*named, *own.get("UV_EXTRA_INDEX_URL", "").split()]),
        "PIP_FIND_LINKS": own.get("UV_FIND_LINKS", "").replace(",", " "),
        "PIP_NO_INDEX": "1" if own.get("UV_NO_INDEX", "").lower() in ("1", "true", "yes", "on") else "",
    }
    return {**{name: value for name, value in told.items() if value}, **environment}


def _unanswered(package: Package, said: str) -> VersionsError:
    lines = [_without_addresses(line) for line in said.splitlines() if line.strip()]
    if _NO_NETWORK.search(said):
        return VersionsError(
            f"The package index cannot be reached, so nobody knows which releases of {package.name} there are.",
            hint="Check the network and pip's index settings (python -m pip config list), and try again. "
            "A bisect that was interrupted goes on without the index.",
        )
    if any("No matching distribution" in line for line in lines):
        return VersionsError(
            f"The package index has no release of {package.name} that this Python ({_python()}) can install.",
            hint="Check the name, and pip's index settings: python -m pip config list",
        )
    reason = "\n".join(f"  {line}" for line in lines[-_SHOWN:])
    return VersionsError(
        f"pip does not say which releases of {package.name} there are:\n{reason}",
        hint=f"Try it: {_asking(package)} (pip {_FIRST_PIP} or later)",
    )


def _version(text: str) -> Version:
    try:
        return Version(Version(text).public)
    except InvalidVersion:
        raise VersionsError(
            f"{text!r} is no version.", hint="A version reads like 4.49.0 or 5.0.0rc1, without == before it."
        ) from None


def _parsed(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:  # an index may hold files from before versions had rules
        return None


def _nearby(end: Version, known: Sequence[Version]) -> str:
    final = [release for release in known if not release.is_prerelease]
    older = [release for release in final if release < end][-2:]
    newer = [release for release in final if release > end][:2]
    return f"Near it: {_listed([*older, *newer])}." if older or newer else ""


def _listed(versions: Iterable[Version]) -> str:
    return ", ".join(map(str, versions))


def _without_addresses(line: str) -> str:
    """Return a line of pip's without addresses: they may hold credentials."""
    return re.sub(r"\b[a-z+]+://\S+", "<address>", line)


def _python() -> str:
    return ".".join(map(str, sys.version_info[:2]))


# pip's words, and uv's where it has to fetch pip.
_NO_NETWORK = re.compile(
    r"connection broken|Could not fetch URL|tcp connect error|dns error|tunnel error|network was disabled|"
    r"network connectivity is disabled|error sending request",
    re.IGNORECASE,
)
_SHOWN = 3  # lines of a complaint
_FIRST_PIP = Version("21.2")  # that lists releases
