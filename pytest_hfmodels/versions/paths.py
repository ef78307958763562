"""Removes paths of this machine from text, so that reasons are the same on every machine and in every row."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.rootdir import project_root

if TYPE_CHECKING:
    from pathlib import Path

_PATH = r"(?<![\w.:/…~-])(?:file://)?/(?:[^\s'\"()<>,;:/]+/)+[^\s'\"()<>,;:/]*"


def portable(text: str, root: Path | None = None) -> str:
    """Return text with paths in the project made relative, and others left out or shortened to their last part.

    Args:
        text: usually a reason.
        root: the project's folder, if not the current one's.
    """
    if "/" not in text:
        return text
    root = root or project_root()
    for folder in {f"{root}/", f"{root.resolve()}/"}:
        text = text.replace(f"file://{folder}", "").replace(folder, "")
    text = re.sub(rf" \({_PATH}\)", "", text)
    return re.sub(_PATH, lambda found: f"…/{found[0].rstrip('/').rpartition('/')[2]}", text)
