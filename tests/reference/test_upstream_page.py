"""docs/upstream-architectures.md is what its script writes."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "write_upstream.py"))

    assert script["TARGET"].read_text(encoding="utf-8") == script["page"](), "python docs/write_upstream.py"
