"""The keywords of `generate` for editors and type checkers, and upstream's classes as handles have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    # From their own modules: the top of transformers has a checker read every model.
    from transformers.generation.configuration_utils import GenerationConfig
    from transformers.generation.utils import GenerationMixin
    from transformers.modeling_utils import PreTrainedModel
    from transformers.tokenization_utils_base import PreTrainedTokenizerBase

    class UpstreamModel(PreTrainedModel, GenerationMixin):  # type: ignore[misc] # both are Any without transformers
        """Upstream's model: what every model has is known, and the parts of one architecture are `Any`."""

        generation_config: GenerationConfig

        def __getattr__(self, name: str) -> Any: ...

        # 5.x annotates its `self` with a protocol that its own models do not fit.
        def generate(self, inputs: Any = None, **settings: Any) -> Any: ...  # noqa: D102

    class UpstreamTokenizer(PreTrainedTokenizerBase):  # type: ignore[misc]
        """Upstream's tokenizer; upstream's annotations of these two leave out the tensors of `return_tensors=`."""

        def __call__(self, *args: Any, **kwargs: Any) -> Any: ...  # noqa: D102

        def encode(self, *args: Any, **kwargs: Any) -> Any: ...  # noqa: D102


class GenerateSettings(TypedDict, total=False):
    """Keywords of the library's own `generate`, of Whisper's and of speech and image models, and `seed`.

    They are those of transformers 4.30 to 5.23. An older release may not know a keyword; the error then says so. A
    `dict[str, Any]` may hold what a model's own `generate` takes beyond these.

    Args:
        max_new_tokens: how many tokens to generate, at most.
        max_length: how many tokens the prompt and the output have together, at most.
        min_new_tokens: how many tokens to generate, at least.
        min_length: how many tokens the prompt and the output have together, at least.
        num_beams: the width of the beam search; 1 is greedy search.
        num_return_sequences: how many sequences of the search to record.
        early_stopping: when a beam search stops: True, False or "never".
        length_penalty: the exponent of the length by which a beam's score is divided.
        no_repeat_ngram_size: the length of n-grams that may not occur twice.
        repetition_penalty: the factor by which the logits of seen tokens shrink.
        do_sample: draw tokens; needs `seed`.
        seed: of the random numbers; a whole number of 0 or more.
        temperature: divides the logits before drawing.
        top_k: draw among this many tokens.
        top_p: draw among the likeliest tokens that have this probability together.
        eos_token_id: the ids that end the output.
        pad_token_id: the id that fills rows.
        stop_strings: texts that end the output.
        generation_config: a `transformers.GenerationConfig`; keywords win over its fields.
        logits_processor: your own, after the library's.
        stopping_criteria: your own; not for a batch.
        prefix_allowed_tokens_fn: takes the row's number and its ids, and returns the ids that may follow.
    """

    max_new_tokens: int | None
    max_length: int | None
    min_new_tokens: int | None
    min_length: int | None
    num_beams: int | None
    num_return_sequences: int | None
    early_stopping: bool | str | None
    length_penalty: float | None
    no_repeat_ngram_size: int | None
    repetition_penalty: float | None
    do_sample: bool | None
    seed: int | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    eos_token_id: int | list[int] | None
    pad_token_id: int | None
    stop_strings: str | list[str] | None
    generation_config: GenerationConfig | Any
    logits_processor: Sequence[Callable[..., Any]] | None
    stopping_criteria: Sequence[Callable[..., Any]] | None
    prefix_allowed_tokens_fn: Callable[[int, Any], list[int]] | None
    # The others, in alphabetical order.
    assistant_confidence_threshold: float | None
    assistant_early_exit: int | None
    assistant_ensemble_weight: float | None
    assistant_lookbehind: int | None
    assistant_model: Any
    assistant_tokenizer: Any
    attention_mask: Any
    bad_words_ids: list[list[int]] | None
    begin_suppress_tokens: list[int] | None
    bos_token_id: int | None
    cache_config: Any
    cache_implementation: str | None
    compile_config: Any
    constraints: list[Any] | None
    continuous_batching_config: Any
    decoder_input_ids: Any
    decoder_start_token_id: int | list[int] | None
    disable_compile: bool | None
    diversity_penalty: float | None
    dola_layers: str | list[int] | None
    encoder_no_repeat_ngram_size: int | None
    encoder_repetition_penalty: float | None
    epsilon_cutoff: float | None
    eta_cutoff: float | None
    exponential_decay_length_penalty: tuple[int, float] | None
    force_words_ids: list[Any] | None
    forced_bos_token_id: int | None
    forced_decoder_ids: list[list[int]] | None
    forced_eos_token_id: int | list[int] | None
    generation_kwargs: dict[str, Any] | None
    guidance_scale: float | None
    input_features: Any
    input_values: Any
    is_assistant: bool | None
    language: str | list[str] | None
    low_memory: bool | None
    max_cache_len: int | None
    max_matching_ngram_size: int | None
    min_p: float | None
    negative_prompt_attention_mask: Any
    negative_prompt_ids: Any
    num_assistant_tokens: int | None
    num_assistant_tokens_schedule: str | None
    num_beam_groups: int | None
    output_attentions: bool | None
    output_hidden_states: bool | None
    penalty_alpha: float | None
    pixel_values: Any
    prefill_chunk_size: int | None
    prompt_lookup_num_tokens: int | None
    remove_invalid_values: bool | None
    renormalize_logits: bool | None
    return_legacy_cache: bool | None
    return_timestamps: bool | None
    sequence_bias: Any
    speculation_type: Any
    streamer: Any
    suppress_tokens: list[int] | None
    synced_gpus: bool | None
    target_lookbehind: int | None
    task: str | None
    token_healing: bool | None
    tokenizer: Any
    top_h: float | None
    typical_p: float | None
    use_cache: bool | None
    use_model_defaults: bool | None
    use_mtp: bool | None
    watermarking_config: Any
