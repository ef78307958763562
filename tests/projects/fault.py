"""A fault that a project must see."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


@dataclass(frozen=True)
class ProjectFault:
    """Something that could slip into a release, and the test of the project that must fail for it.

    Args:
        name: unique in the project, in words with hyphens.
        says: what the library does with it, in a sentence.
        reference: "owner/repository#number" of a real issue or pull request that the idea comes from.
        patch: returns a context manager that applies it; see `tests.mutations.patches`.
        test: the name of the test that must fail; empty if no test of the project sees the fault.
        cause: what the failure must name; None if the evidence cannot prove one.
        verdict: of the comparison.
        releases: of transformers that it fits.
        later: whether it was written after the tests, without looking at them.
    """

    name: str
    says: str
    _: KW_ONLY
    reference: str
    patch: Callable[[], AbstractContextManager[None]]
    test: str
    cause: str | None
    verdict: str = "changed"
    releases: str = ">=4.57,<5"
    later: bool = False
