"""Writes docs/upstream-architectures.md and docs/architectures/ from suites, ledger and known changes.

`python docs/write_upstream.py` also removes pages of architectures that the suites no longer have.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from pytest_hfmodels.reference.known_changes import KnownChange, known_changes
from pytest_hfmodels.snapshots.ledger import LedgerEntry, read_ledger
from suites import architectures
from suites.architectures import test_reference
from suites.architectures.checks import CHECKED, RECORDED_ON

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
INDEX = "upstream-architectures.md"
RELEASES = (
    *("4.30.2", "4.36.2", "4.37.2", "4.38.2", "4.44.2", "4.49.0", "4.50.3"),
    *("4.51.3", "4.52.4", "4.53.3", "4.57.6", "5.0.0", "5.10.4", "5.23.0"),
)
ASPECTS = [aspect for aspect in CHECKED if aspect != "switch"]  # a column of its own says which
MARKS = {"change": "≠", "break": "!", "removal": "removed"}
HEAD = f"""# Architectures by release

Written by `python docs/write_upstream.py` from `suites/architectures`, [the ledger](../snapshots/upstream.toml) and the
known changes. Tests fail where a cell is wrong: each entry must hold in all its releases.

✓: all tests give what {RECORDED_ON} gave. ≠: some outputs differ, for a known reason. !: some tests fail, for a known
reason. –: the release does not have the class, or does not read its files yet. The columns are releases of
transformers. Each page says what is checked and what changed at which release.
"""
TESTS = f"""
## What is checked

Written from the tests. ✓: checked. ○: {RECORDED_ON}, on which the snapshots were recorded, has no such attention or
cache, so the test runs on other releases only. –: does not apply, or is left out with a reason in the file of tests. A
window is the number of tokens to which attention is limited; texts and their continuations are longer. The second way
computes the outputs under the switch again: without a cache, each row of a batch alone, or with a forward pass in
[NumPy](reference.md).
"""


def pages() -> Mapping[str, str]:
    """Return the text of each page, by its path in docs: the grid and the table of checks, and one an architecture."""
    entries, faults = read_ledger(ROOT / "snapshots" / "upstream.toml").entries, list(_faults())
    found = {name: list(group) for name, group in architectures_checked().items()}
    rows = {name: _row(group, entries) for name, group in found.items()}
    index = [HEAD, *_header("model type", RELEASES)]
    index += [f"| {_link(name)} | {rows[name]} |" for name in found]
    index += [TESTS, *_header("model type", (*ASPECTS, "window", "switch", "second way"))]
    index += [f"| {_link(name)} | {' | '.join(_checks(group))} |" for name, group in found.items()]
    each = {
        f"architectures/{name}.md": "\n".join([*_page(name, group, rows[name], faults), ""])
        for name, group in found.items()
    }
    return {INDEX: "\n".join([*index, ""]), **each}


def architectures_checked() -> Mapping[str, Sequence[Any]]:
    """Return the classes of checks in the files of `suites/architectures`, by model type."""
    found: dict[str, list[Any]] = {}
    for module in pkgutil.iter_modules(architectures.__path__, f"{architectures.__name__}."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if name.startswith("Test") and getattr(value, "model_type", None):
                found.setdefault(value.model_type, []).append(value)
    return {name: found[name] for name in sorted(found)}


def _header(first: str, columns: Sequence[str]) -> Iterator[str]:
    yield from (f"| {first} | {' | '.join(columns)} |", f"|{'---|' * (len(columns) + 1)}")


def _link(name: str) -> str:
    return f"[{name}](architectures/{name}.md)"


def _row(group: Sequence[Any], entries: Sequence[LedgerEntry]) -> str:
    return " | ".join(_cell(group, entries, Version(release)) for release in RELEASES)


def _cell(group: Sequence[Any], entries: Sequence[LedgerEntry], release: Version) -> str:
    running = [one for one in group if release >= Version(max(one.since, one.needs[0] or one.since, key=Version))]
    if not running:
        return "–"
    installed = {"transformers": str(release)}.get
    own = [entry for entry in entries if entry.applies(installed) and any(_concerns(entry, one) for one in running)]
    return " ".join(MARKS[kind] for kind in sorted({entry.kind for entry in own}, reverse=True)) or "✓"


def _concerns(entry: LedgerEntry, checks: Any) -> bool:
    """Return whether an entry has a variant of a snapshot of an architecture, or names one of its tests."""
    file = checks.__module__.replace(".", "/")
    folder = getattr(entry, "folder", None)
    if folder is not None:
        return Path(ROOT, "snapshots", folder, file).is_dir()
    compared = f"test_reference.py::test_the_forward_pass_is_the_references[{checks.model_type}*"
    return any(f"{file}.py" in test or compared in test for test in getattr(entry, "tests", ()))


def _checks(group: Sequence[Any]) -> Iterator[str]:
    """Yield the cells of a row of the table of checks."""
    for aspect in ASPECTS:
        runs = {name in one.lacks for one in group for name in one.checked()[aspect]}
        yield "–" if not runs else "○" if runs == {True} else "✓"
    yield (
        ", ".join(dict.fromkeys(str(size) for one in group for sizes in one.windows().values() for size in sizes))
        or "–"
    )
    yield _joined(_switch(one) for one in group)
    yield _joined(_second_way(one) for one in group)


def _joined(cells: Iterator[str]) -> str:
    return "; ".join(dict.fromkeys(filter(None, cells))) or "–"


def _switch(checks: Any) -> str:
    return ", ".join(f"`{name} = {_shown(value, checks.fields.get(name))}`" for name, value in checks.switch.items())


def _shown(value: Any, plain: Any) -> str:
    """Return a field's value; of a part of the configuration, what differs."""
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{key}: {own}" for key, own in value.items() if own != (plain or {}).get(key))


