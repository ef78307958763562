"""Which Transformer-XL works here: upstream's or ours. Decided by a forward pass, not by a version.

For whatever loads one; imports nothing heavy by itself.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Literal

ImplementationName = Literal["transformers", "pytest-hfmodels"]


@dataclass(frozen=True)
class Implementation:
    """Whose Transformer-XL a run uses.

    Args:
        name: upstream's, "transformers", or ours, "pytest-hfmodels".
        reason: what decided it, for a report header.
    """

    name: ImplementationName
    reason: str


@cache
def working_implementation() -> Implementation:
    """Return upstream's where its torch forward pass runs, ours otherwise; asked once a process.

    Upstream's works through 4.37.2, raises on every forward pass from 4.38 (`type_as()` without its argument), and is
    gone from 5.0. Importing torch and transformers takes seconds where nobody has yet.
    """
    import transformers

    release = f"transformers {transformers.__version__}"
    try:
        trouble = _try_forward()
    # Whatever is wrong with it, the answer is the same; the reason keeps what it was.
    except Exception as error:
        trouble = f"raises {type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
    if trouble is None:
        return Implementation("transformers", f"{release}'s forward pass works")
    return Implementation("pytest-hfmodels", f"{release} {trouble}")


def _try_forward() -> str | None:
    """Run the smallest model there is, of upstream's class, and leave no trace; return what is wrong with it."""
    try:
        from transformers import TransfoXLConfig, TransfoXLModel
    except ImportError:
        return "has no Transformer-XL"
    import torch

    config = TransfoXLConfig(
        vocab_size=4, cutoffs=[2], d_model=4, d_embed=4, n_head=1, d_head=4, d_inner=4, div_val=2, n_layer=1, mem_len=2
    )
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), torch.no_grad():
        warnings.simplefilter("ignore")
        output = TransfoXLModel(config).eval()(torch.tensor([[0, 3]]))
    return None if output.last_hidden_state.isfinite().all() else "computes numbers that are not finite"
