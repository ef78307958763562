"""The releases that the old output of a change belongs to, as far as its two sides tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from pytest_hfmodels.snapshots.format import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_hfmodels.results.pending import Pending

_PACKAGES = ("transformers", "torch", "tensorflow")  # in the order in which a difference is likely to come from them


def old_releases(change: Pending, root: Path) -> str:
    """Return the range to suggest: `transformers<5.0.0`, or an empty string where the sides tell nothing.

    The package is the first whose version differs; the boundary is the release that observed the new output, which is
    as near as one can say without a bisection.
    """
    earlier = change.earlier(root)
    then = {} if earlier is None else _versions(earlier, root / change.compared)
    now = _versions(change.text, Path(change.snapshot))
    moved = [package for package in _PACKAGES if package in now and then.get(package) not in (None, now[package])]
    if not moved:  # no release is the reason
        return ""
    package = moved[0]
    here, before = _version(now[package]), _version(then.get(package, ""))
    if here is None:
        return ""
    return f"{package}{'>' if before is not None and before > here else '<'}{here.base_version}"


def why_no_variant(change: Pending) -> str | None:
    """Return why the old output of a change cannot be kept for the releases it belongs to, or None where it can."""
    if change.digest is None:
        return "its snapshot is new, and has no old output to keep"
    if change.entry is not None:
        return f"what it would change is a variant already, of {change.entry}"
    if change.cause is not None and (change.cause == "test" or change.cause.startswith("checkpoint:")):
        return f"its cause is {change.cause}, so that the old output belongs to no release"
    return None


def _versions(text: str, path: Path) -> Mapping[str, str]:
    provenance = parse(text, path).get("provenance", {})
    return {name: str(version) for name, version in dict(provenance.get("versions", {})).items()}


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
