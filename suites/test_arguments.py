"""suites/arguments.toml against the installed release: every argument is exercised, or left out for a reason."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.version import Version

from pytest_hfmodels.engines import upstream
from pytest_hfmodels.engines.availability import installed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT = Path(__file__).parent.parent
TABLE = Path(__file__).with_name("arguments.toml")
SECTIONS = ("generate", "GPT2Config", "TransfoXLConfig", "forward", "from_pretrained", "save_pretrained")
# In every signature, for upstream's own use, or written into a file.
NO_ARGUMENTS = {"self", "cls", "args", "kwargs", "transformers_version"}

Entry = dict[str, str]


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, Entry]]:
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def release() -> str:
    return installed("transformers") or ""


# The checks as plain functions


def unlisted(section: str, entries: Mapping[str, Entry], names: Iterable[str], release: str) -> list[str]:
    """Return a message for each argument of the release that the table lacks."""
    return [
        f"transformers {release} has the argument {name!r}, and [{section}] of suites/arguments.toml does not: add "
        f'`{name} = {{ by = "suites/….py::test_…", since = "{release}" }}`, or `left_out = "why"` in place of `by`.'
        for name in sorted(set(names) - set(entries))
    ]


def unknown(section: str, entries: Mapping[str, Entry], names: Iterable[str], release: str) -> list[str]:
    """Return a message for each line about an argument that the release should have but does not."""
    return [
        f"[{section}] of suites/arguments.toml lists {name!r}, which transformers {release} does not have: fix the "
        f'name, or give the last release that has it: `until = "…"`.'
        for name, entry in entries.items()
        if within(entry, release) and name not in names
    ]


def within(entry: Entry, release: str) -> bool:
    """Return whether a line claims that `release` has its argument."""
    base = Version(Version(release).base_version)
    return Version(entry.get("since", "0")) <= base <= Version(entry.get("until", "9999"))


def misshapen(section: str, entries: Mapping[str, Entry]) -> Iterator[str]:
    """Yield a message for each line without a test or reason, with both, or with a test that does not exist."""
    for name, entry in entries.items():
        if ("by" in entry) == ("left_out" in entry) or entry.keys() - {"by", "left_out", "since", "until"}:
            yield f"[{section}] {name}: give either `by` or `left_out`, and `since` and `until` if needed."
        elif "by" in entry and not test_exists(entry["by"]):
            yield f"[{section}] {name}: the test {entry['by']} does not exist."
        elif not entry.get("left_out", "reason").strip():
            yield f"[{section}] {name}: say why it is left out."


def test_exists(node: str) -> bool:
    """Return whether the test function of this node id exists; the id has no parameters."""
    file, _, name = node.partition("::")
    path = ROOT / file
    if not path.is_file() or not name.startswith("test_"):
        return False
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(isinstance(found, ast.FunctionDef) and found.name == name for found in body)


test_exists.__test__ = False  # type: ignore[attr-defined] # its name starts with test_


# What the installed release documents


def documented(section: str) -> set[str]:
    """Return the arguments of the installed release, from signatures and documentation."""
    transformers = upstream.transformers(with_tensorflow=False)
    with warnings.catch_warnings(), upstream.quiet():
        warnings.simplefilter("ignore")  # 4.57 says that Transformer-XL is deprecated
        names = {name for one in subjects(transformers, section) for name in one}
    return {name for name in names - NO_ARGUMENTS if not name.startswith("_")}


def subjects(transformers: Any, section: str) -> Iterator[Iterable[str]]:
    if section == "generate":
        from transformers.generation import GenerationMixin

        config = transformers.GenerationConfig
        yield from (vars(config()), described(config), parameters(GenerationMixin.generate))
    elif section == "forward":
        yield parameters(transformers.GPT2LMHeadModel.forward)
    elif section.endswith("_pretrained"):
        method = getattr(transformers.PreTrainedModel, section)
        yield parameters(method)
        if section == "from_pretrained":
            yield described(method)
    elif section == "GPT2Config":
        yield from (parameters(transformers.GPT2Config.__init__), described(transformers.GPT2Config))
    else:
        from pytest_hfmodels.transfo_xl import TransfoXLConfig

        theirs = getattr(transformers, "TransfoXLConfig", TransfoXLConfig)
        for one in (TransfoXLConfig, theirs):
            yield from (parameters(one.__init__), described(one))


def parameters(function: Any) -> Iterable[str]:
    return inspect.signature(function).parameters


def described(thing: Any) -> list[str]:
    """Return the names that a docstring in upstream's form describes: `name (`type`, …):`."""
    return re.findall(r"^ {4,12}([a-z]\w*) ?\(\[?`", thing.__doc__ or "", re.MULTILINE)


# The tests of the table


@pytest.mark.parametrize("section", SECTIONS)
def test_every_argument_has_a_line(table: dict[str, dict[str, Entry]], release: str, section: str) -> None:
    wrong = unlisted(section, table[section], documented(section), release)

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_line_is_an_argument(table: dict[str, dict[str, Entry]], release: str, section: str) -> None:
    wrong = unknown(section, table[section], documented(section), release)

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_line_names_an_existing_test_or_a_reason(table: dict[str, dict[str, Entry]], section: str) -> None:
    wrong = list(misshapen(section, table[section]))

    assert not wrong, "\n".join(wrong)


def test_there_is_no_other_table(table: dict[str, dict[str, Entry]]) -> None:
    assert tuple(table) == SECTIONS


# The tests of the checks


def test_a_new_argument_of_upstream_is_reported() -> None:
    wrong = unlisted("generate", {"num_beams": {"by": "x"}}, {"num_beams", "width_of_beams"}, "6.1.0")

    assert len(wrong) == 1
    assert "transformers 6.1.0 has the argument 'width_of_beams'" in wrong[0]
    assert 'add `width_of_beams = { by = "suites/….py::test_…", since = "6.1.0" }`' in wrong[0]


def test_a_line_about_an_unknown_argument_is_found_in_its_releases_only() -> None:
    entries = {"nonsense": {"left_out": "no use"}, "gone": {"left_out": "no use", "until": "5.0.0"}}

    assert [line.split("'")[1] for line in unknown("generate", entries, set(), "5.23.0")] == ["nonsense"]
    assert [line.split("'")[1] for line in unknown("generate", entries, set(), "4.57.6")] == ["nonsense", "gone"]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"by": "suites/test_arguments.py::test_nobody_wrote"}, "does not exist"),
        ({"by": "suites/test_nowhere.py::test_it"}, "does not exist"),
        ({"by": "suites/test_arguments.py::within"}, "does not exist"),
        ({"by": "suites/test_arguments.py::test_there_is_no_other_table", "left_out": "no use"}, "either"),
        ({}, "either"),
        ({"left_out": " "}, "say why"),
        ({"left_out": "no use", "untill": "4.57"}, "either"),
    ],
)
def test_a_line_without_test_or_reason_is_found(entry: Entry, says: str) -> None:
    (wrong,) = misshapen("generate", {"num_beams": entry})

    assert "[generate] num_beams" in wrong
    assert says in wrong
