"""Keys and values, and Transformer-XL's memory, carried from step to step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutations import observations as observe
from tests.mutations.fault import fault
from tests.mutations.patches import edited

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

CACHE = "transformers.cache_utils"


@fault(
    "Beam search does not reorder the cache.",
    reference="huggingface/transformers#46612",
    shown_by=lambda: observe.beams(),
)
def cache_not_reordered() -> AbstractContextManager[None]:
    return edited(
        "transformers.generation.utils:GenerationMixin._beam_search",
        ('model_kwargs["past_key_values"].reorder_cache(beam_idx)', "pass"),
    )


@fault(
    "Beam search reorders the keys and leaves the values.",
    reference="huggingface/transformers#34746",
    shown_by=lambda: observe.beams(),
)
def cached_values_not_reordered() -> AbstractContextManager[None]:
    return edited(
        f"{CACHE}:CacheLayerMixin.reorder_cache",
        ("self.values = self.values.index_select(0, beam_idx.to(self.values.device))", "self.values = self.values"),
    )


@fault(
    "Positions start at 0 again where a text goes on after a cache.",
    reference="huggingface/transformers#13849",
    shown_by=lambda: observe.logits(cached=2),
)
def positions_restart_after_a_cache() -> AbstractContextManager[None]:
    return edited(
        "transformers.models.gpt2.modeling_gpt2:GPT2Model.forward",
        ("position_ids = cache_position.unsqueeze(0)", "position_ids = (cache_position - cache_position[0])[None]"),
    )


@fault(
    "The static cache stores keys where values belong.",
    reference="huggingface/transformers#34232",
    shown_by=lambda: observe.greedy(cache_implementation="static"),
)
def static_cache_stores_keys_as_values() -> AbstractContextManager[None]:
    return edited(
        f"{CACHE}:StaticLayer.update",
        ("self.values.index_copy_(2, cache_position, value_states)", "self.values.copy_(self.keys)"),
    )


@fault(
    "The cache loses its first word's value once it holds more than eight, as a sliding window would.",
    reference="huggingface/transformers#40039",
    shown_by=lambda: observe.greedy(max_new_tokens=12),
)
def cache_forgets_its_start() -> AbstractContextManager[None]:
    return edited(
        f"{CACHE}:DynamicLayer.update",
        (
            "self.values = torch.cat([self.values, value_states], dim=-2)",
            "self.values = torch.cat([self.values, value_states], dim=-2)\n"
            "        if self.values.shape[-2] > 8:\n"
            "            self.values = self.values.index_fill(-2, torch.tensor([0]), 0.0)",
        ),
    )


@fault(
    "Without a cache, the mask of the newest word is laid over the whole text.",
    reference="huggingface/transformers#30485",
    shown_by=lambda: observe.greedy(use_cache=False, model={"attention": "sdpa"}),
)
def positions_lost_without_a_cache() -> AbstractContextManager[None]:
    return edited(
        "transformers.generation.utils:GenerationMixin._update_model_kwargs_for_generation",
        ("torch.cat((past_positions, new_positions))", "torch.cat((past_positions, past_positions[-1:]))"),
    )


@fault(
    "Beam search leaves Transformer-XL's memory in the old order of the beams.",
    reference="huggingface/transformers#46819",
    shown_by=lambda: observe.transfo_xl(generate={"max_new_tokens": 5, "num_beams": 3}),
)
def transfo_xl_memory_not_reordered() -> AbstractContextManager[None]:
    return edited(
        "pytest_hfmodels.transfo_xl.heads:TransfoXLLMHeadModel._reorder_cache",
        ("[words.index_select(1, beam_idx.to(words.device)) for words in mems]", "list(mems)"),
    )
