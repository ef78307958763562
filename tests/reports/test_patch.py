"""Patches, judged by git itself."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.commands.cli import main
from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.foundation.files import remove_leftovers, write_atomically, write_report, write_together
from pytest_hfmodels.reports.diff import patch_of
from pytest_hfmodels.results.pending import Pending, digest_of

from ..pending_project import NOW, TESTS, change, git, pending, record, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..project import Project

ODD = [
    "plain.toml",
    "with space.toml",
    'quo"te.toml',
    "back\\slash.toml",
    "tab\there.toml",
    "ünï-文.toml",
    "[torch-a b].toml",
]
TEXTS = {
    "changed": ("a\nb\nc\n", "a\nB\nc\n"),
    "without-a-last-line-end": ("a\nb", "a\nc"),
    "new": (None, "one\ntwo\n"),
    "separators": ("a\x85b\u2028c\x0c\nd\n", "a\x85b\u2028C\x0c\nd\n"),
    "right-to-left": ("שלום עולם\n", "שלום \u202eעולם\n"),
    "diff-like": ("--- a\n+++ b\n@@ -1 +1 @@\n", "--- a\n+++ c\n@@ -1 +1 @@\n"),
    "trailing-spaces": ("a  \n\t\nb\n", "a  \n\t \nb \n"),
    "crlf": ("a\r\nb\r\nc\r\n", "a\nB\nc\n"),
}


def made(root: Path, name: str, before: str | None, now: str) -> Pending:
    """Return a change of a file, which is written as it was."""
    path = root / "snapshots" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if before is not None:
        path.write_bytes(before.encode())
    return Pending("t::t", "changed", f"snapshots/{name}", f"snapshots/{name}", None, digest_of(path), now)


def apply(patch: str, folder: Path, *arguments: str) -> None:
    done = subprocess.run(["git", "apply", *arguments, "-"], cwd=folder, input=patch.encode(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("what", TEXTS)
def test_git_makes_of_it_what_accepting_would(tmp_path: Path, what: str, versioned: bool) -> None:
    if versioned:
        subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    before, now = TEXTS[what]
    change = made(tmp_path, "file.toml", before, now)
    expected = change.content(tmp_path)

    apply(patch_of([change], tmp_path), tmp_path, "--whitespace=nowarn")

    assert (tmp_path / "snapshots" / "file.toml").read_bytes() == expected.encode()
    assert ("\r" in expected) == (what == "crlf")


@pytest.mark.parametrize("before", ["a\n", None])
def test_names_may_hold_anything(tmp_path: Path, before: str | None) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    changes = [made(tmp_path, name, before, f"now {name}\n") for name in ODD]

    apply(patch_of(changes, tmp_path), tmp_path)

    assert {name: (tmp_path / "snapshots" / name).read_text() for name in ODD} == {
        name: f"now {name}\n" for name in ODD
    }


def test_names_start_from_the_repository_that_the_project_is_in(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    project = tmp_path / "packages" / "bot"
    change = made(project, "file.toml", "a\n", "b\n")

    patch = patch_of([change], project)

    assert patch.startswith("diff --git a/packages/bot/snapshots/file.toml b/packages/bot/snapshots/file.toml\n")
    apply(patch, tmp_path)
    assert (project / "snapshots" / "file.toml").read_text() == "b\n"


def test_a_checkout_with_other_line_ends_takes_it_too(tmp_path: Path) -> None:
    there, here = tmp_path / "ci", tmp_path / "windows"
    here.mkdir()
    for arguments in (("init", "-q"), ("config", "core.autocrlf", "true")):
        subprocess.run(["git", *arguments], cwd=here, check=True)
    patch = patch_of([made(there, "file.toml", "a\nb\n", "a\nc\n")], there)
    made(here, "file.toml", "a\r\nb\r\n", "")

    apply(patch, here)

    assert (here / "snapshots" / "file.toml").read_bytes() == b"a\r\nc\r\n"


def test_stale_changes_are_left_out_and_the_order_is_by_name(tmp_path: Path) -> None:
    changes = [made(tmp_path, name, "a\n", "b\n") for name in ("b.toml", "stale.toml", "a.toml")]
    (tmp_path / "snapshots" / "stale.toml").write_text("other\n")

    patch = patch_of(changes, tmp_path)

    assert re.findall(r"^\+\+\+ b/snapshots/(\S+)", patch, re.MULTILINE) == ["a.toml", "b.toml"]


def test_what_lies_outside_of_the_repository_is_refused(tmp_path: Path) -> None:
    project = tmp_path / "project"
    subprocess.run(["git", "init", "-q", project], check=True)
    made(tmp_path, "file.toml", "a\n", "b\n")
    name = "../snapshots/file.toml"
    outside = Pending("t::t", "changed", name, name, None, digest_of(project / name), "b\n")

    with pytest.raises(SnapshotError, match="is outside"):
        patch_of([outside], project)


def test_a_run_s_patch_makes_its_tests_pass(bare_project: Project) -> None:
    record(bare_project)
    bare_project.snapshot("test_it/test_other.toml").unlink()
    bare_project.write(
        TESTS.format(reply='swapped(1, Step(14, " bűt\\r\\n\\u202e\\u2028x", -0.1, -0.1, 1.0, 13, "a"))', other="")
    )
    git(bare_project, "commit", "-qam", "Upgrade")

    result = run(bare_project, "--hfmodels-patch", "out/hfmodels.patch")

    result.stdout.fnmatch_lines(
        [
            "*- hfmodels reports -*",
            "patch of 2 snapshots: out/hfmodels.patch (apply it: git apply out/hfmodels.patch)",
        ]
    )
    patch = (bare_project.path / "out" / "hfmodels.patch").read_bytes()
    main(["reject"])
    apply(patch.decode(), bare_project.path, "--index")
    run(bare_project).assert_outcomes(passed=3)


def test_the_patch_holds_this_run_s_and_no_earlier_one_s(bare_project: Project) -> None:
    record(bare_project)
    change(bare_project)

    run(bare_project, "--hfmodels-patch=out.patch", "-k", "reply")
    patch = (bare_project.path / "out.patch").read_text()
    run(bare_project, "--hfmodels-patch=out.patch", "-k", "steady").stdout.fnmatch_lines(
        ["patch of 0 snapshots: out.patch"]
    )

    assert "test_reply.toml" in patch
    assert "test_other.toml" not in patch
    assert (bare_project.path / "out.patch").read_text() == ""


@pytest.mark.parametrize("what", ["a file", "full disk", "looping link", "one of two"])
def test_where_the_cache_cannot_be_written_a_patch_is_named(
    bare_project: Project, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    record(bare_project)
    bare_project.write(TESTS.format(**NOW))
    if what in ("a file", "looping link"):
        (bare_project.path / "loop").symlink_to("loop")
        bare_project.write("a file", "closed")
        bare_project.ini(f"cache_dir = {'loop' if what == 'looping link' else 'closed'}/cache")

    def full(contents: dict[Path, str | bytes | None]) -> None:
        if what != "one of two" or any("test_other" in str(content) for content in contents.values()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_together(contents)

    if what in ("full disk", "one of two"):
        monkeypatch.setattr("pytest_hfmodels.snapshots.pending.write_together", full)

    lines, asked = run(bare_project).outlines, run(bare_project, "--hfmodels-patch=out.patch").outlines

    (line,) = (line for line in lines if "tests to review: " in line)
    count = "1 of them could not be saved" if what == "one of two" else "nothing is pending"
    assert line.startswith(f"2 tests to review: {count}, because ")
    assert line.endswith("cannot be written; --hfmodels-patch FILE writes what accepting would")
    assert not any("--hfmodels-patch FILE" in line for line in asked)
    apply((bare_project.path / "out.patch").read_text(), bare_project.path)
    run(bare_project).assert_outcomes(passed=3)


@contextmanager
def read_pipe(path: Path) -> Iterator[list[str]]:
    """Make a named pipe, and read what one writer puts into it."""
    os.mkfifo(path)
    said: list[str] = []
    reader = Thread(target=lambda: said.append(path.read_text()), daemon=True)
    reader.start()
    yield said
    with suppress(OSError):  # nobody has opened it: end the reader
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    reader.join(10)


@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_is_written_into_and_stays(bare_project: Project, linked: bool) -> None:
    record(bare_project)
    pipe = bare_project.path / "pipe"
    named = bare_project.path / "link" if linked else pipe
    if linked:
        named.symlink_to(pipe)

    with read_pipe(pipe) as said:
        change(bare_project)
        run(bare_project, f"--hfmodels-patch={named}")
    pipe.unlink()
    with read_pipe(pipe) as json:
        run(bare_project, f"--hfmodels-json={named}")
    pipe.unlink()
    with read_pipe(pipe) as later:
        main(["pending", "--patch", str(named)])

    assert pipe.is_fifo()
    assert "test_reply.toml" in said[0]
    assert '"format"' in json[0]
    assert said == later


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="needs /dev/fd: run it on Linux or macOS")  # noqa: PTH110
def test_what_the_shell_has_opened_is_written_into(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("earlier\n")

    with log.open("a") as opened:
        write_report(Path(f"/dev/fd/{opened.fileno()}"), "patch\n")
        opened.write("later\n")

    assert log.read_text() == "earlier\npatch\nlater\n"


def test_a_file_that_is_being_written_is_no_leftover(tmp_path: Path) -> None:
    file, done = tmp_path / "a.toml", False

    def clean() -> None:
        while not done:
            remove_leftovers(file)

    cleaner = Thread(target=clean)
    cleaner.start()
    try:
        for number in range(300):
            write_atomically(file, f"{number}")
    finally:
        done = True
        cleaner.join()

    assert [path.name for path in tmp_path.iterdir()] == ["a.toml"]


def test_a_device_is_never_replaced(tmp_path: Path) -> None:
    device = tmp_path / "device"
    try:
        os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(1, 3))  # discards what is written
        device.open("wb").close()
    except OSError:
        pytest.skip("needs the right to make a device: run it as root")

    write_report(device, "text")
    with pytest.raises(OSError, match="not a regular file"):
        write_atomically(device, "text")

    assert device.is_char_device()


def test_a_patch_needs_no_cache(bare_project: Project) -> None:
    record(bare_project)
    change(bare_project)
    main(["reject"])

    bare_project.run("-p", "no:cacheprovider", "--hfmodels-patch=out.patch")

    apply((bare_project.path / "out.patch").read_text(encoding="utf-8"), bare_project.path)
    bare_project.run().assert_outcomes(passed=3)


def test_pending_writes_the_same_patch(bare_project: Project, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    record(bare_project)
    change(bare_project)
    run(bare_project, "--hfmodels-patch=run.patch")
    capfdbinary.readouterr()

    statuses = [
        main(["pending", "--patch", "out/later.patch"]),
        main(["pending", "--patch", "-", "--verdict", "changed"]),
    ]

    later = (bare_project.path / "out" / "later.patch").read_bytes()
    assert statuses == [1, 1]
    assert later == (bare_project.path / "run.patch").read_bytes()
    assert capfdbinary.readouterr().out.endswith(later)


def test_pending_names_what_its_patch_leaves_out(bare_project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    record(bare_project)
    change(bare_project)
    bare_project.snapshot().unlink()

    main(["pending", "--patch", "out.patch"])

    said = capsys.readouterr()
    assert "left out: test_it.py::test_reply: stale" in said.err
    assert "patch of 1: out.patch" in said.out
    assert set(pending(bare_project)) == {"test_reply", "test_other"}
