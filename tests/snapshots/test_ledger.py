from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_hfmodels.errors import LedgerError
from pytest_hfmodels.snapshots.ledger import (
    Break,
    Change,
    Ledger,
    Removal,
    holds,
    message_matches,
    names,
    parse_ledger,
    read_ledger,
)

LEDGER = """
[[change]]
name = "penalty"
when = "transformers<4.35"
what = "scores are divided by more"
reference = "huggingface/transformers#26624"
snapshots = "variants/penalty"

[[break]]
name = "type-as"
when = ["transformers>=4.38,<5", "torch>=2"]
tests = "suites/test_upstream.py::*"
raises = "TypeError"
match = "type_as"
what = "every forward pass raises"

[[removal]]
name = "gone"
when = "transformers>=5"
tests = ["suites/test_upstream.py::test_forward"]
gone = "transformers.TransfoXLModel"
what = "removed"
"""


def parse(text: str = LEDGER) -> Ledger:
    return parse_ledger(text, Path("snapshots/upstream.toml"))


def applying(**versions: str) -> list[str]:
    return [entry.name for entry in parse().applying(versions.get).entries]


def test_each_kind_of_entry_says_what_it_is_about() -> None:
    change, broken, removal = parse().entries

    assert isinstance(change, Change)
    assert (change.folder, change.place) == ("variants/penalty", "snapshots/upstream.toml:3")
    assert change.sentence == "scores are divided by more (huggingface/transformers#26624)"
    assert isinstance(broken, Break)
    assert (broken.tests, broken.raises, broken.match) == (("suites/test_upstream.py::*",), "TypeError", "type_as")
    assert broken.versions == "transformers>=4.38,<5 and torch>=2"
    assert isinstance(removal, Removal)
    assert removal.gone == "transformers.TransfoXLModel"


def test_a_change_may_say_what_an_explanation_is_to_name() -> None:
    (change, *_) = parse(LEDGER.replace('snapshots = "variants/penalty"', 'snapshots = "a"\ncause = "search"')).changes

    assert change.cause == "search"
    assert parse().changes[0].cause is None
    with pytest.raises(LedgerError, match=r"cause: 'magic' is no cause.*\n.*It is one of test, "):
        parse(LEDGER.replace('snapshots = "variants/penalty"', 'snapshots = "a"\ncause = "magic"'))


def test_an_entry_applies_to_its_releases_only() -> None:
    assert applying(transformers="4.30.2", torch="2.13.0") == ["penalty"]
    assert applying(transformers="4.36.0", torch="2.13.0") == []
    assert applying(transformers="4.38.2", torch="2.13.0+cpu") == ["type-as"]
    assert applying(transformers="5.0.0", torch="2.13.0") == ["gone"]


def test_a_pre_release_counts_as_its_release() -> None:
    assert applying(transformers="5.0.0rc1") == ["gone"]
    assert applying(transformers="4.35.0.dev0") == []


def test_all_packages_of_an_entry_must_be_there() -> None:
    assert applying(transformers="4.40.0") == []
    assert applying(transformers="4.40.0", torch="1.13") == []
    assert applying(torch="2.13.0") == []


def test_a_version_that_is_none_belongs_to_no_entry() -> None:
    assert applying(transformers="unknown") == []


def test_a_test_is_found_by_its_node_id() -> None:
    ledger = parse()

    assert ledger.about("suites/test_upstream.py::test_other[torch]") is ledger.entries[1]
    assert ledger.about("suites/test_downstream.py::test_forward") is None


