"""No test of this folder reads or fills the caches of whoever runs it."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING

import pytest

from .hub_stand_in import HubStandIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_VARIABLES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


@pytest.fixture(autouse=True)
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in _VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
    monkeypatch.setenv("PYTEST_HFMODELS_CACHE", str(tmp_path / "plugin-cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def hub_stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    """A Hub on loopback without repos, the one that the client asks."""
    huggingface_hub = pytest.importorskip("huggingface_hub")
    if "endpoint" not in signature(huggingface_hub.snapshot_download).parameters:
        pytest.skip("install a later huggingface_hub: this one reads its endpoint once, at import")
    # The client sleeps a second or more between its attempts.
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    server = HubStandIn()
    with server.running():
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
