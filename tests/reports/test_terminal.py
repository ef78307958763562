from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

    from syrupy.assertion import SnapshotAssertion

    from pytest_hfmodels.kinds import Record

OTHER = Step(14, " but", -0.125, -0.125, 1.25, 13, " and")
TURNED = swapped(1, OTHER)
WHY = Explanation(
    "changed",
    "forward",
    "the forward pass differs, starting at block 2",
    (Evidence("the recorded tokens' log-probabilities moved by at most 0.5", {"drift": 0.5}), Evidence("and so on")),
    (Ablation("eager attention instead of sdpa", 0.5, 0.5, returns=False),),
    "block 2",
    suggests=("hfmodels bisect transformers --good 4.49.0 --bad 4.57.6 -- 'test_it.py::test_a[torch]'",),
)


@pytest.fixture(autouse=True)
def _in_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def lines(recorded: Record | None, observed: Record, *, verbose: bool = True, **about: Any) -> list[str]:
    return mismatch(examples.told(recorded, observed, **about), root=Path.cwd(), here=Path.cwd(), verbose=verbose)


def _pairs() -> dict[str, tuple[Record | None, Record]]:
    record, rows = generation(), classification().inputs
    beam = Beam((11, 13, 17), -0.75, "My name is Ada and we")
    start = 50 * "All work and no play. "
    return {
        "token": (record, generation(TURNED, live=live(TURNED, drift=-1.0))),
        "end": (record, generation(STEPS[:2])),
        "prompt": (record, generation(prompt=replace(PROMPT, ids=(5, 6, 8)))),
        "text": (generation(text=f"{start}Jack sat."), generation(text=f"{start}Jack ran away.{start}")),
        "drift": (record, generation(moved(1, by=0.25))),
        "beam": (beams(), beams(beams=(beams().beams[0], beam))),
        "settings": (record, replace(record, effective={**record.effective, "max_length": 9, "top_k": 5})),
        "label": (classification(), classification(inputs=(rows[0], replace(rows[1], label="calm")))),
        "checkpoint": (record, generation(moved(0, by=1.0), checkpoint=replace(record.checkpoint, config="sha256:c2"))),
        "missing": (None, record),
    }


@pytest.mark.parametrize("what", _pairs())
def test_people_see(what: str, snapshot: SnapshotAssertion) -> None:
    recorded, observed = _pairs()[what]

    assert "\n".join(lines(recorded, observed, verbose=False)) == snapshot


@pytest.mark.parametrize("verbose", [False, True], ids=["short", "verbose"])
def test_people_see_why(verbose: bool, snapshot: SnapshotAssertion) -> None:
    now = generation(moved(0, by=1.0, steps=TURNED), live=live(TURNED, drift=-1.0), provenance=examples.newer())

    assert "\n".join(lines(generation(), now, verbose=verbose, explanation=WHY)) == snapshot


def test_an_engine_that_may_not_write_says_whose_file_it_is() -> None:
    now = generation(moved(0, by=1.0), engine="tensorflow")

    assert lines(generation(), now, refusal="not updated: torch")[-1] == "  not updated: torch"
    assert lines(None, generation(), refusal="torch first")[2].startswith("  torch first (pytest ")


LONG = 50_000 * "All work and no play. "
UNSEEN = 5_000 * "\x1b[31m\u202e\x00\ud800"


