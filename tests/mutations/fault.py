"""The class of a fault, and the list of all faults."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Literal

from pytest_hfmodels.foundation.errors import HFModelsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

Engine = Literal["torch", "tensorflow"]
ENGINES: tuple[Engine, ...] = ("torch", "tensorflow")


class UnknownFault(HFModelsError):
    """A name that no fault has."""


@dataclass(frozen=True)
class Fault:
    """Something that could slip into a release.

    Args:
        name: unique words joined by hyphens.
        says: a sentence on what the library then does.
        reference: "owner/repository#number" of the issue or pull request behind the idea.
        shown_by: a direct call of the library whose result the fault changes.
        patch: returns a context manager that applies it.
        releases: of transformers that it fits, a PEP 440 range.
        engine: the engine that it changes.
        later: whether it was written after the properties, without looking at the tests.
    """

    name: str
    says: str
    _: KW_ONLY
    reference: str
    shown_by: Callable[[], object]
    patch: Callable[[], AbstractContextManager[None]]
    releases: str = ">=4.57,<5"
    engine: Engine = "torch"
    later: bool = False

    @property
    def part(self) -> str:
        """Return the part of the library: the name of the module that defines the fault."""
        return self.patch.__module__.rpartition(".")[2]


def faults() -> dict[str, Fault]:
    """Return every fault by its name: part by part, the later ones last. Imports nothing heavy."""
    from tests.mutations import faults as package

    found: list[Fault] = []
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        found += importlib.import_module(module.name).FAULTS
    by_name = {fault.name: fault for fault in sorted(found, key=lambda fault: fault.later)}
    assert len(by_name) == len(found), "two faults have the same name"
    return by_name


def named(name: str) -> Fault:
    """Return one fault.

    Raises:
        UnknownFault: no fault has that name.
    """
    known = faults()
    if name not in known:
        raise UnknownFault(f"There is no fault {name!r}.", hint="List the faults: python -m tests.mutations --list")
    return known[name]
