"""The example of a kind of one's own is stored, compared, explained, reviewed and shown."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.commands.cli import main
from pytest_hfmodels.commands.reviewing.loop import Walk
from pytest_hfmodels.kinds import registry
from pytest_hfmodels.kinds.classification.kind import KIND as CLASSIFICATION
from pytest_hfmodels.snapshots.project import find_project

from ..pending_project import run
from ..review.scripted import Scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels import ModelCache

    from ..project import Project

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_kind"


@pytest.fixture(autouse=True)
def _both_engines(models: ModelCache) -> None:
    """Transformers is imported once a process: with TensorFlow, for the tests that need it."""


@pytest.fixture
def example(bare_project: Project) -> Iterator[Project]:
    """The example's files in a project of their own, recorded."""
    for file in EXAMPLE.glob("*.py"):
        bare_project.write(file.read_text(encoding="utf-8"), file.name)
    run(bare_project, "--snapshot-update").assert_outcomes(passed=1)
    yield bare_project
    registry.KINDS._values.pop("word-counts", None)
    sys.modules.pop("word_counts", None)


def test_a_snapshot_holds_its_tables(example: Project) -> None:
    recorded = example.recorded("test_words/test_words.toml")

    assert recorded["kind"] == "word-counts"
    assert sum(recorded["counts"].values()) > 5
    run(example).assert_outcomes(passed=1)


def test_a_change_is_explained_reviewed_and_shown(example: Project) -> None:
    test = example.path / "test_words.py"
    test.write_text(test.read_text().replace("Hasnain", "Ada"))

    result = run(example, "--hfmodels-html=report.html")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*changed: the test itself: prompt text differs*"])

    test.write_text(test.read_text().replace("Ada", "Hasnain").replace("max_new_tokens=30", "max_new_tokens=8"))
    result = run(example, "--hfmodels-html=report.html", "-vv")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*changed: count of *differs*", "*count of *: recorded *, now *"])
    assert "word-counts" not in result.stdout.str().partition("Traceback")[2]

    terminal = Scripted("a")
    project = find_project()
    assert Walk(project, project.pending.read(), terminal).run() == 0
    assert "count of 'a'" in terminal.text
    page = (example.path / "report.html").read_text(encoding="utf-8")
    assert "count of" in page
    run(example).assert_outcomes(passed=1)
    assert main(["pending"]) == 0


def test_a_name_is_taken_once() -> None:
    class Other(type(CLASSIFICATION)):  # type: ignore[misc]
        pass

    with pytest.raises(ValueError, match="another kind of record named 'classification'"):
        registry.register_kind(Other())
    assert registry.kind_named("classification") is CLASSIFICATION


def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the registry look again at what is installed."""
    monkeypatch.setattr(registry.KINDS, "_values", {})
    monkeypatch.delitem(registry.KINDS.__dict__, "_installed", raising=False)


def test_a_name_is_free_again_in_another_session(bare_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (EXAMPLE / "word_counts.py").read_text(encoding="utf-8")
    registering = "from {0} import KIND\nfrom pytest_hfmodels.kinds import register_kind\nregister_kind(KIND)\n"
    nothing_registered(monkeypatch)
    for module in ("words_a", "words_b"):
        bare_project.write(source, f"{module}.py")
        bare_project.write(registering.format(module), "conftest.py")
        bare_project.write("def test_it(): pass")
        run(bare_project).assert_outcomes(passed=1)
        assert "word-counts" in registry.KINDS.names()  # Python would not import the same conftest.py again

    both = "\n".join(map(registering.format, ("words_a", "words_b")))
    bare_project.write(both, "conftest.py")
    result = run(bare_project)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "another kind of record named 'word-counts'" in result.stderr.str()


def test_a_package_registers_its_kind_by_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "words-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: words\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pytest_hfmodels.kinds]\nword-counts = words:KIND\n")
    shutil.copy(EXAMPLE / "word_counts.py", tmp_path / "words.py")
    monkeypatch.syspath_prepend(tmp_path)
    nothing_registered(monkeypatch)

    found = registry.kind_named("word-counts")
    assert found is not None
    assert found.tolerant == ()
    assert registry.kind_named("nothing") is None
    assert "word-counts" in registry.KINDS.names()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("def texts(self, record): return {}", "`texts` of the kind 'word-counts' failed: it does not return a dict"),
        ("def differences(self, *_): return [1]", "`differences` of the kind 'word-counts' failed: it yields 1, not a"),
        ("def numbers(self, *_): yield 'x', 0, 1.0, '2'", "`numbers` of the kind 'word-counts' failed: a value is not"),
        ("def movement(self, *_): return [][0]", "`movement` of the kind 'word-counts' failed: IndexError"),
        ("def load(self, *_): return {}['count']", "`load` of the kind 'word-counts' failed: KeyError"),
    ],
    ids=["texts", "differences", "numbers", "movement", "load"],
)
def test_a_mistake_of_a_kind_fails_its_test_and_no_other(example: Project, broken: str, said: str) -> None:
    amend(example, broken)
    example.write("def test_other(): pass", "test_zz.py")

    result = run(example, "--hfmodels-json=report.json", "--hfmodels-html=report.html")

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines([f"*{said}*"])


def test_a_plot_counts_in_the_kind_s_own_unit(example: Project) -> None:
    amend(
        example,
        "def course(self, recorded, observed):\n"
        "        from pytest_hfmodels.kinds.base import Course\n"
        "        sides = [() if one is None else one.counts.values() for one in (recorded, observed)]\n"
        "        return Course.independent('word', *([(float(n), (float(n),)) for n in side] for side in sides))",
    )
    test = example.path / "test_words.py"
    test.write_text(test.read_text().replace("max_new_tokens=30", "max_new_tokens=8"))

    run(example, "--hfmodels-html=report.html", "--hfmodels-json=report.json").assert_outcomes(failed=1)

    report = json.loads((example.path / "report.json").read_text(encoding="utf-8"))
    assert report["tests"][0]["comparisons"][0]["course"]["unit"] == "word"
    assert "at word " in (example.path / "report.html").read_text(encoding="utf-8")


def amend(example: Project, method: str) -> None:
    """Give the example's kind another method, in a new session."""
    path = example.path / "word_counts.py"
    source = path.read_text(encoding="utf-8")
    path.write_text(source.replace("\n\n\nKIND =", f"\n\n    {method}\n\n\nKIND ="), encoding="utf-8")
    registry.KINDS._values.pop("word-counts")
    sys.modules.pop("word_counts", None)


def test_a_kind_of_a_subfolder_can_be_accepted(
    bare_project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing_registered(monkeypatch)
    for file in EXAMPLE.glob("*.py"):
        bare_project.write(file.read_text(encoding="utf-8"), f"inner/{file.name}")
    run(bare_project).assert_outcomes(failed=1)
    registry.KINDS._values.clear()

    assert main(["accept"]) == 0, capsys.readouterr().err
    run(bare_project).assert_outcomes(passed=1)
