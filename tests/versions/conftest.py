"""A project whose tests use `lib`, an index of its releases without a network, and a cache that the tests share."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.versions import environments
from pytest_hfmodels.versions.installed import Installed
from pytest_hfmodels.versions.matrix import Matrix, run_matrix
from pytest_hfmodels.versions.rows import parse_rows

from . import wheels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_hfmodels.versions.grid import Grid


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """Ctrl-C interrupts, though a shell's job in the background, as these tests may be, ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheels of `lib` 1.0, 1.1 and 2.0, and of what rows need."""
    return wheels.index(tmp_path_factory.mktemp("index") / "wheels")


@pytest.fixture(scope="session")
def uv_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uv")


@pytest.fixture
def installed() -> Installed:
    """A small current environment, with `lib` 1.1 in it."""
    held = {name: version(name) for name in (*wheels.NEEDED, "pytest-hfmodels")}
    return Installed({"pytest": "pytest", "pytest-hfmodels": "pytest-hfmodels", "lib": "lib"}, {**held, "lib": "1.1"})


@dataclass
class WrittenProgress:
    """Progress that is written down."""

    lines: list[str] = field(default_factory=list)
    when_row_ends: Callable[[str], object] = str

    def says(self, text: str) -> None:
        self.lines.append(text)

    def begins(self, row: str, doing: str, events: Path | None = None) -> None:
        self.lines.append(f"{row}: {doing}{' …' if events else ''}")

    def ends(self, row: str, text: str) -> None:
        self.lines.append(f"{row}: {text}")
        self.when_row_ends(row)


@dataclass
class LibProject:
    """A project that tests `lib`, and a shell to run its matrix in."""

    path: Path
    index: Path
    installed: Installed
    heard: WrittenProgress = field(default_factory=WrittenProgress)

    def write(self, source: str, name: str = "test_lib.py") -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")
        return file

    def matrix(self, *rows: str, **settings: object) -> Grid:
        matrix = Matrix(tuple(parse_rows(rows)), **settings)  # type: ignore[arg-type]
        self.heard.lines.clear()
        return run_matrix(matrix, self.heard, self.installed)


@pytest.fixture
def lib_project(
    tmp_path: Path, index: Path, installed: Installed, uv_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> LibProject:
    """An empty project in the current folder."""
    (tmp_path / "uv.toml").write_text("no-index = true\n")
    monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
    monkeypatch.setenv("UV_FIND_LINKS", str(index))
    monkeypatch.setenv("UV_CACHE_DIR", str(uv_cache))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.chdir(folder)
    return LibProject(folder, index, installed)


@pytest.fixture
def no_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uv is not installed."""
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", "")


@pytest.fixture
def fake_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a program in uv's place; it may call `uv()` to do what uv does."""

    def install(source: str) -> None:
        program, real = tmp_path / "uv.py", environments.find_uv()
        program.write_text(
            f"#!{sys.executable}\nimport sys, os\narguments = sys.argv[1:]\n"
            f"def uv():\n    os.execv({real!r}, [{real!r}, *arguments])\n{source}"
        )
        program.chmod(0o755)
        monkeypatch.setattr(environments, "find_uv", lambda: str(program))

    return install
