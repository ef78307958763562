"""Which file holds a test's snapshot in this environment: the base, or a variant that a ledger entry puts in force."""

from __future__ import annotations

from dataclasses import dataclass
from os.path import relpath
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.errors import LedgerError
from pytest_hfmodels.snapshots.location import snapshot_file, snapshots_folder

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_hfmodels.snapshots.ledger import Change, Ledger


@dataclass(frozen=True)
class Variant:
    """A snapshot that holds instead of the base.

    Args:
        path: of the variant.
        base: of the base.
        entry: that puts it in force.
    """

    path: Path
    base: Path
    entry: Change


def variants_in_force(ledger: Ledger, folder: Path) -> dict[Path, Variant]:
    """Return the variants of the entries of a ledger, by the base that each stands for.

    Args:
        ledger: the entries that apply here.
        folder: of all snapshots.

    Raises:
        LedgerError: an entry's folder is missing or empty, or two entries have a variant of one file.
    """
    found: dict[Path, Variant] = {}
    for entry in ledger.changes:
        own = folder / entry.folder
        files = sorted(own.rglob("*.toml"))
        if not files:
            raise LedgerError(
                f"{entry.place}: {entry.name} keeps its snapshots in {relpath(own)}, and there are none.",
                hint="Restore the folder, mend its name, or remove the entry.",
            )
        for path in files:
            base = folder / path.relative_to(own)
            variant = Variant(path, base, entry)
            other = found.setdefault(base, variant).entry
            if other is not entry:
                raise LedgerError(
                    f"{entry.place}: {entry.name} and {other.name} ({other.place}) both apply to the installed "
                    f"versions, and both have a variant of {relpath(base)}.",
                    hint="Narrow the `when` of one, or remove one of the files.",
                )
    return found


def file_in_force(item: pytest.Item, index: int | str) -> Path:
    """Return the file that an assertion compares with here; arguments as for `location.snapshot_file`."""
    base = snapshot_file(item, index)
    variant = variant_of(item, base)
    return base if variant is None else variant.path


def variant_of(item: pytest.Item, base: Path) -> Variant | None:
    """Return the variant that holds instead of a base, or None."""
    config = getattr(item, "config", None)
    return None if config is None else config.stash.get(VARIANTS, {}).get(base)


def activate(config: pytest.Config, ledger: Ledger) -> None:
    """Let the variants of these entries stand for their bases.

    Raises:
        LedgerError: see `variants_in_force`.
    """
    config.stash[VARIANTS] = variants_in_force(ledger, snapshots_folder(config))


VARIANTS: pytest.StashKey[dict[Path, Variant]] = pytest.StashKey()
