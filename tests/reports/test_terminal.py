from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width

import pytest

from pytest_hfmodels.explain import Ablation, Evidence, Explanation
from pytest_hfmodels.foundation.control_chars import UNSEEN as UNSEEN_CHARACTERS
from pytest_hfmodels.kinds import Beam, Step
from pytest_hfmodels.reports.colours import painted
from pytest_hfmodels.reports.terminal import mismatch

from ..example_records import PROMPT, STEPS, beams, classification, generation, live, moved, swapped
from . import example_results as examples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.kinds import Record

OTHER = Step(14, " but", -0.125, -0.125, 1.25, 13, " and")


@pytest.fixture(autouse=True)
def _in_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def lines(recorded: Record | None, observed: Record, *, verbose: bool = True, **about: Any) -> list[str]:
    return mismatch(examples.told(recorded, observed, **about), root=Path.cwd(), here=Path.cwd(), verbose=verbose)


def test_the_first_token_that_differs_comes_first_with_its_figures() -> None:
    steps = swapped(1, OTHER)

    told = lines(generation(), generation(steps, live=live(steps, drift=-1.0)))

    assert told[:5] == [
        "changed: generated token 2 differs (snapshots/test_it/test_a.toml)",
        "  recorded My name is Ada⟦ and⟧ I",
        "  now      My name is Ada⟦ but⟧ I",
        "  ' and' (id 13) had -0.5, margin 1.5; now -1.5, moved by 1",
        "  ' but' (id 14) now has -0.125, margin 1.25",
    ]
    assert told[-1] == "  accept it: pytest 'test_it.py::test_a[torch]' --snapshot-update"


def test_other_prompt_ids_are_several() -> None:
    told = lines(generation(), generation(prompt=replace(PROMPT, ids=(5, 6, 8))))

    assert told[0] == "changed: prompt ids differ (snapshots/test_it/test_a.toml)"


def test_what_pytest_shows_of_an_explanation_holds_what_matters() -> None:
    steps = swapped(1, OTHER)
    observed = generation(moved(0, by=1.0, steps=steps), live=live(steps, drift=-1.0))

    short, whole = (lines(generation(), observed, verbose=verbose) for verbose in (False, True))

    # pytest cuts an explanation at 8 lines and 640 characters.
    assert len(short) <= 8
    assert sum(map(len, short)) <= 640
    assert short[:5] == whole[:5]
    assert short[-1] == whole[-1]
    assert short[5] == "  numbers up to there moved by at most 1 (tolerance 0.0001); 3 more differences: -vv"
    assert len(whole) > len(short)


def test_an_end_that_comes_early_or_late_is_said() -> None:
    early = lines(generation(), generation(STEPS[:2]))
    late = lines(generation(STEPS[:2]), generation())

    assert early[0] == "changed: generated token 3 differs (snapshots/test_it/test_a.toml)"
    assert "  now      My name is Ada and⟦the end⟧" in early
    assert "  recorded My name is Ada and⟦the end⟧" in late


def test_long_texts_are_shown_around_the_difference() -> None:
    start = 50 * "All work and no play. "

    told = lines(generation(text=start + "Jack sat."), generation(text=start + "Jack ran away." + start))

    assert told[0] == "changed: decoded text differs (snapshots/test_it/test_a.toml)"
    assert told[1].startswith("  recorded …")
    assert told[1].endswith("no play. Jack ⟦sat.⟧")
    assert "no play. Jack ⟦ran away.All work" in told[2]
    assert max(map(len, told)) < 200


def test_drift_shows_the_figures_and_the_tolerance() -> None:
    told = lines(generation(), generation(moved(1, by=0.25)))

    assert told[0].startswith(
        "drift: the same output, but numbers moved beyond tolerance, first the log-probability of token 2 ("
    )
    assert "  log-probability of token 2: recorded -0.5, now -0.25 (moved by 0.25)" in told
    assert "  numbers in all moved by at most 0.25 (tolerance 0.0001)" in told


def test_a_returned_beam_is_shown_by_score_and_text() -> None:
    first, _ = beams().beams

    told = lines(beams(), beams(beams=(first, Beam((11, 13, 17), -0.75, "My name is Ada and we"))))

    assert told[:4] == [
        "changed: returned beam differs (snapshots/test_it/test_a.toml)",
        "  returned beam 2 differs",
        "  recorded -0.625 My name is Ada and ⟦you⟧",
        "  now      -0.75 My name is Ada and ⟦we⟧",
    ]


def test_settings_prompts_and_labels_are_named() -> None:
    record = generation()
    setting = lines(record, replace(record, effective={**record.effective, "max_length": 9}))
    prompt = lines(record, replace(record, prompt=replace(record.prompt, ids=(5, 6, 8))))
    row = classification().inputs[1]
    label = lines(classification(), classification(inputs=(classification().inputs[0], replace(row, label="calm"))))

    assert setting[:2] == [
        "changed: max_length differs (snapshots/test_it/test_a.toml)",
        "  max_length: recorded 6, now 9",
    ]
    assert prompt[1] == "  prompt ids (first at 3): recorded (5, 6, 7), now (5, 6, 8)"
    assert label[1] == "  label of 'Bad dog.': recorded 'cross', now 'calm'"


