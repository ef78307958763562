"""Listens to upstream's `generate`: what it resolves, what it chooses from, and what it returns."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.engines.settings import SETTINGS, plain_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

StepScores = dict[tuple[int, ...], "NDArray[Any]"]

_SINGLE = 4  # bytes of a float32
_METHOD, _GENERATE = "_get_logits_processor", "generate"
_CLASSES = {
    "transformers.generation.utils": "GenerationMixin",
    "transformers.generation.tf_utils": "TFGenerationMixin",
}


@dataclass(frozen=True)
class Resolved:
    """The settings of one `generate` as the library resolved them.

    Args:
        config: the generation configuration with resolved lengths and special tokens.
        plain_scores: whether the scores equal those of one forward pass: no logits processor and no contrast of layers
            is on, nothing is drawn, and it keeps the whole past (Transformer-XL and XLNet keep `mem_len` tokens).
        processors: see `active_processors`; None if unknown.
        prefix: how many ids come before the first generated one; None if unknown.
        heard: of a batch whose scores are not plain: every step's scores before the logits processors, with the number
            of ids so far; empty where they are not those of one forward pass.
    """

    config: Any
    plain_scores: bool
    processors: Mapping[str, Any] | None = None
    prefix: int | None = None
    heard: Sequence[tuple[int, Any]] = ()


@dataclass
class Call:
    """One `generate` of upstream's own class.

    Args:
        given: its first argument: ids, or what the encoder reads.
        resolved: None if unknown.
        output: what it returned; None if it failed, or if the model has a `generate` of its own.
        sequences: of the output, as they were then: before 4.48 Whisper's `generate` cuts their start off.
    """

    given: Any = None
    resolved: Resolved | None = None
    output: Any = None
    sequences: Any = None


@contextmanager
def heard_calls(*, batch: bool = False) -> Iterator[list[Call]]:
    """Capture each `generate` of upstream's in the block, without those of an assistant that run within one.

    A model's own `generate` (Whisper's, BLIP's) calls upstream's, and returns something else in each release. Releases
    also resolve lengths and special tokens at different moments. Every one from 4.30 to 5.23, in both engines, hands
    the result to the method that makes the logits processors. If there are some, a `batch` also captures what comes
    before them: a processor may overwrite the logits, so upstream's `output_logits` is not always the model's own.
    """
    calls: list[Call] = []
    running: list[Call] = []

    def hear(model: Any, processors: Any, config: Any, prefix: Any) -> None:
        if hasattr(config, "to_diff_dict"):  # some releases pass something else; then nothing was captured
            known = isinstance(processors, list) and getattr(config, "dola_layers", None) is None
            whole = known and not getattr(getattr(model, "config", None), "mem_len", None)
            drawn = getattr(config, "do_sample", False)  # before 4.45 its processors are elsewhere
            before = None if prefix is None else int(prefix)
            plain = whole and not processors and not drawn
            active = active_processors(processors, config)
            heard: list[tuple[int, Any]] = []
            if batch and whole and not plain and len(running) < 2:

                def keep(ids: Any, scores: Any) -> None:
                    copy = scores.clone() if hasattr(scores, "clone") else scores  # TensorFlow's never change
                    heard.append((int(ids.shape[1]), copy))

                processors.insert(0, _listener(model, keep))
            found = Resolved(config, plain, active, before, heard)
            if not running:
                calls.append(Call(resolved=found))
            elif running[-1].resolved is None:
                running[-1].resolved = found

    def generate(original: Any) -> Any:
        @wraps(original)  # upstream looks at its name
        def heard(model: Any, *arguments: Any, **keywords: Any) -> Any:
            running.append(Call(arguments[0] if arguments else None))
            try:
                running[-1].output = original(model, *arguments, **keywords)
                running[-1].sequences = getattr(running[-1].output, "sequences", None)
            finally:
                call = running.pop()
                if not running:
                    calls.append(call)
            return call.output

        return heard

    with _listening(hear), _patched(_GENERATE, generate):
        yield calls


@contextmanager
def captured_scores() -> Iterator[StepScores]:
    """Yield a table that a `generate` in the block fills: prompt and ids so far -> scores of the next token, (V,).

    They are logits in greedy search and log-probabilities in beam search, before any processor has changed them.
    """
    steps: StepScores = {}

    def keep(ids: Any, scores: Any) -> None:
        if hasattr(scores, "cpu"):
            seen = scores.detach().cpu()
            scores = seen.float() if seen.element_size() < _SINGLE else seen  # NumPy has no bfloat16
            ids = ids.cpu()
        for own, row in zip(ids.numpy().tolist(), scores.numpy(), strict=True):
            steps.setdefault(tuple(own), np.array(row))  # a beam search starts with the prompt several times

    def hear(model: Any, processors: Any, *_: Any) -> None:
        processors.insert(0, _listener(model, keep))

    with _listening(hear):
        yield steps


def _listener(model: Any, keep: Callable[[Any, Any], None]) -> _TorchListener:
    """Return a logits processor that hands the ids so far and their scores to `keep`."""
    tensorflow = any(base.__name__ == "TFGenerationMixin" for base in type(model).__mro__)
    return _TensorFlowListener(keep) if tensorflow else _TorchListener(keep)


class _TorchListener:
    """A logits processor that changes nothing; upstream reads from its signature what it takes."""

    def __init__(self, keep: Callable[[Any, Any], None]) -> None:
        self._keep = keep

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        self._keep(input_ids, scores)
        return scores


class _TensorFlowListener(_TorchListener):
    """The same, with the number of ids that count."""

    def __call__(self, input_ids: Any, scores: Any, cur_len: Any) -> Any:  # type: ignore[override]
        self._keep(input_ids.numpy()[:, : int(cur_len)], scores)
        return scores


def active_processors(processors: Any, config: Any) -> dict[str, Any] | None:
    """Return the settings of the logits processors that are on, whoever set them: the caller or the model.

    A processor whose setting is unknown is returned by its class name.
    """
    if not isinstance(processors, list):
        return None
    found: dict[str, Any] = {}
    for processor in processors:
        kind = type(processor).__name__.removeprefix("TF")
        setting = _PROCESSORS.get(kind, kind)
        if setting not in SETTINGS:  # `effective_settings` has those
            value = plain_or_none(getattr(config, setting, None))
            found[setting] = True if value is None else value
    return found


# The setting that turns a logits processor on.
_PROCESSORS: Mapping[str, str] = {
    "ExponentialDecayLengthPenalty": "exponential_decay_length_penalty",
    "ForcedBOSTokenLogitsProcessor": "forced_bos_token_id",
    "ForcedEOSTokenLogitsProcessor": "forced_eos_token_id",
    "InfNanRemoveLogitsProcessor": "remove_invalid_values",
    "LogitNormalization": "renormalize_logits",
    "MinLengthLogitsProcessor": "min_length",
    "MinNewTokensLengthLogitsProcessor": "min_length",  # a record counts the prompt, too
    "NoBadWordsLogitsProcessor": "bad_words_ids",
    "NoRepeatNGramLogitsProcessor": "no_repeat_ngram_size",
    "RepetitionPenaltyLogitsProcessor": "repetition_penalty",
    "SequenceBiasLogitsProcessor": "sequence_bias",
    "SuppressTokensAtBeginLogitsProcessor": "begin_suppress_tokens",
    "SuppressTokensLogitsProcessor": "suppress_tokens",
}


@contextmanager
def _listening(hear: Callable[..., object]) -> Iterator[None]:
    """Call `hear` with the model, its logits processors, the resolved configuration and the number of ids so far."""

    def heard(original: Any) -> Any:
        @wraps(original)
        def listen(model: Any, *arguments: Any, **keywords: Any) -> Any:
            processors = original(model, *arguments, **keywords)
            config = keywords.get("generation_config", arguments[0] if arguments else None)
            hear(model, processors, config, keywords.get("input_ids_seq_length"))
            return processors

        return listen

    with _patched(_METHOD, heard):
        yield


@contextmanager
def _patched(method: str, changed: Callable[[Any], Any]) -> Iterator[None]:
    """Patch upstream's class, not a model, so that a wrapper's inner model is heard too. Hold `base.PROCESS_LOCK`."""
    with ExitStack() as stack:
        for module, name in _CLASSES.items():
            kind = getattr(sys.modules.get(module), name, None)
            original = getattr(kind, method, None)
            if original is not None:
                setattr(kind, method, changed(original))
                stack.callback(setattr, kind, method, original)
        yield
