"""TensorFlow's GPT-2, its generation, and upstream's Transformer-XL in TensorFlow."""

from __future__ import annotations

from tests.mutations import observations as observe
from tests.mutations.fault import Fault
from tests.mutations.patches import edited

GPT2 = "transformers.models.gpt2.modeling_tf_gpt2"
MIXIN = "transformers.generation.tf_utils:TFGenerationMixin"
PROCESS = "transformers.generation.tf_logits_process"
TRANSFO_XL = "transformers.models.deprecated.transfo_xl.modeling_tf_transfo_xl"

FAULTS = (
    Fault(
        "tf-positions-count-left-padding",
        "TensorFlow's generation counts positions from the row's start, padding included.",
        reference="huggingface/transformers#17426",
        shown_by=observe.tf_generated,
        patch=lambda: edited(
            f"{GPT2}:TFGPT2LMHeadModel.prepare_inputs_for_generation",
            ("tf.math.cumsum(attention_mask,", "tf.math.cumsum(tf.ones_like(attention_mask),"),
        ),
        engine="tensorflow",
    ),
    Fault(
        "tf-pooled-by-the-number-of-tokens",
        "TensorFlow's classifier reads index `number of tokens - 1`, on whichever side the padding is.",
        reference="huggingface/transformers#24265",
        shown_by=lambda: observe.tf_classified(observe.PROMPTS),
        patch=lambda: edited(
            f"{GPT2}:TFGPT2ForSequenceClassification.call",
            ("reduce_max(token_indices * non_pad_mask, axis=-1)", "reduce_sum(non_pad_mask, axis=-1) - 1"),
        ),
        engine="tensorflow",
    ),
    Fault(
        "tf-length-penalty-counts-the-prompt",
        "TensorFlow's beam scores are divided by the full length, prompt included.",
        reference="huggingface/transformers#27351",
        shown_by=lambda: observe.tf_generated(num_beams=3, num_return_sequences=3, length_penalty=2.0),
        patch=lambda: edited(
            f"{MIXIN}.beam_search",
            ("tf.cast(cur_len + 1 - decoder_prompt_len, dtype=tf.float32)", "tf.cast(cur_len + 1, dtype=tf.float32)"),
        ),
        engine="tensorflow",
    ),
    Fault(
        "tf-first-finished-row-ends-the-batch",
        "TensorFlow's beam search stops as soon as one row of a batch cannot improve.",
        reference="huggingface/transformers#20853",
        shown_by=lambda: observe.tf_generated(num_beams=3, max_new_tokens=7, eos_token_id=[1, 2, 3, 4, 5]),
        patch=lambda: edited(
            f"{MIXIN}.beam_search", ("reduce_any(best_running_score", "reduce_all(best_running_score")
        ),
        engine="tensorflow",
    ),
    Fault(
        "tf-ngrams-of-the-first-row",
        "TensorFlow blocks the n-grams of the first row in all rows.",
        reference="huggingface/transformers#16974",
        shown_by=lambda: observe.tf_generated(no_repeat_ngram_size=1),
        patch=lambda: edited(
            f"{PROCESS}:TFNoRepeatNGramLogitsProcessor.calc_banned_ngram_tokens",
            ("gen_tokens = prev_input_ids[idx].numpy()", "gen_tokens = prev_input_ids[0].numpy()"),
        ),
        engine="tensorflow",
    ),
    Fault(
        "tf-causal-mask-aligned-with-the-first-key",
        "TensorFlow's causal mask is aligned with the first key, so a cached step sees one word.",
        reference="pytorch/pytorch#108108",
        shown_by=lambda: observe.tf_logits(cached=2),
        patch=lambda: edited(
            f"{GPT2}:TFAttention.causal_attention_mask", ("m = i >= j - ns + nd", "m = i >= j + 0 * (ns - nd)")
        ),
        engine="tensorflow",
    ),
    Fault(
        "tf-repetition-penalty-divides-negative-scores",
        "TensorFlow's repetition penalty also divides negative scores.",
        reference="huggingface/transformers#2303",
        shown_by=lambda: observe.tf_generated(repetition_penalty=1.8),
        patch=lambda: edited(
            f"{PROCESS}:TFRepetitionPenaltyLogitsProcessor._create_score_penalties",
            ("< 0, self.penalty, logit_penalties)", "< 0, 1 / self.penalty, logit_penalties)"),
        ),
        engine="tensorflow",
    ),
    Fault(
        "tf-ignored-labels-counted-in-the-mean",
        "TensorFlow's mean counts ignored labels.",
        reference="huggingface/transformers#5395",
        shown_by=lambda: observe.tf_loss(((7, 3, -100, 3), (-100, 5, 4, 5), (-100, -100, 8, 2))),
        patch=lambda: edited(
            "transformers.modeling_tf_utils:TFCausalLanguageModelingLoss.hf_compute_loss",
            ("tf.reduce_sum(masked_loss) / tf.reduce_sum(loss_mask)", "tf.reduce_mean(masked_loss)"),
        ),
        engine="tensorflow",
    ),
    Fault(
        "tf-greedy-does-not-pad-finished-rows",
        "TensorFlow's greedy search keeps generating after a row's end-of-sequence token instead of padding.",
        reference="huggingface/transformers#15786",
        shown_by=lambda: observe.tf_generated(eos_token_id=[1, 2, 3, 4, 5], max_new_tokens=6),
        patch=lambda: edited(
            f"{MIXIN}.greedy_search",
            ("next_tokens * unfinished_seq + pad_token_id * (1 - unfinished_seq)", "next_tokens + 0 * unfinished_seq"),
        ),
        engine="tensorflow",
    ),
    Fault(
        "tf-classification-loss-summed",
        "TensorFlow's classifier returns one summed loss for the batch instead of one per text.",
        reference="huggingface/transformers#19308",
        shown_by=lambda: observe.tf_classified(observe.RIGHT_PADDED, labels=[0, 1, 2]),
        patch=lambda: edited(
            "transformers.modeling_tf_utils:TFSequenceClassificationLoss.hf_compute_loss",
            ("True, reduction=keras.losses.Reduction.NONE", "True, reduction=keras.losses.Reduction.SUM"),
        ),
        engine="tensorflow",
    ),
    Fault(
        "tf-transfo-xl-memory-grows",
        "TensorFlow's Transformer-XL keeps more words in memory than mem_len.",
        reference="huggingface/transformers#2970",
        shown_by=lambda: observe.tf_transfo_xl(texts=3),
        patch=lambda: edited(
            f"{TRANSFO_XL}:TFTransfoXLMainLayer._update_mems",
            ("new_mems.append(cat[beg_idx:end_idx])", "new_mems.append(cat[beg_idx - beg_idx : end_idx])"),
        ),
        engine="tensorflow",
    ),
    Fault(
        "tf-transfo-xl-pools-the-first-word",
        "TensorFlow's Transformer-XL classifier reads the first word if a text has no padding.",
        reference="huggingface/transformers#25743",
        shown_by=lambda: observe.tf_transfo_xl("TFTransfoXLForSequenceClassification", num_labels=3, pad_token_id=1),
        patch=lambda: edited(
            f"{TRANSFO_XL}:TFTransfoXLForSequenceClassification.call",
            (
                "tf.where(sequence_lengths >= 0, sequence_lengths, input_ids.shape[-1] - 1)",
                "tf.maximum(sequence_lengths, 0)",
            ),
        ),
        engine="tensorflow",
    ),
)
