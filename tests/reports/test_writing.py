"""The reports of a run: what is written when, whoever ran the tests and however the run ended."""

from __future__ import annotations

import base64
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.foundation.durations import STAGES
from pytest_hfmodels.results.model import Results, TestResult, decode
from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.last_grid import LAST_GRID, save_grid
from pytest_hfmodels.versions.results import Cell, RowResult, State

from ..project import GENERATING

if TYPE_CHECKING:
    from ..project import Project

TESTS = """
import pytest
from tests.example_records import STEPS, generation, live, moved, swapped
from pytest_hfmodels.kinds import Step

CHANGED = swapped(1, Step(14, " but", -0.125, -0.125, 1.25, 13, " and"))

def test_same(hf_snapshot):
    assert generation() == hf_snapshot

def test_changed(hf_snapshot):
    assert generation({changed}, live=live({changed})) == hf_snapshot

def test_two(hf_snapshot):
    assert generation() == hf_snapshot
    assert generation(moved(1, by={moved})) == hf_snapshot(name="moved")

def test_broken(hf_snapshot):
    assert not {broken}, "nothing works"

@pytest.mark.skip(reason="not today")
def test_skipped(hf_snapshot):
    pass

def test_other(snapshot):
    pass
"""


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "GITHUB_SHA", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE", "CI_COMMIT_SHA"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def failing(bare_project: Project) -> Project:
    """A project in which one test of every kind fails."""
    bare_project.write(TESTS.format(changed="STEPS", moved=0.0, broken=False))
    bare_project.run("--snapshot-update").assert_outcomes(passed=5, skipped=1)
    bare_project.write(TESTS.format(changed="CHANGED", moved=0.25, broken=True))
    return bare_project


def report(project: Project, *arguments: str) -> Results:
    project.run("--hfmodels-json=out/report.json", *arguments)
    return decode((project.path / "out" / "report.json").read_text(encoding="utf-8"), Results)


def named(results: Results) -> dict[str, TestResult]:
    return {test.id.partition("::")[2]: test for test in results.tests}


def test_a_run_is_told_test_by_test(failing: Project) -> None:
    results = report(failing)

    tests = named(results)
    assert {name: (test.outcome, test.verdict) for name, test in tests.items()} == {
        "test_same": ("passed", "same"),
        "test_changed": ("failed", "changed"),
        "test_two": ("failed", "drift"),
        "test_broken": ("failed", "broken"),
        "test_skipped": ("skipped", None),
    }
    assert [test.line for test in results.tests] == [8, 11, 14, 18, 21]
    assert {test.file for test in results.tests} == {"test_it.py"}
    assert tests["test_changed"].headline == "generated token 2 differs"
    assert [found.verdict for found in tests["test_two"].comparisons] == ["same", "drift"]
    assert tests["test_broken"].headline == "AssertionError: nothing works"
    assert "nothing works" in tests["test_broken"].details
    assert tests["test_skipped"].headline == "not today"
    assert tests["test_same"].engine == "torch"
    assert results.run.verdicts == {"broken": 1, "changed": 1, "drift": 1, "same": 1, "none": 1}
    assert results.run.others == {"passed": 1}
    assert (results.run.exit_status, results.run.stopped) == (1, None)


def test_versions_come_from_a_list_and_nothing_from_the_environment(
    failing: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "s3cret-of-somebody")

    results = report(failing, "--hfmodels-html=out/report.html", "--hfmodels-markdown=out/report.md")

    assert {"python", "pytest", "syrupy"} <= results.run.versions.keys()
    assert "pluggy" not in results.run.versions
    for file in ("report.json", "report.html", "report.md"):
        text = (failing.path / "out" / file).read_text(encoding="utf-8")
        assert "s3cret" not in text
        assert str(failing.path) not in text


