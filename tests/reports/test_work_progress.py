from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from pytest_hfmodels.checkpoints import digests
from pytest_hfmodels.foundation import progress
from pytest_hfmodels.reports.work_progress import WorkProgress

from ..checkpoints.tiny_checkpoint import checkpoint_files, write_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("terminal", [True, False])
def test_reading_large_weights_is_shown_only_on_a_terminal(
    terminal: bool, tmp_path: Path, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    show = WorkProgress(pytestconfig, Console(file=written, force_terminal=terminal, width=200))
    monkeypatch.setattr(digests, "_LONG", 0)
    folder = write_files(tmp_path, checkpoint_files())
    quiet = digests.folder_digests(folder)
    token = progress._SHOW.set(show)
    try:
        found = digests.folder_digests(folder)
    finally:
        progress._SHOW.reset(token)

    assert found == quiet
    assert (f"reading the weights of {folder}" in written.getvalue()) is terminal
    assert bool(written.getvalue()) is terminal
