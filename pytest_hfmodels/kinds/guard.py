"""Lets a project's own kind fail in a sentence: its test fails, and the session goes on."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.errors import SnapshotError
from pytest_hfmodels.kinds.comparison import STAGES, Difference

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_hfmodels.kinds.base import Kind, Record
    from pytest_hfmodels.kinds.comparison import Comparison

_ITERATED = ("differences", "numbers")  # a generator raises where it is read


def guarded(kind: Kind[Any]) -> Kind[Any]:
    """Return a kind whose functions raise `SnapshotError` for any mistake of theirs, with the function's name."""
    own = {field.name: getattr(kind, field.name) for field in fields(kind)}
    safe: dict[str, Any] = {name: _guarded(kind.name, name, value) for name, value in own.items() if callable(value)}
    return replace(kind, **safe)


def require_readable(kind: Kind[Any], recorded: Record | None, observed: Record, comparison: Comparison) -> None:
    """Call what reports and reviews will call, so that a mistake fails the test and not the session.

    Raises:
        SnapshotError: one of them raises, or returns another type than `Kind` says.
    """
    for record in (observed, *([] if recorded is None or recorded.kind != kind.name else [recorded])):
        if not isinstance(kind.summary(record), str):
            raise _mistake(kind.name, "summary", "it does not return text")
        texts = kind.texts(record)
        if not texts or not all(isinstance(part, str) for pair in texts.items() for part in pair):
            raise _mistake(kind.name, "texts", "it does not return a dict of texts with at least one")
    if recorded is None or recorded.kind != kind.name:
        kind.course(None, observed)
        return
    kind.course(recorded, observed)
    kind.movement(recorded, observed, comparison)
    for difference in comparison.differences:
        kind.detail(difference, recorded, observed)


def _guarded(kind: str, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        try:
            found = function(*arguments)
            return _checked(kind, name, list(found)) if name in _ITERATED else found
        except SnapshotError:
            raise
        except Exception as error:
            raise _mistake(kind, name, f"{type(error).__name__}: {error}") from error

    return call


def _checked(kind: str, name: str, found: list[Any]) -> list[Any]:
    if name == "numbers":
        if not all(isinstance(value, int | float) for _, _, *sides in found for value in sides):
            raise _mistake(kind, name, "a value is not a number")
        return found
    for one in found:
        if not isinstance(one, Difference) or one.stage not in STAGES or one.stage in ("kind", "numbers"):
            stages = ", ".join(stage for stage in STAGES if stage not in ("kind", "numbers"))
            raise _mistake(kind, name, f"it yields {one!r:.80}, not a Difference of one of the stages {stages}")
        if one.stage == "text" and not (isinstance(one.recorded, str) and isinstance(one.observed, str)):
            raise _mistake(kind, name, "a difference of the stage `text` holds other values than text")
    return found


def _mistake(kind: str, name: str, what: str) -> SnapshotError:
    return SnapshotError(
        f"`{name}` of the kind {kind!r} failed: {what:.300}.", hint="Correct the kind; see docs/own-kinds.md."
    )
