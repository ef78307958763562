"""What a CI says about the commit that it tests: from variables that are named here, and no others."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

from pytest_hfmodels.results.model import Source, cut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_LONGEST = 200  # characters


def source_of(environment: Mapping[str, str] = os.environ) -> Source | None:
    """Return commit, branch, pull request and job of this run; None where no CI names a commit."""

    def named(name: str) -> str:
        return cut(environment.get(name, "").strip(), _LONGEST)

    if named("GITHUB_SHA"):
        return _github(named)
    if named("CI_COMMIT_SHA"):
        return _gitlab(named)
    return None


def commit_of(root: Path) -> str:
    """Return the commit of the project in `root`, as git says it; empty if git does not."""
    try:
        asked = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def _github(named: Callable[[str], str]) -> Source:
    """https://docs.github.com/en/actions/reference/workflows-and-actions/variables."""
    repository = _address(f"{named('GITHUB_SERVER_URL')}/{named('GITHUB_REPOSITORY')}")
    pull = re.fullmatch(r"refs/pull/(\d+)/merge", named("GITHUB_REF"))
    run, job = named("GITHUB_RUN_ID"), " / ".join(filter(None, (named("GITHUB_WORKFLOW"), named("GITHUB_JOB"))))
    return Source(
        commit=named("GITHUB_SHA"),
        branch=named("GITHUB_HEAD_REF") or named("GITHUB_REF_NAME"),
        change=f"#{pull[1]}" if pull else "",
        job=job,
        repository=repository,
        change_url=f"{repository}/pull/{pull[1]}" if pull and repository else "",
        job_url=f"{repository}/actions/runs/{run}" if run and repository else "",
        run=run,
    )


def _gitlab(named: Callable[[str], str]) -> Source:
    """https://docs.gitlab.com/ci/variables/predefined_variables/."""
    repository, request = _address(named("CI_PROJECT_URL")), named("CI_MERGE_REQUEST_IID")
    return Source(
        commit=named("CI_COMMIT_SHA"),
        branch=named("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME") or named("CI_COMMIT_REF_NAME"),
        change=f"!{request}" if request else "",
        job=named("CI_JOB_NAME"),
        repository=repository,
        change_url=f"{repository}/-/merge_requests/{request}" if request and repository else "",
        job_url=_address(named("CI_JOB_URL")),
        run=named("CI_PIPELINE_ID"),
    )


def _address(text: str) -> str:
    """Return an address that a page may link to, or nothing."""
    return text if re.fullmatch(r"https://[\w.:~/%+-]+", text) else ""
