from __future__ import annotations

import re
from dataclasses import replace

from pytest_hfmodels.reports.markdown import MOST, SHOWN, render
from pytest_hfmodels.results.model import Source

from ..example_records import generation
from . import example_results as examples


def test_the_summary_tells_by_cause_the_gravest_first_and_nothing_of_what_is_the_same() -> None:
    text = render(examples.one_of_each())

    assert text.startswith("## transformers 4.57.6 → 5.0.0: 3 outputs changed, 1 broken, 1 near-tie, 1 drifted, 1 new;")
    assert re.findall(r"(?m)^\*\*([\w-]+)\*\*", text) == ["changed", "changed", "changed", "near-tie"]
    assert re.findall(r"(?m)^- \*\*([\w:-]+)\*\*", text) == ["forward", "checkpoint:weights"]
    assert re.findall("(?m)^### ([^:\n]*)", text) == ["Changed", "Drift", "New", "Broken"]
    assert (
        "the forward pass differs, starting at block 2 (transformers 4.57.6 → 5.0.0). 1 test, 1 token changed" in text
    )
    assert "Find the release: `hfmodels bisect transformers --good 4.57.6 --bad 5.0.0 --" in text
    assert "- My name is Ada ⟦and⟧ I\n+ My name is Ada ⟦but⟧ I\n" in text
    assert "' and' had 60.7 %, ' but' 13.5 %; now ' but' has 88.2 %" in text
    assert "| `tests/test_it.py::test_drift[torch]` | -0.5 | -0.25 | 0.25 | log-probability, token 2 |" in text
    assert "Decide: `hfmodels review`" in text
    assert "test_same" not in text
    assert "python 3.11.9, transformers 4.57.6, torch 2.13.0</sub>" in text


def test_a_new_test_has_no_cause_and_lines_that_both_sides_share_stand_once() -> None:
    two = examples.told(generation(text="My dog\nshared"), generation(text="My cat\nshared"))
    text = render(examples.results(*examples.one_of_each().tests, examples.result(two)))

    assert "not known" not in text
    assert text.count("shared") == 1
    assert "\n- My ⟦dog⟧\n+ My ⟦cat⟧\n  shared\n" in text


def test_labels_that_differ_are_shown_as_a_table() -> None:
    assert "\n| label of 'Bad dog.' | `'cross'` | `'calm'` |\n" in render(examples.one_of_each())


def test_what_the_ci_names_is_linked_and_its_commands_take_the_page() -> None:
    source = Source("abcdef0123456789", "bump", "#7", "tests / gpu", "https://x/y", "https://x/y/pull/7", "https://x/1")

    text = render(
        examples.results(
            examples.result(replace(examples.changed(), pending=examples.pending())), source=source, page="report.html"
        )
    )

    assert "Commit `abcdef012345` on `bump`, [\\#7](https://x/y/pull/7), [tests / gpu](https://x/1)." in text
    assert "Decide: `hfmodels review --from report.html`" in text


def test_a_run_in_which_nothing_happened_is_a_line() -> None:
    same = examples.result(examples.told(generation(), generation()))

    lines = [line for line in render(examples.results(same)).splitlines() if line]

    assert lines[0] == "## transformers 4.57.6: nothing changed in 1 test"
    assert len(lines) == 2


def test_thousands_of_changes_fit_into_a_comment_and_the_rest_is_counted() -> None:
    text = render(examples.many(3000))

    shown = text.count("```diff")
    assert len(text.encode()) < MOST
    assert 20 < shown <= SHOWN
    assert f"{2700 - shown:,} more changed: <code>--hfmodels-html FILE</code> shows all" in text


def test_no_cause_fills_the_summary_alone() -> None:
    few = examples.many(200).tests
    why = {name: replace(examples.WHY, cause=name) for name in ("search", "forward")}
    told = [
        replace(
            test,
            comparisons=tuple(
                replace(one, explanation=why["search" if number > 150 else "forward"]) for one in test.comparisons
            ),
        )
        for number, test in enumerate(few)
    ]

    text = render(examples.results(*told))

    assert text.count("**changed** (forward)") >= 10
    assert text.count("**changed** (search)") >= 10


def test_the_longest_names_and_tracebacks_stay_below_what_github_takes() -> None:
    broken = examples.result(
        outcome="error", verdict="broken", headline="*" * 300, details="\x1b`" * 2000, name="é" * 3000
    )

    text = render(examples.results(*(replace(broken, id=f"{broken.id}{number}") for number in range(1000))))

    assert len(text.encode()) < MOST
    assert re.search(r"[\d,]+ more broken: ", text)


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
