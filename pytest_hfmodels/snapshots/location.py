"""Which file a test's snapshot lives in: the one place that knows."""

from __future__ import annotations

import os
import unicodedata
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hfmodels.errors import OptionError
from pytest_hfmodels.model_request import engine_segment
from pytest_hfmodels.node_ids import stable_id
from pytest_hfmodels.options import Options

if TYPE_CHECKING:
    import pytest

# Bytes of a test's name and of a snapshot's; file systems allow 255 in all, and temporary names need room too.
_LONGEST = 160
_LONGEST_NAME = 50

LEDGER = "upstream.toml"


def snapshot_file(item: pytest.Item, index: int | str) -> Path:
    """Return the snapshot file of an assertion.

    Args:
        item: the test. `tests/test_bot.py::TestA::test_b[torch-case]` is kept in
            `snapshots/tests/test_bot/TestA.test_b[case].toml`: the engine is no part of the name.
        index: 0 for the first snapshot of a test, 1 … for further ones, or the name given to `hf_snapshot(name=…)`.

    Raises:
        OptionError: the test file lies outside the project's root.
    """
    config = getattr(item, "config", None)
    if config is None:  # syrupy's stand-in for an item in an xdist controller, asked for a folder only
        return item.path.parent / "__snapshots__" / item.path.stem / f"{item.name}.toml"
    try:
        mirrored = item.path.relative_to(config.rootpath).with_suffix("")
    except ValueError as error:
        raise OptionError(
            f"{item.path} lies outside the project's root {config.rootpath}, where its snapshots would be kept.",
            hint="Run pytest with --rootdir set to the folder that holds both.",
        ) from error
    suffix = f"[{_safe(index, _LONGEST_NAME)}]" if isinstance(index, str) else f".{index}" if index else ""
    return snapshots_folder(config) / mirrored / f"{_safe(test_name(item), _LONGEST)}{suffix}.toml"


def same_file_key(path: Path) -> str:
    """Return a key that is equal for all paths that macOS or Windows treats as one file."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())


def snapshots_folder(config: pytest.Config) -> Path:
    """Return the folder of all snapshots: the ini key `hfmodels_snapshots`, relative to the root."""
    return Path(config.rootpath, Options.of(config).snapshots)


def ledger_file(config: pytest.Config) -> Path:
    """Return where the ledger is kept, if there is one."""
    return snapshots_folder(config) / LEDGER


def pending_path(config: pytest.Config) -> Path | None:
    """Return the folder of pending changes, which need not be there, or None where pytest's cache is switched off."""
    if not config.pluginmanager.has_plugin("cacheprovider"):
        return None
    cache = Path(os.path.expandvars(config.getini("cache_dir"))).expanduser()  # as pytest reads it
    return config.rootpath / cache / "d" / "hfmodels-pending"


def test_name(item: pytest.Item) -> str:
    """Return the test's name with its classes and parameters, without our engine segment and without a repetition.

    Raises:
        OptionError: another plugin has put its own id before ours, so ours cannot be found.
    """
    *classes, name = item.nodeid.split("::")[1:]
    name = item.name  # a node id of a parametrised test may hold "::" in its parameters
    prefix = ".".join([part for part in classes if part.isidentifier()])
    callspec = getattr(item, "callspec", None)
    if callspec is not None:
        segment, identifier = engine_segment(item), stable_id(item)
        function = name.removesuffix(f"[{callspec.id}]")
        if segment is not None:
            name = f"{function}{_without_engine(item, identifier, segment)}"
        elif identifier != callspec.id:
            name = f"{function}[{identifier}]" if identifier else function
    return f"{prefix}.{name}" if prefix else name


test_name.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it where somebody imports it


def _without_engine(item: pytest.Item, identifier: str, engine: str) -> str:
    # `plugin` parametrises before everybody else, so that our segment is the first.
    if identifier == engine:
        return ""
    if identifier.startswith(f"{engine}-"):
        return f"[{identifier.removeprefix(f'{engine}-')}]"
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
