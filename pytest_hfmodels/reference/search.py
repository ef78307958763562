"""Shared by greedy and beam search: the model as a function, the settings, decisions that are too close to call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pytest_hfmodels.reference.rules import Rules

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
# From ids (B, L) and mask (B, L), int64, 1 where a token counts, to the logits of the next token (B, V).
Logits = Callable[[IntArray, IntArray], NDArray[Any]]
Result = TypeVar("Result")

TOLERANCE = 2e-5  # nats below 1, relative above; float32 sums of a few log-probabilities are about 1e-6 from ours
_DEFAULT_LENGTH = 20


@dataclass(frozen=True, repr=False)
class Settings:
    """The settings of `generate`, by its names, for greedy (one beam) and beam search without sampling.

    Its repr is the call that makes it, without defaults: `Settings(num_beams=2)`.

    Args:
        max_length: the most tokens, prompt included.
        max_new_tokens: the most tokens after the prompt; overrides `max_length`. Without either: 20, see `Rules`.
        min_length: eos is banned while there are fewer tokens, prompt included.
        min_new_tokens: the same for tokens after the prompt; overrides `min_length`, see `Rules`.
        num_beams: how many hypotheses are followed.
        num_return_sequences: how many hypotheses are returned for each prompt.
        length_penalty: a beam's score is its log-probability divided by its length to this power.
        early_stopping: True stops with `num_beams` ended hypotheses; False once the best open one, at its present
            length, is no better than the worst of them; "never" once it cannot become better.
        eos_token_id: the tokens that end a hypothesis; one or several.
        pad_token_id: the token after the end; by default the first eos.
        repetition_penalty: see `processors`, also for all below.
        no_repeat_ngram_size: 0 bans nothing.
        bad_words_ids: sequences of ids.
        sequence_bias: the number to add to the last id's score, by sequence of ids.
        forced_bos_token_id: the token after a prompt of one token.
        forced_eos_token_id: the token at the length limit; one or several.
        remove_invalid_values: make NaN and infinities finite.
        exponential_decay_length_penalty: a start, in tokens after the prompt, and a factor.
        suppress_tokens: never chosen.
        begin_suppress_tokens: not chosen first.
        renormalize_logits: make the processed scores log-probabilities.
    """

    max_length: int | None = None
    max_new_tokens: int | None = None
    min_length: int = 0
    min_new_tokens: int | None = None
    num_beams: int = 1
    num_return_sequences: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False
    eos_token_id: int | Sequence[int] | None = None
    pad_token_id: int | None = None
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    bad_words_ids: Sequence[Sequence[int]] | None = None
    sequence_bias: Mapping[tuple[int, ...], float] | None = None
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | Sequence[int] | None = None
    remove_invalid_values: bool = False
    exponential_decay_length_penalty: tuple[int, float] | None = None
    suppress_tokens: Sequence[int] | None = None
    begin_suppress_tokens: Sequence[int] | None = None
    renormalize_logits: bool = False

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.given.items())})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print it like its repr in hypothesis's examples (the protocol is IPython's)."""
        del cycle
        printer.text(repr(self))

    @property
    def given(self) -> dict[str, Any]:
        """The settings that differ from the defaults, by name."""
        values = ((one, getattr(self, one.name)) for one in fields(self))
        return {one.name: value for one, value in values if value != one.default}

    def read_by(self, rules: Rules) -> Settings:
        """Return the settings without those that a release does not read (`Rules.lacking`)."""
        unread = rules.lacking & self.given.keys() if rules.lacking else frozenset()
        defaults: dict[str, Any] = {one.name: one.default for one in fields(self) if one.name in unread}
        return replace(self, **defaults) if unread else self

    @property
    def eos(self) -> tuple[int, ...]:
        """The tokens that end a hypothesis."""
        return as_tuple(self.eos_token_id)

    @property
    def pad(self) -> int:
        """The token after an end; -1 if nothing can end."""
        return self.pad_token_id if self.pad_token_id is not None else self.eos[0] if self.eos else -1

    def limit(self, prompt_length: int, rules: Rules) -> int:
        """Return the most tokens, prompt included."""
        if self.max_new_tokens is not None:
            return prompt_length + self.max_new_tokens
        if self.max_length is not None:
            return self.max_length
        return _DEFAULT_LENGTH if rules.default_length_counts_prompt else prompt_length + _DEFAULT_LENGTH

    def least(self, prompt_length: int, rules: Rules) -> int:
        """Return the fewest tokens before an eos, prompt included."""
        if self.min_new_tokens is None:
            return self.min_length
        least = prompt_length + self.min_new_tokens
        return max(self.min_length, least) if rules.both_minima_hold else least


