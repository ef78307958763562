"""Rows of a matrix, read from what a person typed."""

from __future__ import annotations

import configparser
import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from pytest_hfmodels.errors import VersionsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CURRENT = "current"
_LIST = re.compile(r"(?P<package>[A-Za-z0-9][A-Za-z0-9._-]*(\[[^\]]*\])?)==(?P<versions>[^=<>~!]+)")
_EXAMPLES = (
    "A row is name==1.0,2.0 (one row a release), any requirement that the installer takes, a path to a source tree, "
    "a requirements file, or current."
)


@dataclass(frozen=True)
class Row:
    """One environment of a matrix.

    Args:
        name: how it is called in the grid.
        requirements: what it asks for beyond what the current environment has, as lines of a requirements file; paths
            are absolute.
        current: whether it is the running environment, which is taken as it is.
        without: distributions of the current environment that it goes without, by canonical name.
    """

    name: str
    requirements: tuple[str, ...] = ()
    current: bool = False
    without: tuple[str, ...] = ()

    @property
    def asked(self) -> frozenset[str]:
        """The canonical names of the distributions that the row itself speaks of."""
        return frozenset(name for line in self.requirements if (name := requirement_name(line)))

    @property
    def exact(self) -> bool:
        """Whether every requirement names one release, so that the row means the same tomorrow."""
        return all(map(_is_exact, self.requirements))


def parse_rows(arguments: Sequence[str], with_: Sequence[str] = (), without: Sequence[str] = ()) -> list[Row]:
    """Return the rows that were typed, in that order, each once.

    Args:
        arguments: `name==v1,v2,v3` (one row a version), a requirement, a path to a source tree, sdist or wheel, a
            requirements file (`rows/4.30.2.txt`: the row is called `4.30.2`), or `current`.
        with_: requirements that every row gets.
        without: names of distributions that the current environment has and the rows do not get.

    Raises:
        VersionsError: one that is not understood, or two rows of one name.
    """
    added = tuple(_requirement(line) for line in with_)
    dropped = tuple(canonicalize_name(_distribution_name(name)) for name in without)
    rows: dict[str, Row] = {}
    for typed in (row for argument in arguments for row in _rows(argument)):
        merged = tuple(dict.fromkeys((*typed.requirements, *added)))
        row = typed if typed.current else replace(typed, requirements=merged, without=dropped)
        if rows.setdefault(row.name, row) != row:
            raise VersionsError(f"Two rows are called {row.name}.", hint="Give one of the files another name.")
    if not rows:
        raise VersionsError("There is no row.", hint=_EXAMPLES)
    return list(rows.values())


def requirement_name(line: str) -> str | None:
    """Return the canonical name of the distribution that a requirement line is about; None for an option."""
    line = line.strip()
    if line.startswith("-e "):
        return canonicalize_name(tree_name(Path(line[3:].strip())))
    if line.startswith("-"):
        return None
    return canonicalize_name(Requirement(line).name)


def requirement_path(line: str) -> Path | None:
    """Return the file or folder on this machine that a requirement line installs; None where it names none."""
    if line.startswith("-e "):
        return Path(line[3:].strip())
    if line.startswith("-"):
        return None
    url = Requirement(line).url
    if url is None or not url.startswith("file:"):
        return None
    return Path(unquote(urlsplit(url).path))


def tree_name(folder: Path) -> str:
    """Return the name of the distribution in a source tree, without running anything of it."""
    with_project = folder / "pyproject.toml"
    try:
        if with_project.is_file():
            name = tomllib.loads(with_project.read_text(encoding="utf-8")).get("project", {}).get("name")
            if isinstance(name, str):
                return name
        config = configparser.ConfigParser()
        config.read(folder / "setup.cfg", encoding="utf-8")
        if config.has_option("metadata", "name"):
            return config.get("metadata", "name")
        found = re.search(r"""\bname\s*=\s*["']([A-Za-z0-9._-]+)["']""", (folder / "setup.py").read_text("utf-8"))
    except (OSError, ValueError, configparser.Error):
        found = None
    return found[1] if found else folder.name