def test_where_reports_are_is_said(failing: Project) -> None:
    result = failing.run("--hfmodels-json=a.json", "--hfmodels-html=b.html", "--hfmodels-markdown=c.md")

    result.stdout.fnmatch_lines(["*- hfmodels reports -*", "json: a.json", "html: b.html", "markdown: c.md"])
    assert {"a.json", "b.html", "c.md"} <= {path.name for path in failing.path.iterdir()}


def test_a_run_without_an_option_has_no_reporter(failing: Project) -> None:
    failing.write(
        "def pytest_unconfigure(config):\n"
        "    import sys\n"
        "    print('reporter:', config.pluginmanager.has_plugin('hfmodels-reporter'))\n",
        "conftest.py",
    )

    failing.run().stdout.fnmatch_lines(["reporter: False"])
    failing.run("--hfmodels-json=a.json").stdout.fnmatch_lines(["reporter: True"])


def test_workers_of_xdist_report_what_one_process_does(failing: Project) -> None:
    pytest.importorskip("xdist", reason="install pytest-xdist")

    alone = report(failing)
    together = report(failing, "-p", "xdist", "-n", "2")

    assert "pytest-xdist" in together.run.versions
    assert together.run.verdicts == alone.run.verdicts
    assert together.run.others == alone.run.others
    assert [test.id for test in together.tests] == [test.id for test in alone.tests]
    assert [test.comparisons for test in together.tests] == [test.comparisons for test in alone.tests]
    assert [test.headline for test in together.tests] == [test.headline for test in alone.tests]


def test_a_worker_that_dies_is_told(bare_project: Project) -> None:
    pytest.importorskip("xdist", reason="install pytest-xdist")
    bare_project.write("import os\ndef test_dies(hf_snapshot): os._exit(1)\ndef test_lives(hf_snapshot): pass\n")

    tests = named(report(bare_project, "-p", "xdist", "-n", "1"))

    assert (tests["test_dies"].outcome, tests["test_dies"].verdict) == ("error", "broken")
    assert tests["test_dies"].headline == "worker 'gw0' crashed while running 'test_it.py::test_dies'"


def test_of_a_test_that_is_run_again_the_last_run_counts(bare_project: Project) -> None:
    bare_project.write(
        """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    for _ in range(2):
        item._initrequest()
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            item.ihook.pytest_runtest_logreport(report=report)
    return True
""",
        "conftest.py",
    )
    bare_project.write("""
from tests.example_records import generation
runs = []

def test_flaky(hf_snapshot):
    runs.append(1)
    assert generation() == hf_snapshot
    assert len(runs) == 2
""")
    bare_project.run("--snapshot-update")

    (test,) = report(bare_project).tests

    assert (test.outcome, test.verdict, len(test.comparisons), test.details) == ("passed", "same", 1, "")


def test_our_own_errors_are_told_as_sentences(bare_project: Project) -> None:
    bare_project.write("def test_text(hf_snapshot): assert print == hf_snapshot")

    test = named(report(bare_project))["test_text"]

    assert test.verdict == "broken"
    assert test.headline.startswith("test_it.py::test_text compares what cannot be recorded: the value is a builtin")


def test_what_was_pending_is_named(failing: Project) -> None:
    failing.ini("cache_dir = cache")
    failing.run("--hfmodels-json=report.json", "-p", "cacheprovider")

    tests = named(decode((failing.path / "report.json").read_text(encoding="utf-8"), Results))

    (changed,) = tests["test_changed"].comparisons
    same, moved = tests["test_two"].comparisons
    assert changed.pending is not None
    assert moved.pending is not None
    assert (changed.pending.snapshot, changed.saved) == ("snapshots/test_it/test_changed.toml", True)
    assert (moved.pending.snapshot, moved.saved) == ("snapshots/test_it/test_two[moved].toml", True)
    assert (same.pending, tests["test_same"].comparisons[0].pending) == (None, None)


