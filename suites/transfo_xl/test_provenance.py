"""Upstream's code recorded the committed snapshots, so they test ours."""

from __future__ import annotations

import tomllib
from pathlib import Path

SNAPSHOTS = Path(__file__).parents[2] / "snapshots" / "suites" / "transfo_xl"


def test_upstreams_code_recorded_every_snapshot() -> None:
    recorded = [tomllib.loads(file.read_text(encoding="utf-8"))["provenance"] for file in SNAPSHOTS.rglob("*.toml")]

    assert recorded
    assert {made["recorded_with"]["implementation"] for made in recorded} == {"transformers"}
    assert {made["versions"]["transformers"] for made in recorded} == {"4.37.2"}
