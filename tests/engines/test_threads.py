"""How many threads a process takes, and that waiting ones leave the processors to others."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.engines import threads

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("variables", "quota", "expected"),
    [
        ({}, None, 8),
        ({"PYTEST_XDIST_WORKER_COUNT": "3"}, None, 2),
        ({"PYTEST_XDIST_WORKER_COUNT": "64"}, None, 1),
        ({"PYTEST_HFMODELS_ROWS": "2"}, None, 4),
        ({"PYTEST_HFMODELS_ROWS": "2", "PYTEST_XDIST_WORKER_COUNT": "4"}, None, 1),
        ({"OMP_NUM_THREADS": "8", "PYTEST_XDIST_WORKER_COUNT": "4"}, None, 8),
        ({}, "max 100000", 8),
        ({}, "250000 100000", 3),
        ({"PYTEST_XDIST_WORKER_COUNT": "2"}, "400000 100000", 2),
        ({}, "nonsense", 8),
    ],
)
def test_the_processors_are_shared_between_workers_and_rows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], quota: str | None, expected: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "cpu.max"
    if quota is not None:
        file.write_text(quota)

    assert threads.share(8, quota=file) == expected


def test_threads_sleep_unless_the_user_wants_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert threads.sleeping() == {"OMP_WAIT_POLICY": "passive"}
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert threads.sleeping() == {}


def test_threads_sleep_whoever_imports_the_library_first(tmp_path: Path) -> None:
    library = "import os\nprint(os.environ.get('OMP_WAIT_POLICY'))\nAutoModelForCausalLM = AutoTokenizer = None\n"
    (tmp_path / "transformers.py").write_text(library)
    code = "from pytest_hfmodels.engines import upstream\nupstream.transformers(with_tensorflow=False)"
    surroundings = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}

    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**surroundings, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        check=True,
    )

    assert found.stdout == "passive\n"


def test_the_environment_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from pytest_hfmodels.engines import engine

    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    engine("torch", with_tensorflow=False)

    assert "OMP_WAIT_POLICY" not in os.environ
