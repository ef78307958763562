"""Ledgers that would hide failures, run code or never end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.errors import LedgerError
from pytest_hfmodels.snapshots.ledger import names, parse_ledger, read_ledger

from ..time_limit import time_limit

if TYPE_CHECKING:
    from ..project import Project

BREAK = """
[[break]]
name = "raises"
when = "pytest>=8"
tests = [{tests!r}]
raises = "{raises}"
match = {match!r}
what = "it raises"
"""
REMOVAL = """
[[removal]]
name = "no-such-name"
when = "{when}"
tests = ["test_it.py::test_plain", "test_it.py::test_ours"]
gone = "{gone}"
what = "pytest has it no longer"
"""
REMOVAL_OF_MANY = 'when = "pytest>=1"\ntests = "t.py::t"\ngone = "pytest.x"\nwhat = "w"\n'
TESTS = """
def test_plain():
    raise ValueError("a fault of the project")

def test_ours(hf_models):
    raise ValueError("a fault of the release")
"""
PATH = Path("snapshots/upstream.toml")


def broken(tests: str = "test_it.py::test_ours", raises: str = "ValueError", match: str = "") -> str:
    return BREAK.format(tests=tests, raises=raises, match=match)


def removed(gone: str = "pytest.NoSuchName", when: str = "pytest>=1") -> str:
    return REMOVAL.format(gone=gone, when=when)


def with_ledger(project: Project, ledger: str, tests: str = TESTS) -> Project:
    project.write(tests)
    project.write(ledger, "snapshots/upstream.toml")
    return project


def test_a_break_leaves_tests_without_our_fixtures_alone(bare_project: Project) -> None:
    result = with_ledger(bare_project, broken("test_it.py::*")).run()

    result.assert_outcomes(failed=1, xfailed=1)


def test_a_removal_leaves_tests_without_our_fixtures_alone(bare_project: Project) -> None:
    result = with_ledger(bare_project, removed()).run()

    result.assert_outcomes(failed=1, skipped=1)


@pytest.mark.parametrize(
    "pattern",
    ["*", "**", "?*", "*::*", "[!x]*", "", " ", "::*", "*.py::test_ours", "tests/*/test_it.py::test_ours", "tests/*"],
)
def test_a_pattern_must_give_the_full_path_of_its_test_file(pattern: str) -> None:
    with pytest.raises(LedgerError, match=r"upstream.toml:5: break.0.tests"):
        parse_ledger(broken(pattern), PATH)


@pytest.mark.parametrize(
    "raises",
    ["Exception", "BaseException", "object", "builtins.Exception", "builtins.object", "Warning", "ExceptionGroup", ""],
)
def test_a_break_must_name_a_specific_exception(raises: str) -> None:
    with pytest.raises(LedgerError, match=r"upstream.toml:6: break.0.raises"):
        parse_ledger(broken(raises=raises), PATH)


def test_only_a_class_of_exceptions_is_what_a_break_expects(bare_project: Project) -> None:
    tests = "class Mixin: ...\nclass Mixed(Mixin, ValueError): ...\ndef test_ours(hf_models): raise Mixed\n"

    with_ledger(bare_project, broken(raises="Mixin"), tests).run().assert_outcomes(failed=1)


@pytest.mark.parametrize("gone", ["os.nonexistent", "xml.dom.nonexistent", "pytest_hfmodels.nonexistent"])
def test_a_gone_name_must_belong_to_the_entry_s_package(bare_project: Project, gone: str) -> None:
    result = with_ledger(bare_project, removed(gone)).run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*snapshots/upstream.toml:3: *{gone}*pytest*"])


def installed_package(site: Path, package: str) -> None:
    """Write a package whose import name differs from its distribution, scikit-learned."""
    metadata = site / "scikit_learned-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: scikit-learned\nVersion: 1.0\n")
    (metadata / "RECORD").write_text(f"{package}/__init__.py,,\n{package}/trees.py,,\n")
    (site / package).mkdir()
    (site / package / "__init__.py").write_text("there = 1\n")
    (site / package / "trees.py").write_text("")


def test_a_package_is_known_by_the_name_it_is_imported_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_hfmodels.snapshots.symbols import has_symbol

    installed_package(tmp_path / "site", "sklearned")
    monkeypatch.syspath_prepend(tmp_path / "site")
    root = tmp_path / "elsewhere"

    assert has_symbol("sklearned.there", ["scikit-learned"], root)
    assert has_symbol("sklearned.trees", ["Scikit_Learned"], root)
    assert not has_symbol("sklearned.trees.nothing", ["scikit-learned"], root)
    with pytest.raises(LedgerError, match="sklearned"):
        has_symbol("sklearned.there", ["pytest"], root)


@pytest.mark.parametrize(
    ("gone", "when", "file"),
    [
        ("publish.nothing", "pytest>=8", "publish.py"),
        ("publish.nothing", "publish>=1", "publish.py"),
        ("test_it.nothing", "pytest>=8", "test_it.py"),
    ],
)
def test_the_ledger_imports_nothing_of_the_project(
    bare_project: Project, monkeypatch: pytest.MonkeyPatch, gone: str, when: str, file: str
) -> None:
    canary = bare_project.path / "canary"
    with_ledger(bare_project, removed(gone, when), "def test_ours(hf_models): ...\n")
    bare_project.write(f"open({str(canary)!r}, 'a').write('imported;')\ndef test_ours(hf_models): ...\n", file)
    metadata = bare_project.path / "publish-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: publish\nVersion: 1.0\n")
    (metadata / "RECORD").write_text("publish.py,,\n")
    monkeypatch.syspath_prepend(bare_project.path)

    result = bare_project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*snapshots/upstream.toml:3: *{gone}*"])
    assert canary.exists() is (file == "test_it.py")  # pytest collects it


def test_a_folder_of_the_package_s_name_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_hfmodels.snapshots.symbols import has_symbol

    installed_package(tmp_path / "site", "shadowed")
    (tmp_path / "shadowed.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(LedgerError, match=r"shadowed.py"):
        has_symbol("shadowed.there", ["scikit-learned"], tmp_path / "elsewhere")


def test_the_header_counts_what_entries_skip_and_expect_to_fail(bare_project: Project) -> None:
    tests = "import pytest\n" + "".join(f"def test_{name}(hf_models): raise ValueError\n" for name in "abc")
    entries = "".join(
        broken(f"test_it.py::test_{name}").replace('"raises"', f'"{name}"') for name in "ab"
    ) + removed().replace("test_ours", "test_c")

    result = with_ledger(bare_project, entries, tests).run()

    result.stdout.fnmatch_lines(
        ["hfmodels ledger: a (break), b (break), no-such-name (removal): 2 tests expected to fail, 1 test skipped"]
    )


def test_a_message_is_searched_quickly(bare_project: Project) -> None:
    tests = f"def test_ours(hf_models): raise ValueError({'a' * 40 + '!'!r})\n"
    with_ledger(bare_project, broken(match="(a+)+$"), tests)

    with time_limit(8):
        result = bare_project.run()

    result.assert_outcomes(failed=1)


def test_a_pattern_with_many_stars_is_matched_quickly() -> None:
    with time_limit(2):
        assert not names("a.py::" + "*a" * 25 + "*b", "a.py::" + "a" * 100_000)


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 100_000, "a = " + "{a = " * 50_000, "a." * 20_000 + "a = 1", "a = " + "9" * 5000]
)
def test_a_ledger_that_is_nested_deeply_is_refused(text: str) -> None:
    with time_limit(2), pytest.raises(LedgerError, match=r"upstream\.toml"):
        parse_ledger(text, PATH)


def test_a_ledger_that_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    (tmp_path / "large").write_text("#" * 3_000_000)

    for name in ("fifo", "link", "large"):
        with time_limit(2), pytest.raises(LedgerError, match=name):
            read_ledger(tmp_path / name)


@pytest.mark.parametrize("kind", ["fifo", "folder", "dangling link"])
def test_a_ledger_that_is_not_a_regular_file_stops_the_run(bare_project: Project, kind: str) -> None:
    bare_project.write(TESTS)
    path = bare_project.path / "snapshots" / "upstream.toml"
    path.parent.mkdir()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")

    with time_limit(20):
        result = bare_project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*upstream.toml*"])


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_ledger_may_begin_with_a_byte_order_mark(bare_project: Project, ends: str) -> None:
    with_ledger(bare_project, "")
    (bare_project.path / PATH).write_bytes(broken().lstrip().replace("\n", ends).encode("utf-8-sig"))

    bare_project.run().assert_outcomes(failed=1, xfailed=1)
    assert read_ledger(bare_project.path / PATH).entries[0].place.endswith("upstream.toml:2")


def test_a_ledger_with_many_entries_is_read_quickly() -> None:
    entries = "".join(f'[[removal]]\nname = "e{number}"\n{REMOVAL_OF_MANY}' for number in range(3000))

    with time_limit(10):
        assert len(parse_ledger(broken() + entries, PATH).entries) == 3001


def test_our_own_ledger_can_be_read() -> None:
    assert read_ledger(Path(__file__).parents[2] / "snapshots" / "upstream.toml").entries
