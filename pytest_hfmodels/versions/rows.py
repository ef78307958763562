"""Reads the rows of a matrix from the command line."""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress
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

from pytest_hfmodels.engines.threads import DEVICE_VARIABLE
from pytest_hfmodels.foundation.errors import VersionsError
from pytest_hfmodels.foundation.files import expanded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

CURRENT = "current"
PYTHON = "python"
_ISA = {"default": "SSE41", "avx2": "AVX2", "avx512": "AVX512_CORE"}  # oneDNN's names of torch's CPU capabilities
# Rows that change the machine instead of a package: the valid values, and the variables that they set.
SETTINGS: Mapping[str, tuple[str, Mapping[str, Callable[[str], str]]]] = {
    "cpu": ("default|avx2|avx512", {"ATEN_CPU_CAPABILITY": str, "ONEDNN_MAX_CPU_ISA": _ISA.__getitem__}),
    "threads": (r"[1-9]\d{0,3}", {"OMP_NUM_THREADS": str, "MKL_NUM_THREADS": str}),
    "device": (r"cpu|[a-z]+(:\d+)?", {DEVICE_VARIABLE: str}),
}
_READABLE = {"cpu": "default, avx2 and avx512", "threads": "1, 2, …", "device": "cpu, cuda, mps, …"}
_LIST = re.compile(r"(?P<package>[A-Za-z0-9][A-Za-z0-9._-]*(\[[^\]]*\])?)==(?P<versions>[^=<>~!]+)")
_EXAMPLES = (
    "A row is name==1.0,2.0 (one row per release), python==3.12,3.13, cpu==default,avx2, threads==1,4, device==cuda, "
    "any requirement that the installer takes, a path to a source tree, a requirements file, or current."
)


@dataclass(frozen=True)
class Row:
    """One environment of a matrix."""

    name: str  # in the grid
    requirements: tuple[str, ...] = ()  # beyond the current environment; lines of a requirements file, paths absolute
    current: bool = False  # the running environment itself
    without: tuple[str, ...] = ()  # canonical names of the distributions that it leaves out
    python: str = ""  # its interpreter, as uv finds one: `3.12`; empty for the running one
    variables: tuple[tuple[str, str], ...] = ()  # the environment variables of its pytest

    @property
    def asked(self) -> frozenset[str]:
        """The canonical names of the distributions that it asks for."""
        return frozenset(name for line in self.requirements if (name := requirement_name(line)))

    @property
    def named(self) -> frozenset[str]:
        """The canonical names of the distributions that it asks for or leaves out."""
        return self.asked | {*self.without}

    @property
    def pinned(self) -> bool:
        """Whether each line names releases or a path, neither the newest release nor an address."""
        lines = (line for line in self.requirements if requirement_path(line) is None)
        return all(not line.startswith("-") and bool(Requirement(line).specifier) for line in lines)


def parse_rows(arguments: Sequence[str], with_: Sequence[str] = (), without: Sequence[str] = ()) -> list[Row]:
    """Return the rows in the typed order, each once.

    Args:
        arguments: `name==v1,v2,v3` (one row a version; a name may be one of `SETTINGS` or `python`), a requirement, a
            path to a source tree, sdist or wheel, a requirements file (`rows/4.30.2.txt`: the row is called `4.30.2`),
            or `current`.
        with_: requirements, settings or `python==3.12`, which are added to every row.
        without: names of distributions that every row leaves out.

    Raises:
        VersionsError: one cannot be understood, or two rows have the same name.
    """
    added = [row for text in with_ for row in _rows(text)]
    dropped = tuple(canonicalize_name(Requirement(_requirement(name)).name) for name in without)
    rows: dict[str, Row] = {}
    for typed in (row for argument in arguments for row in _rows(argument)):
        row = _added_to(typed, added, dropped)
        if rows.setdefault(row.name, row) != row:
            raise VersionsError(f"Two rows are called {row.name}.", hint="Give one of the files another name.")
    if not rows:
        raise VersionsError("There is no row.", hint=_EXAMPLES)
    return list(rows.values())


def find_row(rows: Sequence[Row], name: str) -> Row:
    """Return the row of this name.

    Raises:
        VersionsError: there is none.
    """
    found = next((row for row in rows if row.name == name), None)
    if found is None:
        raise VersionsError(f"There is no row {name!r}.", hint=f"The rows are {', '.join(row.name for row in rows)}.")
    return found


def requirement_name(line: str) -> str | None:
    """Return the canonical name of the distribution that a requirement line asks for; None for an option."""
    if line.startswith("-e "):
        return canonicalize_name(tree_name(Path(line[3:])))
    return None if line.startswith("-") else canonicalize_name(Requirement(line).name)


