"""Finds the kind of a record: a built-in one, one of another package (by entry point), or the project's own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.registry import Registry

if TYPE_CHECKING:
    from pytest_hfmodels.kinds.base import Kind, Record


def _guarded(kind: Kind[Any]) -> Kind[Any]:
    from pytest_hfmodels.kinds.guard import guarded  # only a project with a kind of its own needs it

    return guarded(kind)


KINDS: Registry[Kind[Any]] = Registry(
    "pytest_hfmodels.kinds",
    "kind of record",
    {
        name: f"pytest_hfmodels.kinds.{name}.kind:KIND"
        for name in (
            "accuracy",
            "batch",
            "chat",
            "classification",
            "embedding",
            "generation",
            "score",
            "tensors",
            "tokens",
            "values",
        )
    },
    prepare=_guarded,
)


def register_kind(kind: Kind[Any]) -> None:
    """Let records of a kind be stored, compared, shown and explained.

    A project calls this in its `conftest.py`; a package names its kind as an entry point of the group
    `pytest_hfmodels.kinds`.

    Raises:
        ValueError: another file has registered a kind of its name.
    """
    module = type(kind).__module__
    KINDS.add(kind.name, kind, source=getattr(sys.modules.get(module), "__file__", None) or module)


def kind_named(name: str) -> Kind[Any] | None:
    """Return a kind by its name; None if nobody registered it.

    Raises:
        OptionError: several packages have registered it, or it cannot be imported.
    """
    return KINDS.get(name)


def is_ours(kind: Kind[Any]) -> bool:
    """Return whether a kind is part of this plugin."""
    return KINDS.is_built_in(kind.name)


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
