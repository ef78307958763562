"""Cuts the tests of a row into shards for several machines. Every test is in exactly one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SHORTEST = 0.001  # seconds: a test that took none still has to run


@dataclass(frozen=True)
class Shard:
    """One of `count` shards; the first is number 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `2/3`.

        Raises:
            OptionError: it reads otherwise.
        """
        if not cls.is_valid(text):
            raise OptionError(f"--shard is {text!r}.", hint="Write 2/3 for the second of three shards.")
        number, _, count = text.partition("/")
        return cls(int(number), int(count))

    @staticmethod
    def is_valid(text: str) -> bool:
        """Return whether a text reads like `2/3`."""
        found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text, re.ASCII)
        return found is not None and 1 <= int(found[1]) <= int(found[2])

    def choose(self, tests: Iterable[str], durations: Mapping[str, float]) -> frozenset[str]:
        """Return the tests of this shard, which takes about as long as every other one.

        The tests are cut in the order of their names, so that those of a file stay together and share their models,
        and so that the order in which a run collects them does not matter.

        Args:
            tests: node ids of all shards.
            durations: seconds by node id; a test without one counts as an average one.
        """
        ordered = sorted({*tests})
        known = [durations[test] for test in ordered if test in durations]
        usual = fmean(known) if known else 1.0
        weights = [max(durations.get(test, usual), _SHORTEST) for test in ordered]
        total, before, chosen = sum(weights), 0.0, []
        for test, weight in zip(ordered, weights, strict=True):
            if int(self.count * (before + weight / 2) / total) == self.number - 1:
                chosen.append(test)
            before += weight
        return frozenset(chosen)