def test_differences_that_are_left_out_are_counted() -> None:
    record = generation()

    def told(count: int, *, verbose: bool = False) -> list[str]:
        effective = {**record.effective, **{f"setting_{number}": number for number in range(count)}}
        return lines(record, replace(record, effective=effective), verbose=verbose)

    assert told(1)[2].endswith("(tolerance 0.0001)")
    assert told(2)[2].endswith("; one more difference: -vv")
    assert told(9)[2].endswith("; 8 more differences: -vv")
    assert sum("setting_" in line for line in told(9, verbose=True)[1:]) == 9


def test_checkpoints_that_differ_are_noted() -> None:
    record = generation()

    told = lines(record, generation(moved(0, by=1.0), checkpoint=replace(record.checkpoint, config="sha256:c2")))

    assert any(line.startswith("  since recording: the checkpoint's config changed") for line in told)


def test_a_missing_snapshot_shows_what_was_seen() -> None:
    assert lines(None, generation()) == [
        "missing: there is no snapshot snapshots/test_it/test_a.toml yet",
        "  observed: My name is Ada and I",
        "  record it: pytest 'test_it.py::test_a[torch]' --snapshot-update",
    ]
    assert lines(None, classification())[1].startswith("  observed: Good dog.: calm (")
    assert lines(None, generation(), refusal="torch first")[2].startswith("  torch first (pytest ")


def test_an_engine_that_may_not_write_says_whose_file_it_is() -> None:
    told = lines(generation(), generation(moved(0, by=1.0), engine="tensorflow"), refusal="not updated: torch")

    assert told[-1] == "  not updated: torch"
    assert any("(torch, float32, eager, AVX512)" in line for line in told)
    assert any("(tensorflow, float32, eager, AVX512)" in line for line in told)


WHY = Explanation(
    "changed",
    "forward",
    "the forward pass differs, starting at block 2",
    (Evidence("the recorded tokens' log-probabilities moved by at most 0.5", {"drift": 0.5}), Evidence("and so on")),
    (Ablation("eager attention instead of sdpa", 0.5, 0.5, returns=False),),
    "block 2",
    suggests=("hfmodels bisect transformers --good 4.49.0 --bad 4.57.6 -- 'test_it.py::test_a[torch]'",),
)


def test_the_verdict_and_its_cause_come_first_then_the_text_the_evidence_and_what_to_type() -> None:
    steps = swapped(1, OTHER)

    short, whole = (
        lines(generation(), generation(steps, live=live(steps)), verbose=verbose, explanation=WHY)
        for verbose in (False, True)
    )

    assert short[0] == "changed: forward: generated token 2 differs (snapshots/test_it/test_a.toml)"
    assert short[1].startswith("  recorded My name")
    assert short[5] == "  why: the forward pass differs, starting at block 2"
    assert short[6] == "  - the recorded tokens' log-probabilities moved by at most 0.5; one more difference: -vv"
    assert short[-1].startswith("  accept it: ")
    assert "  - and so on" in whole
    assert whole[-2] == f"  find the release: {WHY.suggests[0]}"


