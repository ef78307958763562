"""Hostile names of tests: their snapshots stay in the snapshots folder, and a run names what it refuses."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.foundation.control_chars import UNSEEN

from .classes import as_parameters

if TYPE_CHECKING:
    from ..project import Project

SIGNS = [
    *"/\\:*?\"<>|.~$`'!#&;%^()[]{}=,+- \t\n\r\x0b",
    "..",
    "../",
    "::",
    "\x1b[2J",
    "\u202e",
    "\u2066",
    "\u200b",
    "\u0301",
    "é",
    "日本",
    "\U0001f600",
    "torch",
    "tensorflow",
    "CON",
    "a",
    "b",
    "A",
    "0",
    "\x7f",
    "\x85",
    "\u2028",
    "\ufeff",
]
TESTS = """
import pytest
from tests.example_records import generation, swapped
from pytest_hfmodels.kinds import Step

@pytest.mark.parametrize("name", {names!r})
def test_name(name, hf_snapshot):
    assert generation({now}) == hf_snapshot
"""
ESCAPING_OFF = "disable_test_id_escaping_and_forfeit_all_rights_to_community_support = true"


def drawn(seed: int, count: int) -> list[str]:
    """Return names that differ in more than case, Unicode form and characters that file systems reject."""
    random_ = random.Random(seed)
    found: dict[str, str] = {}
    while len(found) < count:
        name = "".join(random_.choices(SIGNS, k=random_.randint(1, 6)))
        found.setdefault("".join(sign for sign in name.lower() if sign.isalnum()), name)
        if len(found) < count and random_.random() < 0.02:
            found.setdefault("long", "x" * 3000)
    return list(found.values())


@pytest.mark.parametrize("names", as_parameters({"ids": drawn(7, 60)}))
def test_names_keep_their_snapshots_in_the_folder(bare_project: Project, names: list[str]) -> None:
    bare_project.ini(ESCAPING_OFF)
    bare_project.write(TESTS.format(names=names, now=""))
    before = {path for path in bare_project.path.parent.rglob("*") if bare_project.path not in path.parents}

    recorded = bare_project.run("--snapshot-update", "-q")

    after = {path for path in bare_project.path.parent.rglob("*") if bare_project.path not in path.parents}
    assert after == before
    counted = recorded.parseoutcomes()
    assert counted.get("passed", 0) + counted.get("failed", 0) + counted.get("errors", 0) in (0, len(names))
    if counted.get("passed") != len(names):
        assert "  " in recorded.stderr.str()
        return
    files = list((bare_project.path / "snapshots").rglob("*"))
    assert {path.parent for path in files if path.is_file()} == {bare_project.path / "snapshots" / "test_it"}
    assert len([path for path in files if path.is_file()]) == len(names)
    assert not [path.name for path in files if UNSEEN.search(path.name)]
    bare_project.run("-q").assert_outcomes(passed=len(names))


@pytest.mark.parametrize("names", as_parameters({"ids-failing": drawn(8, 60)}))
def test_control_characters_in_names_of_failing_tests_are_named(bare_project: Project, names: list[str]) -> None:
    bare_project.ini(ESCAPING_OFF)
    bare_project.write(TESTS.format(names=names, now=""))
    bare_project.run("--snapshot-update", "-q")
    now = 'swapped(1, Step(14, " but", -0.125, -0.125, 1.25, 13, " and"))'
    bare_project.write(TESTS.format(names=names, now=now))

    said = bare_project.run(
        "-vv", "--color=no", "--hfmodels-html=a.html", "--hfmodels-markdown=a.md", "--hfmodels-json=a.json"
    )

    ours = [line for line in said.outlines if line.startswith("E ")]
    assert len([line for line in ours if "accept it: " in line]) == len(names)
    assert not [line for line in ours if UNSEEN.search(line)]
    for file in ("a.html", "a.md"):
        assert not UNSEEN.search((bare_project.path / file).read_text(encoding="utf-8").replace("\ufeff", "", 0))
