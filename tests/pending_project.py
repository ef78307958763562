"""A project under version control in which snapshot changes are pending, for the tests of what decides them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.snapshots.pending import PendingFolder

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from pytest_hfmodels.results.pending import Pending

    from .project import Project

TESTS = """
from tests.example_records import generation, swapped
from pytest_hfmodels.kinds import Step

def test_reply(hf_snapshot):
    assert generation({reply}) == hf_snapshot

def test_other(hf_snapshot):
    assert generation({other}) == hf_snapshot

def test_steady(hf_snapshot):
    assert generation() == hf_snapshot
"""
BUT = 'swapped(1, Step(14, " but", -0.125, -0.125, 1.25, 13, " and"))'
NOW = {"reply": BUT, "other": 'swapped(2, Step(16, " you", -0.25, -0.25, 0.5, 15, " I"))'}
REPLY, OTHER = "test_it.py::test_reply", "test_it.py::test_other"


def run(project: Project, *arguments: str) -> pytest.RunResult:
    """Run pytest with its cache."""
    return project.run("-p", "cacheprovider", *arguments)


def git(project: Project, *arguments: str, folder: Path | None = None) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder or project.path, check=True, capture_output=True, text=True
    )
    return done.stdout


def record(project: Project, tests: str = TESTS) -> None:
    """Write the tests as they once were, record them, and commit both."""
    project.write(tests.format(reply="", other=""))
    run(project, "--snapshot-update")
    project.write("__pycache__\n.pytest_cache\n*.pyc\n", ".gitignore")
    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "Record")):
        git(project, *arguments)


def change(project: Project, tests: str = TESTS, **now: str) -> pytest.RunResult:
    """Let the tests observe something else, and run them."""
    project.write(tests.format(**{**NOW, **now}))
    return run(project)


def pending(project: Project) -> dict[str, Pending]:
    """What is pending, by the test's name."""
    return {found.test.partition("::")[2]: found for found in pending_folder(project).read()}


def explained(project: Project, test: str, **changes: Any) -> Pending:
    """Give a pending change a cause and reasons, as the run that left it might have done."""
    changed = replace(pending(project)[test], **changes)
    pending_folder(project).save(changed)
    return changed


def pending_files(project: Project) -> list[dict[str, Any]]:
    files = sorted(pending_folder(project).path.glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in files]


def pending_folder(project: Project) -> PendingFolder:
    """Where pytest keeps it by default; `find_project` asks pytest, which takes a tenth of a second."""
    return PendingFolder(project.path / ".pytest_cache" / "d" / "hfmodels-pending")
