"""Which block is named if a few massive activations dominate every mean."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from .asking import all_said, ask, stored
from .drawn_llama import BLOCKS, MASSIVE, attention_scaled, write_llama

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_hfmodels import HFModel, ModelCache


@pytest.fixture(scope="module")
def llama(models: ModelCache, tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> HFModel:
    return models.load(write_llama(tmp_path_factory.mktemp("llama") / "model", tiny_gpt2))


def without_normalized(record: Any) -> Any:
    """Return a record as an earlier version of the plugin wrote it."""
    return replace(record, blocks=tuple(replace(block, normalized=()) for block in record.blocks))


def test_each_of_thirty_blocks_is_named_behind_massive_activations(llama: HFModel) -> None:
    def generated() -> Any:
        return llama.generate("Hello", max_new_tokens=3)

    recorded = stored(generated())
    sizes = [block.rms for block in recorded.blocks]
    assert sizes[MASSIVE] > 20 * sizes[MASSIVE - 1]

    named = []
    for block in range(1, BLOCKS + 1):
        with attention_scaled(llama.model, block):
            named.append(ask(recorded, generated(), tolerance=1e-6).block)

    assert named[:-1] == [f"block {block}" for block in range(1, BLOCKS)]
    assert named[-1] == f"block {BLOCKS} or final norm"  # a norm that is no layer norm is not recomputed


def test_an_old_file_says_at_or_shortly_before(llama: HFModel) -> None:
    def generated() -> Any:
        return llama.generate("Hello", max_new_tokens=3)

    recorded, uncertain = without_normalized(stored(generated())), 0
    for block in range(1, BLOCKS):
        with attention_scaled(llama.model, block):
            found = ask(recorded, generated(), tolerance=1e-6)
        number = re.fullmatch(r"(at or shortly before )?block (\d+)( or final norm)?", found.block or "")
        assert number is not None, found.block
        assert block <= int(number[2]) if number[1] else block == int(number[2])
        if number[1]:
            uncertain += 1
            assert f"starting at or shortly before block {number[2]}" in found.sentence
            assert "may be at fault instead" in all_said(found)

    assert uncertain, "no block was hard to name: draw larger activations"
