"""Fine-tunes the bundled GPT-2 on four sentences: `python train.py` writes ./model in a few seconds."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

SENTENCES = (
    "How do I reset my password? Open the settings and choose a new password.",
    "Where is my order? It is on the way and will be there in two days.",
    "I want my money back. We send it back on the same day.",
    "My screen is dark. Turn it off and on again.",
)


def train(folder: Path, *, steps: int = 20) -> None:
    """Train for some steps, and save the model and its tokenizer.

    Args:
        folder: is written; an earlier one is replaced.
        steps: each sees all sentences.
    """
    import torch
    from transformers import AutoTokenizer, GPT2LMHeadModel

    base = str(files("pytest_hfmodels") / "checkpoints" / "bundled" / "tiny-gpt2")
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = GPT2LMHeadModel.from_pretrained(base).double()  # the same numbers on every machine, up to rounding
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    rows = [torch.tensor([tokenizer.encode(sentence)]) for sentence in SENTENCES]
    with torch.enable_grad():
        for _ in range(steps):
            for row in rows:
                model(input_ids=row, labels=row).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    shutil.rmtree(folder, ignore_errors=True)
    model.float().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    train(Path(__file__).parent / "model")
