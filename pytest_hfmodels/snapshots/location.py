"""Which file a test's snapshot lives in, and which files may be written as snapshots: the one place that knows."""

from __future__ import annotations

import os
import unicodedata
from hashlib import sha256
from os.path import abspath, relpath
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.errors import OptionError
from pytest_hfmodels.foundation.model_request import engine_segment
from pytest_hfmodels.session import LEDGER, Session, snapshots_folder
from pytest_hfmodels.snapshots.node_ids import id_spellings, stable_id

if TYPE_CHECKING:
    import pytest

    from pytest_hfmodels.snapshots.ledger import Variant

# Bytes of a test's name and of a snapshot's; file systems allow 255 in all, and temporary names need room too.
_LONGEST = 160
_LONGEST_NAME = 50


def snapshot_file(item: pytest.Item, index: int | str) -> Path:
    """Return the snapshot file of an assertion.

    Args:
        item: the test. `tests/test_bot.py::TestA::test_b[torch-case]` is kept in
            `snapshots/tests/test_bot/TestA.test_b[case].toml`: the engine is no part of the name.
        index: 0 for the first snapshot of a test, 1 … for further ones, or the name given to `hf_snapshot(name=…)`.

    Raises:
        OptionError: the test file lies outside the project's root.
    """
    root = item.config.rootpath
    try:
        mirrored = item.path.relative_to(root)
    except ValueError as error:
        raise OptionError(
            f"{item.path} lies outside the project's root {root}, where its snapshots would be kept.",
            hint="Run pytest with --rootdir set to the folder that holds both.",
        ) from error
    suffix = f"[{_safe(index, _LONGEST_NAME)}]" if isinstance(index, str) else f".{index}" if index else ""
    if mirrored.suffix == ".py":  # else it is a model's name, which may hold a dot
        mirrored = mirrored.with_suffix("")
    return snapshots_folder(item.config) / mirrored / f"{_safe(test_name(item), _LONGEST)}{suffix}.toml"


def may_own(nodeid: str, snapshot: str, snapshots: str) -> bool:
    """Return whether a test may write a snapshot, judged by its id alone; for changes from elsewhere.

    Args:
        nodeid: of the test.
        snapshot: the file.
        snapshots: the folder of all snapshots; both relative to the project's root.
    """
    file, _, names = nodeid.partition("::")
    function, bracket, parameters = names.partition("[")
    name, folder = function.rpartition("::")[2], PurePath(snapshots, file.removesuffix(".py"))
    spellings = id_spellings(f"{name}{bracket}{parameters}")
    stems = (_safe(".".join([*_classes(nodeid), typed]), _LONGEST) for typed in spellings)
    return any(belongs(PurePath(snapshot), folder / f"{stem}.toml") for stem in stems)


def belongs(file: PurePath, own: PurePath) -> bool:
    """Return whether a file is the first snapshot of a test, `own`, or a further one (`.1`, `[name]`)."""
    rest = file.stem.removeprefix(own.stem)
    return (
        file.parent == own.parent
        and file.suffix == own.suffix
        and file.stem.startswith(own.stem)
        and (not rest or (rest[0] == "." and rest[1:].isdigit()) or (rest[0] == "[" and rest[-1] == "]"))
    )


def variant_of(item: pytest.Item, base: Path) -> Variant | None:
    """Return the variant that holds instead of a base for the record that is being compared, or None."""
    session = Session.of(item.config)
    return next((one for one in session.variants.get(base, ()) if one.entry.fits(session.machine)), None)


def file_in_force(item: pytest.Item, index: int | str) -> Path:
    """Return the file that an assertion compares with here: the base or a variant; arguments as for `snapshot_file`."""
    base = snapshot_file(item, index)
    variant = variant_of(item, base)
    return base if variant is None else variant.path


def beside(path: Path) -> Path:
    """Return the file of the arrays of a snapshot, beside it."""
    return path.with_suffix(".safetensors")


