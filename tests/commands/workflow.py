"""Runs the `run:` steps of a GitHub workflow in order, in a scratch repository, as far as no network is needed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = f"#!{sys.executable}\nimport sys\nfrom pytest_hfmodels.commands.cli import main\nsys.exit(main())\n"
# Writes down each call, answers what a file of the call's name says, and stands in for a download.
GH = """#!/bin/bash
echo "$*" >> "$GH_FOLDER/calls"
for word in "$@"; do case "$word" in body=@*) cp "${word#body=@}" "$GH_FOLDER/body";; esac; done
if [ "$1 $2" = "run download" ]; then mkdir -p "${@: -1}"; cp "$GH_FOLDER/artifact/"* "${@: -1}"; fi
if [ "$1 $2" = "run list" ]; then echo 42; fi
if [ "$1 $2" = "api --paginate" ]; then cat "$GH_FOLDER/comments"; fi
"""


@dataclass
class Runner:
    """A machine of GitHub's.

    Args:
        folder: for everything.
        checkout: the repository.
        context: the values of `${{ … }}` expressions.
        skipped: steps that need the network of a CI, with the reason.
    """

    folder: Path
    checkout: Path
    context: dict[str, str]
    skipped: dict[str, str]
    ran: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        programs = self.folder / "bin"
        programs.mkdir(parents=True)
        (self.folder / "gh").mkdir()
        (self.folder / "gh" / "comments").touch()
        for name, text in (("hfmodels", PROGRAM), ("gh", GH)):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)

    def job(self, workflow: dict[str, Any], name: str, **context: str) -> int:
        """Run the steps of a job; return the exit code of the first that fails, or 0."""
        job = workflow["jobs"][name]
        values = {**self.context, **context}
        environment = {**workflow.get("env", {}), **job.get("env", {})}
        values |= {f"env.{key}": self._filled(value, values) for key, value in environment.items()}
        code = 0
        for step in job["steps"]:
            if "uses" in step:
                self._action(step, values)
            elif step["name"] not in self.skipped and not code:
                code = self._run(step, {**environment, **step.get("env", {})}, values)
                self.ran.append(f"{name}: {step['name']}")
        return code

    def _run(self, step: dict[str, Any], environment: dict[str, Any], values: dict[str, str]) -> int:
        files = {name: self.folder / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")}
        own = {name: str(file) for name, file in files.items()}
        own |= {"RUNNER_TEMP": str(self.folder / "temp"), "GH_FOLDER": str(self.folder / "gh"), "CI": "true"}
        own |= {name: self._filled(value, values) for name, value in environment.items()}
        own["PATH"] = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        # GitHub's own way to start bash.
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", self._filled(step["run"], values)]
        ended = subprocess.run(command, cwd=self.checkout, env={**os.environ, **own}, check=False, capture_output=True)
        sys.stdout.write(ended.stdout.decode() + ended.stderr.decode())
        if files["GITHUB_OUTPUT"].exists():
            self.outputs |= dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
        return ended.returncode

    def _action(self, step: dict[str, Any], values: dict[str, str]) -> None:
        """Do what the actions for artefacts do; every other one has done its part already."""
        action, with_ = step["uses"].partition("@")[0], step.get("with", {})
        name = self._filled(with_.get("name", with_.get("pattern", "")), values)
        store = self.folder / "artifacts"
        if action == "actions/upload-artifact":
            for path in with_["path"].split():
                if (self.checkout / path).exists():
                    (store / name).mkdir(parents=True, exist_ok=True)
                    shutil.copy(self.checkout / path, store / name)
        elif action == "actions/download-artifact":
            for found in store.glob(name):
                whole = self.checkout / with_["path"] / (found.name if "pattern" in with_ else "")
                shutil.copytree(found, whole, dirs_exist_ok=True)

    @staticmethod
    def _filled(text: object, values: dict[str, str]) -> str:
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: values[found[1]], str(text))


def load(file: Path) -> dict[str, Any]:
    return dict(yaml.load(file.read_text(), yaml.BaseLoader))  # `on` stays a word
