"""Reading the ledger: what entries say, which releases and tests they are about, and what is refused."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_hfmodels.foundation.errors import LedgerError
from pytest_hfmodels.snapshots.ledger import (
    Break,
    Change,
    Ledger,
    Removal,
    matches_test,
    message_matches,
    names,
    parse_ledger,
    read_ledger,
)
from pytest_hfmodels.snapshots.symbols import has_symbol

from ..time_limit import time_limit
from .test_node_ids import OTHERS, TYPED

OURS = Path(__file__).parents[2] / "snapshots" / "upstream.toml"
PATH = Path("snapshots/upstream.toml")
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
name = "removed"
when = "transformers>=5"
tests = ["suites/test_upstream.py::test_forward"]
symbol = "transformers.TransfoXLModel"
what = "removed"
"""


def parse(before: str = "", after: str = "") -> Ledger:
    """Return the ledger with a text replaced."""
    assert before in LEDGER
    return parse_ledger(LEDGER.replace(before, after, 1), PATH)


def test_each_kind_of_entry_says_what_it_is_about() -> None:
    change, broken, removal = parse().entries

    assert isinstance(change, Change)
    assert (change.folder, change.cause, change.place) == ("variants/penalty", None, "snapshots/upstream.toml:2")
    assert change.sentence == "scores are divided by more (huggingface/transformers#26624)"
    assert isinstance(broken, Break)
    assert (broken.tests, broken.raises, broken.match) == (("suites/test_upstream.py::*",), "TypeError", "type_as")
    assert (broken.versions, broken.place) == ("transformers>=4.38,<5 and torch>=2", "snapshots/upstream.toml:9")
    assert isinstance(removal, Removal)
    assert removal.symbol == "transformers.TransfoXLModel"


def test_a_file_of_an_earlier_version_calls_the_symbol_gone() -> None:
    assert parse("symbol =", "gone =") == parse()


def test_a_change_may_say_what_an_explanation_is_to_name() -> None:
    (change, *_) = parse('"variants/penalty"', '"a"\ncause = "search"').entries

    assert isinstance(change, Change)
    assert change.cause == "search"


@pytest.mark.parametrize(
    ("versions", "applying"),
    [
        ({"transformers": "4.30.2", "torch": "2.13.0"}, ["penalty"]),
        ({"transformers": "4.36.0", "torch": "2.13.0"}, []),
        ({"transformers": "4.38.2", "torch": "2.13.0+cpu"}, ["type-as"]),
        ({"transformers": "5.0.0", "torch": "2.13.0"}, ["removed"]),
        ({"transformers": "5.0.0rc1"}, ["removed"]),  # a pre-release counts as its release
        ({"transformers": "4.35.0.dev0"}, []),
        ({"transformers": "4.40.0"}, []),
        ({"transformers": "4.40.0", "torch": "1.13"}, []),
        ({"torch": "2.13.0"}, []),
        ({"transformers": "unknown"}, []),
    ],
)
def test_an_entry_applies_where_all_its_packages_are_of_its_releases(
    versions: dict[str, str], applying: list[str]
) -> None:
    assert [entry.name for entry in parse().applying(versions.get).entries] == applying


def test_an_entry_may_be_about_python_a_device_or_a_cpu() -> None:
    def entry(when: str) -> Change:
        found = parse_ledger(f'[[change]]\nname = "a"\nwhen = {when}\nwhat = "b"\nsnapshots = "v"\n', PATH).entries[0]
        assert isinstance(found, Change)
        return found

    python = entry('"python>=3.12"')
    assert [python.applies({"python": version}.get) for version in ("3.11.7", "3.12.0rc1")] == [False, True]
    machine = entry('["transformers<5", "device==cuda", "cpu == AVX2"]')
    assert machine.applies({"transformers": "4.57.6"}.get)
    machines = [{"device": "cuda", "cpu": "avx2"}, {"device": "cpu", "cpu": "AVX2"}, {"device": "cuda", "cpu": ""}, {}]
    assert [machine.fits(one) for one in machines] == [True, False, False, False]
    assert machine.versions == "transformers<5 and device==cuda and cpu==AVX2"


