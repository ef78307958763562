"""Finds the project's root as pytest does, for `versions` and for `plugin`."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.errors import OptionError
from pytest_hfmodels.foundation.shell import command

if TYPE_CHECKING:
    import pytest

# Files with pytest's settings, and the section that makes them so.
_INI_FILES = {
    "pytest.toml": "",
    ".pytest.toml": "",
    "pytest.ini": "",
    ".pytest.ini": "",
    "pyproject.toml": r"^\s*\[\s*tool\s*\.\s*pytest\s*[.\]]",
    "tox.ini": r"^\[pytest\]",
    "setup.cfg": r"^\[tool:pytest\]",
}


def project_root(start: Path | None = None) -> Path:
    """Return the root of the project around `start` (by default the current folder); without a project, `start`."""
    start = start or Path.cwd()
    return configured_root(start) or start


def configured_root(start: Path) -> Path | None:
    """Return the nearest folder with pytest's settings, or else with a project's files; None if there is none."""
    folders = (start, *start.parents)
    configured = (folder for folder in folders if any(_configures(folder / name) for name in _INI_FILES))
    built = (folder for name in ("pyproject.toml", "setup.py") for folder in folders if (folder / name).is_file())
    return next(configured, None) or next(built, None)


def other_root(root: Path, test: PurePath, snapshot: PurePath) -> Path | None:
    """Return another folder above a test that holds its snapshot, or None.

    Args:
        root: what pytest took for the root.
        test: the test's file, relative to the root.
        snapshot: the missing file, relative to the root: `snapshots/tests/test_bot/test_reply.toml`.
    """
    mirrored = len(test.parts) + 1
    file = root / test
    for folder in file.parents:
        above = file.relative_to(folder).with_suffix("")
        if folder != root and folder.joinpath(*snapshot.parts[:-mirrored], above, snapshot.name).is_file():
            return folder
    return None


def require_own_root(config: pytest.Config) -> None:
    """Refuse a run whose root moved because of an option's value: it would find none of its snapshots.

    Before plugins are loaded, pytest does not know their options. It takes the value of `--hfmodels-json /tmp/a.json`
    for a path to test if that file exists, and uses the common parent as root.

    Raises:
        OptionError: the message names the option.
    """
    if hasattr(config, "workerinput"):  # an xdist worker has its controller's root
        return
    if config.getoption("rootdir", default=None) or config.getoption("inifilename", default=None):
        return
    folder = config.invocation_params.dir
    for option, value in pairwise(map(str, config.invocation_params.args)):
        if not option.startswith("--hfmodels-") or "=" in option or value.startswith("-"):
            continue
        path = folder / value
        if not path.exists() or path.resolve().is_relative_to(folder.resolve()):
            continue
        if config.inipath is None or project_root(folder) != config.rootpath:
            raise OptionError(
                f"pytest takes {value}, the file of {option}, for a path to be tested, so it takes "
                f"{config.rootpath} for the project's root.",
                hint=f"Type it with an equals sign: {command(f'{option}={value}')}",
            )


def _configures(file: Path) -> bool:
    try:
        return file.is_file() and bool(
            re.search(_INI_FILES[file.name], file.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        )
    except OSError:
        return False
