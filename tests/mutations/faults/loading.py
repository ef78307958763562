"""Saving, loading, and what is tied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutations import observations as observe
from tests.mutations.fault import fault
from tests.mutations.patches import edited

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

MODEL = "transformers.modeling_utils"


@fault(
    "A model in half precision is loaded in half precision where nobody asks for a dtype.",
    reference="huggingface/transformers#42883",
    shown_by=lambda: observe.loaded(saved_as="float16"),
)
def dtype_of_the_checkpoint_by_default() -> AbstractContextManager[None]:
    return edited(
        f"{MODEL}:_get_dtype",
        ("dtype_orig = None\n", 'dtype_orig = None\n    dtype = "auto" if dtype is None else dtype\n'),
    )


@fault(
    "A loaded model is in training mode, with its dropout.",
    reference="huggingface/transformers#2627",
    shown_by=lambda: observe.loaded(),
)
def loaded_in_training_mode() -> AbstractContextManager[None]:
    return edited(f"{MODEL}:PreTrainedModel.from_pretrained", ("        model.eval()\n", "        model.train()\n"))


@fault(
    "The head is not tied to the embedding when a model is loaded, and keeps the numbers it was drawn with.",
    reference="huggingface/transformers#44358",
    shown_by=lambda: observe.loaded(),
)
def head_not_tied() -> AbstractContextManager[None]:
    return edited(
        f"{MODEL}:PreTrainedModel.tie_embeddings_and_encoder_decoder",
        ('"tie_word_embeddings", True)', '"tie_no_embeddings", False)'),
    )


@fault(
    "A head of its own is overwritten by the embedding, though tie_word_embeddings is off.",
    reference="huggingface/transformers#37031",
    shown_by=lambda: observe.loaded(tie_word_embeddings=False),
)
def untied_head_overwritten() -> AbstractContextManager[None]:
    return edited(
        f"{MODEL}:PreTrainedModel.tie_embeddings_and_encoder_decoder",
        ('"tie_word_embeddings", True)', '"tie_all_embeddings", True)'),
    )


@fault(
    "save_pretrained leaves out the generation config.",
    reference="huggingface/transformers#21264",
    shown_by=lambda: observe.loaded(),
)
def generation_config_not_saved() -> AbstractContextManager[None]:
    return edited(
        f"{MODEL}:PreTrainedModel.save_pretrained",
        ("model_to_save.generation_config.save_pretrained(save_directory)", "pass"),
    )


@fault(
    "Weights pass through bfloat16 on their way into the model.",
    reference="huggingface/transformers#30543",
    shown_by=lambda: observe.loaded(),
)
def weights_rounded_while_loading() -> AbstractContextManager[None]:
    return edited(
        f"{MODEL}:_load_state_dict_into_meta_model",
        ("param = param.to(casting_dtype)", "param = param.to(torch.bfloat16).to(casting_dtype)"),
    )


@fault(
    "dtype= is ignored where a model is loaded.",
    reference="huggingface/transformers#24774",
    shown_by=lambda: observe.loaded(dtype="bfloat16"),
)
def dtype_argument_ignored() -> AbstractContextManager[None]:
    return edited(
        f"{MODEL}:_get_dtype",
        ("dtype_orig = None\n", "dtype_orig = None\n    dtype = None\n"),
    )
