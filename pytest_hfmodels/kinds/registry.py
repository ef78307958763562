"""Finds the kind of a record: a built-in one, one of another package (by entry point), or the project's own."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.errors import SnapshotError

if TYPE_CHECKING:
    from pytest_hfmodels.kinds.base import Kind, Record

GROUP = "pytest_hfmodels.kinds"
_OURS = ("classification", "generation")
_KINDS: dict[str, Kind[Any]] = {}
_FILES: dict[str, str] = {}  # the file that registered a name in this session


def register_kind(kind: Kind[Any]) -> None:
    """Let records of a kind be stored, compared, shown and explained.

    A project calls this in its `conftest.py`; a package names its kind as an entry point of the group
    `pytest_hfmodels.kinds`.

    Raises:
        ValueError: another file has registered a kind of its name.
    """
    name, file = kind.name, _file(kind)
    packaged = [point.value for point in entry_points(group=GROUP, name=name)]
    where = "this plugin" if is_ours(kind) else packaged[0] if packaged else _FILES.get(name, file)
    if where != file:  # a file may be imported twice
        raise ValueError(f"There is another kind of record named {name!r}, of {where}; this one is of {file}.")
    _FILES[name] = file
    _add(kind)


def release_names() -> None:
    """Let a new session in this process register these names from other files.

    The kinds themselves stay: Python imports a `conftest.py` once, so that the session would not register them again.
    """
    _FILES.clear()


def kind_named(name: str) -> Kind[Any] | None:
    """Return a kind by its name; None if nobody registered it.

    Raises:
        SnapshotError: several packages have registered it, or it cannot be imported.
    """
    if name not in _KINDS and name in _OURS:  # imported when it is needed: a kind may need NumPy
        _KINDS[name] = import_module(f"pytest_hfmodels.kinds.{name}.kind").KIND
    elif name not in _KINDS:
        _load_entry_point(name)
    return _KINDS.get(name)


def is_ours(kind: Kind[Any]) -> bool:
    """Return whether a kind is part of this plugin."""
    return kind.name in _OURS


def kind_names() -> list[str]:
    """Return the names of all kinds."""
    return sorted({*_OURS, *_KINDS, *entry_points(group=GROUP).names})


def kind_of(record: Record) -> Kind[Any]:
    """Return the kind of a record.

    Raises:
        KeyError: nobody registered it.
    """
    kind = kind_named(record.kind)
    if kind is None:
        raise KeyError(record.kind)
    return kind


def is_record(value: object) -> bool:
    """Return whether a value is a record of a known kind."""
    name = getattr(value, "kind", None)
    return isinstance(name, str) and kind_named(name) is not None


def _load_entry_point(name: str) -> None:
    found = entry_points(group=GROUP, name=name)
    if len({point.value for point in found}) > 1:
        raise SnapshotError(
            f"Several packages register a kind of record named {name!r}: {', '.join(point.value for point in found)}.",
            hint="Uninstall all but one.",
        )
    for point in found:
        try:
            _add(point.load())
        except Exception as error:
            raise SnapshotError(
                f"The kind of record {name!r} cannot be imported from {point.value}: {type(error).__name__}: {error}.",
                hint="Install its package again.",
            ) from error


def _add(kind: Kind[Any]) -> None:
    from pytest_hfmodels.kinds.guard import guarded  # only a project with a kind of its own needs it

    _KINDS[kind.name] = guarded(kind)


def _file(kind: Kind[Any]) -> str:
    module = type(kind).__module__
    return getattr(sys.modules.get(module), "__file__", None) or module
