"""Damaged checkpoint folders: they work, are refused, warn or are skipped, and none of their code runs."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.models import ModelCache

from .checkpoints import CANARY, classes
from .classes import as_parameters
from .sandbox import check_outcomes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .checkpoints import Damage

CLASSES = classes()


def test_there_are_several_hundred_variants() -> None:
    assert sum(map(len, CLASSES.values())) > 400


@pytest.mark.parametrize("damages", as_parameters(CLASSES))
def test_a_checkpoint_works_is_refused_warns_or_is_skipped(
    damages: dict[str, Damage],
    tiny_gpt2: Path,
    models: ModelCache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del models  # import before the fork
    monkeypatch.chdir(tmp_path)

    def trying(damage: Damage) -> Callable[[], object]:
        def load() -> None:
            folder = tmp_path / "model"
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(tiny_gpt2, folder)
            damage(folder)
            cache = ModelCache(tmp_path)
            cache.load("./model", engine="torch").generate("Hi", max_new_tokens=1)

        return load

    check_outcomes({name: trying(damage) for name, damage in damages.items()}, tmp_path / CANARY)
