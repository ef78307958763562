"""Makes the links of the README absolute when the package is built. The address is only in pyproject.toml."""

from __future__ import annotations

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

# A link or a picture whose target is a file of the repository.
RELATIVE = re.compile(r"\]\((?!https?://|#)([^)\s]+)\)")
# Where the repository's host shows a file, and where it serves a picture as it is.
SHOWN, SERVED = "{0}/blob/HEAD/{1}", "{0}/raw/HEAD/{1}"


def absolute(text: str, repository: str) -> str:
    """Return a README whose links work on any page; without an address, as it is.

    Args:
        text: of README.md.
        repository: the address of the repository.
    """

    def target(found: re.Match[str]) -> str:
        form = SERVED if found[1].endswith((".svg", ".png")) else SHOWN
        return f"]({form.format(repository, found[1])})"

    return RELATIVE.sub(target, text) if repository else text


class Hook(MetadataHookInterface):
    """Fills in `readme` and `urls`."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, object]) -> None:
        """Set both fields of the project's metadata."""
        repository = str(self.config.get("repository", ""))
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute(text, repository)}
        pages = {"Source": "", "Documentation": "/tree/HEAD/docs", "Changelog": "/blob/HEAD/CHANGELOG.md"}
        pages |= {"Issues": "/issues"}
        metadata["urls"] = {name: f"{repository}{page}" for name, page in pages.items()} if repository else {}
