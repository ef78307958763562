from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.kinds.base import Course, Part
from pytest_hfmodels.reports.html import render
from pytest_hfmodels.reports.plot import plot
from pytest_hfmodels.results.carried import unpack
from pytest_hfmodels.results.model import Source

from ..example_records import STEPS, generation, moved
from . import example_results as examples
from .test_grids import Page

if TYPE_CHECKING:
    from pytest_hfmodels.results.model import Results


def page(results: Results) -> Page:
    """The page as a browser without script reads it."""
    return Page(render(results))


def test_every_test_is_there_with_its_verdict_the_gravest_first() -> None:
    told = page(examples.one_of_each())

    verdicts = ["changed", "changed", "changed", "broken", "missing", "near-tie", "drift", "same", "none"]
    assert told.attributes["data-verdict"] == verdicts
    assert told.attributes["data-cause"] == ["forward", "checkpoint:weights"]
    assert (
        "hfmodels: transformers 4.57.6 → 5.0.0: 3 outputs changed, 1 broken, 1 near-tie, 1 drifted, 1 new" in told.text
    )
    assert "other tests: 3 passed" in told.text
    assert told.tags.count("details") - told.attributes["id"].count("made") >= 9


def test_what_differs_is_marked_on_both_sides() -> None:
    text = render(examples.results(examples.result(examples.changed())))

    assert '<pre><span class="prompt">My name is</span> Ada <mark>and</mark> I</pre>' in text
    assert "<pre><span class=prompt>My name is</span> Ada <mark>but</mark> I</pre>" in text
    assert re.search(r"<tr class=differs><td class=n>2<td><code title=13>␣and</code>", text)
    assert "<p>&#39; and&#39; had 60.7 %, &#39; but&#39; 13.5 %; now &#39; but&#39; has 88.2 %" in text


def test_rows_stand_below_each_other_whatever_side_ends_first() -> None:
    text = render(examples.results(examples.result(examples.told(generation(), generation(STEPS[:1])))))

    rows = re.findall(r"<tr[^>]*>(<td class=n>\d.*)", text)
    assert [len(re.findall("<td", row)) for row in rows] == [7, 7, 7]
    assert text.count("the end") == 1


def test_a_chart_with_nothing_in_it_is_not_there() -> None:
    same = examples.told(generation(), generation())
    once = examples.told(generation(), generation(moved(1, by=0.25)))

    assert "<figure>" not in render(examples.results(examples.result(same), examples.result(once, name="test_b")))


def test_a_run_in_a_ci_links_what_the_ci_names_and_its_commands_take_the_page() -> None:
    source = Source("abcdef0123456789", "bump", "#7", "tests", "https://x/y", "https://x/y/pull/7", "https://x/1")
    found = replace(examples.changed(), pending=examples.pending())

    told = page(examples.results(examples.result(found), source=source, page="report.html"))

    assert {"https://x/y/pull/7", "https://x/1", "https://x/y/commit/abcdef0123456789"} <= {*told.attributes["href"]}
    assert "https://x/y/blob/abcdef0123456789/tests/test_it.py#L12" in told.attributes["href"]
    assert "hfmodels accept --from report.html 'test_it.py::test_a[torch]'" in told.text
    assert "hfmodels review --from report.html" in told.text


def test_a_page_carries_its_pending_changes_unless_they_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    results = examples.results(examples.result(replace(examples.changed(), pending=examples.pending())))

    assert unpack(render(results), "it", most=10_000) == [examples.pending()]
    monkeypatch.setattr("pytest_hfmodels.reports.html._CHANGES", 10)
    assert unpack(render(results), "it", most=10_000) == []
    assert "too many changes for this page" in render(results)


def test_a_line_that_ends_elsewhere_can_be_seen() -> None:
    found = examples.told(generation(text="one two"), generation(text="one\ntwo"))

    text = render(examples.results(examples.result(found)))

    assert "one<mark> </mark>two" in text
    assert "one<mark>↵\n</mark>two" in text


def test_equal_texts_are_shown_once() -> None:
    found = examples.told(generation(), generation())

    assert render(examples.results(examples.result(found))).count("Ada and I") == 1


