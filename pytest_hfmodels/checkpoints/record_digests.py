"""The command that rewrites `bundled/digests.toml` after a bundled checkpoint was trained anew.

Run as `python -m pytest_hfmodels.checkpoints.record_digests`; nobody imports it but its test.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from pytest_hfmodels.checkpoints.bundled_files import BUNDLED, DIGESTS, folder_names
from pytest_hfmodels.checkpoints.digests import folder_digests
from pytest_hfmodels.errors import CheckpointError

_HEADER = (
    "What the files beside this one must be; compared whenever one of them is used.",
    "Written by: python -m pytest_hfmodels.checkpoints.record_digests",
)


def record_digests(bundled: Path) -> tuple[str, ...]:
    """Digest every checkpoint in `bundled` and replace the record in one step.

    Returns:
        the names recorded.

    Raises:
        CheckpointError: one of the checkpoints is damaged; the old record stays.
    """
    # Needed to write, by this command alone.
    import tomlkit

    document = tomlkit.document()
    for line in _HEADER:
        document.add(tomlkit.comment(line))
    names = folder_names(bundled)
    for name in names:
        document.add(tomlkit.nl())
        document.add(name, tomlkit.item(vars(folder_digests(bundled / name))))
    _replace(bundled / DIGESTS, tomlkit.dumps(document))
    return names


def main() -> int:
    """Rewrite the record of this installation and say what it holds."""
    try:
        names = record_digests(BUNDLED)
    except CheckpointError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{BUNDLED / DIGESTS}: {', '.join(names) or 'no bundled checkpoints'}")
    return 0


def _replace(path: Path, text: str) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".recording-") as folder:
        temporary = Path(folder) / path.name
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
