"""Lets a project's own kind fail in a sentence: its test fails, and the session goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.kinds.comparison import STAGES, Difference

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_hfmodels.kinds.base import Kind, Record
    from pytest_hfmodels.kinds.comparison import Comparison

_STAGES = tuple(stage for stage in STAGES if stage not in ("kind", "numbers"))


def guarded(kind: Kind[Any]) -> Kind[Any]:
    """Return a kind whose methods raise `SnapshotError` for any mistake of theirs, with the method's name."""
    return cast("Kind[Any]", _Guarded(kind))


def require_readable(kind: Kind[Any], recorded: Record | None, observed: Record, comparison: Comparison) -> None:
    """Call what reports and reviews will call, so that a mistake fails the test and not the session.

    Raises:
        SnapshotError: one of them raises, or returns another type than `Kind` says.
    """
    alike = recorded is not None and recorded.kind == kind.name
    for record in (observed, recorded) if alike else (observed,):
        texts = kind.texts(record)
        if not texts or not all(isinstance(part, str) for pair in texts.items() for part in pair):
            raise _mistake(kind.name, "texts", "it does not return a dict of texts with at least one")
    kind.course(recorded if alike else None, observed)
    if alike:
        kind.movement(recorded, observed, comparison)
        for difference in comparison.differences:
            kind.detail(difference, recorded, observed)


class _Guarded:
    def __init__(self, kind: Kind[Any]) -> None:
        self._kind = kind

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._kind, name)
        return _guarded(self._kind.name, name, value) if callable(value) else value


def _guarded(kind: str, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        try:
            found = function(*arguments)
            if name in ("differences", "numbers"):  # a generator raises where it is read
                found = list(found)
                _require_sound(kind, name, found)
            return found
        except SnapshotError:
            raise
        except Exception as error:
            raise _mistake(kind, name, f"{type(error).__name__}: {error}") from error

    return call


def _require_sound(kind: str, name: str, found: list[Any]) -> None:
    for one in found:
        if name == "numbers":
            if not all(isinstance(value, int | float) for value in one[2:]):
                raise _mistake(kind, name, "a value is not a number")
        elif not isinstance(one, Difference) or one.stage not in _STAGES:
            said = f"it yields {one!r:.80}, not a Difference of one of the stages {', '.join(_STAGES)}"
            raise _mistake(kind, name, said)
        elif one.stage == "text" and not (isinstance(one.recorded, str) and isinstance(one.observed, str)):
            raise _mistake(kind, name, "a difference of the stage `text` holds other values than text")


def _mistake(kind: str, name: str, what: str) -> SnapshotError:
    return SnapshotError(
        f"`{name}` of the kind {kind!r} failed: {what:.300}.", hint="Correct the kind; see docs/own-kinds.md."
    )