@dataclass(frozen=True)
class Mismatch:
    """A counterexample: one prompt.

    Args:
        prompt: its token ids, padding included.
        returned: the generated ids, one tuple a sequence.
        what: the difference, in words.
    """

    prompt: tuple[int, ...]
    returned: tuple[tuple[int, ...], ...]
    what: str

    def __str__(self) -> str:
        sequences = " and ".join(str(list(ids)) for ids in self.returned)
        return f"after {list(self.prompt)} came {sequences}: {self.what}"


@dataclass
class Ties:
    """Decides between numbers, and counts the decisions that are too close for float32.

    Args:
        tolerance: two numbers at most this far apart, relative to the greater one if that is above 1, may fall either
            way.
        flips: the numbers of the close decisions that go the other way.
        preferred: ids -> rank: in a close decision the smaller rank wins, unless it is flipped.
        close: how many close decisions there were.
    """

    tolerance: float = 0.0
    flips: frozenset[int] = frozenset()
    preferred: Callable[[tuple[int, ...]], int] | None = None
    close: int = field(default=0, init=False)

    def best(self, values: FloatArray, count: int, ids: Callable[[int], tuple[int, ...]]) -> list[int]:
        """Return the indices of the `count` greatest values, greatest first; equal ones in their order.

        Args:
            values: finite, (N,).
            count: how many.
            ids: the hypothesis of an index.
        """
        order = np.argsort(-values, kind="stable").tolist()
        considered = count
        while 0 < considered < len(order) and self._near(values[order[considered - 1]], values[order[considered]]):
            considered += 1  # values as good as the last one may replace it
        found: list[int] = []
        for index in order[:considered]:
            place = len(found)
            while place and self._goes_before(values, index, found[place - 1], ids):
                place -= 1
            found.insert(place, index)
        return found[:count]

    def at_least(self, left: float, right: float) -> bool:
        """Return whether left >= right."""
        return (left >= right) is not (self._near(left, right) and self._flipped())

    def _goes_before(self, values: FloatArray, late: int, early: int, ids: Callable[[int], tuple[int, ...]]) -> bool:
        if not self._near(values[late], values[early]):
            return False
        prefers = self.preferred is not None and self.preferred(ids(late)) < self.preferred(ids(early))
        return prefers is not self._flipped()

    def _near(self, left: float, right: float) -> bool:
        """Return whether two numbers are close; float32 is coarser for large ones."""
        return self.tolerance > 0 and abs(left - right) <= self.tolerance * max(1, abs(left), abs(right))

    def _flipped(self) -> bool:
        self.close += 1
        return self.close - 1 in self.flips


def outcomes(
    run: Callable[[Ties], Result], tolerance: float, preferred: Callable[[tuple[int, ...]], int], most: int
) -> Iterator[Result]:
    """Yield the results of a search for every way to decide its close decisions, fewest flips first.

    Args:
        run: the search.
        tolerance: how close two numbers must be, nats.
        preferred: see `Ties`.
        most: the number of tries.
    """
    waiting: list[tuple[int, ...]] = [()]
    for count in range(most):
        if count == len(waiting):
            return
        flips = waiting[count]
        ties = Ties(tolerance, frozenset(flips), preferred)
        yield run(ties)
        first = flips[-1] + 1 if flips else 0
        waiting += [(*flips, decision) for decision in range(first, ties.close)][:most]


def log_softmax(values: NDArray[Any]) -> FloatArray:
    """Return log-probabilities over the last axis; entries of -inf stay so."""
    shifted = np.asarray(values, np.float64) - values.max(axis=-1, keepdims=True)
    result: FloatArray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def as_tuple(value: int | Sequence[int] | None) -> tuple[int, ...]:
    """Return one id, several or none as a tuple."""
    if value is None:
        return ()
    return (value,) if isinstance(value, int) else tuple(value)


def as_prompts(ids: object, mask: object | None) -> tuple[IntArray, IntArray]:
    """Return ids and mask as int64 arrays (B, L); without a mask every token counts."""
    prompts: IntArray = np.asarray(ids, np.int64)
    return prompts, np.ones_like(prompts) if mask is None else np.asarray(mask, np.int64)


def grown(mask: IntArray, length: int) -> IntArray:
    """Return a prompt's mask (B, P) for `length` tokens: all tokens after the prompt count, padding included."""
    return np.pad(mask, ((0, 0), (0, length - mask.shape[1])), constant_values=1)
