"""Changes to review: in which order they come, and the releases that an old output belongs to."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.foundation.verdicts import Verdict, severity
from pytest_hfmodels.reports.causes import counted
from pytest_hfmodels.reports.summary import changed_package, pairs_of_versions, verdicts_in_words
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


def headline(changes: Sequence[Pending], root: Path) -> str:
    """Return `transformers 4.49.0 → 5.23.0: 2 texts changed, 10 drifted; 2 causes`: what the end of the run said.

    A test counts once, with its most serious verdict.
    """
    verdicts: dict[str, str] = {}
    for change in changes:
        verdicts[change.test] = min(verdicts.get(change.test, change.verdict), change.verdict, key=severity)
    changed = [change.stage for change in changes if change.verdict == Verdict.CHANGED]
    said = ", ".join(verdicts_in_words(Counter(verdicts.values()), changed))
    known = len({_key(change)[3:] for change in changes if change.cause})
    pairs = pairs_of_versions([_both_versions(change, root) for change in changes])
    package = changed_package(pairs) or "".join(f"transformers {now}" for _, now in pairs["transformers"][:1])
    causes = f"; {counted(known, 'cause')}" if known else ""
    return ": ".join(filter(None, (package, f"{said}{causes}")))


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
    both = _both_versions(change, root)
    moved = [package for package in _PACKAGES if package in both and both[package][0] != both[package][1]]
    with suppress(InvalidVersion):
        for package in moved[:1]:
            before, here = map(Version, both[package])
            return f"{package}{'>' if before > here else '<'}{here.base_version}"
    return ""


def has_releases(change: Pending) -> bool:
    """Return whether the old output of a change can be kept for the releases it belongs to.

    A new snapshot has no old output, and a variant is kept already. If the test or the checkpoint is the cause, the old
    output belongs to no release.
    """
    return change.digest is not None and change.entry is None and change.is_of_a_release


def _both_versions(change: Pending, root: Path) -> dict[str, tuple[str, str]]:
    """Return the recorded and the present version of each package that both sides name; none of a damaged side."""
    with suppress(SnapshotError):
        earlier = change.earlier(root)
        then = {} if earlier is None else _versions(earlier, root / change.compared)
        now = _versions(change.text, Path(change.snapshot))
        return {name: (then[name], now[name]) for name in then if name in now}
    return {}


def _versions(text: str, path: Path) -> dict[str, str]:
    provenance = parse(text, path).get("provenance", {})
    return {name: str(version) for name, version in dict(provenance.get("versions", {})).items()}