def _second_way(checks: Any) -> str:
    if getattr(checks, "test_switch", None) is None:
        return ""
    compared = any(checks is one for one, _ in test_reference.CLASSES)
    own = inspect.getdoc(checks.second_way).removesuffix(".").lower()  # type: ignore[union-attr]
    return f"{own}, NumPy" if compared else own


def _page(name: str, group: Sequence[Any], row: str, faults: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield f"# {name}\n"
    yield f"Written by `python docs/write_upstream.py`. [Architectures by release](../{INDEX}) explains the signs.\n"
    yield from (*_header("release", RELEASES), f"| {name} | {row} |\n")
    yield "## What is checked\n"
    for one in group:
        yield from _tests(one)
    own = [change for change in known_changes().change if name in change.models]
    yield "## What changed\n"
    yield from (_line(change) for change in own) if own else ["No known change is about this architecture alone."]
    now = [change for change in own if change.holds(Version(RELEASES[-1]))]
    yield f"\n## Known faults of {RELEASES[-1]}\n"
    titles = [title for title, text in faults if any(_names(text, one.model_class) for one in group)]
    lines = [*(f"- [{title}](../upstream-faults.md#{_anchor(title)})" for title in titles)]
    yield from lines or [
        "None." if not now else "None that is ready to report; the changes above that hold on tell more."
    ]


def _tests(checks: Any) -> Iterator[str]:
    file = Path(inspect.getfile(checks)).relative_to(ROOT).as_posix()
    says = " ".join((inspect.getdoc(inspect.getmodule(checks)) or "").split())
    yield f"`{checks.model_class}`, in transformers since {checks.since}. [{Path(file).name}](../../{file}): {says}\n"
    if checks.needs[0]:
        yield f"Its tests need {checks.needs[1]}, so they run from {checks.needs[0]} on.\n"
    yield from _header("what", ("tests", "what holds"))
    for aspect, names in checks.checked().items():
        for name in names:
            says = (inspect.getdoc(getattr(checks, name)) or "").partition("\n")[0]
            where = f" Not on {RECORDED_ON}." if name in checks.lacks else ""
            yield f"| {aspect} | `{checks.__name__}.{name}` | {says}{where} |"
    for name, sizes in checks.windows().items():
        yield f"| window | `{checks.__name__}.{name}` | Attention is limited to {sizes[0]} tokens; texts are longer. |"
    if any(checks is one for one, _ in test_reference.CLASSES):
        test = test_reference.test_the_forward_pass_is_the_references.__name__
        yield f"| NumPy | `{test}` | A second forward pass gives the same logits, also under the switch. |"
    if checks.switch:
        yield f"\nThe switch: {_switch(checks)}. Second way: {_second_way(checks) or 'none'}.\n"


def _line(change: KnownChange) -> str:
    return f"- {change.when}: {change.sentence} Test: `{change.tests[0]}`."


def _faults() -> Iterator[tuple[str, str]]:
    """Yield title and text of each section of the page of faults."""
    for section in (DOCS / "upstream-faults.md").read_text(encoding="utf-8").split("\n## ")[1:]:
        yield section.partition("\n")[0], section


def _names(text: str, model_class: str) -> bool:
    """Return whether a text has one of an architecture's classes, such as its configuration."""
    stem = re.sub(r"(For[A-Z]\w*|Model|MTModel|LMHeadModel)$", "", model_class)
    return re.search(rf"\b{stem}(For[A-Z]|Model|Config)", text) is not None


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")


if __name__ == "__main__":
    (DOCS / "architectures").mkdir(exist_ok=True)
    for old in (DOCS / "architectures").glob("*.md"):
        old.unlink()
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
