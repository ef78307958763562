"""Saving, loading, and tied weights."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.mutations import observations as observe
from tests.mutations.fault import Fault
from tests.mutations.patches import edited

MODEL = "transformers.modeling_utils"

FAULTS = (
    Fault(
        "dtype-of-the-checkpoint-by-default",
        "A half-precision checkpoint is loaded in half precision by default.",
        reference="huggingface/transformers#42883",
        shown_by=lambda: observe.loaded(saved_as="float16"),
        patch=lambda: edited(
            f"{MODEL}:_get_dtype",
            ("dtype_orig = None\n", 'dtype_orig = None\n    dtype = "auto" if dtype is None else dtype\n'),
        ),
    ),
    Fault(
        "loaded-in-training-mode",
        "A loaded model is in training mode, with its dropout.",
        reference="huggingface/transformers#2627",
        shown_by=observe.loaded,
        patch=lambda: edited(
            f"{MODEL}:PreTrainedModel.from_pretrained", ("        model.eval()\n", "        model.train()\n")
        ),
    ),
    Fault(
        "head-not-tied",
        "The head is not tied to the embedding when a model is loaded, and keeps its random numbers.",
        reference="huggingface/transformers#44358",
        shown_by=observe.loaded,
        patch=lambda: edited(
            f"{MODEL}:PreTrainedModel.tie_embeddings_and_encoder_decoder",
            ('"tie_word_embeddings", True)', '"tie_no_embeddings", False)'),
        ),
    ),
    Fault(
        "untied-head-overwritten",
        "The embedding overwrites an untied head although tie_word_embeddings is off.",
        reference="huggingface/transformers#37031",
        shown_by=lambda: observe.loaded(tie_word_embeddings=False),
        patch=lambda: edited(
            f"{MODEL}:PreTrainedModel.tie_embeddings_and_encoder_decoder",
            ('"tie_word_embeddings", True)', '"tie_all_embeddings", True)'),
        ),
    ),
    Fault(
        "generation-config-not-saved",
        "save_pretrained leaves out the generation config.",
        reference="huggingface/transformers#21264",
        shown_by=observe.loaded,
        patch=lambda: edited(
            f"{MODEL}:PreTrainedModel.save_pretrained",
            ("model_to_save.generation_config.save_pretrained(save_directory)", "pass"),
        ),
    ),
    Fault(
        "weights-rounded-while-loading",
        "Weights pass through bfloat16 on their way into the model.",
        reference="huggingface/transformers#30543",
        shown_by=observe.loaded,
        patch=lambda: edited(
            f"{MODEL}:_load_state_dict_into_meta_model",
            ("param = param.to(casting_dtype)", "param = param.to(torch.bfloat16).to(casting_dtype)"),
        ),
    ),
    Fault(
        "dtype-argument-ignored",
        "dtype= is ignored when a model is loaded.",
        reference="huggingface/transformers#24774",
        shown_by=lambda: observe.loaded(dtype="bfloat16"),
        patch=lambda: edited(f"{MODEL}:_get_dtype", ("dtype_orig = None\n", "dtype_orig = None\n    dtype = None\n")),
    ),
    Fault(
        "head-in-the-file-not-tied",
        "A head in the checkpoint's file is kept although the configuration ties it to the embedding.",
        reference="huggingface/transformers#42612",
        shown_by=lambda: _loaded_from_a_file_with_a_head(),
        patch=lambda: edited(
            f"{MODEL}:PreTrainedModel.from_pretrained",
            (
                "# make sure token embedding weights are still tied if needed\n        model.tie_weights()",
                "if any(parameter.is_meta for parameter in model.parameters()):\n            model.tie_weights()",
            ),
        ),
        later=True,
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
