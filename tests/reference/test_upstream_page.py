"""docs/upstream-architectures.md and docs/architectures/ are what their script writes."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_pages_are_up_to_date() -> None:
    script = runpy.run_path(str(DOCS / "write_upstream.py"))

    files = [DOCS / script["INDEX"], *DOCS.glob("architectures/*.md")]
    found = {file.relative_to(DOCS).as_posix(): file.read_text(encoding="utf-8") for file in files}

    assert found == script["pages"](), "python docs/write_upstream.py"
