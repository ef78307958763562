"""What users get who leave a setting to the release, or to the checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutations import observations as observe
from tests.mutations.fault import fault
from tests.mutations.patches import edited

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


@fault(
    "What is passed to generate is taken for not given where it is the library's default: the checkpoint's value wins.",
    reference="huggingface/transformers#36881",
    shown_by=lambda: _greedy_with_a_checkpoint_for_beams(),
)
def passed_defaults_taken_for_unset() -> AbstractContextManager[None]:
    return edited(
        "transformers.generation.utils:GenerationMixin._prepare_generation_config",
        (
            "model_kwargs = generation_config.update(**kwargs)",
            "usual = GenerationConfig().to_dict()\n"
            "        model_kwargs = generation_config.update(\n"
            "            **{key: value for key, value in kwargs.items() if key not in usual or value != usual[key]}\n"
            "        )",
        ),
    )


def _greedy_with_a_checkpoint_for_beams() -> object:
    import torch

    found, ids = [], torch.tensor(observe.PROMPTS)
    for seed in observe.SEEDS:
        model = observe.gpt2(seed=seed)
        model.generation_config.num_beams = 3
        with observe.quiet():
            found.append(model.generate(ids, num_beams=1, max_new_tokens=6))
    return observe.plain(found)
