"""Finds what the plugin, other packages (by entry points) and projects (by a call) register under a name.

For kinds of records, engines and architectures. A value is imported when its name is asked for.
"""

from __future__ import annotations

from functools import cached_property
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import TYPE_CHECKING, Generic, TypeVar

from pytest_hfmodels.foundation.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


class Registry(Generic[T]):
    """Named values of one kind.

    Args:
        group: the entry points' group, such as `pytest_hfmodels.engines`.
        what: the kind in words, such as `engine`.
        built_in: the plugin's own values, like entry points: name -> `module:attribute`.
        prepare: converts a value that is not the plugin's own.
    """

    def __init__(
        self, group: str, what: str, built_in: Mapping[str, str], *, prepare: Callable[[T], T] = lambda value: value
    ) -> None:
        self._group = group
        self._what = what
        self._built_in = EntryPoints(EntryPoint(name, value, group) for name, value in built_in.items())
        self._prepare = prepare
        self._values: dict[str, T] = {}
        self._sources: dict[str, str] = {}

    def add(self, name: str, value: T, *, source: str) -> None:
        """Register a value. A file that is imported twice may register it twice.

        Raises:
            ValueError: another source has registered the name.
        """
        packaged = [point.value for point in self._installed.select(name=name)]
        owner = (
            "this plugin" if self.is_built_in(name) else packaged[0] if packaged else self._sources.get(name, source)
        )
        if owner != source:
            raise ValueError(f"There is another {self._what} named {name!r}, of {owner}; this one is of {source}.")
        self._values[name], self._sources[name] = self._prepare(value), source

    def release(self) -> None:
        """Let a new session in this process register names from other files.

        The values stay, because Python imports a `conftest.py` only once.
        """
        self._sources.clear()

    def is_built_in(self, name: str) -> bool:
        """Return whether a name is the plugin's own."""
        return name in self._built_in.names

    def get(self, name: str) -> T | None:
        """Return the value of a name; None if nobody registered it.

        Raises:
            OptionError: several packages have registered it, or it cannot be imported.
        """
        if name not in self._values:
            points = self._built_in.select(name=name) or self._installed.select(name=name)
            if len({point.value for point in points}) > 1:
                raise OptionError(
                    f"Several packages register a {self._what} named {name!r}: "
                    f"{', '.join(point.value for point in points)}.",
                    hint="Uninstall all but one.",
                )
            for point in points:
                value = self._load(point)
                self._values[name] = value if self.is_built_in(name) else self._prepare(value)
        return self._values.get(name)

    def names(self) -> tuple[str, ...]:
        """Return all names: the plugin's own first, then the others in alphabetical order."""
        own = [point.name for point in self._built_in]
        return (*own, *sorted({*self._values, *self._installed.names} - {*own}))

    @cached_property
    def _installed(self) -> EntryPoints:
        return entry_points(group=self._group)

    def _load(self, point: EntryPoint) -> T:
        try:
            value: T = point.load()
        except Exception as error:
            raise OptionError(
                f"The {self._what} {point.name!r} cannot be imported from {point.value}: "
                f"{type(error).__name__}: {error}.",
                hint="Install its package again.",
            ) from error
        return value
