"""A Transformer-XL of a few numbers, filled so that every part of it matters. For the tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from pytest_hfmodels import transfo_xl

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS: dict[str, Any] = {
    "vocab_size": 24,
    "cutoffs": [8, 16],
    "d_model": 8,
    "d_embed": 8,
    "n_head": 2,
    "d_head": 4,
    "d_inner": 12,
    "div_val": 2,
    "n_layer": 2,
    "mem_len": 6,
    "clamp_len": 5,
    "dropout": 0.0,
    "eos_token_id": 0,
    "pad_token_id": 1,
}
WORDS = (
    "<eos> <unk> the , . name is Hasnain my My @-@ @,@ @.@ well read 5 000 I am dog 't ! 's <formula>".split()  # noqa: SIM905 - a text
)


def settings(**changes: Any) -> dict[str, Any]:
    return {**SETTINGS, **changes}


def fill(model: Any, seed: int = 0) -> Any:
    """Give every parameter numbers that matter (upstream's start is near 0), the same on every release."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            parameter.copy_(0.7 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def language_model(seed: int = 0, **changes: Any) -> Any:
    return fill(transfo_xl.TransfoXLLMHeadModel(transfo_xl.TransfoXLConfig(**settings(**changes))), seed)


def classifier(seed: int = 0, **changes: Any) -> Any:
    return fill(transfo_xl.TransfoXLForSequenceClassification(transfo_xl.TransfoXLConfig(**settings(**changes))), seed)


def text(rows: int, length: int, seed: int = 0, start: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(start, SETTINGS["vocab_size"], (rows, length), generator=generator)


def vocabulary_file(folder: Path, words: list[str] = WORDS) -> str:
    file = folder / "vocab.txt"
    file.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    return str(file)
