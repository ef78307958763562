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
        shown_by: a direct call of the library whose result the fault changes; None for a project's fault, which
            `tests/projects/test_projects.py` proves.
        patch: returns a context manager that applies it.
        releases: of transformers that it fits, a PEP 440 range.
        engine: the engine that it changes.
        later: whether it was written after the properties, without looking at the tests.
        project: of tests/projects, whose tests have to see it; empty for a fault that the suites have to see.
    """

    name: str
    says: str
    _: KW_ONLY
    reference: str
    patch: Callable[[], AbstractContextManager[None]]
    shown_by: Callable[[], object] | None = None
    releases: str = ">=4.57,<5"
    engine: Engine = "torch"
    later: bool = False
    project: str = ""

    @property
    def part(self) -> str:
        """Return the part of the library: the name of the module that defines the fault, or the project."""
        return self.project or self.patch.__module__.rpartition(".")[2]

    @property
    def tests(self) -> str:
        """Return the folder of the tests that have to see it."""
        return f"tests/projects/{self.project}" if self.project else "suites"


def faults() -> dict[str, Fault]:
    """Return every fault by its name: part by part, the later ones last. Imports nothing heavy."""
    from tests.mutations import faults as package

    found: list[Fault] = []
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        found += importlib.import_module(module.name).FAULTS
    by_name = {fault.name: fault for fault in sorted(found, key=lambda fault: (bool(fault.project), fault.later))}
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
