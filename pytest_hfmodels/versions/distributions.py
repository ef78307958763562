"""Writes what is installed to a JSON file; rows run this file in their environments. Imports nothing of ours."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import Distribution


def listing() -> dict[str, dict[str, str] | str]:
    """Return the versions of all distributions, and a digest of the interpreter and of everything they installed.

    Each distribution's RECORD has the digests of its files, as they were installed:
    https://packaging.python.org/en/latest/specifications/recording-installed-packages/
    """
    versions, content = {}, sha256(sys.version.encode())
    for name, one in sorted(((one.metadata["Name"] or "", one) for one in distributions()), key=lambda found: found[0]):
        versions[name], record = one.version, one.read_text("RECORD")
        content.update(f"{name} {one.version}\n{record}".encode(errors="replace"))
        for file in _edited(one, record or ""):
            content.update(str(file).encode(errors="replace") + file.read_bytes())
    return {"versions": versions, "digest": content.hexdigest()}


def _edited(distribution: Distribution, record: str) -> Iterator[Path]:
    """Yield the Python files that are newer than the list of what was installed."""
    names = [line.partition(",")[0] for line in record.splitlines()]
    files = {name: Path(str(distribution.locate_file(name))) for name in names if name.endswith((".py", "/RECORD"))}
    lists = [file.stat().st_mtime_ns for name, file in files.items() if name.endswith(".dist-info/RECORD")]
    for name, file in files.items():
        with suppress(OSError):  # somebody deleted it
            if lists and name.endswith(".py") and file.stat().st_mtime_ns > lists[0]:
                yield file


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(listing()), encoding="utf-8")