@pytest.mark.parametrize(
    ("pattern", "nodeid", "named"),
    [
        ("a.py::test_b", "a.py::test_b", True),
        ("a.py::test_b", "a.py::test_b[torch]", True),
        ("a.py::test_b", "a.py::test_bc", False),
        ("a.py::test_b[torch]", "a.py::test_b[torch]", True),
        ("a.py::test_b[torch]", "a.py::test_b[tensorflow]", False),
        ("a.py::*[tensorflow*]", "a.py::test_b[tensorflow-x]", True),
        ("a.py::*", "a_py::test_b", False),
        ("a.py::*b*b", "a.py::abb", True),
        ("a.py::ab*ba", "a.py::aba", False),
        ("a.py::*[*x*]", "a.py::test[a]", False),
    ],
)
def test_only_the_star_is_special_in_a_pattern(pattern: str, nodeid: str, *, named: bool) -> None:
    assert names(pattern, nodeid) is named


@given(st.text("ab*", max_size=8), st.text("ab", max_size=12))
def test_stars_match_like_dot_star_in_a_regular_expression(pattern: str, text: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*")))

    assert message_matches(pattern, text) is (re.search(expression, text, re.DOTALL) is not None)
    assert "*" not in pattern or names(pattern, text) is (re.fullmatch(expression, text, re.DOTALL) is not None)


@given(st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=1))
def test_a_node_id_names_itself_whatever_is_in_it(nodeid: str) -> None:
    assert names(nodeid, nodeid)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("transformers<4.35", "transformers 4.35", "upstream.toml:4: 'transformers 4.35' is no range of releases."),
        ("transformers<4.35", "transformers", "upstream.toml:4: 'transformers' is no range of releases."),
        ("transformers<4.35", "transformers<four", "upstream.toml:4: 'transformers<four' is no range of releases."),
        ('name = "penalty"', 'nam = "penalty"', "change.0.name: is missing."),
        ('"variants/penalty"', '"../elsewhere"', "upstream.toml:7: change.0.snapshots: '../elsewhere' leaves"),
        ('"variants/penalty"', '"/elsewhere"', "'/elsewhere' leaves the snapshots folder."),
        ('raises = "TypeError"', "raises = 3", "upstream.toml:13: break.0.raises: 3 is not a string."),
        (
            '"transformers.TransfoXLModel"',
            '"TransfoXL"',
            "upstream.toml:21: removal.0.gone: 'TransfoXL' is not a dotted",
        ),
        ('name = "gone"', 'name = "penalty"', "upstream.toml:18: the name 'penalty' is that of snapshots/upstream"),
        ('name = "gone"', 'name = "../x"', "removal.0.name: '../x' is no name."),
        ('reference = "', 'referenc = "', "change.0.referenc: is nothing that an entry has."),
        ("every forward pass raises", "\\u001b[2J", r"upstream.toml:15: break.0.what: '\x1b[2J' has characters"),
        ("huggingface/transformers#26624", "a\\u202eb", r"change.0.reference: 'a\u202eb' has characters"),
        ('reference = "', '"\\u001b[2J" = "', r"'change.0.\x1b[2J': is nothing that an entry has."),
        ("[[removal]]", '[["\\u001b[2J"]]', r"upstream.toml has unknown tables: '\x1b[2J'."),
        ("[[removal]]", "[[removed]]", "upstream.toml has unknown tables: removed."),
        ("[[removal]]", "[[removal", "upstream.toml is not valid TOML"),
        ("[[removal]]", "[removal]", "removal: "),
        ('["transformers>=4.38,<5", "torch>=2"]', "[]", "break.0.when: names no release."),
    ],
)
def test_an_entry_that_does_not_fit_is_named_with_its_line(before: str, after: str, said: str) -> None:
    assert before in LEDGER

    with pytest.raises(LedgerError) as raised:
        parse(LEDGER.replace(before, after))

    assert said in str(raised.value)


def test_spaces_are_cleaned_up_through_4_45_0() -> None:
    ledger = read_ledger(Path(__file__).parents[2] / "snapshots" / "upstream.toml")
    (entry,) = (entry for entry in ledger.entries if entry.name == "spaces-cleaned-up-by-default")

    applies = [all(holds(one, release) for one in entry.when) for release in ("4.44.2", "4.45.0", "4.45.1")]

    assert applies == [True, True, False]
