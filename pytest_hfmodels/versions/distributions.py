"""Writes what is installed to a JSON file; rows run this file in their environments. Imports nothing of ours."""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from importlib.metadata import distributions
from pathlib import Path


def listing() -> dict[str, dict[str, str] | str]:
    """Return the versions of all distributions, and a digest of the interpreter and of everything they installed.

    Each distribution's RECORD has the digests of its files:
    https://packaging.python.org/en/latest/specifications/recording-installed-packages/
    """
    versions, content = {}, sha256(sys.version.encode())
    for name, one in sorted((one.metadata["Name"] or "", one) for one in distributions()):
        versions[name] = one.version
        content.update(f"{name} {one.version}\n{one.read_text('RECORD')}".encode(errors="replace"))
    return {"versions": versions, "digest": content.hexdigest()}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(listing()), encoding="utf-8")
