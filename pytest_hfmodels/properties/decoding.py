"""Checks the decisions of `generate` by the reference: greedy and beam search, any settings, any language model.

NumPy is imported inside, and hypothesis not at all.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.properties.logits import OwnLogits, own_logits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_hfmodels.engines import Generation
    from pytest_hfmodels.engines.base import FloatArray, IntArray
    from pytest_hfmodels.models import HFModel
    from pytest_hfmodels.reference import Mismatch, Rules, Settings

    Rows = tuple[tuple[int, ...], ...]

_NO_SEQUENCE = -1e8  # a score below this marks a missing sequence
_DEFAULT_LENGTH = 20


@dataclass(frozen=True)
class Counterexample:
    """A call of `generate` that returned something wrong, and the line of Python that repeats it.

    Args:
        ids: the prompts, padding included; only one if that shows the fault.
        mask: their mask.
        settings: those of `generate`.
        what: the difference, in words.
        checker: the function that found it.
        arguments: its other arguments, by name.
    """

    ids: Rows
    mask: Rows
    settings: Settings
    what: str
    checker: str = "check_decoding"
    arguments: tuple[tuple[str, object], ...] = ()

    @property
    def again(self) -> str:
        """A line of Python that finds it again, in a test that calls the model `hf_model`."""
        ids, mask = ([list(row) for row in rows] for rows in (self.ids, self.mask))
        more = "".join(f", {name}={value!r}" for name, value in self.arguments)
        return f"{self.checker}(hf_model, {ids}, {mask}, {self.settings!r}{more})"

    def __str__(self) -> str:
        return f"{self.what}\nRepeat it with\n{self.again}"


def check_decoding(
    model: HFModel,
    ids: Sequence[Sequence[int]],
    mask: Sequence[Sequence[int]] | None,
    settings: Settings,
    rules: Rules | None = None,
    *,
    tolerance: float | None = None,
    **arguments: Any,
) -> Counterexample | None:
    """Generate once for a batch and return the first thing that the reference does not allow, or None.

    Every choice must be within the tolerance of the best. Every returned score, and the processed scores of the whole
    vocabulary at every returned step, must be the reference's. The reference reads the model's own logits from
    separate forward passes without padding, so padding must not change anything.

    Args:
        model: a language model, on either engine.
        ids: prompts, (B, L), padded on the left; all of one length if the model takes no mask.
        mask: (B, L), 0 at padding; None if there is no padding.
        settings: what to ask for; the model's generation configuration has the others.
        rules: by default those of the installed release and the engine.
        tolerance: of two scores closer than this either may win; relative above 1. By default the reference's own.
        **arguments: more keywords of `generate` that should change nothing, such as `use_cache=False`.
    """
    rules = installed_rules(model) if rules is None else rules
    rows, ones = as_rows(ids, mask)

    def mismatch(rows: Rows, ones: Rows) -> Mismatch | None:
        generation = observed(model, rows, ones, settings, **arguments)
        return difference(model, rows, ones, settings, generation, rules, tolerance=tolerance)

    found = mismatch(rows, ones)
    if found is None:
        return None
    rows, ones, found = _smallest(rows, ones, found, mismatch)
    return Counterexample(rows, ones, settings, _words(found), arguments=tuple(arguments.items()))


def installed_rules(model: HFModel) -> Rules:
    """Return the rules of the installed release for a model's engine."""
    from pytest_hfmodels.engines.availability import installed
    from pytest_hfmodels.reference import Rules

    return Rules.of(installed("transformers") or "", model.engine)


def observed(model: HFModel, ids: object, mask: object, settings: Settings, **arguments: Any) -> Generation:
    """Return what the library generates, without its warnings about the settings.

    Args:
        model: a language model.
        ids: prompts, (B, L).
        mask: (B, L), or None.
        settings: those that differ from the defaults are passed.
        **arguments: more keywords of `generate`.
    """
    import numpy as np

    from pytest_hfmodels.engines import upstream
    from pytest_hfmodels.engines.base import PROCESS_LOCK

    ones = None if mask is None else np.asarray(mask, np.int64)
    with PROCESS_LOCK, warnings.catch_warnings(), upstream.quiet():
        warnings.simplefilter("ignore")
        return model.loaded.generate(np.asarray(ids, np.int64), ones, {**keywords(settings), **arguments})


