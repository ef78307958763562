"""Greedy and beam search."""

from __future__ import annotations

from tests.mutations import observations as observe
from tests.mutations.fault import Fault
from tests.mutations.patches import edited

MIXIN = "transformers.generation.utils:GenerationMixin"
CRITERIA = "transformers.generation.stopping_criteria"

FAULTS = (
    Fault(
        "length-penalty-counts-the-prompt",
        "Beam scores are divided by the full length, prompt included.",
        reference="huggingface/transformers#26624",
        shown_by=lambda: observe.beams(length_penalty=2.0),
        patch=lambda: edited(
            f"{MIXIN}._update_finished_beams", ("(cur_len + 1 - decoder_prompt_len)", "(cur_len + 1)")
        ),
    ),
    Fault(
        "stopping-heuristic-one-token-short",
        "A running beam's best possible score is computed for a length that is one token too short.",
        reference="huggingface/transformers#21993",
        shown_by=lambda: observe.beams(
            eos_token_id=[1, 2, 3], max_new_tokens=8, early_stopping=False, length_penalty=2.0
        ),
        patch=lambda: edited(
            f"{MIXIN}._check_early_stop_heuristic",
            ("length = cur_len - decoder_prompt_len", "length = max(cur_len - 1 - decoder_prompt_len, 1)"),
        ),
    ),
    Fault(
        "finished-rows-go-on-with-the-batch",
        "A row whose beams cannot improve continues while another row of the batch can improve.",
        reference="huggingface/transformers#38778",
        shown_by=lambda: observe.beams(eos_token_id=[1, 2, 3], max_new_tokens=8, early_stopping=False),
        patch=lambda: edited(
            f"{MIXIN}._update_finished_beams",
            ("(~is_early_stop_heuristic_unsatisfied).to(torch.float32) * -1.0e9", "0.0"),
        ),
    ),
    Fault(
        "early-stopping-never-is-false",
        'early_stopping="never" uses the heuristic of early_stopping=False.',
        reference="huggingface/transformers#21368",
        shown_by=lambda: observe.beams(
            eos_token_id=[1, 2, 3], max_new_tokens=8, early_stopping="never", length_penalty=2.0
        ),
        patch=lambda: edited(
            f"{MIXIN}._check_early_stop_heuristic",
            ('if early_stopping == "never" and length_penalty > 0.0:', "if early_stopping is None:"),
        ),
    ),
    Fault(
        "improvement-judged-by-the-worst-beam",
        "The worst running beam, not the best, decides whether beams can improve.",
        reference="huggingface/transformers#21368",
        shown_by=lambda: observe.beams(eos_token_id=[1, 2, 3], max_new_tokens=8, early_stopping=False),
        patch=lambda: edited(
            f"{MIXIN}._check_early_stop_heuristic", ("running_beam_scores[:, :1] /", "running_beam_scores[:, -1:] /")
        ),
    ),
    Fault(
        "too-few-candidates-for-several-eos",
        "Twice as many candidates as beams are kept, for any number of end-of-sequence tokens.",
        reference="huggingface/transformers#35802",
        shown_by=lambda: observe.beams(eos_token_id=[1, 2, 3, 4, 5, 6], early_stopping=False),
        patch=lambda: edited(f"{MIXIN}._beam_search", ("max(2, 1 + n_eos_tokens) * num_beams", "2 * num_beams")),
    ),
    Fault(
        "backup-candidates-finish-too",
        "A candidate that ends counts as finished even if it is not among the best `num_beams`.",
        reference="huggingface/transformers#35802",
        shown_by=observe.beams,
        patch=lambda: edited(
            f"{MIXIN}._update_finished_beams", ("& top_num_beam_mask[None, :]", "& (top_num_beam_mask[None, :] | True)")
        ),
    ),
    Fault(
        "beam-indices-without-batch-offset",
        "Beam indices lack the row's offset, so later rows of a batch continue with the first row's cache.",
        reference="huggingface/transformers#18839",
        shown_by=observe.beams,
        patch=lambda: edited(
            f"{MIXIN}._get_top_k_continuations",
            ("topk_current_beam_indices + batch_offset", "topk_current_beam_indices + 0 * batch_offset"),
        ),
    ),
    Fault(
        "beams-start-equal",
        "All beams start with the score of the first, so the same sequence fills several of them.",
        reference="huggingface/transformers#25375",
        shown_by=observe.beams,
        patch=lambda: edited(
            f"{MIXIN}._beam_search", ("running_beam_scores[:, 1:] = -1e9", "running_beam_scores[:, 1:] = 0.0")
        ),
    ),
    Fault(
        "beam-scores-normalised-after-processing",
        "Beam search normalises after the logits processors instead of before, so a ban raises all other scores.",
        reference="huggingface/transformers#47595",
        shown_by=lambda: observe.beams(no_repeat_ngram_size=1),
        patch=lambda: edited(
            f"{MIXIN}._beam_search",
            (
                "log_probs = nn.functional.log_softmax(logits, dim=-1)",
                "log_probs = logits_processor(flat_running_sequences, logits)",
            ),
            (
                "log_probs = logits_processor(flat_running_sequences, log_probs)",
                "log_probs = nn.functional.log_softmax(log_probs, dim=-1)",
            ),
        ),
    ),
    Fault(
        "greedy-does-not-pad-finished-rows",
        "Greedy search keeps generating after a row's end-of-sequence token instead of padding.",
        reference="huggingface/transformers#31261",
        shown_by=lambda: observe.greedy(eos_token_id=[1, 2, 3, 4]),
        patch=lambda: edited(
            f"{MIXIN}._sample",
            ("next_tokens * unfinished_sequences + pad_token_id * (1 - unfinished_sequences)", "next_tokens"),
        ),
    ),
    Fault(
        "first-finished-row-ends-the-batch",
        "Greedy search stops a whole batch with the first row that ends.",
        reference="huggingface/transformers#6126",
        shown_by=lambda: observe.greedy(eos_token_id=[1, 2, 3, 4]),
        patch=lambda: edited(
            f"{MIXIN}._sample", ("unfinished_sequences.max() == 0", "unfinished_sequences.min() == 0")
        ),
    ),
    Fault(
        "only-the-first-eos-ends",
        "Of several end-of-sequence tokens only the first ends a sequence.",
        reference="huggingface/transformers#29459",
        shown_by=lambda: observe.greedy(eos_token_id=[1, 2, 3, 4]),
        patch=lambda: edited(
            f"{CRITERIA}:EosTokenCriteria.__call__",
            ("isin_mps_friendly(input_ids[:, -1], self.eos_token_id)", "input_ids[:, -1] == self.eos_token_id[0]"),
        ),
    ),
    Fault(
        "masks-expanded-in-another-order",
        "Beam search repeats prompts row by row and masks batch by batch, so rows get each other's padding.",
        reference="huggingface/transformers#21624",
        shown_by=observe.beams,
        patch=lambda: edited(
            f"{MIXIN}._expand_inputs_for_generation",
            (
                "dict_to_expand[key].repeat_interleave(expand_size, dim=0)",
                "torch.cat([dict_to_expand[key]] * expand_size)",
            ),
        ),
        later=True,
    ),
)
