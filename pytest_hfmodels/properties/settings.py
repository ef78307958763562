"""A strategy for settings of `generate` that fit together. hypothesis is imported inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from hypothesis.strategies import SearchStrategy

    from pytest_hfmodels.reference import Rules, Settings

    Drawn = SearchStrategy[dict[str, Any]]

# Processors that read or count the tokens so far, padding included.
READING_PADDING = (
    "bad_words_ids",
    "forced_bos_token_id",
    "min_length",
    "no_repeat_ngram_size",
    "repetition_penalty",
    "sequence_bias",
)
_MINIMA = ("min_length", "min_new_tokens")
_BANNING = (
    *_MINIMA,
    "bad_words_ids",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "no_repeat_ngram_size",
    "sequence_bias",
)


def generation_settings(
    vocabulary: int | Sequence[int],
    *,
    prompt_length: int,
    rules: Rules | None = None,
    beams: bool | None = None,
    most_new: int = 9,
    prompts: Sequence[Sequence[int]] = (),
    without: Collection[str] = (),
) -> SearchStrategy[Settings]:
    """Return a strategy for settings that a release accepts together: lengths, ends, beams and up to three processors.

    Nothing is drawn that the library refuses or that no release defines (see docs/reference.md). Examples shrink to
    `Settings(max_new_tokens=1)` and one more setting.

    Args:
        vocabulary: the ids that settings may name, or how many there are.
        prompt_length: tokens of the prompts, padding included.
        rules: those of the release and engine; by default the newest known.
        beams: whether to search with several beams; None draws it.
        most_new: the most tokens after the prompt.
        prompts: the prompts; half of the words that settings name then begin like the end of one of them.
        without: names of settings that are not drawn, such as `READING_PADDING`.
    """
    from hypothesis import strategies as st

    from pytest_hfmodels.reference import Rules, Settings

    asked = rules or Rules()
    ids = range(vocabulary) if isinstance(vocabulary, int) else list(vocabulary)
    tokens = st.sampled_from(ids)
    left_out = {*without, *asked.lacking}
    words = _words(tokens, [row for row in prompts if len(row)])
    processors = {name: drawn for name, drawn in _processors(tokens, words, most_new).items() if name not in left_out}
    # A name with its value, so that the shrinker can remove each on its own.
    processing = st.sampled_from(sorted(processors)).flatmap(lambda name: st.tuples(st.just(name), processors[name]))

    @st.composite
    def settings(draw: st.DrawFn) -> Settings:
        searching = draw(st.booleans()) if beams is None else beams
        new, whole = draw(st.integers(1, most_new)), draw(st.integers(0, 3)) == 3 and "max_length" not in left_out
        chosen: dict[str, Any] = {"max_length": prompt_length + new} if whole else {"max_new_tokens": new}
        most_ends = 1 if searching and asked.too_few_beams_raise else min(6, len(ids) - 1)
        ends = draw(st.lists(tokens, max_size=most_ends, unique=True))
        if ends and "eos_token_id" not in without:
            chosen["eos_token_id"] = ends[0] if len(ends) == 1 else ends
            padding = draw(st.sampled_from([None, ends[0], ends[-1], ids[0], draw(tokens)]))
            chosen |= {} if padding is None else {"pad_token_id": padding}
        if searching:
            chosen |= draw(_of_beams(left_out))
        if processors:
            chosen |= dict(draw(st.lists(processing, max_size=3, unique_by=lambda pair: pair[0])))
        return Settings(**_fitting(chosen, asked, prompt_length))

    return settings()


def _of_beams(left_out: Collection[str]) -> Drawn:
    from hypothesis import strategies as st

    @st.composite
    def of_beams(draw: st.DrawFn) -> dict[str, Any]:
        count = draw(st.integers(2, 4))
        drawn = {
            "num_beams": count,
            "num_return_sequences": draw(st.integers(1, count)),
            "length_penalty": draw(st.sampled_from([1.0, 0.0, -1.0, 0.5, 2.0])),
            "early_stopping": draw(st.sampled_from([False, True, "never"])),
        }
        return {name: value for name, value in drawn.items() if name not in left_out}

    return of_beams()


def _words(tokens: SearchStrategy[int], prompts: Sequence[Sequence[int]]) -> SearchStrategy[list[int]]:
    """Return a strategy for words of one to three tokens, or of the end of a prompt and one more token."""
    from hypothesis import strategies as st

    free = st.lists(tokens, min_size=1, max_size=3)
    if not prompts:
        return free

    @st.composite
    def continued(draw: st.DrawFn) -> list[int]:
        prompt = draw(st.sampled_from(prompts))
        start = draw(st.integers(0, len(prompt)))
        return [*prompt[start:], draw(tokens)]

    return free | continued()


def _processors(
    tokens: SearchStrategy[int], words: SearchStrategy[list[int]], most_new: int
) -> Mapping[str, SearchStrategy[Any]]:
    from hypothesis import strategies as st

    few = st.lists(tokens, min_size=1, max_size=3, unique=True)
    biases = st.sampled_from([0.5, -0.5, 3.0, -5.0])
    return {
        "repetition_penalty": st.sampled_from([1.3, 0.7, 2.0]),
        "no_repeat_ngram_size": st.integers(1, 4),
        "bad_words_ids": st.lists(words, min_size=1, max_size=6),
        "sequence_bias": st.dictionaries(words.map(tuple), biases, min_size=1, max_size=4),
        "min_length": st.integers(1, 12),
        "min_new_tokens": st.integers(1, most_new),
        "forced_bos_token_id": tokens,
        "forced_eos_token_id": tokens | few,
        "suppress_tokens": few,
        "begin_suppress_tokens": few,
        "remove_invalid_values": st.just(True),
        "renormalize_logits": st.just(True),
        "exponential_decay_length_penalty": st.tuples(st.integers(0, 4), st.sampled_from([1.05, 1.5])),
    }


def _fitting(chosen: dict[str, Any], rules: Rules, prompt_length: int) -> dict[str, Any]:
    """Return drawn settings without those that do not fit the others."""
    from pytest_hfmodels.reference import Settings

    limit = chosen.get("max_length", prompt_length + chosen.get("max_new_tokens", 0))
    fitting = dict(chosen)
    if "min_length" in fitting:
        fitting["min_length"] = min(fitting["min_length"], limit)
    if "min_new_tokens" in fitting:
        fitting["min_new_tokens"] = min(fitting["min_new_tokens"], limit - prompt_length)
    ends = Settings(**fitting).eos
    for name in _misfits(fitting, ends, rules):
        fitting.pop(name, None)
    return fitting


def _misfits(chosen: Mapping[str, Any], ends: Sequence[int], rules: Rules) -> set[str]:
    """Return the names of settings that the others make invalid or meaningless."""
    forced = {*_as_list(chosen.get("forced_bos_token_id")), *_as_list(chosen.get("forced_eos_token_id"))}
    misfits: set[str] = set()
    if forced & {*chosen.get("suppress_tokens", ())}:
        misfits.add("suppress_tokens")  # nothing would be left
    if rules.minima_take_one_eos and len(ends) > 1:
        misfits |= {*_MINIMA}
    if rules.minima_take_one_eos and isinstance(chosen.get("forced_eos_token_id"), list):
        misfits.add("forced_eos_token_id")
    decay = "exponential_decay_length_penalty"
    if decay in chosen and not ends:
        misfits.add(decay)  # refused: nothing to make likelier
    elif decay in chosen and "remove_invalid_values" in chosen:
        misfits |= {*_BANNING}  # float32 overflows where a ban is made finite and grows
    elif decay in chosen and rules.decay_frees_the_banned and chosen.get("num_beams", 1) > 1:
        misfits |= {*_BANNING}  # NaN, for which beam search is not defined
    return misfits


def _as_list(value: int | Sequence[int] | None) -> list[int]:
    if value is None:
        return []
    return [value] if isinstance(value, int) else list(value)