def requirement_path(line: str) -> Path | None:
    """Return the file or folder on this machine that a requirement line installs; None if it installs none."""
    if line.startswith("-e "):
        return Path(line[3:])
    url = None if line.startswith("-") else Requirement(line).url
    return Path(unquote(urlsplit(url).path)) if url is not None and url.startswith("file:") else None


def tree_name(folder: Path) -> str:
    """Return the name of the distribution in a source tree, without running anything of it."""
    toml, *older = (_text(folder / name) for name in ("pyproject.toml", "setup.cfg", "setup.py"))
    with suppress(ValueError, KeyError, TypeError):
        return str(tomllib.loads(toml)["project"]["name"])
    found = re.search(r"""\bname\s*=\s*["']?([\w.-]+)""", "".join(older))
    return found[1] if found else folder.name


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def _rows(argument: str) -> Iterator[Row]:
    if argument == CURRENT:
        yield Row(CURRENT, current=True)
    elif listed := _LIST.fullmatch(argument.replace(" ", "")):
        for version in listed["versions"].split(","):
            yield _listed(listed["package"], version)
    elif argument.endswith((".txt", ".in")):
        yield Row(Path(argument).stem, tuple(_lines(Path(argument))))
    else:
        yield Row(argument.strip(), (_requirement(argument),))


def _listed(name: str, value: str) -> Row:
    """Return the row of `name==value`: of a package, of Python, or of a setting in the current environment."""
    row = f"{name}=={value}"
    if name == PYTHON:
        if not re.fullmatch(r"3\.\d+(\.\d+)?", value):
            raise VersionsError(f"{row} is not a release of Python.", hint="Write one like python==3.12.")
        return Row(row, python=value)
    if name not in SETTINGS:
        return Row(row, (_requirement(row),))
    valid, variables = SETTINGS[name]
    if not re.fullmatch(valid, value):
        raise VersionsError(f"{row} is not a row: {name} is one of {_READABLE[name]}.", hint=_EXAMPLES)
    return Row(row, current=True, variables=tuple((variable, form(value)) for variable, form in variables.items()))


def _added_to(row: Row, added: Sequence[Row], without: tuple[str, ...]) -> Row:
    """Return a row with what is added to every row, as far as it says nothing itself."""
    own = {name for name, _ in row.variables}
    variables = (*row.variables, *(pair for one in added for pair in one.variables if pair[0] not in own))
    if row.name == CURRENT:
        return replace(row, variables=variables)
    lines = tuple(dict.fromkeys((*row.requirements, *(line for one in added for line in one.requirements))))
    python = row.python or next((one.python for one in added if one.python), "")
    built = bool(lines or without or python)
    return replace(row, requirements=lines, without=without, python=python, variables=variables, current=not built)


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a requirements file and of the files that it includes, with absolute paths."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise VersionsError(f"The row {path} cannot be read: {error}.", hint=_EXAMPLES) from error
    for raw in text.replace("\\\n", " ").splitlines():
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        option, *rest = re.split(r"[\s=]+", line, maxsplit=1)
        value = rest[0] if rest else ""
        if option in ("-r", "--requirement"):
            yield from _lines(path.parent / value)
        elif option in ("-c", "--constraint"):
            yield f"-c {value if '://' in value else _existing(path.parent / value)}"
        elif option in ("-f", "--find-links") and "://" not in value:
            yield f"--find-links {(path.parent / value).resolve()}"
        elif line.startswith("-") and option not in ("-e", "--editable"):
            yield line
        elif line:
            yield _requirement(line, folder=path.parent)


def _requirement(text: str, *, folder: Path = Path()) -> str:
    """Return a requirement as a line that is valid in any folder. A source tree becomes an editable install."""
    text = text.strip()
    bare = re.sub(r"^(-e|--editable)[ =]\s*", "", text)
    try:
        if bare == text and not _is_path(text):
            Requirement(text)
            return text
    except InvalidRequirement as error:
        detail = str(error).splitlines()[0].rstrip(".")
        raise VersionsError(f"{text!r} is not a requirement: {detail}.", hint=_EXAMPLES) from None
    path = _existing(folder / expanded(bare))
    return f"-e {path}" if path.is_dir() else f"{_file_name(path)} @ {path.as_uri()}"


def _existing(path: Path) -> Path:
    if not path.exists():
        raise VersionsError(f"A row names {path.resolve()}, which does not exist.", hint=_EXAMPLES)
    return path.resolve()


def _is_path(text: str) -> bool:
    return text.startswith((".", "/", "~")) or "/" in text.partition("@")[0].partition(";")[0]


def _file_name(path: Path) -> str:
    try:
        parse = parse_wheel_filename if path.suffix == ".whl" else parse_sdist_filename
        return str(parse(path.name)[0])
    except (InvalidWheelFilename, InvalidSdistFilename):
        raise VersionsError(f"{path} is neither a source tree nor a wheel or sdist.", hint=_EXAMPLES) from None