def test_what_made_both_sides_is_told_once_for_all_tests_that_share_it() -> None:
    told = page(examples.many(50))

    assert [name for name in told.attributes["id"] if name and name.startswith("made-")] == ["made-1", "made-2"]
    assert told.attributes["href"].count("#made-1") == 45
    assert "attention eager → sdpa, transformers 4.57.6 → 5.0.0" in told.text


def test_a_pending_change_says_how_to_accept_it() -> None:
    assert "hfmodels accept 'test_it.py::test_a[torch]'" in page(examples.one_of_each()).text


def test_the_page_needs_nothing_from_anywhere() -> None:
    text = render(examples.one_of_each())
    told = page(examples.one_of_each())

    assert not {"link", "img", "iframe"} & {*told.tags}
    assert "src" not in told.attributes
    assert all(str(target).startswith("#") for target in told.attributes["href"])
    assert "default-src 'none'" in text
    assert "http" not in re.sub(r'http-equiv="Content-Security-Policy"', "", text)


def test_whatever_is_said_is_shown_and_not_read_as_html() -> None:
    told = page(examples.hostile())

    assert told.tags.count("script") == 1
    assert "img" not in told.tags
    assert "onerror" not in told.attributes
    assert told.text.count("<script>document.title='ran'</script>") >= 8
    assert "{{ 7 * 7 }}" in told.text
    assert "\u202e" not in told.text
    assert "\x1b" not in told.text
    assert "U+202E" in told.text


def test_a_page_that_is_full_keeps_every_test_and_says_where_the_rest_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_hfmodels.reports.html._DETAILED", 60_000)

    told = page(examples.many(100))

    assert len(told.attributes["data-verdict"]) == 100
    assert 2 < told.tags.count("figure") < 20
    assert told.tags.count("figure") + told.text.count("page is full") == 100


def test_a_patch_that_is_too_long_for_a_page_is_told_of() -> None:
    text = render(examples.one_of_each(), patch="x" * 2_000_001)

    assert "as a patch are too long for this page: <code>--hfmodels-patch FILE</code>" in text
    assert "data:" not in text


def parts(*margins: float | None) -> tuple[Part, ...]:
    return tuple(map(Part, margins))


class TestPlot:
    STEPS = Course("token", 12, parts(2.0, 1.0, 0.5, -1.0), parts(2.0, None, 0.25), (0.0, 1e-6, 0.01), start=10)

    def test_the_figures_are_told_in_words_too(self) -> None:
        drawn = plot(self.STEPS, 1e-4)

        assert drawn is not None
        assert drawn.summary == (
            "smallest recorded margin -1 at token 14, smallest margin now 0.25 at token 13, "
            "largest drift 0.01 at token 13; tolerance 0.0001"
        )
        assert (drawn.first, drawn.last) == (11, 14)

    def test_a_line_breaks_where_there_is_no_figure(self) -> None:
        drawn = plot(self.STEPS, 1e-4)

        assert drawn is not None
        assert [path.count("M") for _, path in drawn.lines] == [1, 2, 1]

    def test_larger_drift_is_higher_and_zero_lies_on_the_ground(self) -> None:
        drawn = plot(replace(self.STEPS, drift=(0.0, 1e-3)), 1e-4)

        assert drawn is not None
        zero, larger = (
            int(point) for point in re.findall(r" (\d+)\b", dict(drawn.lines)["drift"].partition("L")[2])[::2]
        )
        assert larger < zero == 132

    @pytest.mark.parametrize(
        ("divergence", "is_drawn"),
        [(12, True), (2, False), (10**400, False), (None, False)],
        ids=["in", "before", "far", "none"],
    )
    def test_a_divergence_is_drawn_if_its_token_is(self, divergence: int | None, is_drawn: bool) -> None:
        drawn = plot(replace(self.STEPS, divergence=divergence), 1e-4)

        assert drawn is not None
        assert (drawn.divergence is not None) == is_drawn

    def test_there_is_no_drawing_of_nothing(self) -> None:
        assert plot(Course("token", None, (), (), ()), 1e-4) is None
