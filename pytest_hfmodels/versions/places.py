"""Where the project lies, and text that does not say where: reasons read the same on every machine and in every row."""

from __future__ import annotations

import re
from pathlib import Path

_INI_FILES = ("pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg", "setup.py")
_PATH = r"(?<![\w.:/…~-])(?:file://)?/(?:[^\s'\"()<>,;:/]+/)+[^\s'\"()<>,;:/]*"


def project_root(start: Path | None = None) -> Path:
    """Return the nearest folder that has a file which pytest is configured in, or else where we are."""
    start = start or Path.cwd()
    return next(
        (path for path in (start, *start.parents) if any((path / name).is_file() for name in _INI_FILES)), start
    )


def portable(text: str, root: Path | None = None) -> str:
    """Return text with paths in the project made relative, and others left out or shortened to their last part.

    Args:
        text: a reason, most often.
        root: the project's folder, if not the current one's.
    """
    if "/" not in text:
        return text
    root = root or project_root()
    for folder in {f"{root}/", f"{root.resolve()}/"}:
        text = text.replace(f"file://{folder}", "").replace(folder, "")
    text = re.sub(rf" \({_PATH}\)", "", text)
    return re.sub(_PATH, lambda found: f"…/{found[0].rstrip('/').rpartition('/')[2]}", text)
