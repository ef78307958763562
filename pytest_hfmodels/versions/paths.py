"""Where the project lies, and text that does not say where: reasons read the same on every machine and in every row."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

# pytest's configuration files, and the section that each must have.
_INI_FILES = {
    **dict.fromkeys(("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini"), ""),
    "pyproject.toml": r"^\s*\[\s*tool\s*\.\s*pytest\s*[.\]]",
    "tox.ini": r"^\[pytest\]",
    "setup.cfg": r"^\[tool:pytest\]",
}
_PATH = r"(?<![\w.:/…~-])(?:file://)?/(?:[^\s'\"()<>,;:/]+/)+[^\s'\"()<>,;:/]*"


def project_root() -> Path:
    """Return the folder that pytest takes for the project's, from here."""
    return configured_root(Path.cwd()) or Path.cwd()


def configured_root(start: Path) -> Path | None:
    """Return the nearest folder that has pytest's settings, or else a project's files; None if there is none."""
    folders = (start, *start.parents)
    configured = (folder for folder in folders if any(_configures(folder / name) for name in _INI_FILES))
    built = (folder for name in ("pyproject.toml", "setup.py") for folder in folders if (folder / name).is_file())
    return next(configured, None) or next(built, None)


def _configures(file: Path) -> bool:
    with suppress(OSError, UnicodeDecodeError):
        return re.search(_INI_FILES[file.name], file.read_text(encoding="utf-8"), re.MULTILINE) is not None
    return False


def portable(text: str) -> str:
    """Return text with paths in the project made relative, and others left out or shortened to their last part."""
    if "/" not in text:
        return text
    root = project_root()
    for folder in {f"{root}/", f"{root.resolve()}/"}:
        text = text.replace(f"file://{folder}", "").replace(folder, "")
    text = re.sub(rf" \({_PATH}\)", "", text)
    return re.sub(_PATH, lambda found: f"…/{found[0].rstrip('/').rpartition('/')[2]}", text)
