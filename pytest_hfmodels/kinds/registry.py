"""Finds the kind of a record: ours, those that packages register by an entry point, and a project's own."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_hfmodels.kinds.base import Kind, Record

GROUP = "pytest_hfmodels.kinds"
_OURS = {
    "generation": "pytest_hfmodels.kinds.generation.kind",
    "classification": "pytest_hfmodels.kinds.classification.kind",
}
_KINDS: dict[str, Kind[Any]] = {}


def register_kind(kind: Kind[Any]) -> None:
    """Let records of a kind be stored, compared, shown and explained.

    A project calls this in its `conftest.py`; a package names its kind as an entry point of the group
    `pytest_hfmodels.kinds`.

    Raises:
        ValueError: another kind has its name.
    """
    known = kind_named(kind.name)
    if known is not None and known.load.__module__ != kind.load.__module__:  # a module may be imported twice
        raise ValueError(f"There is another kind of record named {kind.name!r}, of {known.load.__module__}.")
    _KINDS[kind.name] = kind


def kind_named(name: str) -> Kind[Any] | None:
    """Return a kind by its name; None if nobody registered it."""
    if name not in _KINDS:
        if name in _OURS:  # imported when it is needed: a kind may need NumPy
            _KINDS[name] = import_module(_OURS[name]).KIND
        else:
            for found in entry_points(group=GROUP, name=name):
                _KINDS[name] = found.load()
    return _KINDS.get(name)


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
