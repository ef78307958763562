"""Keys and values, and Transformer-XL's memory, carried from step to step."""

from __future__ import annotations

from tests.mutations import observations as observe
from tests.mutations.fault import Fault
from tests.mutations.patches import edited

CACHE = "transformers.cache_utils"

FAULTS = (
    Fault(
        "cache-not-reordered",
        "Beam search does not reorder the cache.",
        reference="huggingface/transformers#46612",
        shown_by=observe.beams,
        patch=lambda: edited(
            "transformers.generation.utils:GenerationMixin._beam_search",
            ('model_kwargs["past_key_values"].reorder_cache(beam_idx)', "pass"),
        ),
    ),
    Fault(
        "cached-values-not-reordered",
        "Beam search reorders the keys but not the values.",
        reference="huggingface/transformers#34746",
        shown_by=observe.beams,
        patch=lambda: edited(
            f"{CACHE}:CacheLayerMixin.reorder_cache",
            ("self.values = self.values.index_select(0, beam_idx.to(self.values.device))", "self.values = self.values"),
        ),
    ),
    Fault(
        "positions-restart-after-a-cache",
        "Positions start at 0 again after a cache.",
        reference="huggingface/transformers#13849",
        shown_by=lambda: observe.logits(cached=2),
        patch=lambda: edited(
            "transformers.models.gpt2.modeling_gpt2:GPT2Model.forward",
            ("position_ids = cache_position.unsqueeze(0)", "position_ids = (cache_position - cache_position[0])[None]"),
        ),
    ),
    Fault(
        "static-cache-stores-keys-as-values",
        "The static cache stores keys where values belong.",
        reference="huggingface/transformers#34232",
        shown_by=lambda: observe.greedy(cache_implementation="static"),
        patch=lambda: edited(
            f"{CACHE}:StaticLayer.update",
            ("self.values.index_copy_(2, cache_position, value_states)", "self.values.copy_(self.keys)"),
        ),
    ),
    Fault(
        "cache-forgets-its-start",
        "The cache loses its first word's value once it holds more than eight, as a sliding window would.",
        reference="huggingface/transformers#40039",
        shown_by=lambda: observe.greedy(max_new_tokens=12),
        patch=lambda: edited(
            f"{CACHE}:DynamicLayer.update",
            (
                "self.values = torch.cat([self.values, value_states], dim=-2)",
                "self.values = torch.cat([self.values, value_states], dim=-2)\n"
                "        if self.values.shape[-2] > 8:\n"
                "            self.values = self.values.index_fill(-2, torch.tensor([0]), 0.0)",
            ),
        ),
    ),
    Fault(
        "positions-lost-without-a-cache",
        "Without a cache, the mask of the newest word is applied to the whole text.",
        reference="huggingface/transformers#30485",
        shown_by=lambda: observe.greedy(use_cache=False, model={"attention": "sdpa"}),
        patch=lambda: edited(
            "transformers.generation.utils:GenerationMixin._update_model_kwargs_for_generation",
            ("torch.cat((past_positions, new_positions))", "torch.cat((past_positions, past_positions[-1:]))"),
        ),
    ),
    Fault(
        "transfo-xl-memory-not-reordered",
        "Beam search leaves Transformer-XL's memory in the old order of the beams.",
        reference="huggingface/transformers#46819",
        shown_by=lambda: observe.transfo_xl(generate={"max_new_tokens": 5, "num_beams": 3}),
        patch=lambda: edited(
            "pytest_hfmodels.transfo_xl.heads:TransfoXLLMHeadModel._reorder_cache",
            ("[words.index_select(1, beam_idx.to(words.device)) for words in mems]", "list(mems)"),
        ),
    ),
    Fault(
        "last-cached-word-read-again",
        "If generation continues from a cache, the last word of the cache is read again.",
        reference="huggingface/transformers#36151",
        shown_by=lambda: _two_turns(),
        patch=lambda: edited(
            "transformers.generation.utils:GenerationMixin._get_initial_cache_position",
            ("cache_position[past_length:]", "cache_position[max(past_length - 1, 0) :]"),
        ),
        later=True,
    ),
)


def _two_turns() -> object:
    import torch

    model, ids = observe.gpt2(), torch.tensor(observe.PROMPTS[:1])
    with observe.quiet():
        first = model.generate(ids, max_new_tokens=3, return_dict_in_generate=True)
        second = model.generate(
            torch.cat([first.sequences, ids], dim=1),
            past_key_values=first.past_key_values,
            max_new_tokens=5,
            return_dict_in_generate=True,
            output_scores=True,
        )
    return observe.plain([second.sequences, second.scores])