def many_ways() -> Iterator[tuple[Record | None, Record]]:
    """Yield pairs of records that differ, with texts that are hard to show."""
    for text in (LONG, UNSEEN, 500 * "שלום עולם مرحبا بالعالم ", 5_000 * "漢字"):
        prompt = replace(PROMPT, text=text)
        steps = swapped(1, replace(OTHER, text=text[:100]))
        yield generation(prompt=prompt), generation(steps, prompt=prompt, live=live(steps))
        yield generation(text=f"{text}one{text}"), generation(text=f"{text}two{text}")
        row = replace(classification().inputs[1], text=text)
        yield classification(inputs=(row,)), classification(inputs=(replace(row, label="calm"),))
        yield beams(), beams(beams=(beams().beams[0], Beam((11, 13, 17), -0.75, text)))
        yield None, generation(text=text)
    yield generation(), generation(effective={**generation().effective, **{f"s{number}": 1 for number in range(9)}})
    ids = tuple(range(100_000))
    prompts = [replace(PROMPT, ids=(*ids[:5], last, *ids[6:])) for last in (1, 2)]
    yield generation(prompt=prompts[0]), generation(prompt=prompts[1])


@pytest.mark.parametrize("sentence", ["the forward pass differs", "because " * 100, UNSEEN])
def test_pytest_cuts_no_explanation_and_nothing_unseen_is_in_it(sentence: str) -> None:
    long = replace(WHY, sentence=sentence, evidence=(Evidence(sentence), Evidence("and so on")))

    for recorded, observed in many_ways():
        explained = {} if recorded is None else {"explanation": long}
        told, whole = (lines(recorded, observed, verbose=verbose, **explained) for verbose in (False, True))

        # pytest cuts an explanation at 8 lines and 640 characters.
        assert len(told) <= 8
        assert sum(map(len, told)) <= 640
        assert told[-1].startswith(("  accept it: ", "  record it: "))
        assert any("⟦" in line for line in told) == any("⟧" in line for line in told)
        assert not UNSEEN_CHARACTERS.search("".join([*told, *whole]))
        assert max(map(len, whole)) < 700


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


def test_a_reason_that_does_not_fit_is_not_cut_within_a_figure() -> None:
    why = replace(WHY, evidence=(Evidence(f"{'a long way ' * 30}of 0.00123"),))

    short = lines(generation(), generation(moved(0, by=1.0)), verbose=False, explanation=why)

    assert not any("a long way" in line for line in short)
    assert short[-2].endswith(": -vv")


def test_a_test_whose_name_is_longer_than_everything_else_leaves_room_for_what_matters() -> None:
    named = {"writer": f"test_it.py::test_a[{'x' * 500}]", "name": "x" * 500}

    told = lines(generation(), generation(TURNED), verbose=False, **named)

    assert told[0].endswith("…")
    assert sum(map(len, told)) <= 640
    assert "  now      My name is Ada⟦ but⟧ I" in told
    assert told[-1] == "  accept it: run this test again with --snapshot-update"


def test_where_nothing_has_moved_no_release_is_at_fault() -> None:
    edited = generation(moved(0, by=1.0))
    elsewhere = replace(edited, provenance=replace(edited.provenance, cpu="AVX2"))

    def accused(recorded: Record, cause: str) -> bool:
        told = lines(recorded, generation(), explanation=replace(WHY, cause=cause))
        return not any("no release, file or machine has changed" in line for line in told)

    assert [accused(edited, "forward"), accused(elsewhere, "forward"), accused(edited, "dtype")] == [False, True, True]


def test_colours_are_put_around_the_words_and_change_none() -> None:
    told = lines(generation(), generation(TURNED, live=live(TURNED)), explanation=WHY)
    plain = ["    assert record == hf_snapshot", f"E       assert {told[0]}", *(f"E       {line}" for line in told[1:])]

    coloured = painted(plain)

    assert coloured[0] == plain[0]
    assert all(line.startswith("E   ") for line in coloured[1:])  # pytest takes any other line for source code
    assert [re.sub("\x1b\\[[0-9;]*m", "", line) for line in coloured] == plain
    assert "\x1b[1;31mchanged: forward: " in coloured[1]
    assert "\x1b[1;31m⟦ and⟧\x1b[0m" in coloured[2]
    assert "\x1b[1;32m⟦ but⟧\x1b[0m" in coloured[3]
    assert painted(["E       assert 1 == 2"]) == ["E       assert 1 == 2"]