def difference(
    model: HFModel,
    ids: object,
    mask: object,
    settings: Settings,
    generation: Generation,
    rules: Rules,
    *,
    tolerance: float | None = None,
) -> Mismatch | None:
    """Return the first thing in what the library generated that the reference does not allow, or None.

    Args:
        model: the reference reads its logits; another model may have generated.
        ids: the prompts, (B, L).
        mask: their mask, (B, L).
        settings: the settings that were asked for.
        generation: the output.
        rules: those of the library that generated.
        tolerance: see `check_decoding`.
    """
    from pytest_hfmodels.reference import TOLERANCE, beam_search, check_beams, check_greedy
    from pytest_hfmodels.reference.search import as_prompts

    tolerance = TOLERANCE if tolerance is None else tolerance
    prompts, ones = as_prompts(ids, mask)
    asked = resolved(model, settings)
    logits = own_logits(model, prompts.shape[1])
    returned = _Returned(generation, prompts, ones, asked, rules)
    if asked.num_beams > 1:
        beam_search(logits, prompts, ones, asked, rules)  # one pass over all prompts, whose logits are used again below
        scores = generation.sequence_scores
        found = check_beams(logits, prompts, ones, asked, generation.sequences, scores, rules, tolerance=tolerance)
    else:
        logits.read(returned.texts())
        found = check_greedy(logits, prompts, ones, asked, generation.sequences, None, rules, tolerance=tolerance)
    return found or returned.wrong_scores(logits, tolerance)


def resolved(model: HFModel, settings: Settings) -> Settings:
    """Return the settings, with the values of a model's generation configuration for those that are not given."""
    own = model.model.generation_config
    found: dict[str, Any] = {}
    for field in fields(settings):
        value = getattr(own, field.name, None)
        if getattr(settings, field.name) == field.default and value is not None and value != field.default:
            found[field.name] = value
    if found.get("max_length") == _DEFAULT_LENGTH or settings.max_new_tokens is not None:
        found.pop("max_length", None)  # what releases before 5.0 write there stands for "unset"
    return replace(settings, **found)


def keywords(settings: Settings) -> dict[str, Any]:
    """Return the settings that differ from the defaults, as `generate` takes them."""
    given = settings.given
    for name in ("bad_words_ids", "eos_token_id", "forced_eos_token_id", "suppress_tokens", "begin_suppress_tokens"):
        if isinstance(given.get(name), tuple):
            given[name] = list(given[name])
    if "bad_words_ids" in given:
        given["bad_words_ids"] = [list(word) for word in given["bad_words_ids"]]
    return given


def as_rows(ids: Iterable[Iterable[int]], mask: Iterable[Iterable[int]] | None) -> tuple[Rows, Rows]:
    """Return prompts and mask as tuples; without a mask every token counts."""
    rows = tuple(tuple(int(token) for token in row) for row in ids)
    if mask is None:
        return rows, tuple((1,) * len(row) for row in rows)
    return rows, tuple(tuple(int(one) for one in row) for row in mask)


def stripped(row: Sequence[int], ones: Sequence[int]) -> tuple[int, ...]:
    """Return a prompt without its padding on the left."""
    return tuple(row[list(ones).index(1) :])


