"""Writes what is installed to a JSON file; rows run this file in their environments. Imports nothing of ours."""

from __future__ import annotations

import json
import os
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
    about = ((one.metadata, one) for one in distributions())  # every access parses the file again
    named = [(metadata["Name"] or "", metadata["Version"], one) for metadata, one in about]
    for name, version, one in sorted(named, key=lambda found: found[0]):
        versions[name], record = version, one.read_text("RECORD")
        content.update(f"{name} {version}\n{record}".encode(errors="replace"))
        for file in _edited(one, record or ""):
            content.update(file.encode(errors="replace") + Path(file).read_bytes())
    return {"versions": versions, "digest": content.hexdigest()}


def _edited(distribution: Distribution, record: str) -> Iterator[str]:
    """Yield the Python files that are newer than the list of what was installed."""
    folder = str(distribution.locate_file(""))
    # Strings: there may be 18,000 files, and to make a Path of each takes longer than to look at it.
    files = [os.path.join(folder, line.partition(",")[0]) for line in record.splitlines()]  # noqa: PTH118
    lists = [Path(file).stat().st_mtime_ns for file in files if file.endswith(".dist-info/RECORD")]
    for file in files:
        with suppress(OSError):  # somebody deleted it
            if lists and file.endswith(".py") and os.stat(file).st_mtime_ns > lists[0]:  # noqa: PTH116
                yield file


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(listing()), encoding="utf-8")
