"""The checkpoints inside the package and the digests they were recorded with (`training/record_digests.py`)."""

from __future__ import annotations

from pathlib import Path

from pytest_hfmodels.checkpoints.digests import Digests, folder_digests
from pytest_hfmodels.foundation.errors import CheckpointError

BUNDLED = Path(__file__).parent / "bundled"

_REINSTALL = "Install it again: pip install --force-reinstall --no-deps pytest-hfmodels"


def bundled_names() -> tuple[str, ...]:
    """Return the names of the checkpoints that ship in the package, sorted."""
    return tuple(sorted(_recorded()))


def bundled_checkpoint(name: str) -> tuple[Path, Digests]:
    """Return a bundled checkpoint's folder and digests, after comparing them with the record."""
    folder, recorded = BUNDLED / name, _recorded()[name]
    try:
        found = folder_digests(folder)
    except CheckpointError as error:
        raise CheckpointError(f"the installed files are damaged: {error.message}", hint=_REINSTALL) from error
    for part, digest in vars(recorded).items():
        if getattr(found, part) != digest:
            raise CheckpointError(
                f"the installed files are damaged: the {part} of {folder} should have the digest {digest}, "
                f"and has {getattr(found, part)}.",
                hint=_REINSTALL,
            )
    return folder, found


def _recorded() -> dict[str, Digests]:
    import tomllib  # only a session that resolves a checkpoint pays for it

    try:
        tables = tomllib.loads((BUNDLED / "digests.toml").read_text(encoding="utf-8"))
        return {name: Digests(**table) for name, table in tables.items()}
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{BUNDLED / 'digests.toml'} is damaged: {error}.", hint=_REINSTALL) from error
