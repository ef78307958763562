"""The checkpoints inside the package and the digests they were recorded with.

For `checkpoint` and `record_digests`, inside this room.
"""

from __future__ import annotations

from pathlib import Path

from pytest_hfmodels.checkpoints import folders
from pytest_hfmodels.checkpoints.digests import Digests, folder_digests
from pytest_hfmodels.errors import CheckpointError

BUNDLED = Path(__file__).parent / "bundled"
DIGESTS = "digests.toml"

_REINSTALL = "Install it again: pip install --force-reinstall --no-deps pytest-hfmodels"
_RECORD = "Run: python -m pytest_hfmodels.checkpoints.record_digests"


def bundled_names(bundled: Path = BUNDLED) -> tuple[str, ...]:
    """Return the names of the checkpoints that ship in the package, sorted."""
    # Of the folders and the record: a lost folder is then a damaged install, not an unknown name.
    return tuple(sorted({*folder_names(bundled), *recorded_digests(bundled)}))


def folder_names(bundled: Path) -> tuple[str, ...]:
    """Return the names of the folders that hold a checkpoint, sorted."""
    return tuple(sorted(path.parent.name for path in bundled.glob(f"*/{folders.CONFIG}")))


def bundled_checkpoint(name: str, bundled: Path) -> tuple[Path, Digests]:
    """Return a bundled checkpoint's folder and digests, after comparing them with the record.

    Raises:
        CheckpointError: a file is missing, damaged or changed, or no digest was recorded.
    """
    recorded = recorded_digests(bundled).get(name)
    if recorded is None:
        raise CheckpointError(f"{bundled / DIGESTS} has no digests of it.", hint=_RECORD)
    folder = bundled / name
    try:
        found = folder_digests(folder)
    except (CheckpointError, OSError) as error:
        what = error.message if isinstance(error, CheckpointError) else str(error)
        raise CheckpointError(f"the installed files are damaged: {what}", hint=_REINSTALL) from error
    for part, digest in vars(recorded).items():
        if getattr(found, part) != digest:
            raise CheckpointError(
                f"the installed files are damaged: the {part} of {folder} should have the digest "
                f"{digest}, and has {getattr(found, part)}.",
                hint=_REINSTALL,
            )
    return folder, found


def recorded_digests(bundled: Path) -> dict[str, Digests]:
    """Read the digest record; without one, nothing is recorded.

    Raises:
        CheckpointError: the file is not what `record_digests` writes.
    """
    path = bundled / DIGESTS
    if not path.is_file():
        return {}
    # Only a session that resolves a checkpoint pays for a TOML reader.
    import tomllib

    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: Digests(**table) for name, table in tables.items()}
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}.", hint=_REINSTALL) from error