def test_spaces_are_cleaned_up_through_4_45_0() -> None:
    releases = ("4.44.2", "4.45.0", "4.45.1")
    applying = [read_ledger(OURS).applying({"transformers": release}.get).entries for release in releases]

    assert ["spaces-cleaned-up-by-default" in [one.name for one in found] for found in applying] == [True, True, False]


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
    ("name", "typed"), [*TYPED, ("test_params[torch-two words]", "test_params[two*]"), (r"test_b[gr\xfc]", "*[g*ü]")]
)
def test_an_entry_is_written_with_the_id_that_people_type(name: str, typed: str) -> None:
    assert matches_test(f"test_it.py::{typed}", f"test_it.py::{name}")


@pytest.mark.parametrize(("name", "typed"), OTHERS)
def test_an_entry_is_not_about_another_id(name: str, typed: str) -> None:
    assert not matches_test(f"test_it.py::{typed}", f"test_it.py::{name}")


def test_patterns_and_messages_are_matched_quickly() -> None:
    with time_limit(2):
        assert not names("a.py::" + "*a" * 25 + "*b", "a.py::" + "a" * 100_000)
        assert not message_matches("*a" * 25 + "*b", "a" * 100_000)
        assert not message_matches("(a+)+$", "a" * 40 + "!")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            "transformers<4.35",
            "transformers 4.35",
            ":4: change.0.when.0: 'transformers 4.35' is not a range of",
        ),
        ("transformers<4.35", "transformers", ":4: change.0.when.0: 'transformers' is not a range"),
        ("transformers<4.35", "transformers<four", ":4: change.0.when.0: 'transformers<four' is not a range"),
        ("transformers<4.35", "device>=cuda", ":4: change.0.when.0: 'device>=cuda' is not a range"),
        ("transformers<4.35", "cpu>=2", ":4: change.0.when.0: 'cpu>=2' is not a range"),
        (
            "torch>=2",
            "device==cuda",
            ":9: break.0: `when` names the device, known only after the test has run",
        ),
        ("transformers<4.35", "transformers[torch]<4", ":4: change.0.when.0: 'transformers[torch]<4' is not a range"),
        ('["transformers>=4.38,<5", "torch>=2"]', "[]", ":11: break.0.when: expected `array` of length >= 1"),
        ('["transformers>=4.38,<5", "torch>=2"]', "[1]", ":11: break.0.when.0: 1 is not a range"),
        ('name = "penalty"', 'nam = "penalty"', "change.0: object contains unknown field `nam`"),
        ('name = "removed"', 'name = "../x"', ":17: removal.0: `name` '../x' is not a name"),
        ('name = "removed"', 'name = "penalty"', ":17: the name 'penalty' is that of snapshots/upstream.toml:2 too"),
        ('"variants/penalty"', '"../elsewhere"', ":2: change.0: `snapshots` '../elsewhere' leaves"),
        ('"variants/penalty"', '"/elsewhere"', "'/elsewhere' leaves the snapshots folder"),
        ('"variants/penalty"', '"a"\ncause = "magic"', "`cause` 'magic' is none of test, "),
        ('raises = "TypeError"', "raises = 3", ":13: break.0.raises: "),
        ('"transformers.TransfoXLModel"', '"TransfoXL"', ":17: removal.0: `symbol` 'TransfoXL' is not a dotted name"),
        ('reference = "', 'referenc = "', "change.0: object contains unknown field `referenc`"),
        ("every forward pass raises", "\\u001b[2J", r":9: break.0: '\x1b[2J' cannot be printed"),
        ("huggingface/transformers#26624", "a\\u202eb", r"change.0: 'a\u202eb' cannot be printed"),
        ('reference = "', '"\\u001b[2J" = "', "object contains unknown field `⟨U+001B⟩[2J`"),
        ("[[removal]]", "[[removed]]", "object contains unknown field `removed`"),
        ("[[removal]]", "[[removal", "upstream.toml is not valid TOML"),
        ("[[removal]]", "[removal]", ":17: removal: "),
        *[
            ('"TypeError"', f'"{name}"', f":9: break.0: `raises` {name!r} is not a specific exception class")
            for name in ("Exception", "builtins.object", "Warning", "ExceptionGroup", "")
        ],
        *[
            ("suites/test_upstream.py::*", pattern, f":9: break.0: `tests` {pattern!r} does not give the full path")
            for pattern in (
                "*",
                "?*",
                "*::*",
                "[!x]*",
                "",
                " ",
                "::*",
                "*.py::test_ours",
                "t/*/a.py::test_b",
                "a/*",
            )
        ],
    ],
)
def test_an_entry_that_does_not_fit_is_named_with_its_line(before: str, after: str, said: str) -> None:
    with pytest.raises(LedgerError) as raised:
        parse(before, after)

    assert said in str(raised.value)
    assert "docs/ledger.md" in raised.value.hint or "name of its own" in raised.value.hint


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 100_000, "a = " + "{a = " * 50_000, "a." * 20_000 + "a = 1", "a = " + "9" * 5000]
)
def test_a_ledger_that_is_nested_deeply_is_refused(text: str) -> None:
    with time_limit(2), pytest.raises(LedgerError, match=r"upstream\.toml"):
        parse_ledger(text, PATH)


