"""Where the project lies, and text that does not say where: reasons read the same on every machine and in every row."""

from __future__ import annotations

import re
from pathlib import Path

# What pytest is configured in: the file, and the section that makes it so.
_INI_FILES = {
    "pytest.toml": None,
    ".pytest.toml": None,
    "pytest.ini": None,
    ".pytest.ini": None,
    "pyproject.toml": r"^\s*\[\s*tool\s*\.\s*pytest\s*[.\]]",
    "tox.ini": r"^\[pytest\]",
    "setup.cfg": r"^\[tool:pytest\]",
}
_PATH = r"(?<![\w.:/…~-])(?:file://)?/(?:[^\s'\"()<>,;:/]+/)+[^\s'\"()<>,;:/]*"


def project_root(start: Path | None = None) -> Path:
    """Return the folder that pytest takes for the project's, from here or from `start`; where nothing tells, that."""
    start = start or Path.cwd()
    return configured_root(start) or start


def configured_root(start: Path) -> Path | None:
    """Return the nearest folder that has pytest's settings, or else a project's files; None where none has."""
    folders = (start, *start.parents)
    configured = (folder for folder in folders if any(_configures(folder / name) for name in _INI_FILES))
    built = (folder for name in ("pyproject.toml", "setup.py") for folder in folders if (folder / name).is_file())
    return next(configured, None) or next(built, None)


def _configures(file: Path) -> bool:
    section = _INI_FILES[file.name]
    try:
        return file.is_file() and (
            section is None or re.search(section, file.read_text(encoding="utf-8"), re.MULTILINE) is not None
        )
    except (OSError, UnicodeDecodeError):
        return False


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
