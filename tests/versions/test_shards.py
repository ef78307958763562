from __future__ import annotations

from itertools import pairwise

import pytest

from pytest_hfmodels.foundation.errors import OptionError
from pytest_hfmodels.versions.shards import Shard

TESTS = [f"{file}.py::test_{number:02}" for file in "abcd" for number in range(25)]


def cut(tests: list[str], count: int, durations: dict[str, float]) -> list[frozenset[str]]:
    return [Shard(number, count).choose(tests, durations) for number in range(1, count + 1)]


@pytest.mark.parametrize("durations", [{}, {test: len(test) * number**2 for number, test in enumerate(TESTS)}])
@pytest.mark.parametrize("count", [1, 3, 7, 150])
def test_every_test_is_in_one_shard_whatever_the_order_of_collection(count: int, durations: dict[str, float]) -> None:
    shards = cut(TESTS, count, durations)

    assert sorted(test for shard in shards for test in shard) == TESTS
    assert shards == cut(TESTS[::-1], count, durations)
    filled = [shard for shard in shards if shard]
    assert all(max(one) < min(other) for one, other in pairwise(filled))  # tests of a file stay together


def test_shards_take_about_as_long_by_recorded_durations_and_unknown_tests_count_as_average_ones() -> None:
    slow = {test: 10.0 if test.startswith("a") else 1.0 for test in TESTS[:-5]}
    seconds = [sum(slow.get(test, 3.4) for test in shard) for shard in cut(TESTS, 3, slow)]

    assert max(seconds) - min(seconds) <= 10


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1", "1/3/3", "-1/3", "a/b", "1/0"])
def test_another_word_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="--shard is"):
        Shard.parse(text)