def test_a_ledger_that_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    (tmp_path / "nowhere").symlink_to("nothing")
    (tmp_path / "large").write_text("#" * 3_000_000)

    for name in ("fifo", "link", "nowhere", "large"):
        with time_limit(2), pytest.raises(LedgerError, match=name):
            read_ledger(tmp_path / name)


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_ledger_may_begin_with_a_byte_order_mark(tmp_path: Path, ends: str) -> None:
    (tmp_path / "upstream.toml").write_bytes(LEDGER.lstrip().replace("\n", ends).encode("utf-8-sig"))

    assert [entry.place.rpartition(":")[2] for entry in read_ledger(tmp_path / "upstream.toml").entries] == [
        *("1", "8", "16")
    ]


def test_a_ledger_with_many_entries_is_read_quickly() -> None:
    start = LEDGER.index("[[removal]]")
    entries = "".join(LEDGER[start:].replace('"removed"', f'"e{number}"', 1) for number in range(300))

    with time_limit(10):
        assert len(parse_ledger(LEDGER[:start] + entries, PATH).entries) == 302


def installed_package(folder: Path, package: str) -> None:
    """Write a package whose import name differs from its distribution, scikit-learned."""
    metadata = folder / "scikit_learned-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: scikit-learned\nVersion: 1.0\n")
    (metadata / "RECORD").write_text(f"{package}/__init__.py,,\n{package}/trees.py,,\n")
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text("there = 1\n")
    (folder / package / "trees.py").write_text("")


def test_a_package_is_known_by_the_name_it_is_imported_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed_package(tmp_path / "site", "sklearned")
    monkeypatch.syspath_prepend(tmp_path / "site")
    root = tmp_path / "elsewhere"

    assert has_symbol("sklearned.there", ["scikit-learned"], root)
    assert has_symbol("sklearned.trees", ["Scikit_Learned"], root)
    assert not has_symbol("sklearned.trees.nothing", ["scikit-learned"], root)
    with pytest.raises(LedgerError, match="sklearned"):
        has_symbol("sklearned.there", ["pytest"], root)


def test_a_folder_of_the_package_s_name_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed_package(tmp_path / "site", "shadowed")
    (tmp_path / "shadowed.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(LedgerError, match=r"shadowed.py"):
        has_symbol("shadowed.there", ["scikit-learned"], tmp_path)
