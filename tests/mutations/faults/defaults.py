"""Default settings."""

from __future__ import annotations

from tests.mutations import observations as observe
from tests.mutations.fault import Fault
from tests.mutations.patches import edited, replaced

MIXIN = "transformers.generation.utils:GenerationMixin"
CONFIG = "transformers.generation.configuration_utils:GenerationConfig"

FAULTS = (
    Fault(
        "default-length-counts-the-prompt",
        "The default of 20 tokens counts the prompt.",
        reference="huggingface/transformers#35765",
        shown_by=lambda: observe.greedy(max_new_tokens=observe.OMITTED),
        patch=lambda: edited(
            f"{MIXIN}._prepare_generated_length",
            ("= generation_config.max_length + input_ids_length", "= generation_config.max_length"),
        ),
    ),
    Fault(
        "pad-is-the-last-eos",
        "Without a pad token, padding is the last of several end-of-sequence tokens.",
        reference="huggingface/transformers#48016",
        shown_by=lambda: observe.greedy(eos_token_id=[1, 2, 3, 4], model={"pad_token_id": None}),
        patch=lambda: edited(
            f"{MIXIN}._prepare_special_tokens",
            ("pad_token_tensor = eos_token_tensor[0]", "pad_token_tensor = eos_token_tensor[-1]"),
        ),
    ),
    Fault(
        "eos-in-the-prompt-masked",
        "If the pad token is the end-of-sequence token, it is masked everywhere in prompts without a mask.",
        reference="huggingface/transformers#41400",
        shown_by=lambda: observe.greedy(attention_mask=observe.OMITTED, eos_token_id=3, pad_token_id=3),
        patch=lambda: edited(
            f"{MIXIN}._prepare_attention_mask_for_generation",
            ("is_pad_token_in_inputs * is_pad_token_not_equal_to_eos_token_id", "is_pad_token_in_inputs"),
        ),
    ),
    Fault(
        "mask-not-inferred",
        "No mask is inferred for padded prompts, so their padding is read.",
        reference="huggingface/transformers#3021",
        shown_by=lambda: observe.greedy(attention_mask=observe.OMITTED),
        patch=lambda: edited(
            f"{MIXIN}._prepare_attention_mask_for_generation", ("if pad_token_id is None:", "if True:")
        ),
    ),
    Fault(
        "model-defaults-hidden-by-a-config",
        "Passing a generation config hides the settings of the model's own one.",
        reference="huggingface/transformers#36684",
        shown_by=lambda: _with_a_config_of_the_users(),
        patch=lambda: edited(
            f"{MIXIN}._prepare_generation_config", ('>= version.parse("4.50.0")', '>= version.parse("5.0")')
        ),
    ),
    Fault(
        "settings-stay-for-the-next-call",
        "Settings of one call of generate stay for the next.",
        reference="huggingface/transformers#27833",
        shown_by=lambda: _two_calls(),
        patch=lambda: edited(
            f"{MIXIN}._prepare_generation_config",
            (
                "model_kwargs = generation_config.update(**kwargs)",
                "model_kwargs = generation_config.update(**kwargs)\n        self.generation_config.update(**kwargs)",
            ),
        ),
    ),
    Fault(
        "sampling-by-default",
        "Generation samples by default.",
        reference="huggingface/transformers#3225",
        shown_by=observe.defaults,
        patch=lambda: edited(f"{CONFIG}.__init__", ('kwargs.pop("do_sample", False)', 'kwargs.pop("do_sample", True)')),
    ),
    Fault(
        "early-stopping-by-default",
        "Beam search stops early by default.",
        reference="huggingface/transformers#42702",
        shown_by=lambda: observe.beams(own_config=True),
        patch=lambda: edited(
            f"{CONFIG}.__init__", ('kwargs.pop("early_stopping", False)', 'kwargs.pop("early_stopping", True)')
        ),
    ),
    Fault(
        "no-length-penalty-by-default",
        "Beam scores are not divided by the length by default.",
        reference="huggingface/transformers#16930",
        shown_by=lambda: observe.beams(own_config=True),
        patch=lambda: edited(
            f"{CONFIG}.__init__", ('kwargs.pop("length_penalty", 1.0)', 'kwargs.pop("length_penalty", 0.0)')
        ),
    ),
    Fault(
        "attention-eager-by-default",
        "GPT-2 is loaded with eager attention again.",
        reference="huggingface/transformers#31172",
        shown_by=observe.loaded_attention,
        patch=lambda: replaced("transformers.models.gpt2.modeling_gpt2:GPT2PreTrainedModel._supports_sdpa", False),
    ),
    Fault(
        "passed-defaults-taken-for-unset",
        "An argument of generate is ignored if it equals the library's default; the checkpoint's value wins.",
        reference="huggingface/transformers#36881",
        shown_by=lambda: _greedy_with_a_checkpoint_for_beams(),
        patch=lambda: edited(
            f"{MIXIN}._prepare_generation_config",
            (
                "model_kwargs = generation_config.update(**kwargs)",
                "usual = GenerationConfig().to_dict()\n"
                "        model_kwargs = generation_config.update(\n"
                "            **{key: kwargs[key] for key in kwargs if key not in usual or kwargs[key] != usual[key]}\n"
                "        )",
            ),
        ),
        later=True,
    ),
)


def _with_a_config_of_the_users() -> object:
    import torch
    import transformers

    model = observe.gpt2()
    model.generation_config.suppress_tokens = [2, 3, 4, 5]
    own = transformers.GenerationConfig(max_new_tokens=4)
    with observe.quiet():
        return observe.plain(model.generate(torch.tensor(observe.PROMPTS), generation_config=own))


def _two_calls() -> object:
    import torch

    model, ids = observe.gpt2(), torch.tensor(observe.PROMPTS)
    with observe.quiet():
        model.generate(ids, max_new_tokens=4, suppress_tokens=[2, 3, 4, 5])
        return observe.plain(model.generate(ids, max_new_tokens=4))


def _greedy_with_a_checkpoint_for_beams() -> object:
    import torch

    found, ids = [], torch.tensor(observe.PROMPTS)
    for seed in observe.SEEDS:
        model = observe.gpt2(seed=seed)
        model.generation_config.num_beams = 3
        with observe.quiet():
            found.append(model.generate(ids, num_beams=1, max_new_tokens=6))
    return observe.plain(found)
