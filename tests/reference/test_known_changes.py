"""The known changes of transformers as data: they agree with the ledger and name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.version import Version

from pytest_hfmodels.foundation.errors import OptionError
from pytest_hfmodels.reference.known_changes import KnownChange, fitting, known_changes
from pytest_hfmodels.snapshots.ledger import read_ledger

ROOT = Path(__file__).parents[2]
KNOWN = known_changes()
BY_NAME = {change.name: change for change in KNOWN.change}
LEDGER = {entry.name: entry for entry in read_ledger(ROOT / "snapshots" / "upstream.toml").entries}


def between(before: str, after: str, model: str | None = None) -> dict[str, bool]:
    return {one.change.name: one.begins for one in KNOWN.between(Version(before), Version(after), model)}


def test_every_entry_has_its_own_name_and_known_releases() -> None:
    assert len(BY_NAME) == len(KNOWN.change)
    releases = [Version(one) for one in KNOWN.releases]
    assert releases == sorted(releases)
    for change in KNOWN.change:
        assert any(map(change.holds, releases)), change.name
        assert {*change.models} <= {*KNOWN.models}, change.name


@pytest.mark.parametrize("name", sorted(BY_NAME.keys() & LEDGER.keys()))
def test_an_entry_says_what_the_ledger_says(name: str) -> None:
    change, entry = BY_NAME[name], LEDGER[name]

    said = entry.what[0].upper() + entry.what[1:] + "."
    assert change.what.lower() == said.lower()
    assert change.reference == entry.reference
    of_ledger = next(iter(entry.when)).specifier
    for release in map(Version, KNOWN.releases):
        removed = "tensorflow" in change.features and release.major >= 5 and entry.kind == "break"
        assert removed or change.holds(release) == of_ledger.contains(release.base_version), release


def test_the_named_tests_exist() -> None:
    for test in (test for change in KNOWN.change for test in change.tests):
        file, *names = re.split("::", test)
        text = (ROOT / file).read_text(encoding="utf-8")
        assert all(re.search(rf"(def|class) {re.escape(name)}\b", text) for name in names[:1]), test


def test_a_change_is_listed_where_one_side_has_it() -> None:
    assert between("4.49.0", "4.50.3")["beams-finished-first"] is False
    assert between("4.50.3", "4.49.0")["beams-finished-first"] is True
    assert "beams-finished-first" not in between("4.36.2", "4.49.0")  # both have it
    assert "beams-finished-first" not in between("4.30.2", "5.23.0")  # it came and went in between


def test_a_model_sees_its_own_changes() -> None:
    assert "sdpa-ignores-scaling-switches" in between("5.0.0", "5.23.0", "gpt2")
    assert "sdpa-ignores-scaling-switches" not in between("5.0.0", "5.23.0", "llama")


@pytest.mark.parametrize(
    ("typed", "nearest"), [("4.49.1", "4.49.0"), ("6", "5.23.0"), ("4.1", "4.30.0"), ("5.23.0x", "5.23.0")]
)
def test_an_unknown_release_names_the_nearest(typed: str, nearest: str) -> None:
    with pytest.raises(OptionError) as raised:
        KNOWN.release(typed)

    assert raised.value.hint.endswith(f"{nearest}.")


def fitted(cause: str | None = "search", model: str | None = "llama", *used: str) -> list[str]:
    found = fitting("4.49.0", "5.23.0", cause=cause, model_type=model, config={}, used=used)
    return [change.name for change in found]


def test_only_what_the_evidence_fits_is_named() -> None:
    assert "beams-finished-first" in fitted("search", "llama", "beams", "generation")
    assert "beams-finished-first" not in fitted("search", "llama", "generation")  # no beams
    assert "beams-finished-first" not in fitted("forward", "llama", "beams")
    assert fitted(None, "llama", "beams") == []
    assert fitting("4.50.3", "5.23.0", cause="search", model_type="llama", config={}, used=("beams",)) == []


def test_a_condition_on_the_configuration_is_one() -> None:
    change = KnownChange(name="x", when="<5", what="X.", models=("gpt2",), config={"scale": False}, tests=("a::b",))

    assert change.reaches("gpt2", {"scale": False})
    assert change.reaches("gpt2", None)  # any configuration
    assert not change.reaches("gpt2", {"scale": True})
    assert not change.reaches("llama", {"scale": False})