def test_an_interrupted_run_reports_what_it_knows(failing: Project) -> None:
    failing.write("def test_z(hf_snapshot): raise KeyboardInterrupt\ndef test_zz(hf_snapshot): pass", "test_z.py")

    result = failing.run_alone(*(f"--hfmodels-{kind}=report.{kind}" for kind in ("json", "html", "markdown")))

    results = decode((failing.path / "report.json").read_text(encoding="utf-8"), Results)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert results.run.stopped == "interrupted during test_z.py::test_z"
    assert results.run.exit_status == 2
    assert "test_changed" in named(results)
    assert "stopped early: interrupted" in (failing.path / "report.html").read_text(encoding="utf-8")
    assert "Stopped early: interrupted" in (failing.path / "report.markdown").read_text(encoding="utf-8")


def test_a_run_that_stops_at_the_first_failure_says_so(failing: Project) -> None:
    results = report(failing, "-x")

    assert results.run.stopped == "stopping after 1 failures"
    assert list(named(results)) == ["test_same", "test_changed"]


def test_a_file_that_cannot_be_written_is_a_sentence_and_loses_nothing(failing: Project) -> None:
    failing.write("", "taken")

    result = failing.run("--hfmodels-html=taken/report.html", "--hfmodels-json=report.json")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["json: report.json", "--hfmodels-html: taken/report.html could not be written: *"])
    assert (failing.path / "report.json").is_file()


@pytest.mark.parametrize("kind", ["json", "html", "markdown", "patch"])
def test_an_option_that_cannot_be_followed_stops_the_run_before_it_starts(bare_project: Project, kind: str) -> None:
    empty = bare_project.run(f"--hfmodels-{kind}=")
    folder = bare_project.run(f"--hfmodels-{kind}=.")

    assert empty.ret == folder.ret == pytest.ExitCode.USAGE_ERROR
    empty.stderr.fnmatch_lines([f"ERROR: --hfmodels-{kind} names no file.", "*leave the option out*"])
    folder.stderr.fnmatch_lines([f"ERROR: --hfmodels-{kind} is ., which is a folder.", "*Name a file.*"])


def test_a_run_of_other_tests_alone_reports_that(bare_project: Project) -> None:
    bare_project.write("def test_nothing(): pass")

    results = report(bare_project, "--hfmodels-html=out/report.html", "--hfmodels-markdown=out/report.md")

    assert (results.tests, results.run.others) == ((), {"passed": 1})
    page = (bare_project.path / "out" / "report.html").read_text(encoding="utf-8")
    assert "No test of this run used a model or a snapshot." in page


def test_a_break_that_the_ledger_foretells_is_told_with_its_entry(bare_project: Project) -> None:
    bare_project.write("def test_forward(hf_models): raise TypeError('type_as() misses something')")
    bare_project.write(
        '[[break]]\nname = "type-as"\nwhen = "pytest>=8"\ntests = ["test_it.py::test_forward"]\nraises = "TypeError"\n'
        'match = "type_as"\nwhat = "every forward pass raises"\n',
        "snapshots/upstream.toml",
    )

    test = named(report(bare_project))["test_forward"]

    assert (test.outcome, test.verdict, test.entry) == ("xfailed", "broken", "type-as")
    assert test.headline == "type-as: every forward pass raises"


HALVES = """
from dataclasses import replace
import pytest
from tests.example_records import PROMPT, generation, live, swapped
from pytest_hfmodels.kinds import Step

HALF = {half!r}

@pytest.mark.parametrize("text", ["a", HALF])
def test_text(hf_snapshot, text):
    steps = swapped(1, Step(14, HALF, -0.125, -0.125, 1.25, 13, HALF)) if HALF != "b" else generation().steps
    assert generation(steps, live=live(steps), prompt=replace(PROMPT, text=HALF)) == hf_snapshot

def test_missing(hf_snapshot):
    assert not (HALF != "b" and generation(text=HALF) != hf_snapshot), HALF

def test_whole(hf_snapshot):
    assert generation(text="now" if HALF != "b" else "before") == hf_snapshot
"""


