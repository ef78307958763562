from __future__ import annotations

import re
from dataclasses import replace

from pytest_hfmodels.reports.markdown import MOST, SHOWN, render

from ..example_records import generation
from . import example_results as examples


def test_the_summary_tells_by_cause_the_gravest_first_and_nothing_of_what_is_the_same() -> None:
    text = render(examples.one_of_each())

    assert "9 in all: 3 changed, 1 broken, 1 missing, 1 near-tie, 1 drift, 1 same, 1 without a verdict." in text
    assert "| changed | forward | 1 |" in text
    assert re.findall(r"<summary><b>([\w-]+)</b>", text) == [
        *("changed", "changed", "changed", "broken", "missing", "near-tie", "drift")
    ]
    assert re.findall("(?m)^### (.*)$", text) == ["forward", "checkpoint:weights", "Cause not known"]
    assert "Why: the forward pass differs, starting at block 2." in text
    assert "- the recorded tokens' log-probabilities moved by at most 0.001" in text
    assert "Find the release: `hfmodels bisect transformers --good 4.57.6 --bad 5.0.0 --" in text
    assert "- My name is Ada and I\n+ My name is Ada but I\n" in text
    assert "Accept it: `hfmodels accept 'test_it.py::test_a[torch]'`" in text
    assert "test_same" not in text
    assert "<sub>python 3.11.9, transformers 4.57.6, torch 2.13.0</sub>" in text


def test_a_run_in_which_nothing_happened_is_a_line() -> None:
    same = examples.result(examples.told(generation(), generation()))

    lines = [line for line in render(examples.results(same)).splitlines() if line]

    assert lines[:2] == ["## Model tests", "1 in all: 1 same."]
    assert len(lines) == 3


def test_thousands_of_changes_fit_into_a_step_summary() -> None:
    text = render(examples.many(3000))

    assert len(text.encode()) < 200_000
    assert text.count("```diff") == SHOWN
    assert "<summary>2650 more</summary>" in text
    assert "- and 2150 more" in text


def test_no_cause_fills_the_summary_alone() -> None:
    few = examples.many(200).tests
    told = [replace(test, cause="search" if number > 150 else "forward") for number, test in enumerate(few)]

    text = render(examples.results(*told))

    forward, _, search = text.partition("### search")
    assert forward.count("```diff") == 30
    assert search.count("```diff") == SHOWN - 30


def test_the_longest_names_and_tracebacks_stay_below_what_github_takes() -> None:
    broken = examples.result(
        outcome="error", verdict="broken", headline="*" * 300, details="\x1b`" * 2000, name="é" * 3000
    )

    text = render(examples.results(*(replace(broken, id=f"{broken.id}{number}") for number in range(1000))))

    assert 500_000 < len(text.encode()) < MOST
    assert re.search(r"- and \d+ more", text)


def test_what_a_model_says_is_neither_markup_nor_the_end_of_a_block() -> None:
    text = render(examples.hostile())

    outside = re.sub(r"(?sm)^(`{3,})\w*\n.*?\n\1$", "", text)
    outside = re.sub(r"(`+).*?\1", "", outside)
    assert "<script" not in outside
    assert "<img" not in outside
    assert "\u202e" not in text
    assert "⟨U+202E⟩" in text
    assert "\\*\\*bold\\*\\*" in outside
    assert "\n::error" not in text
    assert "`````\n```\n" in text  # longer than what the text holds itself
