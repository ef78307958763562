"""Damaged pending files: the commands accept them, refuse or warn, and write only snapshots."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.commands.cli import main
from pytest_hfmodels.snapshots.project import find_project

from ..pending_project import change, record
from .classes import as_parameters
from .sandbox import check_outcomes

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..project import Project

CANARY = "canary"
ODD: tuple[Any, ...] = (
    None,
    True,
    7,
    1.5,
    "",
    "x",
    [],
    ["a"],
    {},
    "\x00",
    "\x1b[2J\u202e\n::error::forged",
    "\ud800",
    "a" * 5000,
    "-rf",
)
FIELDS = ("test", "verdict", "snapshot", "compared", "entry", "digest", "text", "cause", "why", "gone", "format")
MAKERS: dict[str, Callable[[Path], object]] = {
    "none": str,
    "fifo": os.mkfifo,
    "folder": Path.mkdir,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "link": lambda path: path.symlink_to(path),
}
PLACES = (
    "conftest.py",
    ".git/config",
    ".git/hooks/post-checkout",
    "../outside.toml",
    "/etc/hfmodels.toml",
    "snapshots",
    "snapshots/../conftest.py",
    "snapshots/x/../../conftest.py",
    "pytest.ini",
    "snapshots/upstream.toml",
    ".",
    "snapshots/link/inside.toml",
    "snapshots/conftest.py",
    "snapshots/test_it/new.toml\n",
    "~/x.toml",
    "test_it.py",
    "snapshots/variants/x/../../../conftest.py",
    "snapshots/.git/config",
    "snapshots/test_it/conftest.py",
    "snapshots/Upstream.toml",
    "snapshots/.hidden.toml",
    "snapshots/test_it/x.TOML",
    "snapshots/link.toml",
    "snapshots/",
    "",
    "/dev/null",
    "snapshots/test_it/test_reply.toml/x.toml",
)


def classes() -> dict[str, dict[str, Any]]:
    def with_(**values: Any) -> Any:
        return lambda found: {**found, **values}

    deep = "[" * 100_000
    return {
        "pending-field": {
            f"{name}={value!r:.20}": with_(**{name: value})
            for name in FIELDS
            for value in random.Random(name).sample(ODD, 6)
        },
        "pending-place": {
            f"{names}={place!r}": with_(**dict.fromkeys(names.split("+"), place), digest=None)
            for names in ("compared", "snapshot", "compared+snapshot")
            for place in PLACES
        },
        "pending-text": {
            f"{text!r:.30}": with_(text=text)
            for text in (
                "",
                "import os",
                "a = 1",
                "[provenance]\n",
                "format = 1",
                'format = 1\nkind = "generation"',
                "[" * 50_000,
                "a." * 50_000,
                "\ud800",
                "\x00",
                "x = " + "9" * 10_000,
            )
        },
        "pending-file": {
            name: lambda _found, text=text: text
            for name, text in {
                "empty": "",
                "deep": deep,
                "list": "[]",
                "null": "null",
                "digits": "9" * 10_000,
                "cut": '{"format": 2',
                "bytes": "\x00\xff",
                "deep-table": '{"a":' * 50_000,
                "none": None,
                "fifo": None,
                "folder": None,
                "device": None,
                "link": None,
            }.items()
        },
        "pending-bytes": {f"seed {seed}": partial(_flipped, seed) for seed in range(60)},
    }


def _flipped(seed: int, found: dict[str, Any]) -> bytes:
    drawn, content = random.Random(seed), bytearray(json.dumps(found, indent=1).encode())
    for _ in range(3):
        content[drawn.randrange(len(content))] = drawn.randrange(256)
    return bytes(content)


@pytest.mark.parametrize("damages", as_parameters(classes()))
def test_commands_on_a_pending_file_work_refuse_or_warn(
    bare_project: Project, damages: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    record(bare_project)
    bare_project.write("kept", "inside/inside.toml")
    (bare_project.path / "snapshots" / "link").symlink_to("../inside")
    (bare_project.path / "snapshots" / "link.toml").symlink_to("../conftest.py")
    change(bare_project)
    root = bare_project.path
    (file,) = (
        path
        for path in (root / ".pytest_cache" / "d" / "hfmodels-pending").glob("*.json")
        if "test_reply" in path.read_text(encoding="utf-8")
    )
    kept = root.parent / f"{root.name}-kept"
    shutil.copytree(root, kept, symlinks=True)
    project = find_project()
    monkeypatch.setattr("pytest_hfmodels.snapshots.project.find_project", lambda: project)  # it starts pytest

    def trying(name: str, damage: Any) -> Callable[[], object]:
        def decide() -> None:
            for commands in (("pending", "diff", "reject"), ("accept",)):
                _decide(kept, root, file, name, damage, commands)

        return decide

    try:
        check_outcomes({name: trying(name, damage) for name, damage in damages.items()}, root / CANARY)
    finally:
        shutil.rmtree(kept)


def _decide(kept: Path, root: Path, file: Path, name: str, damage: Any, commands: tuple[str, ...]) -> None:
    """Damage a copy of the project, run the commands, and check what they wrote."""
    for path in root.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    shutil.copytree(kept, root, symlinks=True, dirs_exist_ok=True)
    damaged = damage(json.loads(file.read_text(encoding="utf-8")))
    file.unlink()
    if damaged is None:
        MAKERS[name](file)
    elif isinstance(damaged, bytes):
        file.write_bytes(damaged)
    else:
        file.write_text(
            damaged if isinstance(damaged, str) else json.dumps(damaged), encoding="utf-8", errors="surrogatepass"
        )
    before = _files(root)
    os.chdir(root)
    for command in commands:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main([command])
        assert status in (0, 1, 2), status
        for text in (out.getvalue(), err.getvalue()):
            assert "Traceback" not in text
            assert not [sign for sign in text if (sign < " " and sign not in "\n\t") or sign in "\u202e\x7f"], text
    after = _files(root)
    wrong = [
        path for path in after.keys() | before.keys() if after.get(path) != before.get(path) and not _may_write(path)
    ]
    assert not wrong, f"wrote {wrong}"
    outside = [path.name for path in root.parent.iterdir() if path.name not in (root.name, kept.name)]
    assert "outside.toml" not in outside


def _may_write(path: str) -> bool:
    return path.startswith("snapshots/test_it/") and path.endswith(".toml")


def _files(root: Path) -> dict[str, str]:
    """The content of the project's files, without pytest's cache."""
    return {
        str(path.relative_to(root)): path.read_bytes().hex()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink() and not {".pytest_cache", "__pycache__"} & {*path.parts}
    }


def test_the_modules_under_test_are_imported_before_the_fork() -> None:
    assert "pytest_hfmodels.commands.cli" in sys.modules