def test_half_a_surrogate_pair_is_spelt_out_and_stops_no_report(bare_project: Project) -> None:
    bare_project.write(HALVES.format(half="b"))
    bare_project.run("--snapshot-update").assert_outcomes(passed=4)
    bare_project.write(HALVES.format(half="half \ud83d"))
    kinds = ("json", "html", "markdown", "patch")

    files = (f"--hfmodels-{kind}=report.{kind}" for kind in kinds)
    result = bare_project.run("-p", "cacheprovider", *files, "--junitxml=report.xml")

    result.assert_outcomes(failed=4)
    text = {kind: (bare_project.path / f"report.{kind}").read_text(encoding="utf-8") for kind in (*kinds, "xml")}
    assert len(decode(text["json"], Results).tests) == 4
    assert text["html"].count("<summary><span class=") == 4
    assert "U+D83D" in text["html"] or "\\ud83d" in text["html"]
    assert "\\ud83d" in text["markdown"]
    assert "U+D83D" in text["xml"]
    assert text["patch"].count("diff --git ") == 1
    assert "+++ b/snapshots/test_it/test_whole.toml" in text["patch"]
    result.stdout.fnmatch_lines(["patch of 1 snapshot: *; 3 left out: it holds a lone surrogate, *"])


class TestInCI:
    def test_markdown_is_appended_to_the_step_summary(self, failing: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        summary = failing.write("# Earlier\n", "summary.md")
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))

        failing.run("--hfmodels-json=report.json")
        assert summary.read_text(encoding="utf-8") == "# Earlier\n"
        failing.run("--hfmodels-markdown=report.md")

        written = (failing.path / "report.md").read_text(encoding="utf-8")
        assert summary.read_text(encoding="utf-8") == f"# Earlier\n{written}\n"

    @pytest.mark.parametrize("what", ["is full: nothing was added to it", "could not be written: Is a directory"])
    def test_a_step_summary_that_takes_no_more_is_a_sentence(
        self, failing: Project, monkeypatch: pytest.MonkeyPatch, what: str
    ) -> None:
        summary = failing.write("x" * (1024 * 1024 - 500), "summary.md") if "full" in what else failing.path
        size = summary.stat().st_size
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))

        result = failing.run("--hfmodels-markdown=report.md")

        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["markdown: report.md", f"the CI's step summary {what}"])
        assert "full" not in what or summary.stat().st_size == size

    def test_lines_are_annotated_inside_of_the_checkout(
        self, failing: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        monkeypatch.setenv("GITHUB_SHA", "abc")
        monkeypatch.setenv("GITHUB_WORKSPACE", str(failing.path.parent))

        lines = failing.run("--hfmodels-json=report.json").stdout.lines

        file = f"file={failing.path.name}/test_it.py"
        unknown = "the model that made this output is no longer in memory, so the plugin cannot find the reason"
        told = [line for line in lines if line.startswith("::")]
        assert told == [
            f"::error {file},line=11,title=changed%3A test_it.py%3A%3Atest_changed::"
            "generated token 2 differs%0A' and' had 60.7 %25, ' but' 13.5 %25; now ' but' has 88.2 %25, ' and' 25.3 %25"
            f"%0A{unknown}%0Aaccept it: hfmodels accept --from report.json test_it.py::test_changed",
            f"::error {file},line=18,title=broken%3A test_it.py%3A%3Atest_broken::AssertionError: nothing works",
            f"::error {file},line=14,title=drift%3A test_it.py%3A%3Atest_two::"
            f"the same output, but numbers moved beyond tolerance, first the log-probability of token 2%0A{unknown}"
            "%0Aaccept it: hfmodels accept --from report.json test_it.py::test_two",
        ]


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_the_page_offers_all_outputs_as_a_patch(failing: Project, workers: tuple[str, ...]) -> None:
    failing.run("-p", "cacheprovider", "--hfmodels-html=report.html", *workers)

    page = (failing.path / "report.html").read_text(encoding="utf-8")
    link = re.search(r'download="hfmodels.patch" href="data:text/x-diff;base64,([^"]+)"', page)
    assert link is not None
    patch = failing.path / "hfmodels.patch"
    patch.write_bytes(base64.b64decode(link[1]))
    subprocess.run(["git", "init", "-q"], cwd=failing.path, check=True)
    subprocess.run(["git", "apply", patch.name], cwd=failing.path, check=True)
    failing.run().assert_outcomes(passed=4, failed=1, skipped=1)  # the broken one has no output


def test_a_page_without_a_mismatch_offers_no_patch(bare_project: Project) -> None:
    bare_project.write("def test_it(hf_snapshot): ...")

    bare_project.run("--hfmodels-html=report.html")

    assert "hfmodels.patch" not in (bare_project.path / "report.html").read_text(encoding="utf-8")


def test_the_page_has_the_last_matrix_of_the_project(failing: Project) -> None:
    cells = {"test_it.py::test": Cell(State.SAME)}
    releases = ("transformers==4.57.6", "transformers==5.0.0")
    save_grid(failing.path, Grid(tuple(RowResult(release, cells=cells) for release in releases)))

    failing.run("--hfmodels-html=report.html")

    page = (failing.path / "report.html").read_text(encoding="utf-8")
    section = page[page.index('<section id="matrix">') : page.index("</section>")]
    assert "Other releases" in section
    assert section.index("4.57.6") < section.index("5.0.0")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("[" * 100_000, id="deep"),
        pytest.param('{"rows": [{"name": 7}]}', id="name"),
    ],
)
def test_an_invalid_matrix_file_is_reported_and_the_page_has_no_grid(failing: Project, content: str) -> None:
    save_grid(failing.path, Grid(()))
    (failing.path / LAST_GRID).write_text(content)

    result = failing.run("--hfmodels-html=report.html")

    assert "INTERNALERROR" not in result.stdout.str()
    result.stdout.fnmatch_lines(["html: *last-matrix.json is left out: *", "html: report.html"])
    assert (failing.path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_junit_and_json_name_the_same_verdict(bare_project: Project) -> None:
    tests = """
from tests.example_records import generation, swapped
from pytest_hfmodels.kinds import Step

BUT = swapped(1, Step(14, " but", -0.125, -0.125, 1.25, 13, " and"))

def test_two(hf_snapshot):
    changed = generation({changed}) == hf_snapshot
    missing = {new}
    assert changed and missing
"""
    bare_project.write(tests.format(changed="", new="True"))
    bare_project.run("--snapshot-update")
    bare_project.write(tests.format(changed="BUT", new='generation() == hf_snapshot(name="new")'))

    results = report(bare_project, "--junitxml=junit.xml")

    junit = (bare_project.path / "junit.xml").read_text(encoding="utf-8")
    assert [test.verdict for test in results.tests] == ["changed"]
    assert re.findall(r'name="hfmodels_verdict" value="([^"]*)"', junit) == ["changed"]


def test_where_the_time_went(project: Project) -> None:
    project.write(GENERATING)

    (test,) = report(project, "--snapshot-update").tests

    always = {"generate", "evidence", "compare"}
    assert {*test.durations} == always | {"import", "resolve", "digest", "load", "write"}
    assert 0 < sum(test.durations.values()) <= test.seconds

    project.change_model()
    result = project.run("--hfmodels-durations", "--hfmodels-json=out/report.json")

    (line,) = [line for line in result.outlines if line.startswith("hfmodels durations: ")]
    stages = re.findall(r"(\w+) [\d.]+ s", line)
    assert {*stages} >= always | {"explain", "tests"}
    assert stages == [name for name in (*STAGES, "tests") if name in stages]
    assert "hfmodels durations" not in project.run().stdout.str()
