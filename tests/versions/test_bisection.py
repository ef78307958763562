from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_hfmodels.versions.bisection import Bracket, EndMisjudged, Judged, Judgement, search

GOOD, BAD, UNTESTABLE = Judgement.GOOD, Judgement.BAD, Judgement.UNTESTABLE


class History:
    """Releases that are good before `first_bad` and bad from it on, and some that nobody can test."""

    def __init__(self, count: int, first_bad: int, untestable: frozenset[int] = frozenset()) -> None:
        self.releases = [f"1.{number}" for number in range(count)]
        self.truth = {
            version: UNTESTABLE if number in untestable else BAD if number >= first_bad else GOOD
            for number, version in enumerate(self.releases)
        }
        self.asked: list[str] = []
        self.left: list[int] = []

    def search(self) -> Bracket:
        def judge(version: str, left: int) -> Judged:
            self.asked.append(version)
            self.left.append(left)
            return Judged(version, self.truth[version], f"it is {self.truth[version]}")

        return search(self.releases, judge)

    def those(self, judgement: Judgement) -> list[str]:
        return [version for version in self.releases if self.truth[version] is judgement]


@st.composite
def histories(draw: st.DrawFn) -> History:
    count = draw(st.integers(2, 200))
    first_bad = draw(st.integers(1, count - 1))
    inside = st.frozensets(st.integers(1, count - 2)) if count > 2 else st.just(frozenset[int]())
    return History(count, first_bad, draw(inside))


@settings(deadline=None)
@given(history=histories())
def test_the_last_good_and_the_first_bad_release_that_can_be_tested_are_found(history: History) -> None:
    found = history.search()

    assert (found.good.version, found.bad.version) == (history.those(GOOD)[-1], history.those(BAD)[0])
    start, end = history.releases.index(found.good.version), history.releases.index(found.bad.version)
    assert [judged.version for judged in found.between] == history.releases[start + 1 : end]
    assert {judged.judgement for judged in found.between} <= {UNTESTABLE}
    assert found.exact == (end == start + 1)


@settings(deadline=None)
@given(history=histories())
def test_each_release_is_judged_at_most_once_and_few_are(history: History) -> None:
    found = history.search()

    assert history.asked[:2] == [history.releases[0], history.releases[-1]]
    assert len(history.asked) == len(set(history.asked))
    assert [judged.version for judged in found.judged] == history.asked
    failed = sum(history.truth[version] is UNTESTABLE for version in history.asked)
    assert len(history.asked) <= math.ceil(math.log2(len(history.releases))) + 2 + failed
    if not failed:
        assert history.left == sorted(history.left, reverse=True)
        assert all(len(history.asked) - number <= left + 1 for number, left in enumerate(history.left))


@pytest.mark.parametrize(
    ("history", "expected", "version", "judgement"),
    [
        pytest.param(History(5, first_bad=0), GOOD, "1.0", BAD, id="good-is-bad"),
        pytest.param(History(5, first_bad=9), BAD, "1.4", GOOD, id="bad-is-good"),
        pytest.param(History(5, first_bad=3, untestable=frozenset({0})), GOOD, "1.0", UNTESTABLE, id="good-untestable"),
        pytest.param(History(5, first_bad=3, untestable=frozenset({4})), BAD, "1.4", UNTESTABLE, id="bad-untestable"),
    ],
)
def test_an_end_that_is_not_as_stated_ends_the_search(
    history: History, expected: Judgement, version: str, judgement: Judgement
) -> None:
    with pytest.raises(EndMisjudged) as stop:
        history.search()

    assert stop.value.expected is expected
    assert (stop.value.judged.version, stop.value.judged.judgement) == (version, judgement)
    assert history.asked[-1] == version