@dataclass(frozen=True)
class _Returned:
    """What the library returned for some prompts, without missing sequences."""

    generation: Generation
    prompts: IntArray
    mask: IntArray
    settings: Settings
    rules: Rules

    def texts(self) -> list[tuple[int, ...]]:
        """The whole sequences, without padding on the left."""
        starts = self.mask.argmax(axis=1)
        return [tuple(row[start:]) for row, start in zip(self.generation.sequences.tolist(), starts, strict=True)]

    def wrong_scores(self, logits: OwnLogits, tolerance: float) -> Mismatch | None:
        """Return the first returned token at whose step a processed score is not the reference's."""
        import numpy as np

        prompt_length = self.prompts.shape[1]
        sequences, each = self.generation.sequences, self.settings.num_return_sequences
        mask = np.repeat(self.mask, each, axis=0)
        lengths = self._lengths()
        for step in range(min(sequences.shape[1] - prompt_length, len(self.generation.scores))):
            rows = [row for row in range(len(sequences)) if step < lengths[row] and self._source(row, step) >= 0]
            if not rows:
                break
            found = self.generation.scores[step, [self._source(row, step) for row in rows]]
            expected = self._expected(logits, sequences[rows, : prompt_length + step], mask[rows])
            wrong = _apart(found, expected, tolerance)
            if wrong.any():
                place, token = (int(index) for index in np.argwhere(wrong)[0])
                what = (
                    f"at generated token {step + 1} of sequence {rows[place] % each + 1} the score of token {token} is "
                    f"{found[place, token]:.6g} instead of {expected[place, token]:.6g}"
                )
                return self._mismatch(rows[place], what)
        return None

    def _expected(self, logits: OwnLogits, so_far: IntArray, prompt_mask: IntArray) -> FloatArray:
        from pytest_hfmodels.reference import process
        from pytest_hfmodels.reference.search import grown, log_softmax

        mask = grown(prompt_mask, so_far.shape[1])
        scores = logits(so_far, mask)
        if self.settings.num_beams > 1:
            scores = log_softmax(scores)
        return process(scores, so_far, mask, self.settings, self.prompts.shape[1], self.rules)

    def _lengths(self) -> list[int]:
        """Return how many tokens each sequence has, its end included; 0 for a missing one."""
        lengths = [len(cut(row, self.settings.eos)) for row in self._continuations()]
        scores = self.generation.sequence_scores
        if scores is None:
            return lengths
        return [length if score > _NO_SEQUENCE else 0 for length, score in zip(lengths, scores, strict=True)]

    def _source(self, row: int, step: int) -> int:
        """Return the row of the scores that a token was chosen from, or -1."""
        indices = self.generation.beam_indices
        if indices is None:
            return row
        return int(indices[row, step]) if step < indices.shape[1] else -1

    def _continuations(self) -> list[list[int]]:
        found: list[list[int]] = self.generation.sequences[:, self.prompts.shape[1] :].tolist()
        return found

    def _mismatch(self, row: int, what: str) -> Mismatch:
        from pytest_hfmodels.reference import Mismatch

        each = self.settings.num_return_sequences
        first = row - row % each
        returned = tuple(tuple(tokens) for tokens in self._continuations()[first : first + each])
        return Mismatch(tuple(self.prompts[row // each].tolist()), returned, what)


def cut(tokens: Sequence[int], ends: Sequence[int]) -> list[int]:
    """Return generated tokens up to the first that ends a text, that one included."""
    for index, token in enumerate(tokens):
        if token in ends:
            return list(tokens[: index + 1])
    return list(tokens)


def _apart(found: FloatArray, expected: FloatArray, tolerance: float) -> Any:
    """Return where two arrays of scores differ by more than the tolerance; NaN and infinities must be the same."""
    import numpy as np

    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        near = np.abs(found - expected) <= tolerance * np.maximum(1, np.abs(expected))
    return ~(same | (near & np.isfinite(expected)))


def _smallest(rows: Rows, ones: Rows, found: Mismatch, mismatch: Any) -> tuple[Rows, Rows, Mismatch]:
    """Return one prompt that shows a mismatch on its own, without padding if possible; otherwise the batch."""
    if len(rows) > 1 or 0 in ones[0]:
        at = rows.index(found.prompt) if found.prompt in rows else 0
        bare = stripped(rows[at], ones[at])
        for row, mask in ((bare, (1,) * len(bare)), (rows[at], ones[at])):
            if (alone := mismatch((row,), (mask,))) is not None:
                return (row,), (mask,), alone
    return rows, ones, found


def _words(found: Mismatch) -> str:
    return str(found) if found.prompt else found.what
