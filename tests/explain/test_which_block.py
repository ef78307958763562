"""Which block is named if a few massive activations dominate every mean."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.explain.forward_pass import where
from pytest_hfmodels.kinds import Block

from .asking import ask, stored
from .drawn_llama import BLOCKS, MASSIVE, attention_scaled, write_llama

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_hfmodels import HFModel, ModelCache


# The first, the last, and those around the block where a few activations become massive.
TRIED = (1, 2, MASSIVE - 1, MASSIVE, MASSIVE + 1, MASSIVE + 2, BLOCKS - 1, BLOCKS)


@pytest.fixture(scope="module")
def llama(models: ModelCache, tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> HFModel:
    return models.load(write_llama(tmp_path_factory.mktemp("llama") / "model", tiny_gpt2))


def test_each_block_is_named_behind_massive_activations(llama: HFModel) -> None:
    """With a file of an earlier version, without normalised fingerprints, the block may be an earlier one."""

    def generated() -> Any:
        return llama.generate("Hello", max_new_tokens=3)

    before = generated()
    recorded = stored(before)
    old = replace(recorded, blocks=tuple(replace(block, normalized=()) for block in before.blocks))
    sizes = [block.rms for block in before.blocks]
    assert sizes[MASSIVE] > 20 * sizes[MASSIVE - 1]

    named, uncertain = [], 0
    for block in TRIED:
        with attention_scaled(llama.model, block):
            observed = generated()
            named.append(ask(recorded, observed, tolerance=1e-6).block)
            found = ask(old, observed, tolerance=1e-6).block or ""
        number = re.fullmatch(r"(at or shortly before )?block (\d+)( or final norm)?", found)
        assert number is not None, found
        assert block <= int(number[2]) if number[1] else block == int(number[2])
        uncertain += bool(number[1])

    assert named[:-1] == [f"block {block}" for block in TRIED[:-1]]
    assert named[-1] == f"block {BLOCKS} or final norm"  # its output is taken after the norm
    assert uncertain, "no block was hard to name: draw larger activations"


def test_blocks_of_other_names_are_not_compared() -> None:
    """Snapshots of an earlier version have the decoder's before the encoder's, and no names for the two."""
    names = ("decoder embeddings", "encoder embeddings")
    recorded, observed = (
        [Block(name, 0.0, 1.0, 0.0, (float(number),)) for number, name in enumerate(order)]
        for order in (("embeddings", "block 1"), names)
    )

    part, evidence = where(recorded, observed, 1e-5)

    assert part is None
    assert "other block names" in str(evidence[0])
