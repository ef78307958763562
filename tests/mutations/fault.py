"""What a fault is, and the list of all."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pytest_hfmodels.errors import HFModelsError

Engine = Literal["torch", "tensorflow"]
Change: TypeAlias = Callable[[], AbstractContextManager[None]]

# The releases whose source the faults were read from.
RELEASES = ">=4.57,<5"


class UnknownFault(HFModelsError):
    """A name that no fault has."""


@dataclass(frozen=True)
class Fault:
    """A thing that could slip into a release.

    Args:
        name: of the function that applies it, with hyphens.
        says: what the library does with it, in a sentence.
        part: the part of the library: the name of the fault's module.
        reference: "owner/repository#number" of a real issue or pull request that the idea comes from.
        releases: of transformers that it fits, as PEP 440 says them.
        engine: where it shows.
        later: whether it was written apart from the properties, without looking at them.
        apply: the patch, a context manager.
        shown_by: a direct call of the library whose result it changes.
    """

    name: str
    says: str
    part: str
    reference: str
    releases: str
    engine: Engine
    later: bool
    apply: Change
    shown_by: Callable[[], object]


def fault(
    says: str, *, reference: str, shown_by: Callable[[], object], releases: str = RELEASES, engine: Engine = "torch"
) -> Callable[[Change], Change]:
    """Register the decorated function as a fault; see `Fault`.

    Args:
        says: what the library does with it.
        reference: where the idea comes from.
        shown_by: a direct call that it changes.
        releases: that it fits.
        engine: where it shows.
    """

    def register(apply: Change) -> Change:
        name = apply.__name__.replace("_", "-")
        assert name not in _REGISTERED, f"there are two faults {name}"
        _, _, place = apply.__module__.partition(".faults.")
        part = place.rpartition(".")[2]
        later = place.startswith("later.")
        _REGISTERED[name] = Fault(name, says, part, reference, releases, engine, later, apply, shown_by)
        return apply

    return register


def faults() -> dict[str, Fault]:
    """Return every fault by its name, in the order of the modules; imports nothing heavy."""
    from tests.mutations import faults as package

    for module in sorted(
        (found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.") if not found.ispkg),
        key=lambda name: (".later." in name, name),
    ):
        importlib.import_module(module)
    return dict(_REGISTERED)


def named(name: str) -> Fault:
    """Return one fault.

    Raises:
        UnknownFault: there is none of that name.
    """
    known = faults()
    if name not in known:
        raise UnknownFault(f"There is no fault {name!r}.", hint="List them: python -m tests.mutations --list")
    return known[name]


_REGISTERED: dict[str, Fault] = {}
