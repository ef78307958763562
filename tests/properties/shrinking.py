"""What hypothesis shrinks a failure to."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from hypothesis import Phase, given, settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy

Example = TypeVar("Example")


def smallest(strategy: SearchStrategy[Example], fails: Callable[[Example], bool], *, examples: int = 100) -> Example:
    """Return the example that a failing test would end with."""
    failing: list[Example] = []

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
    )
    @given(example=strategy)
    def test(example: Example) -> None:
        if fails(example):
            failing.append(example)
            raise AssertionError

    try:
        test()
    except AssertionError:
        return failing[-1]
    raise LookupError("no example fails")
