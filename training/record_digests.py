"""Writes `bundled/digests.toml` anew, after a bundled checkpoint was trained: `python training/record_digests.py`."""

from __future__ import annotations

from pytest_hfmodels.checkpoints.bundled_files import BUNDLED
from pytest_hfmodels.checkpoints.digests import folder_digests

HEADER = """\
# What the files beside this one must be; compared whenever one of them is used.
# Written by: python training/record_digests.py
"""


def digests_text() -> str:
    """Return the record of all bundled checkpoints.

    Raises:
        CheckpointError: one of them is damaged.
    """
    tables = [HEADER]
    for config in sorted(BUNDLED.glob("*/config.json")):
        parts = [(part, digest) for part, digest in vars(folder_digests(config.parent)).items() if digest]
        tables.append("".join([f"[{config.parent.name}]\n", *(f'{part} = "{digest}"\n' for part, digest in parts)]))
    return "\n".join(tables)


if __name__ == "__main__":
    (BUNDLED / "digests.toml").write_text(digests_text(), encoding="utf-8", newline="\n")
