"""No test of this folder reads or fills the caches of whoever runs it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import pytest

from .hub_stand_in import HubStandIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    # The client reads its environment once, at import.
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("PYTEST_HFMODELS_CACHE", str(tmp_path / "plugin-cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def hub_stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    """A Hub on loopback without repos, the one that the client asks."""
    # The client sleeps a second or more between its attempts.
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    server = HubStandIn()
    with server.running():
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        for module in ("constants", "file_download"):
            where = importlib.import_module(f"huggingface_hub.{module}")
            monkeypatch.setattr(where, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
        yield server
