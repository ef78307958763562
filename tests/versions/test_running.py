from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import pytest

from pytest_hfmodels.errors import VersionsError
from pytest_hfmodels.versions.processes import Processes, Stopped
from pytest_hfmodels.versions.running import UPDATE_FLAGS, Run, check_arguments, run_pytest

HERE = Path(sys.executable)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.chdir(folder)
    return folder


def began(run: Run) -> list[str]:
    events = [json.loads(line) for line in run.events.read_text().splitlines()]
    return [event["began"] for event in events if "began" in event]


def test_a_row_has_a_cache_and_a_hypothesis_database_of_its_own(project: Path, tmp_path: Path) -> None:
    (project / "test_it.py").write_text(
        "import os\n"
        "def test_own(pytestconfig):\n"
        "    assert str(pytestconfig.cache.mkdir('x')).startswith(os.environ['WANTED'])\n"
        "    assert os.environ['HYPOTHESIS_STORAGE_DIRECTORY'].startswith(os.environ['WANTED'])\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANTED", str(tmp_path / "row"))
        run = run_pytest(HERE, ["-p", "no:xdist"], tmp_path / "row", timeout=60)

    assert run.exit_code == 0, run.log.read_text()
    assert began(run) == ["test_it.py::test_own"]
    assert not (project / ".pytest_cache").exists()


@pytest.mark.parametrize("then", ["pass", "time.sleep(60)"])
def test_what_a_row_started_ends_with_it(then: str, project: Path, tmp_path: Path) -> None:
    (project / "ticking.py").write_text(
        "import time\nwhile True:\n    open('ticks', 'a').write('.')\n    time.sleep(0.05)\n"
    )
    (project / "test_it.py").write_text(
        "import os, subprocess, sys, time\n"
        "def test_start():\n"
        "    subprocess.Popen([sys.executable, 'ticking.py'])\n"
        "    while not os.path.exists('ticks'):\n"
        "        time.sleep(0.01)\n"
        f"    {then}\n"
    )
    run = run_pytest(HERE, [], tmp_path / "row", timeout=60 if then == "pass" else 4)
    ticks = (project / "ticks").stat().st_size

    assert run.timed_out is (then != "pass")
    assert run.seconds < 15
    time.sleep(0.3)
    assert (project / "ticks").stat().st_size == ticks


def test_a_run_that_is_stopped_from_another_thread_ends_at_once(project: Path, tmp_path: Path) -> None:
    (project / "test_it.py").write_text("import time\ndef test_long():\n    time.sleep(60)\n")
    processes = Processes()
    threading.Timer(1, processes.stop).start()
    begin = time.monotonic()
    with pytest.raises(Stopped):
        run_pytest(HERE, [], tmp_path / "row", processes=processes)

    assert time.monotonic() - begin < 15
    with pytest.raises(Stopped):
        run_pytest(HERE, [], tmp_path / "row", processes=processes)


@pytest.mark.parametrize("flag", UPDATE_FLAGS)
def test_update_flags_are_refused_before_anything_runs(flag: str, tmp_path: Path) -> None:
    with pytest.raises(VersionsError, match=f"Rows only read snapshots: {flag} does not go together"):
        run_pytest(HERE, ["suites", flag], tmp_path / "row")

    assert not (tmp_path / "row").exists()


@pytest.mark.parametrize("flag", ["--report-log", "--report-log=x.jsonl"])
def test_a_report_log_is_refused_for_a_row_has_its_own(flag: str, tmp_path: Path) -> None:
    with pytest.raises(VersionsError, match="--report-log does not go together with that"):
        run_pytest(HERE, [flag], tmp_path / "row")

    assert not (tmp_path / "row").exists()


@pytest.mark.parametrize("how", ["-pno:cacheprovider", "-p no:cacheprovider", "PYTEST_ADDOPTS"])
def test_a_row_runs_without_the_caches_plugin_where_settings_are_strict(
    how: str, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "pytest.ini").write_text("[pytest]\naddopts = --strict-config\n")
    (project / "test_it.py").write_text("def test_a():\n    pass\n")
    if how == "PYTEST_ADDOPTS":
        monkeypatch.setenv(how, "-p no:cacheprovider")
    run = run_pytest(HERE, [] if how == "PYTEST_ADDOPTS" else how.split(), tmp_path / "row", timeout=60)

    assert run.exit_code == 0, run.log.read_text()


def test_update_flags_in_the_environment_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "-q --snapshot-update")

    with pytest.raises(VersionsError, match="--snapshot-update"):
        check_arguments([])


def test_update_flags_in_the_projects_own_options_are_refused_by_the_row(project: Path, tmp_path: Path) -> None:
    (project / "pytest.ini").write_text("[pytest]\naddopts = --snapshot-update\n")
    (project / "test_it.py").write_text("def test_a(snapshot):\n    assert snapshot == 1\n")
    run = run_pytest(HERE, [], tmp_path / "row")

    assert run.exit_code == 4
    assert "only reads snapshots" in run.log.read_text()
    assert not (project / "__snapshots__").exists()
