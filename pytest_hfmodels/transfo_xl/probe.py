"""Which Transformer-XL works here, upstream's or ours, and ours behind the auto classes.

A forward pass decides, not a version. For `architecture`; imports nothing heavy by itself.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Literal


@dataclass(frozen=True)
class Implementation:
    """Whose Transformer-XL a run uses.

    Args:
        name: upstream's, "transformers", or ours, "pytest-hfmodels".
        reason: what decided it, for a report header.
    """

    name: Literal["transformers", "pytest-hfmodels"]
    reason: str


@cache
def working_implementation() -> Implementation:
    """Return upstream's if its torch forward pass runs, ours otherwise; probed once per process.

    Upstream's works through 4.37.2, raises on every forward pass from 4.38 (`type_as()` without its argument), and is
    gone from 5.0. Importing torch and transformers takes seconds where nobody has yet.
    """
    import transformers

    release = f"transformers {transformers.__version__}"
    try:
        problem = _try_forward()
    # Any fault gives the same answer; the reason names it.
    except Exception as error:
        problem = f"raises {type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
    if problem is None:
        return Implementation("transformers", f"{release}'s forward pass works")
    return Implementation("pytest-hfmodels", f"{release} {problem}")


def register() -> bool:
    """Let `AutoConfig`, `AutoTokenizer` and the auto models resolve `transfo-xl` through our classes.

    Upstream's stay where their forward pass works; a second call changes nothing. Between 4.38 and 4.57 `AutoTokenizer`
    still finds upstream's tokenizer where tokenizer_config.json names the class, because upstream's works with a
    text vocabulary; `pytest_hfmodels.transfo_xl.TransfoXLTokenizer` is always ours.

    Returns:
        Whether ours are registered now.
    """
    if working_implementation().name == "transformers":
        return False
    import transformers

    from pytest_hfmodels.transfo_xl.configuration import MODEL_TYPE, TransfoXLConfig
    from pytest_hfmodels.transfo_xl.heads import TransfoXLForSequenceClassification, TransfoXLLMHeadModel
    from pytest_hfmodels.transfo_xl.model import TransfoXLModel
    from pytest_hfmodels.transfo_xl.tokenizer import TransfoXLTokenizer

    # `exist_ok`: a second call, or upstream's own broken class.
    transformers.AutoConfig.register(MODEL_TYPE, TransfoXLConfig, exist_ok=True)
    transformers.AutoTokenizer.register(TransfoXLConfig, slow_tokenizer_class=TransfoXLTokenizer, exist_ok=True)
    for auto, model in (
        (transformers.AutoModel, TransfoXLModel),
        (transformers.AutoModelForCausalLM, TransfoXLLMHeadModel),
        (transformers.AutoModelForSequenceClassification, TransfoXLForSequenceClassification),
    ):
        auto.register(TransfoXLConfig, model, exist_ok=True)
    return True


def _try_forward() -> str | None:
    """Run the smallest model there is, of upstream's class, and leave no trace; return its fault, or None."""
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
