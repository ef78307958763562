"""The package index: its releases, and the same settings for uv and pip. No address is written here."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pytest_hfmodels.foundation.errors import VersionsError
from pytest_hfmodels.foundation.shell import command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PIP: tuple[str, ...] = (sys.executable, "-m", "pip")
# pip's words, and uv's.
NO_NETWORK = re.compile(
    r"network was disabled|network connectivity is disabled|network is unreachable|operation timed out|"
    r"dns error|failed to lookup address|tcp connect error|tunnel error|error sending request|Could not fetch URL|"
    r"connection (broken|refused|reset|timed out)",
    re.IGNORECASE,
)
_PYTHON = ".".join(map(str, sys.version_info[:2]))


def parse_package(text: str) -> str:
    """Return the name of a package, such as `sent-trans[onnx,train]`; raise VersionsError if it has a version."""
    try:
        found = Requirement(text)
    except InvalidRequirement:
        found = None
    if found is None or found.specifier or found.url or found.marker:
        raise VersionsError(
            f"{text!r} is not the name of a package.",
            hint="Name one without a version: hfmodels bisect transformers --good 4.49.0 --bad 4.53.3",
        )
    extras = f"[{','.join(sorted(found.extras))}]" if found.extras else ""
    return f"{canonicalize_name(found.name)}{extras}"


def candidates(package: str, good: str, bad: str, *, pre: bool = False) -> tuple[str, ...]:
    """Return the releases from `good` to `bad` (either may be the newer), both included, in that order.

    Args:
        package: the name.
        good: one end.
        bad: the other end.
        pre: whether to include pre-releases between the two.

    Raises:
        VersionsError: this Python cannot install an end, both are the same, or the index does not answer.
    """
    ends = [_version(good), _version(bad)]
    if ends[0] == ends[1]:
        raise VersionsError(
            f"Good and bad are the same release of {package}: {good}.",
            hint="Name two releases: --good one that does what you expect, --bad one that does not.",
        )
    known = sorted(set(_releases(package)))
    for end in ends:
        if end not in known:
            final = [release for release in known if not release.is_prerelease]
            near = [release for release in final if release < end][-2:] + [found for found in final if found > end][:2]
            raise VersionsError(
                f"There is no release {end} of {package} that this Python ({_PYTHON}) can install.",
                hint=f"Near it: {', '.join(map(str, near))}. See them all: {list_command(package)} --pre",
            )
    low, high = sorted(ends)
    between = [release for release in known if low < release < high and (pre or not release.is_prerelease)]
    return tuple(map(str, sorted([low, *between, high], reverse=ends[0] > ends[1])))


def list_command(package: str) -> str:
    """Return the command that lists a package's releases."""
    return command("python", "-m", "pip", "index", "versions", package)


def _releases(package: str) -> Iterator[Version]:
    """Yield every release, pre-releases too, without the label of a build (`2.0+cpu`)."""
    listing = (*PIP, "index", "versions", package, "--pre", "--no-input", "--disable-pip-version-check")
    result = subprocess.run(listing, env=pip_environment(os.environ), capture_output=True, text=True, check=False)
    listed = re.search(r"^Available versions:(.*)$", result.stdout, re.MULTILINE)
    if result.returncode or listed is None:
        raise _unanswered(package, result.stderr)
    for text in listed[1].split(","):
        with suppress(InvalidVersion):  # an index may hold files that are older than the rules for versions
            yield Version(Version(text.strip()).public)


def _unanswered(package: str, said: str) -> VersionsError:
    if NO_NETWORK.search(said):
        return VersionsError(
            f"The package index cannot be reached, so the releases of {package} are not known.",
            hint="Check the network and pip's index settings (python -m pip config list), and try again.",
        )
    last = re.sub(r"\b[a-z+]+://\S+", "<address>", "\n  ".join(said.strip().splitlines()[-3:]))
    return VersionsError(
        f"pip does not list releases of {package} that this Python ({_PYTHON}) can install:\n  {last}",
        hint=f"Check the name, and try: {list_command(package)} (pip 21.2 or later)",
    )


def _version(text: str) -> Version:
    try:
        return Version(Version(text).public)
    except InvalidVersion:
        raise VersionsError(
            f"{text!r} is not a version.", hint="A version reads like 4.49.0 or 5.0.0rc1, without == before it."
        ) from None


# -- one configuration for both --------------------------------------------------------------------------------------


def uv_environment() -> dict[str, str]:
    """Return this process's environment, with pip's index settings for uv if uv has none of its own."""
    kinds = ("DEFAULT_INDEX", "INDEX_URL", "INDEX", "EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX", "CONFIG_FILE")
    if any(os.environ.get(f"UV_{kind}") for kind in kinds):
        return dict(os.environ)
    return {**as_uv_reads(_pip_settings()), **os.environ}


def as_uv_reads(settings: Mapping[str, str]) -> dict[str, str]:
    """Return uv's variables for pip's settings, which have their long names (`index-url`)."""
    # pip takes a folder as an index, uv only as links.
    extra = [address for address in settings.get("extra-index-url", "").split() if not address.startswith("file:")]
    variables = {
        "UV_DEFAULT_INDEX": settings.get("index-url", ""),
        "UV_INDEX": " ".join(extra),
        "UV_INDEX_STRATEGY": "unsafe-best-match" if extra else "",  # pip takes the best of all
        "UV_FIND_LINKS": ",".join(settings.get("find-links", "").split()),
        "UV_NO_INDEX": _switch(settings.get("no-index", "")),
        "SSL_CERT_FILE": settings.get("cert", ""),
    }
    return {name: value for name, value in variables.items() if value}


def pip_environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return a process's environment, with uv's index settings for pip if pip has none of its own."""
    named = [address.partition("=")[2] or address for address in own.get("UV_INDEX", "").split()]
    variables = {
        "PIP_INDEX_URL": own.get("UV_DEFAULT_INDEX") or own.get("UV_INDEX_URL", ""),
        "PIP_EXTRA_INDEX_URL": " ".join([*named, *own.get("UV_EXTRA_INDEX_URL", "").split()]),
        "PIP_FIND_LINKS": own.get("UV_FIND_LINKS", "").replace(",", " "),
        "PIP_NO_INDEX": _switch(own.get("UV_NO_INDEX", "")),
    }
    given = {name: value for name, value in variables.items() if value}
    return {"PIP_RETRIES": "1", "PYTHONWARNINGS": "ignore", **given, **own}


def _switch(value: str) -> str:
    return "1" if value.lower() in ("1", "true", "yes", "on") else ""


@cache
def _pip_settings() -> dict[str, str]:
    """Return pip's settings from lines like `global.find-links='…'`; a variable (`:env:`) overrides a file."""
    listed = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=False).stdout
    settings = {}
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        section, _, value = line.partition("=")
        with suppress(ValueError, SyntaxError):
            settings[section.rpartition(".")[2]] = str(ast.literal_eval(value))
    return settings
