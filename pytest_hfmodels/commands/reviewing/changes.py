"""Changes to review: in which order they come, and the releases that an old output belongs to."""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from pytest_hfmodels.foundation.verdicts import severity
from pytest_hfmodels.reports.causes import counted
from pytest_hfmodels.results.remedies import shared_sentence
from pytest_hfmodels.snapshots.accepting import Variation
from pytest_hfmodels.snapshots.format import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_hfmodels.results.pending import Pending

_PACKAGES = ("transformers", "torch", "tensorflow")  # in the order in which a difference is likely to come from them


def groups(changes: Iterable[Pending]) -> list[list[Pending]]:
    """Return the groups: the most serious verdict first, then by cause and reason, unknown causes last."""
    ordered = sorted(changes, key=lambda change: (*_key(change), change.test, change.snapshot))
    return [list(found) for _, found in groupby(ordered, _key)]


def title(group: Sequence[Pending]) -> str:
    """Return `forward, changed: 14 snapshots`."""
    cause = group[0].cause or "cause undetermined"
    return f"{cause}, {group[0].verdict}: {counted(len(group), 'snapshot')}"


def _key(change: Pending) -> tuple[int, str, bool, str, str]:
    # What is not known is no reason that two share.
    why = shared_sentence(change.why[0]) if change.cause and change.why else ""
    return severity(change.verdict), change.verdict, change.cause is None, change.cause or "", why


def usual_variation(change: Pending, root: Path) -> Variation:
    """Return the variant to offer: for the releases that the cause names, or for those of the two sides."""
    when = change.releases or old_releases(change, root)
    bound = re.fullmatch(r"[\w.-]+<([\w.]+)", when)
    return Variation(f"before-{bound[1]}" if bound else "", when, "old")


def old_releases(change: Pending, root: Path) -> str:
    """Return the range to suggest: `transformers<5.0.0`, or an empty string where the sides tell nothing.

    The package is the first whose version differs; the boundary is the release that observed the new output, which is
    as near as one can say without a bisection.
    """
    earlier = change.earlier(root)
    then = {} if earlier is None else _versions(earlier, root / change.compared)
    now = _versions(change.text, Path(change.snapshot))
    moved = [package for package in _PACKAGES if package in now and then.get(package) not in (None, now[package])]
    with suppress(InvalidVersion):
        for package in moved[:1]:
            before, here = Version(then[package]), Version(now[package])
            return f"{package}{'>' if before > here else '<'}{here.base_version}"
    return ""


def has_releases(change: Pending) -> bool:
    """Return whether the old output of a change can be kept for the releases it belongs to.

    A new snapshot has no old output, and a variant is kept already. If the test or the checkpoint is the cause, the old
    output belongs to no release.
    """
    of_release = change.cause is None or (change.cause != "test" and not change.cause.startswith("checkpoint:"))
    return change.digest is not None and change.entry is None and of_release


def _versions(text: str, path: Path) -> dict[str, str]:
    provenance = parse(text, path).get("provenance", {})
    return {name: str(version) for name, version in dict(provenance.get("versions", {})).items()}