def _rows(argument: str) -> Iterator[Row]:
    if argument == CURRENT:
        yield Row(CURRENT, current=True)
    elif listed := _LIST.fullmatch(argument.replace(" ", "")):
        for version in listed["versions"].split(","):
            line = f"{listed['package']}=={_version(version, argument)}"
            yield Row(line, (line,))
    elif argument.endswith((".txt", ".in")):
        yield _file_row(Path(argument))
    else:
        line = _requirement(argument)
        yield Row(argument.strip(), (line,))


def _version(text: str, argument: str) -> str:
    try:
        Version(text.removesuffix(".*"))
    except InvalidVersion:
        raise VersionsError(f"{argument!r} names no version where {text!r} stands.", hint=_EXAMPLES) from None
    return text


def _file_row(path: Path) -> Row:
    return Row(path.stem, tuple(_lines(path)))


def _lines(path: Path) -> Iterator[str]:
    """Yield a requirements file's lines, those of the files that it includes too, with paths made absolute."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise VersionsError(f"The row {path} cannot be read: {error}.", hint=_EXAMPLES) from error
    for raw in text.replace("\\\n", " ").splitlines():
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        option, _, value = line.replace("=", " ", 1).partition(" ") if line.startswith("--") else line.partition(" ")
        value = value.strip()
        if not line:
            continue
        if option in ("-r", "--requirement"):
            yield from _lines(path.parent / value)
        elif option in ("-c", "--constraint"):
            yield f"-c {value if '://' in value else _existing(path.parent / value)}"
        elif option in ("-f", "--find-links") and "://" not in value:
            yield f"--find-links {(path.parent / value).resolve()}"
        elif line.startswith("-") and option not in ("-e", "--editable"):
            yield line
        else:
            yield _requirement(line, folder=path.parent)


def _requirement(text: str, *, folder: Path = Path()) -> str:
    """Return a requirement as a line that means the same in any folder."""
    text = re.sub(r"^--editable[ =]", "-e ", text.strip())
    editable, text = text.startswith("-e "), text.removeprefix("-e ").strip()
    try:
        if not editable and not _is_path(text):
            Requirement(text)
            return text
    except InvalidRequirement as error:
        detail = str(error).splitlines()[0].rstrip(".")
        raise VersionsError(f"{text!r} is no requirement: {detail}.", hint=_EXAMPLES) from None
    path = _existing(folder / Path(text).expanduser())
    return f"-e {path}" if editable else f"{_name_of(path)} @ {path.as_uri()}"


def _existing(path: Path) -> Path:
    if not path.exists():
        raise VersionsError(f"There is no {path.resolve()}, which a row names.", hint=_EXAMPLES)
    return path.resolve()


def _is_path(text: str) -> bool:
    return text.startswith((".", "/", "~")) or "/" in text.partition("@")[0].partition(";")[0]


def _name_of(path: Path) -> str:
    if path.is_dir():
        return tree_name(path)
    for parse in (parse_wheel_filename, parse_sdist_filename):
        try:
            return str(parse(path.name)[0])
        except (InvalidWheelFilename, InvalidSdistFilename):
            continue
    raise VersionsError(f"{path} is neither a source tree nor a wheel or sdist.", hint=_EXAMPLES)


def _distribution_name(text: str) -> str:
    try:
        return Requirement(text).name
    except InvalidRequirement:
        raise VersionsError(f"{text!r} is no distribution's name.", hint="Name one: --without tensorflow.") from None


def _is_exact(line: str) -> bool:
    if line.startswith("-e "):
        return False
    if line.startswith("-"):
        return True
    requirement = Requirement(line)
    pins = [clause for clause in requirement.specifier if clause.operator in ("==", "===")]
    return requirement.url is None and any(not clause.version.endswith("*") for clause in pins)
