"""Which commit is tested, and in which run of a CI: what the parts of one run have in common."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_COMMITS = ("GITHUB_SHA", "CI_COMMIT_SHA")  # GitHub, GitLab
_RUNS = ("GITHUB_RUN_ID", "CI_PIPELINE_ID")


def commit_of(root: Path) -> str:
    """Return the commit of the project in `root`, as the CI or git says; empty if neither does."""
    if found := _variable(_COMMITS):
        return found
    try:
        asked = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def run_of_ci() -> str:
    """Return the CI's number of this run; empty outside of a CI."""
    return _variable(_RUNS)


def _variable(names: tuple[str, ...]) -> str:
    return next((value for name in names if (value := os.environ.get(name))), "")
