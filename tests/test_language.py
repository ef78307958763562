"""Turns that nobody says, in the documentation, in help texts and in messages: `nox -s lint`."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGES = ("*.md", "docs/**/*.md", "examples/**/*.md", "benchmarks/*.md", "training/*.md", "tests/**/*.md")
# The ledger's sentences are on the page of the grid; the changelog is history.
LEFT_OUT = {"docs/upstream-grid.md", "CHANGELOG.md"}
# What stands there -> what to write.
BANNED = {
    r"\btold apart\b|\btells? \w+ apart\b": "distinguish, separate",
    r"\banother than\b": "not the one that …, other than",
    r"\bnot to be had\b": "is missing, cannot be found",
    r"\bwaits? for a decision\b": "to review",
    r"\bis not kept\b|\bare not kept\b": "nothing is written",
    r"\bsettles? it\b": "say what it does",
    r"\bthat there (?:is|are) not\b": "does not exist",
    r"\bnone of those that\b": "unknown",
    r"\bgoes by another\b|\bgives other numbers\b": "differs, changed",
    r"\btakes? them in\b": "accept",
    r"\bforetold\b": "expected",
    r"\bspeaks? of it\b": "name it",
    r"\bno decision of its\b": "did not choose",
    r"\bthings? that \w+ what\b": "name the thing",
    r"\bwhat is of\b": "name it",
    r"\bmend(?:s|ed)?\b": "fix",
    r"\bleverage|\butili[sz]e|\bseamless|\bsimply\b|\beasily\b": "leave it out",
}


def test_no_page_has_a_turn_that_nobody_says() -> None:
    files = {file.relative_to(ROOT).as_posix(): file for pattern in PAGES for file in ROOT.glob(pattern)}
    pages = {name: file.read_text(encoding="utf-8") for name, file in files.items() if name not in LEFT_OUT}

    assert "docs/start.md" in pages
    assert found(pages) == []


def test_no_message_or_help_has_one() -> None:
    package = ROOT / "pytest_hfmodels"
    texts = {file.relative_to(ROOT).as_posix(): "\n".join(sentences(file)) for file in sorted(package.rglob("*.py"))}

    assert sum(map(len, texts.values())) > 10_000
    assert found(texts) == []


@pytest.mark.parametrize("text", ["It is not\nto be had here.", "Mend it."])
def test_a_banned_turn_is_found_across_lines_and_cases(text: str) -> None:
    assert len(found({"page": text})) == 1


def found(texts: dict[str, str]) -> list[str]:
    """The banned turns, each with its page, and what to write instead."""
    return [
        f"{name}: {match[0]!r}: {instead}"
        for name, text in sorted(texts.items())
        for turn, instead in BANNED.items()
        for match in re.finditer(turn, " ".join(text.split()), re.IGNORECASE)
    ]


def sentences(file: Path) -> Iterator[str]:
    """The texts of a module that may be printed: every one with a blank, without docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)}
    for node in ast.walk(tree):
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, str) and " " in value and value not in docs:
            yield value
