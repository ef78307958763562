"""The example of a kind of one's own is stored, compared, explained, reviewed and shown."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.cli import main
from pytest_hfmodels.kinds import Kind, registry
from pytest_hfmodels.kinds.classification.kind import KIND as CLASSIFICATION
from pytest_hfmodels.review.loop import Walk
from pytest_hfmodels.snapshots.project import find_project

from ..pending_project import run
from ..review.scripted import Scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..project import Project

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_kind"


@pytest.fixture
def example(bare_project: Project) -> Iterator[Project]:
    """The example's files in a project of their own, recorded."""
    for file in EXAMPLE.glob("*.py"):
        bare_project.write(file.read_text(encoding="utf-8"), file.name)
    run(bare_project, "--snapshot-update").assert_outcomes(passed=1)
    yield bare_project
    registry._KINDS.pop("word-counts", None)
    registry._FILES.pop("word-counts", None)
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
    assert "counts" in terminal.text
    page = (example.path / "report.html").read_text(encoding="utf-8")
    assert "count of" in page
    run(example).assert_outcomes(passed=1)
    assert main(["pending"]) == 0


def test_a_name_is_taken_once() -> None:
    other: Kind[Any] = Kind(**vars(CLASSIFICATION))

    with pytest.raises(ValueError, match="another kind of record named 'classification'"):
        registry.register_kind(other)
    assert registry.kind_named("classification") is CLASSIFICATION


def test_a_package_registers_its_kind_by_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "words-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: words\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\nword-counts = words:KIND\n")
    shutil.copy(EXAMPLE / "word_counts.py", tmp_path / "words.py")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_KINDS", {})

    found = registry.kind_named("word-counts")
    assert found is not None
    assert found.tolerant == ()
    assert registry.kind_named("nothing") is None
    assert registry.kind_names() == ["classification", "generation", "word-counts"]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("texts=lambda record: {}", "`texts` of the kind 'word-counts' failed: it does not return a dict"),
        ("summary=lambda record: 1 / 0", "`summary` of the kind 'word-counts' failed: ZeroDivisionError"),
        ("differences=lambda *_: [1]", "`differences` of the kind 'word-counts' failed: it yields 1, not a Difference"),
        ("movement=lambda *_: [][0]", "`movement` of the kind 'word-counts' failed: IndexError"),
        ("load=lambda *_: {}['count']", "`load` of the kind 'word-counts' failed: KeyError"),
    ],
    ids=["texts", "summary", "differences", "movement", "load"],
)
def test_a_mistake_of_a_kind_fails_its_test_and_no_other(example: Project, broken: str, said: str) -> None:
    name = broken.partition("=")[0]
    path = example.path / "word_counts.py"
    source = path.read_text(encoding="utf-8").replace("KIND: Kind[WordCounts] = Kind(", "WHOLE = dict(")
    path.write_text(f"{source}\nWHOLE[{name!r}] = {broken.partition('=')[2]}\nKIND = Kind(**WHOLE)\n", encoding="utf-8")
    registry._KINDS.pop("word-counts")
    registry._FILES.pop("word-counts")
    example.write("def test_other(): pass", "test_zz.py")

    result = run(example, "--hfmodels-json=report.json", "--hfmodels-html=report.html")

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines([f"*{said}*"])


def test_a_kind_of_a_subfolder_can_be_accepted(bare_project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for file in EXAMPLE.glob("*.py"):
        bare_project.write(file.read_text(encoding="utf-8"), f"inner/{file.name}")
    run(bare_project).assert_outcomes(failed=1)
    registry._KINDS.pop("word-counts")
    registry._FILES.pop("word-counts")

    assert main(["accept"]) == 0, capsys.readouterr().err
    run(bare_project).assert_outcomes(passed=1)
    registry._KINDS.pop("word-counts", None)
    registry._FILES.pop("word-counts", None)
