"""TensorFlow's GPT-2, its generation, and upstream's Transformer-XL in TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutations import observations as observe
from tests.mutations.fault import fault
from tests.mutations.patches import edited

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

GPT2 = "transformers.models.gpt2.modeling_tf_gpt2"
MIXIN = "transformers.generation.tf_utils:TFGenerationMixin"
PROCESS = "transformers.generation.tf_logits_process"
TRANSFO_XL = "transformers.models.deprecated.transfo_xl.modeling_tf_transfo_xl"


@fault(
    "TensorFlow's generation counts positions from the row's start, padding included.",
    reference="huggingface/transformers#17426",
    engine="tensorflow",
    shown_by=lambda: observe.tf_generated(),
)
def tf_positions_count_left_padding() -> AbstractContextManager[None]:
    return edited(
        f"{GPT2}:TFGPT2LMHeadModel.prepare_inputs_for_generation",
        ("tf.math.cumsum(attention_mask,", "tf.math.cumsum(tf.ones_like(attention_mask),"),
    )


@fault(
    "TensorFlow's classifier pools by the number of tokens, whatever side the padding is on.",
    reference="huggingface/transformers#24265",
    engine="tensorflow",
    shown_by=lambda: observe.tf_classified(observe.PROMPTS),
)
def tf_pooled_by_the_number_of_tokens() -> AbstractContextManager[None]:
    return edited(
        f"{GPT2}:TFGPT2ForSequenceClassification.call",
        (
            "tf.reduce_max(token_indices * non_pad_mask, axis=-1)",
            "tf.reduce_sum(0 * token_indices + non_pad_mask, axis=-1) - 1",
        ),
    )


@fault(
    "TensorFlow's beam scores are divided by the full length, prompt included.",
    reference="huggingface/transformers#27351",
    engine="tensorflow",
    shown_by=lambda: observe.tf_generated(num_beams=3, num_return_sequences=3, length_penalty=2.0),
)
def tf_length_penalty_counts_the_prompt() -> AbstractContextManager[None]:
    return edited(
        f"{MIXIN}.beam_search",
        ("tf.cast(cur_len + 1 - decoder_prompt_len, dtype=tf.float32)", "tf.cast(cur_len + 1, dtype=tf.float32)"),
    )


@fault(
    "TensorFlow's beam search stops as soon as one row of a batch cannot improve.",
    reference="huggingface/transformers#20853",
    engine="tensorflow",
    shown_by=lambda: observe.tf_generated(num_beams=3, max_new_tokens=7, eos_token_id=[1, 2, 3, 4, 5]),
)
def tf_first_finished_row_ends_the_batch() -> AbstractContextManager[None]:
    return edited(
        f"{MIXIN}.beam_search",
        (
            "tf.math.reduce_any(best_running_score > worst_finished_score)",
            "tf.math.reduce_all(best_running_score > worst_finished_score)",
        ),
    )


@fault(
    "TensorFlow blocks the n-grams of the first row in all rows.",
    reference="huggingface/transformers#16974",
    engine="tensorflow",
    shown_by=lambda: observe.tf_generated(no_repeat_ngram_size=1),
)
def tf_ngrams_of_the_first_row() -> AbstractContextManager[None]:
    return edited(
        f"{PROCESS}:TFNoRepeatNGramLogitsProcessor.calc_banned_ngram_tokens",
        ("gen_tokens = prev_input_ids[idx].numpy()", "gen_tokens = prev_input_ids[0].numpy()"),
    )


@fault(
    "TensorFlow's causal mask is aligned with the first key, so that a cached step sees one word.",
    reference="pytorch/pytorch#108108",
    engine="tensorflow",
    shown_by=lambda: observe.tf_logits(cached=2),
)
def tf_causal_mask_aligned_with_the_first_key() -> AbstractContextManager[None]:
    return edited(f"{GPT2}:TFAttention.causal_attention_mask", ("m = i >= j - ns + nd", "m = i >= j + 0 * (ns - nd)"))


@fault(
    "TensorFlow's repetition penalty divides negative scores too.",
    reference="huggingface/transformers#2303",
    engine="tensorflow",
    shown_by=lambda: observe.tf_generated(repetition_penalty=1.8),
)
def tf_repetition_penalty_divides_negative_scores() -> AbstractContextManager[None]:
    return edited(
        f"{PROCESS}:TFRepetitionPenaltyLogitsProcessor._create_score_penalties",
        (
            "tf.where(logit_penalties < 0, self.penalty, logit_penalties)",
            "tf.where(logit_penalties < 0, 1 / self.penalty, logit_penalties)",
        ),
    )


@fault(
    "TensorFlow's mean counts ignored labels.",
    reference="huggingface/transformers#5395",
    engine="tensorflow",
    shown_by=lambda: observe.tf_loss(((7, 3, -100, 3), (-100, 5, 4, 5), (-100, -100, 8, 2))),
)
def tf_ignored_labels_counted_in_the_mean() -> AbstractContextManager[None]:
    return edited(
        "transformers.modeling_tf_utils:TFCausalLanguageModelingLoss.hf_compute_loss",
        ("tf.reduce_sum(masked_loss) / tf.reduce_sum(loss_mask)", "tf.reduce_mean(masked_loss)"),
    )


@fault(
    "TensorFlow's greedy search goes on writing after a row's end-of-sequence token.",
    reference="huggingface/transformers#15786",
    engine="tensorflow",
    shown_by=lambda: observe.tf_generated(eos_token_id=[1, 2, 3, 4, 5], max_new_tokens=6),
)
def tf_greedy_does_not_pad_finished_rows() -> AbstractContextManager[None]:
    return edited(
        f"{MIXIN}.greedy_search",
        ("next_tokens * unfinished_seq + pad_token_id * (1 - unfinished_seq)", "next_tokens + 0 * unfinished_seq"),
    )


@fault(
    "TensorFlow's classifier gives one loss for the batch, summed, where it gave one for each text.",
    reference="huggingface/transformers#19308",
    engine="tensorflow",
    shown_by=lambda: observe.tf_classified(observe.RIGHT_PADDED, labels=[0, 1, 2]),
)
def tf_classification_loss_summed() -> AbstractContextManager[None]:
    return edited(
        "transformers.modeling_tf_utils:TFSequenceClassificationLoss.hf_compute_loss",
        (
            "from_logits=True, reduction=keras.losses.Reduction.NONE",
            "from_logits=True, reduction=keras.losses.Reduction.SUM",
        ),
    )


@fault(
    "TensorFlow's Transformer-XL keeps more words in memory than mem_len.",
    reference="huggingface/transformers#2970",
    engine="tensorflow",
    shown_by=lambda: observe.tf_transfo_xl(texts=3),
)
def tf_transfo_xl_memory_grows() -> AbstractContextManager[None]:
    return edited(
        f"{TRANSFO_XL}:TFTransfoXLMainLayer._update_mems",
        ("new_mems.append(cat[beg_idx:end_idx])", "new_mems.append(cat[beg_idx - beg_idx : end_idx])"),
    )


@fault(
    "TensorFlow's Transformer-XL pools its first word where a text has no padding.",
    reference="huggingface/transformers#25743",
    engine="tensorflow",
    shown_by=lambda: observe.tf_transfo_xl("TFTransfoXLForSequenceClassification", num_labels=3, pad_token_id=1),
)
def tf_transfo_xl_pools_the_first_word() -> AbstractContextManager[None]:
    return edited(
        f"{TRANSFO_XL}:TFTransfoXLForSequenceClassification.call",
        (
            "tf.where(sequence_lengths >= 0, sequence_lengths, input_ids.shape[-1] - 1)",
            "tf.maximum(sequence_lengths, 0)",
        ),
    )
