from __future__ import annotations

import pytest

from pytest_hfmodels.results.model import Source
from pytest_hfmodels.results.source import source_of

GITHUB = {
    "GITHUB_SHA": "abc",
    "GITHUB_REF": "refs/pull/7/merge",
    "GITHUB_REF_NAME": "7/merge",
    "GITHUB_HEAD_REF": "bump",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "a/b",
    "GITHUB_RUN_ID": "12",
    "GITHUB_WORKFLOW": "tests",
    "GITHUB_JOB": "models",
    "GITHUB_TOKEN": "s3cret",
}
GITLAB = {
    "CI_COMMIT_SHA": "abc",
    "CI_COMMIT_REF_NAME": "main",
    "CI_JOB_NAME": "models",
    "CI_JOB_URL": "https://gitlab.com/a/b/-/jobs/3",
    "CI_PROJECT_URL": "https://gitlab.com/a/b",
    "CI_JOB_TOKEN": "s3cret",
}


@pytest.mark.parametrize(
    ("environment", "source"),
    [
        (
            GITHUB,
            Source(
                *("abc", "bump", "#7", "tests / models", "https://github.com/a/b"),
                *("https://github.com/a/b/pull/7", "https://github.com/a/b/actions/runs/12", "12"),
            ),
        ),
        (
            GITLAB,
            Source("abc", "main", "", "models", "https://gitlab.com/a/b", "", "https://gitlab.com/a/b/-/jobs/3"),
        ),
        ({"HOME": "/root", "CI": "true"}, None),
        (
            {"GITHUB_SHA": "abc", "GITHUB_SERVER_URL": "https://me:s3cret@x", "GITHUB_RUN_ID": "1"},
            Source("abc", run="1"),
        ),
        ({"CI_COMMIT_SHA": "abc", "CI_JOB_URL": "javascript:alert(1)"}, Source("abc")),
    ],
)
def test_a_ci_names_a_commit_and_nothing_else_is_read(environment: dict[str, str], source: Source | None) -> None:
    found = source_of(environment)

    assert found == source
    assert "s3cret" not in str(found)
