"""The logits processors that generation applies without sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutations import observations as observe
from tests.mutations.fault import fault
from tests.mutations.patches import edited, together

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

PROCESS = "transformers.generation.logits_process"
MIXIN = "transformers.generation.utils:GenerationMixin"


@fault(
    "The repetition penalty divides negative scores too, which favours what it should penalise.",
    reference="huggingface/transformers#2302",
    shown_by=lambda: observe.greedy(repetition_penalty=1.8),
)
def repetition_penalty_divides_negative_scores() -> AbstractContextManager[None]:
    return edited(
        f"{PROCESS}:RepetitionPenaltyLogitsProcessor.__call__",
        ("score = torch.where(score < 0, score * self.penalty, score / self.penalty)", "score = score / self.penalty"),
    )


@fault(
    "With n-grams of one token the whole text is taken for the prefix, and nothing is blocked.",
    reference="facebookresearch/fairseq#5206",
    shown_by=lambda: observe.greedy(no_repeat_ngram_size=1),
)
def unigrams_are_not_blocked() -> AbstractContextManager[None]:
    return edited(
        f"{PROCESS}:_get_generated_ngrams",
        ("prev_input_ids[start_idx:cur_len]", "prev_input_ids[-(ngram_size - 1) :]"),
    )


@fault(
    "After a prefix only the continuation that came last is blocked.",
    reference="facebookresearch/fairseq#5206",
    shown_by=lambda: observe.greedy(no_repeat_ngram_size=2, max_new_tokens=20),
)
def only_the_latest_ngram_is_blocked() -> AbstractContextManager[None]:
    return edited(
        f"{PROCESS}:_get_ngrams",
        ("generated_ngram.get(prev_ngram_tuple, []) + [ngram[-1]]", "[ngram[-1]]"),
    )


@fault(
    "Blocking n-grams writes into the model's own logits, so that `output_logits` shows the ban.",
    reference="huggingface/transformers#29680",
    shown_by=lambda: observe.greedy(no_repeat_ngram_size=1),
)
def ngram_blocking_in_place() -> AbstractContextManager[None]:
    return edited(
        f"{PROCESS}:NoRepeatNGramLogitsProcessor.__call__",
        ("scores_processed = scores.clone()", "scores_processed = scores"),
    )


@fault(
    "A bad word as long as the text so far is not looked for.",
    reference="huggingface/transformers.js#1278",
    shown_by=lambda: observe.greedy(bad_words_ids=[[3, 9, 3, word] for word in range(2, 12)]),
)
def bad_word_as_long_as_the_text() -> AbstractContextManager[None]:
    return edited(
        f"{PROCESS}:SequenceBiasLogitsProcessor.__call__",
        ("if len(sequence_ids) > input_ids.shape[1]:", "if len(sequence_ids) >= input_ids.shape[1]:"),
    )


@fault(
    "A bad word of several tokens is banned as soon as any token of its start stands in its place.",
    reference="huggingface/transformers#3367",
    shown_by=lambda: observe.greedy(bad_words_ids=[[3, 9, word] for word in range(2, 8)]),
)
def bad_word_banned_after_half_a_match() -> AbstractContextManager[None]:
    return edited(f"{PROCESS}:SequenceBiasLogitsProcessor.__call__", (").prod(dim=1)", ").sum(dim=1)"))


@fault(
    "Until the minimum length only the first end-of-sequence token is held back.",
    reference="huggingface/transformers#20727",
    shown_by=lambda: observe.greedy(eos_token_id=[1, 2, 3, 4], min_length=9),
)
def min_length_holds_back_the_first_eos_only() -> AbstractContextManager[None]:
    return edited(
        f"{PROCESS}:MinLengthLogitsProcessor.__call__",
        ("isin_mps_friendly(vocab_tensor, self.eos_token_id)", "vocab_tensor == self.eos_token_id[0]"),
    )


@fault(
    "min_new_tokens counts the prompt.",
    reference="huggingface/transformers#20756",
    shown_by=lambda: observe.greedy(eos_token_id=[1, 2, 3, 4], min_new_tokens=4),
)
def min_new_tokens_counts_the_prompt() -> AbstractContextManager[None]:
    return together(
        edited(
            f"{PROCESS}:MinNewTokensLengthLogitsProcessor.__call__",
            ("input_ids.shape[-1] - self.prompt_length_to_skip", "input_ids.shape[-1]"),
        ),
        edited(
            f"{MIXIN}._prepare_generated_length",
            ("generation_config.min_new_tokens + input_ids_length", "generation_config.min_new_tokens"),
        ),
    )


@fault(
    "begin_suppress_tokens holds at every step, not at the first alone.",
    reference="huggingface/transformers#19166",
    shown_by=lambda: observe.greedy(begin_suppress_tokens=[2, 3, 4, 5]),
)
def begin_suppress_tokens_holds_for_ever() -> AbstractContextManager[None]:
    return edited(
        f"{PROCESS}:SuppressTokensAtBeginLogitsProcessor.__call__",
        ("input_ids.shape[-1] == self.begin_index", "input_ids.shape[-1] >= self.begin_index"),
    )


@fault(
    "The forced end comes one token after the last, that is never.",
    reference="huggingface/transformers#24099",
    shown_by=lambda: observe.greedy(forced_eos_token_id=1),
)
def forced_eos_comes_too_late() -> AbstractContextManager[None]:
    return edited(
        f"{PROCESS}:ForcedEOSTokenLogitsProcessor.__call__",
        ("cur_len == self.max_length - 1", "cur_len == self.max_length"),
    )


@fault(
    "The growing reward of the end is a growing penalty where its score is negative.",
    reference="huggingface/transformers#25416",
    shown_by=lambda: observe.beams(exponential_decay_length_penalty=(1, 1.5)),
)
def length_decay_turned_round_for_negative_scores() -> AbstractContextManager[None]:
    return edited(
        f"{PROCESS}:ExponentialDecayLengthPenalty.__call__",
        ("torch.abs(scores[:, self.eos_token_id])", "scores[:, self.eos_token_id]"),
    )
