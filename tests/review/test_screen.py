"""What somebody sees of a change, at any width and whatever the texts hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len

from pytest_hfmodels.commands.reviewing.screen import change_lines
from pytest_hfmodels.foundation.control_chars import UNSEEN
from pytest_hfmodels.reports.pending_diff import diff_lines
from pytest_hfmodels.results.pending import Pending, digest_of
from pytest_hfmodels.snapshots.format import dump

from ..example_records import PROMPT, beams, classification, generation, moved

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_hfmodels.kinds import Record

BUT = f"{PROMPT.text} Ada but you"


def changed(root: Path, before: Record | None, now: Record, **fields: Any) -> Pending:
    (root / "test_it.py").touch()
    path = root / "snapshots" / "test_it" / "test_reply.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    if before is not None:
        path.write_text(dump(before), encoding="utf-8")
    name = str(path.relative_to(root))
    change = Pending("test_it.py::test_reply", "changed", name, name, None, digest_of(path), dump(now))
    return replace(change, **fields)


def seen(change: Pending, root: Path, *, width: int = 60) -> list[str]:
    return [line.plain for line in change_lines(change, root, width, place="3 of 14")]


def test_verdict_and_cause_come_first_then_why_then_where_the_texts_part(tmp_path: Path) -> None:
    change = changed(
        tmp_path, generation(), generation(text=BUT), cause="forward", why=("block 2 differs first", "drift 4e-3")
    )

    assert seen(change, tmp_path) == [
        "[3 of 14] changed: forward",
        "test_it.py::test_reply",
        "snapshots/test_it/test_reply.toml",
        "  block 2 differs first",
        "  drift 4e-3",
        "",
        "text: the first 15 characters are the same",
        "both  My name is Ada",
        "was   and I",
        "now   but you",
    ]


def test_a_change_without_a_cause_names_none(tmp_path: Path) -> None:
    assert seen(changed(tmp_path, generation(), generation(text=BUT)), tmp_path)[0] == "[3 of 14] changed"


def test_a_text_that_ends_earlier_says_so(tmp_path: Path) -> None:
    assert seen(changed(tmp_path, generation(), generation(text=PROMPT.text)), tmp_path)[-1] == "now   (nothing more)"


def test_the_beam_that_differs_is_shown_where_the_text_is_the_same(tmp_path: Path) -> None:
    first, second = beams().beams
    now = beams(beams=(first, replace(second, text=f"{PROMPT.text} Ada and we")))

    assert seen(changed(tmp_path, beams(), now), tmp_path)[-4:] == [
        "returned beam 2: the first 19 characters are the same",
        "both  My name is Ada and",
        "was   you",
        "now   we",
    ]


def test_labels_are_shown_of_a_classifier(tmp_path: Path) -> None:
    before = classification()
    now = replace(before, inputs=(before.inputs[0], replace(before.inputs[1], label="calm")))

    lines = "\n".join(seen(changed(tmp_path, before, now), tmp_path))

    assert "both  Good dog.: calm (calm, cross above one half)↵Bad dog.:\n" in lines
    assert "was   cross (cross above one half)↵" in lines
    assert "now   calm (cross above one half)↵" in lines


def test_numbers_are_shown_where_the_texts_are_the_same(tmp_path: Path) -> None:
    lines = seen(changed(tmp_path, generation(), generation(moved(1, by=0.25))), tmp_path)

    assert "the texts are the same; the first lines that differ:" in lines
    assert lines[-2].startswith('  -    [13, " and", -0.5, -0.5, 1.5,')
    assert lines[-1].startswith('  +    [13, " and", -0.25, -0.25, 1.5,')


def test_a_new_snapshot_shows_what_it_would_say(tmp_path: Path) -> None:
    assert seen(changed(tmp_path, None, generation()), tmp_path)[-1] == "now   My name is Ada and I"


@pytest.mark.parametrize("width", [40, 60, 200])
@pytest.mark.parametrize(
    "text",
    [
        "word " * 5000,
        "x" * 3_000_000,
        "\x1b[31mred\x1b[0m \x07bell \x00 \x85 \u2028 \r\n",
        "שלום \u202e עולם " * 20,
        "文字" * 200,
        "👩‍👩‍👧‍👦" * 50,
        "",
    ],
    ids=["words", "megabytes", "controls", "right-to-left", "wide", "emoji", "nothing"],
)
def test_whatever_a_model_says_fits_the_terminal_and_shows(tmp_path: Path, text: str, width: int) -> None:
    change = changed(tmp_path, generation(text=f"so {text} and so"), generation(text=f"so {text} or not"), why=(text,))

    lines = seen(change, tmp_path, width=width)
    diff = [line.plain for line in diff_lines(change, tmp_path)]

    assert all(cell_len(line) <= width for line in lines)
    assert not any(UNSEEN.search(line) for line in [*lines, *diff])
    assert len(lines) < 100
    assert not any("\n" in line for line in [*lines, *diff])
    assert lines[-1].endswith("or not") or "more characters: d" in lines[-1] or len(text) < 100


def test_megabytes_are_cut_and_say_how_to_see_them(tmp_path: Path) -> None:
    change = changed(tmp_path, generation(text="x" * 1_000_000), generation(text="y" * 1_000_000))

    lines = seen(change, tmp_path)
    diff, full = ([line.plain for line in diff_lines(change, tmp_path, full=full)] for full in (False, True))

    assert lines[-1] == "      … 999,700 more characters: d"
    assert any(line.endswith(" more characters: hfmodels diff --full") for line in diff)
    assert max(map(len, diff)) < 1100
    assert max(map(len, full)) > 1_000_000


def test_both_sides_have_colours_of_their_own(tmp_path: Path) -> None:
    change = changed(tmp_path, generation(), generation(text=BUT), cause="forward", why=("because",))

    styled = {
        line.plain: {str(span.style) for span in line.spans} for line in change_lines(change, tmp_path, 60, place="")
    }

    assert (styled["was   and I"], styled["now   but you"]) == ({"red"}, {"green"})


def test_a_snapshot_that_was_deleted_is_said(tmp_path: Path) -> None:
    change = changed(tmp_path, generation(), generation(text=BUT))
    (tmp_path / change.compared).unlink()

    lines = seen(change, tmp_path, width=100)

    assert "stale: the file was deleted since it was compared; run the test again" in lines
    assert lines[-1] == "now   My name is Ada but you"


def test_a_snapshot_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    change = changed(tmp_path, generation(), generation(text=BUT))
    (tmp_path / change.compared).write_bytes(b"\xff")

    lines = seen(change, tmp_path, width=200)

    assert "cannot be read" in " ".join(lines)
