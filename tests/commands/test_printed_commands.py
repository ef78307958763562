"""Pastes every printed command into real shells, with hostile names of tests and files."""

from __future__ import annotations

import html.parser
import json
import random
import re
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from pytest_hfmodels.commands import rows
from pytest_hfmodels.commands.cli import main
from pytest_hfmodels.commands.reviewing.loop import Walk
from pytest_hfmodels.commands.reviewing.terminal import Terminal
from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.foundation.errors import HFModelsError
from pytest_hfmodels.foundation.shell import command
from pytest_hfmodels.reports import grid_pages
from pytest_hfmodels.snapshots.format import load
from pytest_hfmodels.snapshots.ledger import read_ledger
from pytest_hfmodels.snapshots.project import find_project
from pytest_hfmodels.versions.grid import Grid

from ..pending_project import run
from ..review.scripted import Scripted
from .pasted import SHELLS, Shells

if TYPE_CHECKING:
    from ..project import Project

NAMES = (
    "plain",
    "two words",
    "$(: >canary)",
    "`: >canary`",
    "'; : >canary; '",
    '"; : >canary; "',
    "a\n: >canary\n",
    "a\r: >canary",
    "\x1b[31mred",
    "\u202eabc\u2066",
    "one\ttab  two spaces ",
    "a|b||c",
    "``ticks`` and `one",
    "<b>&amp;</b>",
    "%s %25 %0A::error::no",
    "~ * ? {a,b} !! #no $HOME ${IFS}",
    "back\\slash \\n",
    "é 日本",
    ";&>canary",
)
FOLDER = "-d $(: >canary)"  # a folder whose name begins with a dash and contains a command
FILE = f"{FOLDER}/test_it.py"
TESTS = f"""
import pytest
from dataclasses import replace
from tests.example_records import generation, provenance, swapped
from pytest_hfmodels.kinds import Step

BUT = swapped(1, Step(14, " but", -0.125, -0.125, 1.25, 13, " and"))
NEWER = replace(provenance(), versions={{"transformers": "5.0.0", "torch": "2.0.0"}})

@pytest.mark.parametrize("name", {NAMES!r})
def test_name(name, hf_snapshot):
    assert generation(NOW) == hf_snapshot
"""
ESCAPING_OFF = "disable_test_id_escaping_and_forfeit_all_rights_to_community_support = true"
IDS = [f"{FILE}::test_name[{name}]" for name in NAMES]
EVERY = {f"./{test}" for test in IDS}  # as a command spells them: never an option


@pytest.fixture
def shells(tmp_path: Path) -> Shells:
    return Shells(tmp_path)


