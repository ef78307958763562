"""Damaged ledgers: they work, are refused, warn or skip, and import no module of the project."""

from __future__ import annotations

import os
import sys
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.engines.availability import installed
from pytest_hfmodels.snapshots.ledger import Break, Removal, read_ledger

from .classes import as_parameters
from .sandbox import check_outcomes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CANARY = "canary"
SHARED = 'name = "x"\nwhen = "pytest>=1"\nwhat = "w"\n'
REMOVAL = f'[[removal]]\n{SHARED}tests = "test_it.py::test_a*"\n'
BREAK = f'[[break]]\n{SHARED}tests = "test_it.py::test_a*"\nraises = "TypeError"\n'
CHANGE = f"[[change]]\n{SHARED}"
ODD = (
    "7",
    "1.5",
    "true",
    "[]",
    "{}",
    "[[]]",
    '""',
    '"\\u0000"',
    '"\\u001b[2J\\u202e"',
    '"*"',
    "1979-05-27",
    "nan",
    "[1]",
    '["a", 7]',
    "{ a = 1 }",
    '"\\n"',
    f'"{"x" * 100_000}"',
)
Texts = dict[str, bytes | str]


def classes() -> dict[str, Texts]:
    deep = "[" * 50_000
    return {
        "ledger-field": {
            f"{kind} {field}={value:.20}": f"[[{kind}]]\n{SHARED}{field} = {value}\n"
            for kind, fields in {
                "removal": ("tests", "symbol", "reference", "more"),
                "break": ("tests", "raises", "match"),
                "change": ("snapshots", "cause"),
            }.items()
            for field in fields
            for value in ODD
        },
        "ledger-name-or-when": {
            f"{field}={value:.20}": CHANGE.replace({"name": '"x"', "when": '"pytest>=1"', "what": '"w"'}[field], value)
            for field in ("name", "when", "what")
            for value in (
                *ODD,
                '"pytest"',
                "\"pytest>=1; python_version > '3'\"",
                '"a @ file:///etc"',
                '"pytest[x]>1"',
                '["pytest>=1", "pytest<1"]',
                f'"pytest{">=1," * 20_000}<9"',
            )
        },
        "ledger-file": {
            "empty": b"",
            "bytes": bytes(range(256)),
            "bom": b"\xef\xbb\xbf" + CHANGE.encode(),
            "deep-list": f"a = {deep}",
            "deep-table": f"a = {'{a = ' * 20_000}",
            "deep-keys": f"{'a.' * 100_000}a = 1",
            "digits": f"a = {'9' * 10_000}",
            "deep-header": f"[{'a.' * 50_000}a]",
            "twice": f"{CHANGE}snapshots = 'a'\n{CHANGE}snapshots = 'b'",
            "table": "[change]\nname = 'x'",
            "text": "change = 'x'",
            "unknown": "[[kind]]\nx = 1",
            "long": "#" * 10**7,
        },
        "ledger-symbol": {
            symbol: f'{REMOVAL}symbol = "{symbol}"\n'
            for symbol in (
                "os.nonexistent",
                "publish.y",
                "publish",
                "this.s",
                "antigravity.x",
                ".a",
                "a..b",
                "pytest.publish",
                "sys.modules",
                "builtins.exit",
                "a b.c",
                "pytest." + "a." * 20_000 + "b",
                "__main__.x",
                "pytest.__loader__.load_module",
                "test_it.py",
                "pytest.main.nothing",
            )
        },
        "ledger-match": {
            match: f"{BREAK}match = '{match}'\n"
            for match in ("(a+)+$", "((", "[", "a{99999999}", "(.*)" * 60 + "$", "*a" * 60 + "!", "\\\\")
        },
        "ledger-tests": {
            f"{pattern:.30}": f"{BREAK.replace('test_it.py::test_a*', pattern)}"
            for pattern in (
                "*" * 500 + "x",
                "*a" * 200 + "*x",
                "a*" * 40 + "!",
                "test_it.py::test_a" + "*" * 60 + "!",
                "**",
                "[" * 10_000,
                "../../*",
                "/etc/*",
            )
        },
        "ledger-place": dict.fromkeys(("fifo", "folder", "link-to-itself", "device", "no-rights"), ""),
    }


def test_there_are_several_hundred_variants() -> None:
    assert sum(map(len, classes().values())) > 200


@pytest.mark.parametrize("texts", as_parameters(classes()))
def test_a_ledger_works_is_refused_warns_or_is_skipped(
    texts: Texts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "publish.py").write_text(f"open({CANARY!r}, 'w').close()\n")

    check_outcomes({name: partial(_hold, tmp_path, name, text) for name, text in texts.items()}, tmp_path / CANARY)


def _hold(folder: Path, name: str, text: bytes | str) -> None:
    """Read a ledger and use it as a run does."""
    path = folder / "upstream.toml"
    if os.path.lexists(path):
        path.unlink()
    makers: dict[str, Callable[[], Any]] = {
        "fifo": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "link-to-itself": lambda: path.symlink_to(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "no-rights": lambda: path.symlink_to("/proc/self/mem"),
    }
    if name in makers:
        makers[name]()
    else:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        _ask(path)
    finally:
        if path.is_dir():
            path.rmdir()


def _ask(path: Path) -> None:
    ledger = read_ledger(path).applying(installed)
    nodeid = f"test_it.py::test_a[{'a' * 60}]"
    entry = ledger.about(nodeid)
    for one in ledger.entries:
        assert one.sentence or one.versions
    if isinstance(entry, Removal | Break):
        _act(entry, path.parent)


def _act(entry: Removal | Break, root: Path) -> None:
    """Apply an entry to a test, as a run does."""
    from pytest_hfmodels.snapshots import expectations

    class Item:
        config = SimpleNamespace(rootpath=root)
        nodeid = "test_it.py::test_a"
        stash = pytest.Stash()

    Item.stash[expectations.ENTRY] = entry
    if isinstance(entry, Removal):
        expectations.skip_removed(Item())  # type: ignore[arg-type] # it is asked for no more than it has
    else:
        expectations.is_expected(entry, TypeError("a" * 60 + "!"))


def test_no_variant_imports_the_module_that_it_names() -> None:
    assert "publish" not in sys.modules
