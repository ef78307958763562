"""What else than the model may have changed: versions of packages, and the command that finds the release."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hfmodels.shell import command, operand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.kinds import Record

# The package whose releases are the likeliest reason goes first.
_ORDER = ("transformers", "tokenizers", "torch", "tensorflow")


def moved_versions(recorded: Record, observed: Record) -> dict[str, tuple[str, str]]:
    """Return the packages whose versions differ from the recorded ones, with both versions."""
    before, now = recorded.provenance.versions, observed.provenance.versions
    names = sorted(before.keys() & now.keys(), key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
    return {name: (before[name], now[name]) for name in names if before[name] != now[name]}


def bisections(recorded: Record, observed: Record, test: str, *, first: str | None = None) -> Iterator[str]:
    """Yield the command that finds the release which changed the output, of the package most likely to have.

    Args:
        recorded: what was recorded, and with what.
        observed: what was seen now.
        test: the node id.
        first: the package to look at, where it has moved.
    """
    moved = moved_versions(recorded, observed)
    name = first if first in moved else next(iter(moved), None)
    if name is not None:
        good, bad = moved[name]
        yield command("hfmodels", "bisect", name, "--good", good, "--bad", bad, "--", operand(test))