@pytest.fixture
def hostile(bare_project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose test names all have a meaning in a shell, and whose tests all fail now."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    bare_project.ini(ESCAPING_OFF)
    bare_project.write(TESTS.replace("NOW", ""), FILE)
    run(bare_project, "--snapshot-update", "-q").assert_outcomes(passed=len(NAMES))
    bare_project.write(TESTS.replace("NOW", "BUT, provenance=NEWER"), FILE)
    return bare_project


def meant(shells: Shells, found: list[str], *program: str, last: tuple[str, ...] = ()) -> None:
    """Assert that `found` has one command for every test: `program`, the test, then `last`."""
    named = set()
    for line in found:
        for shell in SHELLS:
            (words,) = shells.paste(line, shell)
            assert words[: len(program)] == list(program), line
            assert tuple(words[len(program) + 1 :]) == last, line
            named.add(words[len(program)])
    assert named == EVERY


def after(text: str, label: str) -> list[str]:
    return re.findall(rf"^(?:E +)?{re.escape(label)}: (.*)$", text, re.MULTILINE)


BISECT = ("hfmodels", "bisect", "transformers", "--good", "4.57.6", "--bad", "5.0.0", "--")
UPDATE = ("--snapshot-update",)


def test_commands_of_a_failing_test(hostile: Project, shells: Shells) -> None:
    said = run(hostile, "-vv", "--color=no").stdout.str()

    meant(shells, after(said, "  accept it"), "pytest", last=UPDATE)
    meant(shells, after(said, "  find the release"), *BISECT)


def test_the_command_that_records_a_snapshot(hostile: Project, shells: Shells) -> None:
    hostile.ini(ESCAPING_OFF, "hfmodels_snapshots = elsewhere")

    said = run(hostile, "--color=no").stdout.str()

    meant(shells, after(said, "  record it"), "pytest", last=UPDATE)


def test_commands_in_markdown(hostile: Project, shells: Shells) -> None:
    run(hostile, "--hfmodels-markdown=report.md")

    lines = (hostile.path / "report.md").read_text(encoding="utf-8").splitlines()
    accepting = [code_span(line.partition(": ")[2]) for line in lines if line.startswith("Accept it: ")]
    finding = [code_span(line.partition(": ")[2]) for line in lines if line.startswith("  - Find the release: ")]
    meant(shells, accepting, "hfmodels", "accept")
    (command,) = finding  # once for the cause that all of them share
    shells.means(command, *BISECT, f"./{min(IDS)}")


def test_commands_in_html(hostile: Project, shells: Shells) -> None:
    run(hostile, "--hfmodels-html=report.html")

    page = _Codes((hostile.path / "report.html").read_text(encoding="utf-8"))
    meant(shells, [code for code in page.codes if code.startswith("hfmodels accept ")], "hfmodels", "accept")
    meant(shells, [code for code in page.codes if code.startswith("hfmodels bisect ")], *BISECT)


def test_commands_in_json(hostile: Project, shells: Shells) -> None:
    run(hostile, "--hfmodels-json=report.json")

    results = json.loads((hostile.path / "report.json").read_text(encoding="utf-8"))
    explained = [one["explanation"] for test in results["tests"] for one in test["comparisons"]]
    found = [line for one in explained for line in one["suggests"]]
    meant(shells, found, *BISECT)


def test_commands_in_annotations(hostile: Project, shells: Shells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setattr("pytest_hfmodels.reports.ci.MOST", len(NAMES))

    said = run(hostile, "--hfmodels-json=report.json").stdout.str()

    messages = [unquote(line.split("::", 2)[2]) for line in said.splitlines() if line.startswith("::error ")]
    meant(shells, after("\n".join(messages), "accept it"), "hfmodels", "accept")


def test_commands_in_a_review_and_a_diff(hostile: Project, shells: Shells, capsys: pytest.CaptureFixture[str]) -> None:
    run(hostile)
    project = find_project()
    terminal = Scripted(*["s"] * len(NAMES), width=60)

    Walk(project, project.pending.read(), terminal).run()

    assert isinstance(terminal, Terminal)
    meant(shells, [line.strip() for line in terminal.lines if line.startswith("  hfmodels ")], *BISECT)
    capsys.readouterr()
    main(["diff"])
    lines = capsys.readouterr().out.splitlines()
    meant(shells, [line.strip() for line in lines if line.startswith("  hfmodels ")], *BISECT)


@pytest.mark.parametrize("name", ["$(: >canary).patch", "-p1", "two words.patch", "'.patch"])
def test_the_command_that_applies_a_patch(
    hostile: Project, shells: Shells, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    said = run(hostile, f"--hfmodels-patch={name}").stdout.str()

    (line,) = (line for line in said.splitlines() if line.startswith("patch of "))
    told = line.partition("(apply it: ")[2].removesuffix(")")
    shells.means(told, "git", "apply", name if not name.startswith("-") else f"./{name}")
    capsys.readouterr()
    main(["pending", f"--patch={name}"])
    told = capsys.readouterr().out.strip().partition("apply it: ")[2]
    shells.means(told, "git", "apply", name if not name.startswith("-") else f"./{name}")


@pytest.mark.parametrize("name", ["snapshots/a.toml", "$(: >canary)/a.toml", "-a `x`.toml"])
@pytest.mark.parametrize("text", ["= nonsense", 'format = 1\nkind = "nothing"', "format = 1"])
def test_the_command_that_restores_a_snapshot(shells: Shells, name: str, text: str) -> None:
    with pytest.raises(HFModelsError) as error:
        load(text, Path(name))

    _restores(shells, error.value.hint, name)


def test_the_command_that_restores_a_ledger(shells: Shells, tmp_path: Path) -> None:
    path = tmp_path / "$(: >canary) `x`.toml"
    path.write_bytes(b"# caf\xe9\n")

    with pytest.raises(HFModelsError) as error:
        read_ledger(path)

    _restores(shells, error.value.hint, str(path))


def test_the_command_that_writes_a_grid_again(shells: Shells) -> None:
    arguments = ["-k", "a  b | c", "$(: >canary)", "`: >canary`", "test_it.py::test[\n]"]
    options = Namespace(
        rows=["transformers==4.49.0,5.0.0"],
        row=None,
        added=["a<2"],
        without=[],
        passed_on=arguments,
    )

    page = grid_pages.as_markdown(Grid((), command=rows._command(options)))

    (line,) = (line for line in page.splitlines() if line.startswith("Written by "))
    expected = ["transformers==4.49.0,5.0.0", "--with", "a<2", "--", *arguments]
    shells.means(
        code_span(line.removeprefix("Written by ").removesuffix(" with `--markdown`.")), "hfmodels", "matrix", *expected
    )


@pytest.mark.parametrize(
    "name", [*(name.strip("\n") for name in NAMES), "", "-x", "@file", "é\udcff", "a\\", "'\n'", "\x7f"]
)
def test_a_command_is_one_line_of_visible_characters(shells: Shells, name: str) -> None:
    from pytest_hfmodels.foundation.control_chars import visible_line

    said = command("pytest", name, f"--x={name}")

    assert visible_line(said) == said
    shells.means(said, "pytest", name, f"--x={name}")


def test_any_words_reach_a_program_unchanged(shells: Shells) -> None:
    drawn = random.Random(0)
    signs = [*map(chr, range(1, 256)), *"\u200b\u202e\u2028\u3000\ufeff日\U0001f600\U000e0041"]
    words = ["".join(drawn.choices(signs, k=drawn.randint(0, 12))).rstrip("\n") for _ in range(300)]

    said = command("pytest", *words)

    assert visible_line(said) == said
    shells.means(said, "pytest", *words)


@pytest.mark.parametrize("name", ["a\0b", "a\n", "\ud800"])
def test_a_name_that_no_shell_can_type_gives_a_comment(shells: Shells, name: str) -> None:
    said = command("hfmodels", "accept", name)

    assert said.startswith("# ")
    for shell in ("sh", "bash"):
        assert shells.paste(said, shell) == []


def _restores(shells: Shells, hint: str, name: str) -> None:
    shells.means(hint.partition("restore it: ")[2], "git", "checkout", "--", name)


def code_span(text: str) -> str:
    """Return what a code span of CommonMark shows. https://spec.commonmark.org/0.31.2/#code-spans."""
    found = re.match(r"(`+)(?!`)(.*?)(?<!`)\1(?!`)$", text, re.DOTALL)
    assert found is not None, text
    content = found[2]
    if content.strip(" ") and content[0] == content[-1] == " ":
        return content[1:-1]
    return content


class _Codes(html.parser.HTMLParser):
    """The texts of all `code` elements, those in `noscript` too."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.codes: list[str] = []
        self._open = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        del attrs
        self._open = tag == "code"
        if self._open:
            self.codes.append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag != "code"

    def handle_data(self, data: str) -> None:
        if self._open:
            self.codes[-1] += data
