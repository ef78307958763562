"""`hfmodels init --ci`: write the workflow that runs the tests on many machines, and the bot's configuration."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import files
from os.path import realpath, relpath
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hfmodels.engines.availability import installed
from pytest_hfmodels.foundation.errors import OptionError
from pytest_hfmodels.foundation.rootdir import project_root

if TYPE_CHECKING:
    import argparse

_UV = "0.13.9"  # what `uv==` asks for if uv is not installed here
# Where each template goes, from the repository's root.
_FILES = {
    "github": {
        "github.yml": ".github/workflows/hfmodels.yml",
        "github-accept.yml": ".github/workflows/hfmodels-accept.yml",
    },
    "gitlab": {"gitlab.yml": ".gitlab/hfmodels.yml"},
}
_BOTS = {"dependabot": ("dependabot.yml", ".github/dependabot.yml"), "renovate": ("renovate.json", "renovate.json")}
_USUAL_BOT = {"github": "dependabot", "gitlab": "renovate"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `hfmodels init` that write a CI's files."""
    parser.add_argument("--ci", choices=tuple(_FILES), help="write the workflow of this CI instead of a test file")
    parser.add_argument(
        "--bot", choices=tuple(_BOTS), help="for --ci: the bot to configure (default: the usual one for this CI)"
    )
    parser.add_argument(
        "--rows", metavar="ROWS", help='for --ci: the rows to run, typed as for hfmodels matrix (default: "current")'
    )


def require_fitting(options: argparse.Namespace) -> None:
    """Refuse options that would do nothing.

    Raises:
        OptionError: one of them was given.
    """
    if options.ci and options.model is not None:
        raise OptionError(
            f"--ci writes no test file, so {options.model!r} would do nothing.", hint="Run hfmodels init twice."
        )
    for name in ("bot", "rows"):
        if not options.ci and getattr(options, name):
            raise OptionError(f"--{name} needs --ci.", hint=f"Add --ci github, or leave --{name} out.")


def write_workflow(options: argparse.Namespace) -> int:
    """Write the files that do not exist yet; return 0 if one was written."""
    place = _Place.find(project_root())
    named = {**_FILES[options.ci], **dict([_BOTS[options.bot or _USUAL_BOT[options.ci]]])}
    for name in named.values():
        _require_inside(place.repository / name, place.repository)
    written = 0
    for template, name in named.items():
        text = _filled((files(__package__) / "workflows" / template).read_text(encoding="utf-8"), place, options)
        written += _write(place.repository / name, text)
    if not written:
        raise OptionError("Every file exists already.", hint="Delete the ones to write again.")
    print(f"Read them, commit them, and {_NEXT[options.ci]}. docs/ci.md has the rest.")
    return 0


_NEXT = {
    "github": "create the label hfmodels-accept: gh label create hfmodels-accept",
    "gitlab": "add `include: [{local: .gitlab/hfmodels.yml}]` to .gitlab-ci.yml and the variable HFMODELS_TOKEN",
}


@dataclass(frozen=True)
class _Place:
    """Where the project lies in its repository."""

    root: Path
    repository: Path

    @classmethod
    def find(cls, root: Path) -> _Place:
        asked = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=False
        )
        if asked.returncode:
            raise OptionError(f"{root} is not in a git repository.", hint="Create one: git init")
        found = cls(root.resolve(), Path(asked.stdout.strip()).resolve())
        _require_quotable("project's folder", found.folder)
        for name in found.requirements:
            _require_quotable("requirements file", name)
        return found

    @property
    def folder(self) -> str:
        """The project's folder from the repository's root; `.` if it is the root."""
        return Path(relpath(self.root, self.repository)).as_posix()

    @property
    def requirements(self) -> list[str]:
        """The files that say what the project needs, from its root."""
        found = sorted(path.name for path in self.root.glob("requirements*.txt"))
        return found if found or not (self.root / "pyproject.toml").is_file() else ["pyproject.toml"]

    @property
    def uses_lfs(self) -> bool:
        """Whether the repository has files in Git LFS."""
        listed = ["git", "-C", str(self.repository), "ls-files", "-z", "--", ".gitattributes", "**/.gitattributes"]
        asked = subprocess.run(listed, capture_output=True, text=True, check=False)
        named = (self.repository / name for name in asked.stdout.split("\0") if name)
        return any(
            "filter=lfs" in file.read_text(encoding="utf-8", errors="replace") for file in named if file.is_file()
        )

    @property
    def install(self) -> str:
        """What `uv pip install` is given."""
        words = ["pytest-hfmodels[torch,versions]"]
        for name in self.requirements:
            words += ["-r", name]
        return " ".join(words)


def _require_quotable(what: str, name: str) -> None:
    if re.fullmatch(r"[\w./-]+", name) is None:  # it stands in YAML and in shell commands
        raise OptionError(
            f"The {what} {name!r} has characters that a workflow cannot quote safely.",
            hint="Rename it to letters, digits, dots, hyphens and underscores.",
        )


def _require_inside(file: Path, repository: Path) -> None:
    real = Path(realpath(file))  # `resolve` fails on a looping link
    if not real.is_relative_to(repository):
        raise OptionError(
            f"{relpath(file)} leads out of the repository, to {real}.", hint="Remove the link, and try again."
        )


def _filled(text: str, place: _Place, options: argparse.Namespace) -> str:
    from pytest_hfmodels.snapshots.project import find_project  # starts pytest
    from pytest_hfmodels.versions.rows import parse_rows

    rows = options.rows or "current"
    names = [row.name for row in parse_rows(rows.split())]
    snapshots = relpath(find_project().snapshots.resolve(), place.repository)
    _require_quotable("snapshots folder", snapshots)
    values = {
        "ROWS": json.dumps(rows),
        "TESTS": json.dumps("tests" if (place.root / "tests").is_dir() else "."),
        "INSTALL": json.dumps(place.install),
        "PLUGIN": "pytest-hfmodels",
        "UV": installed("uv") or _UV,
        "PYTHON": ".".join(map(str, sys.version_info[:2])),
        "FOLDER": place.folder,
        "LFS": json.dumps(place.uses_lfs),
        "DIRECTORY": "" if place.folder == "." else place.folder,
        "SNAPSHOTS": Path(snapshots).as_posix(),
        "LOCKED": ", ".join(
            json.dumps((Path(place.folder) / name).as_posix()) for name in place.requirements[:2] or ["*.txt"]
        ),
        "MATRIX": json.dumps([{"ROW": names, "SHARD": ["1/1"]}]),
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _write(file: Path, text: str) -> bool:
    """Write a new file, and say so; leave one that exists as it is."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        print(f"{relpath(file)} exists already; it was not changed.")
        return False
    except OSError as error:
        raise OptionError(f"{file} cannot be written: {error.strerror}.", hint="Check its folder.") from error
    print(f"{relpath(file)} is written.")
    return True
