"""The logits processors between the model and the choice, without sampling, each by its documentation.

Every function takes scores (B, V), float64, and returns new ones. In greedy search they are logits, in beam search
log-probabilities, so repetition and decay, which scale them, differ between the two. The ids include the prompt and
its padding. Missing here are those that need an encoder, a second model, a tokenizer or a function of the caller (
`encoder_*`, `guidance_scale`, `watermarking_config`, `prefix_allowed_tokens_fn`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.reference.search import as_tuple, log_softmax

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pytest_hfmodels.reference.rules import Rules
    from pytest_hfmodels.reference.search import FloatArray, IntArray, Settings

_FINITE = np.finfo(np.float32)


def process(
    scores: NDArray[Any], ids: IntArray, mask: IntArray, settings: Settings, prompt_length: int, rules: Rules
) -> FloatArray:
    """Apply what the settings ask for, in the order of every release since 4.30 and of both engines.

    Args:
        scores: (B, V).
        ids: the tokens so far, (B, L).
        mask: (B, L), 0 at padding.
        settings: those of `generate`.
        prompt_length: tokens of the prompt, padding included.
        rules: only those about processors are read.

    Returns:
        (B, V); banned tokens are -inf.
    """
    settings = settings.read_by(rules)
    processed = _by_what_is_there(np.array(scores, np.float64), ids, mask, settings, rules)
    return _by_length(processed, ids.shape[1], settings, prompt_length, rules)


def _by_what_is_there(
    processed: FloatArray, ids: IntArray, mask: IntArray, settings: Settings, rules: Rules
) -> FloatArray:
    """Apply the processors that depend on the tokens so far."""
    whole = rules.sequences_need_their_length
    if settings.sequence_bias:
        processed = add_bias(processed, ids, settings.sequence_bias, whole=whole)
    if settings.repetition_penalty != 1:
        read = np.ones_like(mask) if rules.repetition_counts_padding else mask
        processed = penalise_repetition(processed, ids, settings.repetition_penalty, read)
    if settings.no_repeat_ngram_size > 0:
        processed = ban_repeated_ngrams(processed, ids, settings.no_repeat_ngram_size)
    if settings.bad_words_ids:
        spared = () if rules.eos_is_a_bad_word else settings.eos
        banned = {tuple(word): -np.inf for word in settings.bad_words_ids if tuple(word) not in _alone(spared)}
        processed = add_bias(processed, ids, banned, whole=whole)
    return processed


def _by_length(processed: FloatArray, length: int, settings: Settings, prompt_length: int, rules: Rules) -> FloatArray:
    """Apply the processors that depend on the number of tokens."""
    limit = settings.limit(prompt_length, rules)
    if length < settings.least(prompt_length, rules):
        processed = ban(processed, settings.eos)
    if settings.forced_bos_token_id is not None and length == 1:
        processed = force(processed, (settings.forced_bos_token_id,))
    if settings.forced_eos_token_id is not None and length == limit - 1:
        processed = force(processed, as_tuple(settings.forced_eos_token_id))
    if settings.remove_invalid_values:
        processed = make_finite(processed, minus_infinity=not rules.minus_infinity_stays)
    if settings.exponential_decay_length_penalty is not None:
        start, factor = settings.exponential_decay_length_penalty
        processed = decay(processed, settings.eos, length - prompt_length - start, factor, rules)
    processed = ban(processed, settings.suppress_tokens or ())
    begin = prompt_length + (prompt_length == 1 and settings.forced_bos_token_id is not None)
    if length == begin:
        processed = ban(processed, settings.begin_suppress_tokens or ())
    return log_softmax(processed) if settings.renormalize_logits else processed


def ban(scores: FloatArray, tokens: Sequence[int]) -> FloatArray:
    """Make tokens impossible."""
    banned = scores.copy()
    banned[:, list(tokens)] = -np.inf
    return banned


def force(scores: FloatArray, tokens: Sequence[int]) -> FloatArray:
    """Make all other tokens impossible; the score of these becomes 0."""
    forced = np.full_like(scores, -np.inf)
    forced[:, list(tokens)] = 0
    return forced


def add_bias(
    scores: FloatArray, ids: IntArray, bias: Mapping[tuple[int, ...], float], *, whole: bool = False
) -> FloatArray:
    """Add a bias to the score of the last token of a sequence if the output ends with the tokens before it.

    Bad words are a bias of -inf.

    Args:
        scores: (B, V).
        ids: (B, L).
        bias: the number to add, by sequence of at least one token.
        whole: apply it only if there are as many tokens as the sequence has (`Rules.sequences_need_their_length`).
    """
    added = np.zeros_like(scores)
    length = ids.shape[1]
    for (*before, last), value in bias.items():
        if before and length < len(before) + whole:
            continue
        matches = (ids[:, length - len(before) :] == before).all(axis=1)
        added[matches, last] += value
    return scores + added


def penalise_repetition(scores: FloatArray, ids: IntArray, penalty: float, mask: IntArray | None = None) -> FloatArray:
    """Divide positive scores of earlier tokens by a penalty and multiply negative ones (CTRL, arXiv:1909.05858, §4.1).

    Args:
        scores: (B, V).
        ids: (B, L).
        penalty: above 1 makes repetition less likely.
        mask: (B, L); the tokens before the first 1 of a row are not read.
    """
    penalised = scores.copy()
    for row, said in enumerate(ids):
        start = 0 if mask is None else int(mask[row].argmax())
        tokens = np.unique(said[start:])
        penalised[row, tokens] *= np.where(scores[row, tokens] < 0, penalty, 1 / penalty)
    return penalised


def ban_repeated_ngrams(scores: FloatArray, ids: IntArray, size: int) -> FloatArray:
    """Ban tokens that would repeat an n-gram of prompt and output (arXiv:1705.04304, §2.5)."""
    banned = scores.copy()
    length = ids.shape[1]
    for end in range(size - 1, length):
        earlier, latest = ids[:, end - size + 1 : end], ids[:, length - size + 1 :]
        rows = (earlier == latest).all(axis=1)
        banned[rows, ids[rows, end]] = -np.inf
    return banned


def make_finite(scores: FloatArray, *, minus_infinity: bool = True) -> FloatArray:
    """Make NaN 0 and infinities the greatest and smallest float32.

    Args:
        scores: (B, V).
        minus_infinity: whether -inf is replaced, too (`Rules.minus_infinity_stays`).
    """
    smallest = float(_FINITE.min) if minus_infinity else -np.inf
    return np.nan_to_num(scores, nan=0.0, posinf=float(_FINITE.max), neginf=smallest)


def decay(scores: FloatArray, eos: Sequence[int], late: int, factor: float, rules: Rules) -> FloatArray:
    """Make eos more likely with every token after a start: add |score| · (factor^late - 1).

    Args:
        scores: (B, V).
        eos: the tokens that end a text.
        late: the number of tokens after the start; nothing happens below 1.
        factor: above 1.
        rules: `decay_multiplies`: the score is multiplied by factor^late instead; `decay_frees_the_banned`: a banned
            eos becomes NaN, which upstream's comparisons take for the greatest.
    """
    if late <= 0:
        return scores
    decayed, at = scores.copy(), list(eos)
    if rules.decay_multiplies:
        decayed[:, at] *= factor**late
        return decayed
    banned = np.isneginf(scores[:, at])
    with np.errstate(invalid="ignore"):
        raised = scores[:, at] + np.abs(scores[:, at]) * (factor**late - 1)
    decayed[:, at] = np.where(banned, np.nan if rules.decay_frees_the_banned else -np.inf, raised)
    return decayed


def _alone(tokens: Sequence[int]) -> set[tuple[int, ...]]:
    return {(token,) for token in tokens}
