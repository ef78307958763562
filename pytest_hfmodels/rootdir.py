"""Whether pytest has taken an option's value for an argument, and with it another root for the project.

Before plugins are loaded pytest does not know their options. Of `--hfmodels-json /tmp/report.json` it then reads the
value as a path that is to be tested, if there is such a file, and looks for the root where that and the tests meet.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from pytest_hfmodels.errors import OptionError
from pytest_hfmodels.shell import command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

_NAMES = ("pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml")
_SECTIONS = {"pyproject.toml": "[tool.pytest", "tox.ini": "[pytest]", "setup.cfg": "[tool:pytest]"}


def require_own_root(config: pytest.Config) -> None:
    """Refuse a run whose root is elsewhere because of a value: it would find none of its snapshots.

    Raises:
        OptionError: an option of ours was given apart from its value, and that has moved the root.
    """
    arguments, folder = config.invocation_params.args, config.invocation_params.dir
    if hasattr(config, "workerinput"):  # an xdist worker has its controller's root
        return
    if config.getoption("rootdir", default=None) or config.getoption("inifilename", default=None):
        return
    for option, value in _apart([str(argument) for argument in arguments]):
        path = folder / value
        if not path.exists() or path.resolve().is_relative_to(folder.resolve()):
            continue
        if config.inipath is None or any(map(_is_ini, _between(folder, config.inipath.parent))):
            raise OptionError(
                f"pytest takes {value}, the file of {option}, for a path to be tested, and with it "
                f"{config.rootpath} for the project's root.",
                hint=f"Type it with an equals sign: {command(f'{option}={value}')}",
            )


def _apart(arguments: list[str]) -> Iterator[tuple[str, str]]:
    for option, value in pairwise(arguments):
        if option.startswith("--hfmodels-") and "=" not in option and not value.startswith("-"):
            yield option, value


def _between(folder: Path, root: Path) -> Iterator[Path]:
    """Yield a folder and those above it, up to but without the one that holds the ini file."""
    for place in (folder, *folder.parents):
        if place == root:
            return
        yield place


def _is_ini(folder: Path) -> bool:
    if any((folder / name).is_file() for name in _NAMES):
        return True
    return any(
        (folder / name).is_file() and section in (folder / name).read_text(encoding="utf-8", errors="replace")
        for name, section in _SECTIONS.items()
    )
