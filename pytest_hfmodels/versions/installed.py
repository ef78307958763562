"""The current environment, as requirements for another one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OURSELVES = "pytest-hfmodels"
INSTALL_HINT = f"Install it: pip install '{OURSELVES}[versions]'."


@dataclass(frozen=True)
class Installed:
    """The installed distributions, by canonical name."""

    # Requirement lines, for packages that no other requires or that came from an address or a folder.
    wanted: Mapping[str, str]
    versions: Mapping[str, str]
    requires: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def reached_from(self, names: Iterable[str]) -> frozenset[str]:
        """Return these distributions and all their requirements, direct or not."""
        return _reached(names, self.requires)


def read_installed(found: Iterable[Distribution] | None = None) -> Installed:
    """Return the environment of the running interpreter, or these distributions."""
    by_name: dict[str, Distribution] = {}
    for distribution in distributions() if found is None else found:
        name = distribution.metadata["Name"]
        if name:  # a broken installation may leave a folder without one
            by_name.setdefault(canonicalize_name(name), distribution)  # the first on the path is imported
    requires = {name: _requirements(distribution) & by_name.keys() for name, distribution in by_name.items()}
    lines = {name: line for name, distribution in by_name.items() if (line := _source_line(distribution))}
    if OURSELVES in by_name:
        lines.setdefault(OURSELVES, f"{OURSELVES}=={by_name[OURSELVES].version}")  # rows run the same release of it
    wanted = {name: lines.get(name, name) for name in sorted({*_roots(requires), *lines})}
    return Installed(wanted, {name: by_name[name].version for name in sorted(by_name)}, requires)


def _requirements(distribution: Distribution) -> frozenset[str]:
    """Return the names that a distribution requires on this machine, without its extras."""
    names = set()
    for line in distribution.requires or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:  # old metadata
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            names.add(canonicalize_name(requirement.name))
    return frozenset(names)


def _roots(requires: Mapping[str, frozenset[str]]) -> list[str]:
    """Return the fewest distributions that lead to all others: those that none requires, and one of each circle."""
    required = {name for owner, names in requires.items() for name in names if name != owner}
    roots: list[str] = []
    for name in sorted(requires, key=lambda name: (name in required, name)):
        if name not in required or name not in _reached(roots, requires):
            roots.append(name)
    return roots


def _reached(names: Iterable[str], requires: Mapping[str, frozenset[str]]) -> frozenset[str]:
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += requires.get(name, ())
    return frozenset(found)


def _source_line(distribution: Distribution) -> str | None:
    """Return the line that installs from the same address or folder; None for an index, or if it no longer exists.

    `direct_url.json` is described at https://packaging.python.org/en/latest/specifications/direct-url/.
    """
    try:
        direct = json.loads(distribution.read_text("direct_url.json") or "{}")
        url = direct["url"]
    except (ValueError, KeyError, TypeError):
        return None
    path = Path(unquote(urlsplit(url).path))
    if url.startswith("file:") and path.is_dir():
        return f"-e {path}"
    if url.startswith("file:") and not path.exists():
        return None
    if version_control := direct.get("vcs_info"):
        url = f"{version_control['vcs']}+{url}@{version_control['commit_id']}"
    if subfolder := direct.get("subdirectory"):
        url = f"{url}#subdirectory={subfolder}"
    return f"{distribution.metadata['Name']} @ {url}"
