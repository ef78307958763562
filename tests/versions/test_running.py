from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import pytest

from pytest_hfmodels.foundation.errors import VersionsError
from pytest_hfmodels.versions.running import (
    UPDATE_FLAGS,
    Processes,
    PytestRun,
    Stopped,
    check_arguments,
    run_pytest,
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.chdir(folder)
    return folder


def run(source: str, *arguments: str, timeout: float = 60, processes: Processes | None = None) -> PytestRun:
    """Run a test file in the current folder with the running interpreter."""
    Path("test_it.py").write_text(source)
    folder = Path.cwd().parent / "row"
    return run_pytest((sys.executable,), arguments, folder, timeout=timeout, processes=processes or Processes())


def test_a_row_has_a_cache_and_a_hypothesis_database_of_its_own(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANTED", str(tmp_path / "row"))
    ended = run(
        "import os\n"
        "def test_own(pytestconfig):\n"
        "    assert str(pytestconfig.cache.mkdir('x')).startswith(os.environ['WANTED'])\n"
        "    assert os.environ['HYPOTHESIS_STORAGE_DIRECTORY'].startswith(os.environ['WANTED'])\n",
        "-p",
        "no:xdist",
    )

    assert ended.exit_code == 0, ended.log.read_text()
    assert {"began": "test_it.py::test_own"} in [json.loads(line) for line in ended.events.read_text().splitlines()]
    assert not (project / ".pytest_cache").exists()


@pytest.mark.parametrize("then", ["pass", "time.sleep(60)"])
def test_what_a_row_started_ends_with_it(then: str, project: Path) -> None:
    (project / "ticking.py").write_text(
        "import time\nwhile True:\n    open('ticks', 'a').write('.')\n    time.sleep(0.05)\n"
    )
    ended = run(
        "import os, subprocess, sys, time\n"
        "def test_start():\n"
        "    subprocess.Popen([sys.executable, 'ticking.py'])\n"
        "    while not os.path.exists('ticks'):\n"
        "        time.sleep(0.01)\n"
        f"    {then}\n",
        timeout=60 if then == "pass" else 8,
    )
    ticks = (project / "ticks").stat().st_size

    assert ended.timed_out is (then != "pass")
    assert ended.seconds < 30
    time.sleep(0.3)
    assert (project / "ticks").stat().st_size == ticks


@pytest.mark.usefixtures("project")
def test_another_thread_can_stop_a_run() -> None:
    processes = Processes()
    threading.Timer(1, processes.stop).start()
    begin = time.monotonic()
    for _ in range(2):  # nothing starts after it either
        with pytest.raises(Stopped):
            run("import time\ndef test_long():\n    time.sleep(60)\n", processes=processes)

    assert time.monotonic() - begin < 15


@pytest.mark.parametrize("how", ["-pno:cacheprovider", "-p no:cacheprovider", "PYTEST_ADDOPTS"])
def test_a_row_runs_without_the_cache_s_plugin_where_settings_are_strict(
    how: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "pytest.ini").write_text("[pytest]\naddopts = --strict-config\n")
    if how == "PYTEST_ADDOPTS":
        monkeypatch.setenv(how, "-p no:cacheprovider")
    ended = run("def test_a():\n    pass\n", *([] if how == "PYTEST_ADDOPTS" else how.split()))

    assert ended.exit_code == 0, ended.log.read_text()


@pytest.mark.parametrize("flag", UPDATE_FLAGS)
def test_updates_are_refused(flag: str) -> None:
    with pytest.raises(VersionsError, match=f"{flag} cannot be used with several versions"):
        check_arguments(["suites", flag])


def test_updates_in_the_environment_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "-q --snapshot-update")

    with pytest.raises(VersionsError, match="--snapshot-update"):
        check_arguments([])


def test_updates_in_the_project_s_own_options_are_refused_by_the_row(project: Path) -> None:
    (project / "pytest.ini").write_text("[pytest]\naddopts = --snapshot-update\n")
    ended = run("def test_a(snapshot):\n    assert snapshot == 1\n")

    assert ended.exit_code == 4
    assert "only reads snapshots" in ended.log.read_text()
    assert not (project / "__snapshots__").exists()