def screens(told: list[str], width: int) -> int:
    """Count the lines of a terminal that the explanation takes, as pytest indents it."""
    wide = [sum(2 if east_asian_width(letter) in "WF" else 1 for letter in line) for line in told]
    return sum(max(1, -(-(12 + columns) // width)) for columns in wide)


LONG = 50_000 * "All work and no play. "
UNSEEN = 5_000 * "\x1b[31m\u202e\x00\ud800"
TURNED = 500 * "שלום עולם مرحبا بالعالم "


def many_ways() -> Iterator[tuple[Record | None, Record]]:
    """Yield pairs of records that differ, with texts that are hard to show."""
    for text in (LONG, UNSEEN, TURNED, 5_000 * "漢字"):
        prompt = replace(PROMPT, text=text)
        steps = swapped(1, replace(OTHER, text=text[:100]))
        yield generation(prompt=prompt), generation(steps, prompt=prompt, live=live(steps))
        yield generation(text=f"{text}one{text}"), generation(text=f"{text}two{text}")
        row = replace(classification().inputs[1], text=text)
        yield classification(inputs=(row,)), classification(inputs=(replace(row, label="calm"),))
        yield beams(), beams(beams=(beams().beams[0], Beam((11, 13, 17), -0.75, text)))
        yield None, generation(text=text)
    yield generation(), generation(effective={**generation().effective, **{f"s{number}": 1 for number in range(9)}})
    yield generation(), generation(moved(1, by=1e-6, steps=swapped(2, OTHER)), live=live(STEPS, drift=1e-6))


@pytest.mark.parametrize("sentence", ["the forward pass differs", "because " * 100, UNSEEN])
def test_no_explanation_is_longer_than_a_screen_or_cut_by_pytest(sentence: str) -> None:
    long = replace(WHY, sentence=sentence, evidence=(Evidence(sentence), Evidence("and so on")))

    for recorded, observed in many_ways():
        explained = {} if recorded is None else {"explanation": long}
        told = lines(recorded, observed, verbose=False, **explained)

        assert len(told) <= 8
        assert sum(map(len, told)) <= 640
        assert screens(told, 80) <= 24
        assert told[-1].startswith(("  accept it: ", "  record it: "))
        assert any("⟦" in line for line in told) == any("⟧" in line for line in told)
        assert not UNSEEN_CHARACTERS.search("".join(told))


def test_whatever_is_cut_or_left_out_is_said_to_be_told_with_vv() -> None:
    steps = swapped(1, replace(OTHER, text="x" * 80))
    record = generation()
    other = {**record.effective, **{f"setting_{number}": number for number in range(9)}}
    long = replace(WHY, sentence="because " * 100)

    token = lines(record, generation(steps, live=live(steps)), verbose=False, explanation=long)
    settings = lines(record, replace(record, effective=other), verbose=False, explanation=long)
    whole = lines(record, generation(text="one"), verbose=False, explanation=replace(WHY, evidence=()))

    assert "…; one more difference: -vv" in token[-2]
    assert "…; 8 more differences: -vv" in settings[-2]
    assert not any("-vv" in line for line in whole)
    assert "and so on" not in "".join(token)


def test_a_test_whose_name_is_longer_than_everything_else_leaves_room_for_what_matters() -> None:
    steps = swapped(1, OTHER)

    named = {"writer": f"test_it.py::test_a[{'x' * 500}]", "name": "x" * 500}

    told = lines(generation(), generation(steps), verbose=False, **named)

    assert told[0].endswith("…")
    assert sum(map(len, told)) <= 640
    assert "  now      My name is Ada⟦ but⟧ I" in told
    assert told[-1] == "  accept it: run this test again with --snapshot-update"


def test_only_what_differs_is_marked_in_a_long_text() -> None:
    told = lines(generation(text=f"{LONG}one{LONG}"), generation(text=f"{LONG}two{LONG}"))

    assert "no play. ⟦one⟧All work" in told[1]
    assert "no play. ⟦two⟧All work" in told[2]


def test_a_megabyte_and_what_nobody_could_see_is_cut_and_spelt_out() -> None:
    long = f"\x1b[31m\u202e{LONG}"
    steps = swapped(1, replace(OTHER, text=" \u202ebut\x07"))
    ids = tuple(range(100_000))
    prompts = [replace(generation().prompt, text=long, ids=(*ids[:5], last, *ids[6:])) for last in (1, 2)]

    for told in (
        lines(generation(text=f"{long}one{long}"), generation(text=f"{long}two{long}")),
        lines(generation(), generation(steps, live=live(steps))),
        lines(generation(prompt=prompts[0]), generation(prompt=prompts[1])),
        lines(None, generation(text=long)),
    ):
        assert sum(map(len, told)) < 3000
        assert len(told) <= 24
        assert not re.search("[\x00-\x08\x1b\u202e]", "\n".join(told))
    assert "  prompt ids (first at 6): recorded …[2, 3, 4, 1, 6, 7, 8, 9]…, 100000 in all" in "".join(
        line.partition(", now")[0] for line in lines(generation(prompt=prompts[0]), generation(prompt=prompts[1]))
    )


def test_colours_are_put_around_the_words_and_change_none() -> None:
    def markup(text: str, **names: bool) -> str:
        return f"\x1b[{len(names)}m{text}\x1b[0m"

    steps = swapped(1, OTHER)
    told = lines(generation(), generation(steps, live=live(steps)), explanation=WHY)
    plain = ["    assert record == hf_snapshot", f"E       assert {told[0]}", *(f"E       {line}" for line in told[1:])]

    coloured = painted(plain, markup)

    assert coloured[0] == plain[0]
    assert [re.sub("\x1b\\[[0-9;]*m", "", line) for line in coloured] == plain
    assert "\x1b[2mchanged: forward: " in coloured[1]
    assert "\x1b[2m⟦ and⟧\x1b[0m" in coloured[2]
    assert "\x1b[2m⟦ but⟧\x1b[0m" in coloured[3]
    assert painted(["E       assert 1 == 2"], markup) == ["E       assert 1 == 2"]


def test_where_nothing_has_moved_no_release_is_at_fault() -> None:
    edited = generation(moved(0, by=1.0))
    elsewhere = replace(edited, provenance=replace(edited.provenance, cpu="AVX2"))
    told = "  since recording: no release, file or machine has moved: it was edited, or a test patches something"

    assert told in lines(edited, generation(), explanation=WHY)
    assert told not in lines(elsewhere, generation(), explanation=WHY)
    assert told not in lines(edited, generation(), explanation=replace(WHY, cause="dtype"))


def test_a_reason_that_does_not_fit_is_not_cut_within_a_figure() -> None:
    why = replace(WHY, evidence=(Evidence(f"{'a long way ' * 30}of 0.00123"),))

    short = lines(generation(), generation(moved(0, by=1.0)), verbose=False, explanation=why)

    assert not any("a long way" in line for line in short)
    assert any(line.endswith(": -vv") for line in short)
