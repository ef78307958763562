"""The committed snapshots are upstream's: what ours is measured by."""

from __future__ import annotations

import tomllib
from pathlib import Path

SNAPSHOTS = Path(__file__).parents[2] / "snapshots" / "suites" / "transfo_xl"


def test_every_snapshot_is_recorded_from_upstream_s_code() -> None:
    recorded = [tomllib.loads(file.read_text(encoding="utf-8"))["provenance"] for file in SNAPSHOTS.rglob("*.toml")]

    assert recorded
    assert {made["recorded_with"]["implementation"] for made in recorded} == {"transformers"}
    assert {made["versions"]["transformers"] for made in recorded} == {"4.37.2"}
