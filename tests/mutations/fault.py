"""What a fault is, and the list of all."""

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
        name: unique, in words with hyphens.
        says: what the library does with it, in a sentence.
        reference: "owner/repository#number" of a real issue or pull request that the idea comes from.
        shown_by: a direct call of the library whose result the fault changes.
        patch: returns a context manager that applies it.
        releases: of transformers that it fits, as PEP 440 says them; by default those whose source it was read from.
        engine: where it shows.
        later: whether it was written after the properties, without looking at them.
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
        raise UnknownFault(f"There is no fault {name!r}.", hint="List them: python -m tests.mutations --list")
    return known[name]