def same_file_key(path: Path) -> str:
    """Return a key that is equal for all paths that macOS or Windows treats as one file."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())


def test_name(item: pytest.Item) -> str:
    """Return the test's name with its classes and parameters, without our engine segment and without a repetition.

    Raises:
        OptionError: another plugin has put its own id before ours, so ours cannot be found.
    """
    name, callspec = item.name, getattr(item, "callspec", None)
    if callspec is not None:
        identifier = _without_engine(item, stable_id(item))
        name = name.removesuffix(f"[{callspec.id}]") + (f"[{identifier}]" if identifier else "")
    return ".".join([*_classes(item.nodeid), name])


def _classes(nodeid: str) -> list[str]:
    return [part for part in nodeid.split("::")[1:-1] if part.isidentifier()]  # parameters may hold "::"


test_name.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it where somebody imports it


def _without_engine(item: pytest.Item, identifier: str) -> str:
    engine = engine_segment(item)
    if engine is None:
        return identifier
    first, _, rest = identifier.partition("-")
    if first == engine:  # `plugin` parametrises before everybody else
        return rest
    raise OptionError(
        f"The id of {item.nodeid} does not begin with its engine, {engine!r}.",
        hint="A plugin parametrises before pytest-hfmodels; load it later, or report this with its name.",
    )


def _safe(name: str, longest: int) -> str:
    """Return `name` as a part of a file name that every file system takes, of at most `longest` bytes."""
    safe = "".join(char if char.isprintable() and char not in '\\/?*:|"<>' else "_" for char in name)
    if len(safe.encode()) <= longest:
        return safe
    kept = safe.encode()[: longest - 17].decode(errors="ignore")
    return f"{kept}-{sha256(name.encode()).hexdigest()[:16]}"


def why_not_written(path: Path, root: Path, snapshots: Path, *, is_ledger: bool = False) -> str | None:
    """Return why a file must not be written as a snapshot or as the ledger, or None if it may be.

    A snapshot is a `.toml` file below the snapshots folder, but not the ledger, and no link in its path leads out of
    that folder, nor in that of the file of its arrays.

    Args:
        path: the file; it need not exist.
        root: the project's root.
        snapshots: the folder of all snapshots.
        is_ledger: whether the file is the ledger.
    """
    reason = _why_not(path, root, snapshots, "" if is_ledger else ".toml")
    return reason if reason or is_ledger else _why_not(beside(path), root, snapshots, ".safetensors")


def _why_not(path: Path, root: Path, snapshots: Path, suffix: str) -> str | None:
    shown, folder = relpath(snapshots, root), Path(abspath(snapshots))  # noqa: PTH100 - links are checked below
    try:
        place = Path(abspath(path))  # noqa: PTH100
        real_folder, real_place = folder.resolve(), path.resolve()
        if folder.is_relative_to(root) and not real_folder.is_relative_to(root.resolve()):
            return f"{shown} is a link that leads out of the project, to {real_folder}"
        if not place.is_relative_to(folder):
            return f"it is not below {shown}"
        if not real_place.is_relative_to(real_folder):
            return f"a link leads out of {shown}, to {real_place}"
        names = place.relative_to(folder), real_place.relative_to(real_folder)
        if suffix and not all(_is_snapshot(name, suffix) for name in names):
            return f"a snapshot must be a {suffix} file that is not hidden"
        occupied = next(there for there in (real_place, *real_place.parents) if os.path.lexists(there))
        if occupied != real_place and not occupied.is_dir():
            return f"{occupied} is not a folder"
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL
        return str(error)
    return None


def _is_snapshot(name: Path, suffix: str) -> bool:
    """Return whether a name below the snapshots folder may be a snapshot's. File systems may ignore case."""
    hidden = any(part.startswith(".") for part in name.parts)
    return name.suffix == suffix and not hidden and str(name).casefold() != LEDGER
