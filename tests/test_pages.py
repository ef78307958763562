"""What the README and the docs show: Python runs, commands and options exist, TOML is TOML.

A page is one test module: its Python blocks, one after the other. `<!-- skip: next "reason" -->` before a block leaves
it out.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tomllib
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import SkipTest

import pytest

from pytest_hfmodels.commands.cli import command_parser, main

from .pending_project import run

pytest.importorskip("sybil", reason="install sybil, which is in the extra tests")
from sybil import Document
from sybil.parsers.markdown import CodeBlockParser, SkipParser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sybil import Example

    from pytest_hfmodels import ModelCache

    from .project import Project

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("examples/**/*.md"), *sorted(ROOT.glob("docs/*.md"))]
# suites/*/test_upstream.py shows these faults on the releases that have them; the other page is a grid.
NOT_RUN = {"upstream-faults.md", "upstream-grid.md"}
LANGUAGES = ("python", "console", "toml")
TORCH = "--hfmodels-engines=torch"
# The checkpoints of the pages, drawn ones of tests/projects.
MODELS = {
    **dict.fromkeys(("bot", "chat-bot", "sales", "sales-bot", "support", "support-bot"), "chat"),
    "all-MiniLM-L6-v2": "sentence_encoder",
    "nli": "pair_classifier",
    "sentiment": "pair_classifier",
    "clip": "image_text",
    "llava": "image_chat",
    "whisper-tiny": "transcription",
    "ner": "tagger",
    "speech": "speech",
}
CLASSIFIERS = ("triage", "triage-de")
SHELL = {"cd", "eval", "cat", "gh", "git", "mkdir", "mypy", "printf", "ruff", "source", ".", "uv"}


@cache
def blocks(page: Path) -> list[tuple[str, int, str]]:
    """The language, the line and the text of each block that is not skipped."""
    found: list[tuple[str, int, str]] = []
    parsers = [CodeBlockParser(language=one, evaluator=partial(_collect, found, one)) for one in LANGUAGES]
    for example in Document.parse(str(page), SkipParser(), *parsers).examples():
        try:
            example.evaluate()
        except SkipTest:
            continue
    return found


def _collect(found: list[tuple[str, int, str]], language: str, example: Example) -> None:
    found.append((language, example.line, str(example.parsed)))


def of_language(wanted: str) -> Iterator[tuple[Path, int, str]]:
    for page in PAGES:
        for language, line, text in blocks(page) if page.name not in NOT_RUN else ():
            if language == wanted:
                yield page, line, text


def test_every_python_block_runs(bare_project: Project, models: ModelCache) -> None:
    del models  # transformers is imported once a process
    write_models(bare_project)
    pages: dict[str, list[str]] = {}
    for page, _, text in of_language("python"):
        pages.setdefault(f"test_{page.relative_to(ROOT).with_suffix('')}.py".replace("/", "_"), []).append(text)
    for name, texts in pages.items():
        source = "\n\n".join(texts)
        tests = re.findall(r"^ *def (test_\w+)", source, re.MULTILINE)
        assert len({*tests}) == len(tests), f"{name} has two tests of one name"
        bare_project.write(source, name)

    result = bare_project.run("--snapshot-update", TORCH, "--hfmodels-profile=dev", "-q")

    outcomes = result.parseoutcomes()
    assert outcomes.keys() <= {"passed", "skipped", "warning", "warnings", "xfailed"}
    assert outcomes["passed"] > 20
    # A model of the Hub, an engine that is not selected, checks that do not fit the model; sentence-transformers.
    assert outcomes.get("skipped", 0) <= 4
    notebook = (ROOT / "docs" / "notebook.md").read_text(encoding="utf-8")
    for name in ("test_greedy", "test_beams"):
        printed = bare_project.recorded(f"test_docs_notebook/{name}.toml")["output"]["text"]
        assert [line for line in printed if line.strip() not in notebook] == []


def test_the_first_page_works_as_it_says(bare_project: Project, models: ModelCache) -> None:
    del models
    page = blocks(ROOT / "docs" / "start.md")
    (source,), (shown,) = ([text for language, _, text in page if language == one] for one in ("python", "toml"))
    typed = [line for language, _, text in page if language == "console" for line in commands(text)]
    bare_project.write(source, "test_bot.py")

    assert run(bare_project, "--snapshot-update", TORCH).ret == 0
    recorded = bare_project.recorded("test_bot/test_greedy.toml")
    assert run(bare_project, TORCH).ret == 0
    bare_project.write(source.replace("Hasnain", "Ada"), "test_bot.py")
    run(bare_project, TORCH).stdout.fnmatch_lines(["*changed: the test itself: *"])
    decided = [main(shlex.split(line, comments=True)[1:]) for line in typed if line.startswith("hfmodels ")]

    there = tomllib.loads(shown)
    assert there["output"] == recorded["output"]
    assert there["steps"]["columns"] == recorded["steps"]["columns"]
    for one, other in zip(there["steps"]["rows"], recorded["steps"]["rows"], strict=False):
        assert one == [pytest.approx(cell, abs=1e-4) if isinstance(cell, float) else cell for cell in other]
    assert decided == [1, 1, 0]  # a change is pending for `pending` and `diff`, and `accept` takes it
    assert run(bare_project, TORCH).ret == 0


def write_models(project: Project) -> None:
    """Write what the pages name: checkpoints, an image, and rows with answers."""
    import numpy as np
    import PIL.Image

    from pytest_hfmodels.checkpoints.bundled_files import BUNDLED

    for name, source in MODELS.items():
        shutil.copytree(ROOT / "tests" / "projects" / source / "model", project.path / "models" / name)
    config = json.loads((BUNDLED / "tiny-gpt2" / "config.json").read_text(encoding="utf-8"))
    config |= {"architectures": ["GPT2ForSequenceClassification"], "pad_token_id": 1023}
    for name in CLASSIFIERS:
        # The tiny GPT-2's answers to the texts of the pages.
        labels = {**config["id2label"], "2" if name == "triage-de" else "6": "bug"}
        own = {**config, "id2label": labels, "label2id": {label: int(index) for index, label in labels.items()}}
        shutil.copytree(BUNDLED / "tiny-gpt2", project.path / "models" / name)
        project.write(json.dumps(own), f"models/{name}/config.json")
    project.write('{"text": "It crashed.", "label": "bug"}\n', "data/triage.jsonl")
    np.save(project.path / "order.npy", np.sin(np.arange(8000) / 9).astype(np.float32))
    PIL.Image.new("RGB", (24, 24), "orange").save(project.path / "cat.png")


def test_every_command_and_option_exists(pytestconfig: pytest.Config) -> None:
    wrong = []
    for page, line, text in of_language("console"):
        for typed in commands(text):
            try:
                check(shlex.split(typed, comments=True), pytestconfig)
            except (Exception, SystemExit) as error:
                wrong.append(f"{page.name}:{line}: {typed}: {error}")

    assert "\n".join(wrong) == ""


def commands(text: str) -> Iterator[str]:
    """The typed lines of a console: those behind `$`, or else all; the rest is output."""
    lines = re.sub(r" <<'(\w+)'\n.*?\n\1$", "", text, flags=re.DOTALL | re.MULTILINE).splitlines()
    typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")] or lines
    for line in typed:
        if line.strip() and re.match(r"[a-z.]+ |[a-z]+$", line):
            yield from line.split(" && ")


def check(words: list[str], config: pytest.Config) -> None:
    """Fail for a command of ours that is not there, or that takes no such argument."""
    if words[:2] == ["python", "-m"]:
        words = words[2:]
    command, *arguments = words
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if command in ("hfmodels", "pytest_hfmodels"):
        command_parser().parse_args(own)
    elif command == "pytest":
        config._parser.parse(own)
    elif command == "pip":
        extras = re.search(r"\[([\w,-]+)\]", " ".join(own))
        known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
        assert extras is None or {*extras[1].split(",")} <= known.keys()
    elif command == "nox":
        assert f"\ndef {own[1]}(session" in (ROOT / "noxfile.py").read_text(encoding="utf-8")
    elif command == "python":
        assert own[0] == "train.py" or (ROOT / own[0]).is_file()
    elif command not in SHELL and not command.startswith("python3"):
        path = ROOT.joinpath(*command.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file() or command == "venv", "no such command"


def test_every_toml_block_can_be_read() -> None:
    read = [tomllib.loads(text) for _, _, text in of_language("toml") if "…" not in text]

    assert len(read) > 3


def test_every_link_and_picture_of_the_readme_and_the_examples_exists() -> None:
    for page in [page for page in PAGES if page.parent.name != "docs"]:
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 120
