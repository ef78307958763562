"""Loading, and what is tied."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mutations import observations as observe
from tests.mutations.fault import fault
from tests.mutations.patches import edited

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


@fault(
    "A head that the checkpoint's file holds beside the embedding is kept, though the configuration ties the two.",
    reference="huggingface/transformers#42612",
    shown_by=lambda: _loaded_from_a_file_with_a_head(),
)
def head_in_the_file_not_tied() -> AbstractContextManager[None]:
    return edited(
        "transformers.modeling_utils:PreTrainedModel.from_pretrained",
        (
            "# make sure token embedding weights are still tied if needed\n        model.tie_weights()",
            "if any(parameter.is_meta for parameter in model.parameters()):\n            model.tie_weights()",
        ),
    )


def _loaded_from_a_file_with_a_head() -> object:
    import torch
    import transformers
    from safetensors.torch import save_file

    model = observe.gpt2(tie_word_embeddings=False)
    model.config.tie_word_embeddings = True
    with tempfile.TemporaryDirectory() as folder, observe.quiet(), torch.no_grad():
        model.config.save_pretrained(folder)
        save_file(model.state_dict(), Path(folder) / "model.safetensors", {"format": "pt"})
        again = transformers.AutoModelForCausalLM.from_pretrained(folder)
        return observe.plain(again(torch.tensor(observe.PROMPTS)).logits)
