"""What somebody sees of a change, at any width and whatever the texts hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len

from pytest_hfmodels.commands.reviewing.screen import change_lines
from pytest_hfmodels.foundation.control_chars import UNSEEN
from pytest_hfmodels.reports.diff import diff_lines
from pytest_hfmodels.results.pending import Pending, digest_of
from pytest_hfmodels.snapshots.format import dump

from ..example_records import PROMPT, beams, classification, generation, moved
from .scripted import Scripted

if TYPE_CHECKING:
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion

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
    terminal = Scripted(width=width)
    terminal.say(*change_lines(change, root, lambda _: None, place="3 of 14"))
    return terminal.lines


def _changes() -> dict[str, tuple[Record | None, Record, dict[str, Any]]]:
    rows, (first, second) = classification().inputs, beams().beams
    explained = {"cause": "forward", "why": ("block 2 differs first, by 4e-3, which is more than the noise", "drift")}
    return {
        "text": (generation(), generation(text=BUT), explained),
        "end": (generation(), generation(text=PROMPT.text), {}),
        "beam": (beams(), beams(beams=(first, replace(second, text=f"{PROMPT.text} Ada and we"))), {}),
        "labels": (classification(), classification(inputs=(rows[0], replace(rows[1], label="calm"))), {}),
        "numbers": (generation(), generation(moved(1, by=0.25)), {"verdict": "drift"}),
        "new": (None, generation(), {"verdict": "missing"}),
    }


@pytest.mark.parametrize("what", _changes())
def test_people_see(tmp_path: Path, what: str, snapshot: SnapshotAssertion) -> None:
    before, now, fields = _changes()[what]

    assert "\n".join(seen(changed(tmp_path, before, now, **fields), tmp_path)) == snapshot


@pytest.mark.parametrize("width", [40, 200])
@pytest.mark.parametrize(
    "text",
    [
        "word " * 5000,
        "x" * 3_000_000,
        "\x1b[31mred\x1b[0m \x07bell \x00 \x85 \u2028 \r\n",
        "שלום \u202e עולם " * 20,
        "文字" * 200,
        "",
    ],
    ids=["words", "megabytes", "controls", "right-to-left", "wide", "nothing"],
)
def test_whatever_a_model_says_fits_the_terminal_and_shows(tmp_path: Path, text: str, width: int) -> None:
    change = changed(tmp_path, generation(text=f"so {text} and so"), generation(text=f"so {text} or not"), why=(text,))

    lines = seen(change, tmp_path, width=width)
    diff = [line.plain for line in diff_lines(change, tmp_path)]

    assert all(cell_len(line) <= width for line in lines)
    assert not any(UNSEEN.search(line) or "\n" in line for line in [*lines, *diff])
    assert len(lines) < 100


def test_megabytes_are_cut_and_say_how_to_see_them(tmp_path: Path) -> None:
    change = changed(tmp_path, generation(text="x" * 1_000_000), generation(text="y" * 1_000_000))

    lines = seen(change, tmp_path, width=400)
    diff, full = ([line.plain for line in diff_lines(change, tmp_path, full=full)] for full in (False, True))

    assert lines[-1].endswith("y⟧… 999,760 more characters: d")
    assert any(line.endswith(" more characters: hfmodels diff --full") for line in diff)
    assert max(map(len, diff)) < 1100
    assert max(map(len, full)) > 1_000_000


def test_a_snapshot_that_was_deleted_or_cannot_be_read_is_said(tmp_path: Path) -> None:
    change = changed(tmp_path, generation(), generation(text=BUT))
    path = tmp_path / change.compared
    path.unlink()
    deleted = seen(change, tmp_path, width=100)
    path.write_bytes(b"\xff")

    assert "stale: the file was deleted since it was compared; run the test again" in deleted
    assert deleted[-1].endswith("My name is Ada but you")
    assert "cannot be read" in " ".join(seen(change, tmp_path, width=200))
