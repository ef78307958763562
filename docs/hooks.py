"""Hooks of MkDocs: a page for each architecture in the navigation, and links to files that are not on the site."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ARCHITECTURES = "What upstream changed"


def on_config(config: Any, **_: Any) -> Any:
    """Append the pages that docs/write_upstream.py writes to their section."""
    written = sorted(file.relative_to(ROOT / "docs").as_posix() for file in (ROOT / "docs/architectures").glob("*.md"))
    section = next(entry[ARCHITECTURES] for entry in config["nav"] if ARCHITECTURES in entry)
    section.append({"Each architecture": written})
    return config


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return a page's text with links to the repository where they leave docs; without an address words remain."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    repository = project["tool"]["hatch"]["metadata"]["hooks"]["custom"]["repository"]
    up = re.escape("../" * (page.file.src_uri.count("/") + 1))
    outside = re.compile(rf"\[([^]]+)\]\({up}([^)\s]+)\)")
    return outside.sub(rf"[\1]({repository}/blob/HEAD/\2)" if repository else r"\1", markdown)
