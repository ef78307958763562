"""The logits processors that generation applies without sampling."""

from __future__ import annotations

from tests.mutations import observations as observe
from tests.mutations.fault import Fault
from tests.mutations.patches import edited, together

PROCESS = "transformers.generation.logits_process"
MIXIN = "transformers.generation.utils:GenerationMixin"

FAULTS = (
    Fault(
        "repetition-penalty-divides-negative-scores",
        "The repetition penalty also divides negative scores, and so favours repeated tokens.",
        reference="huggingface/transformers#2302",
        shown_by=lambda: observe.greedy(repetition_penalty=1.8),
        patch=lambda: edited(
            f"{PROCESS}:RepetitionPenaltyLogitsProcessor.__call__",
            ("torch.where(score < 0, score * self.penalty, score / self.penalty)", "score / self.penalty"),
        ),
    ),
    Fault(
        "unigrams-are-not-blocked",
        "With n-grams of one token the prefix is the whole text, so nothing is blocked.",
        reference="facebookresearch/fairseq#5206",
        shown_by=lambda: observe.greedy(no_repeat_ngram_size=1),
        patch=lambda: edited(
            f"{PROCESS}:_get_generated_ngrams",
            ("prev_input_ids[start_idx:cur_len]", "prev_input_ids[-(ngram_size - 1) :]"),
        ),
    ),
    Fault(
        "only-the-latest-ngram-is-blocked",
        "Only the latest continuation of a prefix is blocked.",
        reference="facebookresearch/fairseq#5206",
        shown_by=lambda: observe.greedy(no_repeat_ngram_size=2, max_new_tokens=20),
        patch=lambda: edited(
            f"{PROCESS}:_get_ngrams", ("generated_ngram.get(prev_ngram_tuple, []) + [ngram[-1]]", "[ngram[-1]]")
        ),
    ),
    Fault(
        "ngram-blocking-in-place",
        "Blocking n-grams overwrites the model's own logits, so `output_logits` shows the ban.",
        reference="huggingface/transformers#29680",
        shown_by=lambda: observe.greedy(no_repeat_ngram_size=1),
        patch=lambda: edited(
            f"{PROCESS}:NoRepeatNGramLogitsProcessor.__call__",
            ("scores_processed = scores.clone()", "scores_processed = scores"),
        ),
    ),
    Fault(
        "bad-word-as-long-as-the-text",
        "A bad word as long as the text so far is not found.",
        reference="huggingface/transformers.js#1278",
        shown_by=lambda: observe.greedy(bad_words_ids=[[3, 9, 3, word] for word in range(2, 12)]),
        patch=lambda: edited(
            f"{PROCESS}:SequenceBiasLogitsProcessor.__call__",
            ("if len(sequence_ids) > input_ids.shape[1]:", "if len(sequence_ids) >= input_ids.shape[1]:"),
        ),
    ),
    Fault(
        "bad-word-banned-after-half-a-match",
        "A bad word of several tokens is banned as soon as one token of its beginning matches.",
        reference="huggingface/transformers#3367",
        shown_by=lambda: observe.greedy(bad_words_ids=[[3, 9, word] for word in range(2, 8)]),
        patch=lambda: edited(f"{PROCESS}:SequenceBiasLogitsProcessor.__call__", (").prod(dim=1)", ").sum(dim=1)")),
    ),
    Fault(
        "min-length-holds-back-the-first-eos-only",
        "Until the minimum length only the first end-of-sequence token is banned.",
        reference="huggingface/transformers#20727",
        shown_by=lambda: observe.greedy(eos_token_id=[1, 2, 3, 4], min_length=9),
        patch=lambda: edited(
            f"{PROCESS}:MinLengthLogitsProcessor.__call__",
            ("isin_mps_friendly(vocab_tensor, self.eos_token_id)", "vocab_tensor == self.eos_token_id[0]"),
        ),
    ),
    Fault(
        "min-new-tokens-counts-the-prompt",
        "min_new_tokens counts the prompt.",
        reference="huggingface/transformers#20756",
        shown_by=lambda: observe.greedy(eos_token_id=[1, 2, 3, 4], min_new_tokens=4),
        patch=lambda: together(
            edited(
                f"{PROCESS}:MinNewTokensLengthLogitsProcessor.__call__",
                ("input_ids.shape[-1] - self.prompt_length_to_skip", "input_ids.shape[-1]"),
            ),
            edited(
                f"{MIXIN}._prepare_generated_length",
                ("generation_config.min_new_tokens + input_ids_length", "generation_config.min_new_tokens"),
            ),
        ),
    ),
    Fault(
        "begin-suppress-tokens-holds-for-ever",
        "begin_suppress_tokens applies at every step, not only at the first.",
        reference="huggingface/transformers#19166",
        shown_by=lambda: observe.greedy(begin_suppress_tokens=[2, 3, 4, 5]),
        patch=lambda: edited(
            f"{PROCESS}:SuppressTokensAtBeginLogitsProcessor.__call__",
            ("input_ids.shape[-1] == self.begin_index", "input_ids.shape[-1] >= self.begin_index"),
        ),
    ),
    Fault(
        "forced-eos-comes-too-late",
        "The forced end comes one token after the last, so it never comes.",
        reference="huggingface/transformers#24099",
        shown_by=lambda: observe.greedy(forced_eos_token_id=1),
        patch=lambda: edited(
            f"{PROCESS}:ForcedEOSTokenLogitsProcessor.__call__",
            ("cur_len == self.max_length - 1", "cur_len == self.max_length"),
        ),
    ),
    Fault(
        "length-decay-turned-round-for-negative-scores",
        "The growing reward for ending is a growing penalty if the score of the end is negative.",
        reference="huggingface/transformers#25416",
        shown_by=lambda: observe.beams(exponential_decay_length_penalty=(1, 1.5)),
        patch=lambda: edited(
            f"{PROCESS}:ExponentialDecayLengthPenalty.__call__",
            ("torch.abs(scores[:, self.eos_token_id])", "scores[:, self.eos_token_id]"),
        ),
    ),
    Fault(
        "repetition-penalty-for-each-occurrence",
        "The repetition penalty is applied once per occurrence of a token instead of once.",
        reference="huggingface/transformers.js#1062",
        shown_by=lambda: observe.greedy(repetition_penalty=1.3),
        patch=lambda: edited(
            f"{PROCESS}:RepetitionPenaltyLogitsProcessor.__call__",
            ("score * self.penalty, score / self.penalty)", "self.penalty, 1 / self.penalty).to(scores.dtype)"),
            (
                "scatter(1, input_ids, score)",
                'mul(torch.ones_like(scores).scatter_reduce(1, input_ids, score, "prod"))',
            ),
        ),
        later=True,
    ),
)
