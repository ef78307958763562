"""One model in memory and the calls that every engine answers; an engine of its own subclasses `LoadedModel`."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from importlib.metadata import packages_distributions
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pytest_hfmodels.engines.availability import described
from pytest_hfmodels.engines.base import PROCESS_LOCK, Classification, ForwardPass, Generation, Observation
from pytest_hfmodels.engines.capture import Call, Resolved, heard_calls
from pytest_hfmodels.engines.generation_config import inherited_named
from pytest_hfmodels.engines.observation import observation
from pytest_hfmodels.engines.settings import effective_settings, requested_settings, without_advice
from pytest_hfmodels.foundation.architecture import ARCHITECTURES
from pytest_hfmodels.foundation.durations import Timed
from pytest_hfmodels.foundation.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_hfmodels.engines.base import AnyFloats, EngineName, FloatArray, IntArray

    StoredTensors = Iterator[tuple[str, str, tuple[int, ...], memoryview]]


# What `observe` asks of a model that takes it.
_OF_OBSERVE = {"output_hidden_states": True, "use_cache": False}
# What releases call "only the logits of the last positions": from 4.45, and from 4.48.
_LAST_LOGITS = ("num_logits_to_keep", "logits_to_keep")
# Names of dtypes in digests: safetensors' own.
DTYPES = {f"torch.{kind}{bits}": f"{kind[0].upper()}{bits}" for kind in ("float", "int") for bits in (8, 16, 32, 64)}
DTYPES |= {"torch.bfloat16": "BF16", "torch.uint8": "U8", "torch.bool": "BOOL"}


class LoadedModel(ABC):
    """One model in memory and the engine that runs it. One thread at a time runs or patches models.

    Args:
        model: upstream's own object.
    """

    engine: ClassVar[EngineName]
    tensors: ClassVar[str]  # for the tokenizer's `return_tensors`
    call: ClassVar[str]  # the method of upstream's model whose arguments count
    ids: ClassVar[type[np.integer[Any]]] = np.int64

    def __init__(self, model: Any) -> None:
        self.model = model

    @Timed("generate")
    def generate(
        self,
        ids: IntArray | None,
        mask: IntArray | None,
        settings: Mapping[str, Any],
        inputs: Mapping[str, Any] | None = None,
    ) -> Generation:
        """Run the library's `generate` once on `ids` (B, L) int64 and `mask` (B, L) of 0 and 1; a `seed` is ours.

        `inputs` are further arrays by the names of its arguments, such as `pixel_values`; with them `ids` may be None.

        Raises:
            EngineError: the model cannot generate with this engine, or a setting of its checkpoint may be the reason
                why upstream's `generate` failed.
        """
        self._require_generation()
        asked = {name: value for name, value in settings.items() if name != "seed"}
        positional, named = self._arguments(ids, mask, inputs or {})
        with (
            PROCESS_LOCK,
            self.running(),
            inherited_named(self.model.generation_config, settings),
            without_advice(settings),
            heard_calls(batch=ids is not None and len(ids) > 1) as calls,
            self.seeded(settings.get("seed")) as seed,
        ):
            output = self.model.generate(
                *positional,
                **named,
                **{"do_sample": False, "return_dict_in_generate": True, "output_scores": True, **asked, **seed},
            )
        length = 1 if ids is None or self.has_encoder else ids.shape[1]
        heard = _heard(calls, output)
        parts = [self._generation(call, settings, length) for call in heard]
        return parts[0] if len(parts) == 1 else self._windows(parts, heard)

    def _arguments(
        self, ids: IntArray | None, mask: IntArray | None, inputs: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the positional and the named inputs of upstream's `generate`."""
        named = {name: self.input(value) for name, value in inputs.items()}
        if ids is None:
            return [], named
        text = self.tensor(ids.astype(self.ids))
        masks = self._mask(np.ones_like(ids) if mask is None else mask)
        if inputs:  # BLIP's first argument is the image
            return [], {"input_ids": text, **masks, **named}
        return [text], masks

    def _generation(self, call: Call, settings: Mapping[str, Any], length: int) -> Generation:
        output, resolved = call.output, call.resolved
        prefix = length if resolved is None or resolved.prefix is None else resolved.prefix
        config = requested_settings(self.model, settings, prefix) if resolved is None else resolved.config
        sequence_scores = getattr(output, "sequences_scores", None)
        steps = [self.computed(step) for step in output.scores]
        return Generation(
            sequences=self.integers(output.sequences),
            steps=steps,
            beam_indices=self.beam_indices(output),
            sequence_scores=None if sequence_scores is None else self.floats(sequence_scores),
            effective=effective_settings(config, settings, prefix),
            plain_scores=resolved is not None and resolved.plain_scores,
            logits=None if resolved is None else self._logits(resolved, steps, prefix),
            processors=None if resolved is None else resolved.processors,
            prefix=prefix,
        )

    def _logits(self, resolved: Resolved, steps: list[AnyFloats], prefix: int) -> list[AnyFloats] | None:
        """Return `Generation.logits`."""
        if resolved.plain_scores:
            return steps
        lengths = [length for length, _ in resolved.heard]
        if lengths != [*range(prefix, prefix + len(steps))]:  # a search that tries several continuations in a step
            return None
        found = [self.computed(scores) for _, scores in resolved.heard]
        return found if all(one.shape == step.shape for one, step in zip(found, steps, strict=True)) else None

    def _windows(self, parts: Sequence[Generation], calls: Sequence[Call]) -> Generation:
        """Return the windows of a long sound as the rows of a batch.

        Raises:
            EngineError: the windows start with other ids, or were searched with beams.
        """
        parts = [
            replace(part, sequences=self.integers(call.sequences)) for part, call in zip(parts, calls, strict=True)
        ]
        first = parts[0]
        if any(one.beam_indices is not None or one.sequences.shape[0] != 1 for one in parts) or any(
            one.sequences[0, : one.prefix].tolist() != first.sequences[0, : first.prefix].tolist() for one in parts
        ):
            raise EngineError(
                "A sound that is longer than the model's window is recorded alone, by greedy search, and with windows "
                "that do not depend on earlier ones.",
                hint="Leave out num_beams, condition_on_prev_tokens and prompt_ids, or cut the sound into windows.",
            )
        steps = max(len(one.steps) for one in parts)
        each = [_lengthened(np.stack(one.steps), steps, 0, 0.0) for one in parts]
        pad = first.effective.get("pad_token_id") or 0
        return replace(
            first,
            sequences=np.concatenate([_lengthened(one.sequences, first.prefix + steps, 1, pad) for one in parts]),
            steps=[*np.concatenate(each, axis=1)],
            plain_scores=all(one.plain_scores for one in parts),
            logits=None,
            windows=np.concatenate([self.floats(call.given) for call in calls]),
        )

    @property
    def has_encoder(self) -> bool:
        """Whether a prompt goes to an encoder, and a decoder starts with a token of its own."""
        return bool(getattr(getattr(self.model, "config", None), "is_encoder_decoder", False))

    def forward(
        self,
        ids: IntArray | None,
        mask: IntArray | None = None,
        decoder: IntArray | None = None,
        inputs: Mapping[str, Any] | None = None,
        last: int | None = None,
        *,
        as_computed: bool = False,
    ) -> ForwardPass:
        """Run the model once over `ids` (B, L) int64. To an encoder-decoder's encoder go `ids`; `decoder` is (B, D).

        `inputs` are further arrays by the names of its arguments; with them `ids` may be None. `last` limits
        the logits to that many positions at the end: those of a long prompt take memory and time. With `as_computed`
        the logits stay in the model's precision.
        """
        given = {} if decoder is None else {"decoder_input_ids": self.tensor(decoder.astype(self.ids))}
        asked = {} if last is None else {name: last for name in _LAST_LOGITS if name in self._parameters()}
        named = {name: self.input(value) for name, value in (inputs or {}).items()}
        output = self._run(ids, mask, {**named, **given, **asked})
        logits = getattr(output, "logits", None)
        if logits is None:  # TensorFlow's Transformer-XL
            logits = output.prediction_scores
        encoder = getattr(output, "encoder_hidden_states", None) or ()
        wanted = logits if last is None else logits[:, -last:]
        found = self.computed(wanted) if as_computed else self.floats(wanted)
        return ForwardPass(found, self._hidden(output), len(encoder))

    def classify(
        self, ids: IntArray, mask: IntArray | None, labels: IntArray | FloatArray | None, problem_type: str | None
    ) -> Classification:
        """Run a classifier once over `ids` (B, L) int64; `labels` are (B,) int64, or (B, num_labels) float."""
        inputs = {"input_ids": ids} if mask is None else {"input_ids": ids, "attention_mask": mask}
        return self.classify_inputs(inputs, labels, problem_type)

    def classify_inputs(
        self, inputs: Mapping[str, Any], labels: IntArray | FloatArray | None, problem_type: str | None
    ) -> Classification:
        """Run a classifier once over named inputs; labels are handed on only if there are some.

        Raises:
            EngineError: it takes no labels, or returns no logits.
        """
        any_keyword = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in self._parameters().values())
        if labels is not None and "labels" not in self._parameters() and not any_keyword:
            raise EngineError(f"The forward of {type(self.model).__name__} takes no labels.", hint="Leave labels= out.")
        given = {} if labels is None else {"labels": self.labels(labels)}
        # Some architectures (Transformer-XL) take no mask.
        known = {name: value for name, value in inputs.items() if name != "attention_mask" or self._takes(name)}
        with PROCESS_LOCK, self.running(), self.set_problem_type(problem_type):
            tensors = {name: self.input(value) for name, value in known.items()}
            output = self.run(tensors, **given, **self._asked_quietly())
        found = output if isinstance(output, dict) and not hasattr(output, "logits") else vars(output)
        logits, loss = found.get("logits"), found.get("loss")
        if logits is None:
            raise EngineError(
                f"{type(self.model).__name__} returns no logits.", hint="Record what it returns: hf_model.observe(…)."
            )
        mean = None if loss is None else float(np.mean(self.floats(loss)))
        return Classification(self.class_logits(self.floats(logits)), mean, self._hidden(output))

    def gradient_norms(self, inputs: Mapping[str, Any]) -> dict[str, float]:
        """Return the Euclidean norm of the loss's gradient by the parameter's name, for inputs as in `observe`.

        Raises:
            EngineError: the engine cannot, or the model returns no loss.
        """
        del inputs
        raise EngineError(f"Gradients cannot be recorded with {self.engine}.", hint='Use engines=["torch"].')

    def observe(self, inputs: Mapping[str, Any], **keywords: Any) -> Observation:
        """Run the model once on named inputs and return every named output.

        Args:
            inputs: arrays, nested lists or tensors by the names of the model's `forward`: `input_ids` (B, L) int64,
                `pixel_values` (B, 3, H, W) float, … Floats get the model's dtype.
            keywords: of its `forward`, handed on as they are.
        """
        with PROCESS_LOCK, self.running(), self.set_problem_type(None):
            given = {name: self.input(value) for name, value in inputs.items()}
            return observation(self.run(given, **{**self._asked_quietly(), **keywords}), self.array)

    @abstractmethod
    def tensor(self, values: Any) -> Any:
        """Return `values` (nested lists or an array) as a tensor of this engine."""

    @abstractmethod
    def input(self, value: Any) -> Any:
        """Return an array, nested list or tensor as the model takes it; anything else as it is."""

    @abstractmethod
    def run(self, inputs: Mapping[str, Any], **keywords: Any) -> Any:
        """Call upstream's model on named tensors, without dropout."""

    @abstractmethod
    def floats(self, tensor: Any) -> FloatArray:
        """Return a tensor as float64."""

    def computed(self, tensor: Any) -> AnyFloats:
        """Return a float32 tensor as float32, without a copy if possible; any other as float64."""
        return self.floats(tensor)

    @abstractmethod
    def weights(self) -> StoredTensors:
        """Yield every parameter as (name, dtype, shape, bytes), sorted by name and copied one at a time."""

    @abstractmethod
    def modes(self) -> Mapping[str, object]:
        """Return what a test may leave changed beside values: training flags, tensor identities and versions."""

    @abstractmethod
    def environment(self) -> Mapping[str, str]:
        """Return what numbers depend on beside the versions: dtype, attention, device, CPU capability."""

    def unsaved_buffers(self) -> StoredTensors:
        """Yield the buffers that the model uses but never saves (masks, rotary frequencies), as `weights` does."""
        return iter(())

    def integers(self, tensor: Any) -> IntArray:
        """Return a tensor as int64."""
        return self.floats(tensor).astype(np.int64)

    def array(self, value: Any) -> FloatArray | IntArray | None:
        """Return a tensor, an array or a number as float64 or int64; None for anything else."""
        if isinstance(value, bool | int | float):
            return np.asarray(value, np.float64) if isinstance(value, float) else np.asarray(value, np.int64)
        kind = str(getattr(value, "dtype", ""))
        if not kind or not hasattr(value, "shape"):
            return None
        return self.floats(value) if "float" in kind or "complex" in kind else self.integers(value)

    def labels(self, labels: IntArray | FloatArray) -> Any:
        """Return labels as a tensor that the loss takes."""
        return self.tensor(labels)

    def class_logits(self, logits: FloatArray) -> FloatArray:
        """Return a classifier's logits, (B, labels)."""
        return logits

    def beam_indices(self, output: Any) -> IntArray | None:
        """Return `Generation.beam_indices` of upstream's output."""
        found = getattr(output, "beam_indices", None)
        return None if found is None else self.integers(found)

    def running(self) -> AbstractContextManager[None]:
        """Set up what a call of upstream's model needs."""
        return nullcontext()

    def on_other_threads(self) -> AbstractContextManager[None]:
        """Run on another number of threads, as other machines do.

        Raises:
            EngineError: this engine's number cannot be changed any more.
        """
        raise EngineError(f"The number of threads of {self.engine} is fixed.", hint="Measure with torch.")

    def seeded(self, seed: int | None) -> AbstractContextManager[Mapping[str, Any]]:
        """Draw random numbers from a seed, and go on as before after it; return what `generate` takes for it.

        Raises:
            EngineError: this engine cannot.
        """
        if seed is not None:
            raise EngineError(f"The engine {self.engine} does not sample with a seed.", hint="Sample with torch.")
        return nullcontext({})

    def draws(self, inputs: Mapping[str, Any]) -> bool:
        """Return whether a forward pass over named inputs draws random numbers, as far as this engine can tell."""
        del inputs
        return False

    def set_problem_type(self, problem_type: str | None) -> AbstractContextManager[None]:
        """Set the kind of loss for one call."""
        del problem_type
        return nullcontext()

    @cached_property
    def libraries(self) -> list[str]:
        """The packages, by pip's names, whose layers the model has beside the engine's and transformers'."""
        modules = self.model.modules() if hasattr(self.model, "modules") else ()
        names = {type(one).__module__.partition(".")[0] for one in modules}
        others = names - {"transformers", "pytest_hfmodels", *described(self.engine).models}
        return sorted({found for name in others for found in packages_distributions().get(name, ())})

    @property
    def implementation(self) -> str:
        """Whose code the model is: `transformers`, `pytest-hfmodels`, or the package of an adopted model's class."""
        return str(type(self.model).__module__).split(".")[0].replace("_", "-")

    def _run(self, ids: IntArray | None, mask: IntArray | None, more: Mapping[str, Any]) -> Any:
        with PROCESS_LOCK, self.running():
            text = {} if ids is None else {"input_ids": self.tensor(ids.astype(self.ids)), **self._mask(mask)}
            return self.run({**text, **more}, **{**self._asked_quietly(), "output_hidden_states": True})

    def _mask(self, mask: IntArray | None) -> dict[str, Any]:
        # Some architectures (Transformer-XL) take no mask; one of ones is the same as none elsewhere.
        if mask is None or "attention_mask" not in self._parameters():
            return {}
        return {"attention_mask": self.tensor(mask.astype(self.ids))}

    def _asked_quietly(self) -> dict[str, Any]:
        return {name: value for name, value in _OF_OBSERVE.items() if self._takes(name)}

    def _takes(self, name: str) -> bool:
        """Return whether the model's call takes a keyword; upstream's classes that take any know those of all."""
        found = self._parameters()
        others = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in found.values())
        config = getattr(self.model, "config", None)
        return name in found or (others and hasattr(config, name))

    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(getattr(self.model, self.call)).parameters

    def _hidden(self, output: Any) -> tuple[FloatArray, ...]:
        names = ("hidden_states", "encoder_hidden_states", "decoder_hidden_states")
        states = [state for name in names for state in getattr(output, name, None) or ()]
        # The last encoder state of PEGASUS-X is a pair: that of the tokens and that of the global tokens.
        return tuple(self.floats(state[0] if isinstance(state, tuple) else state) for state in states)

    def _require_generation(self) -> None:
        kind = str(getattr(getattr(self.model, "config", None), "model_type", ""))
        architecture = ARCHITECTURES.get(kind)
        if architecture is not None and self.engine in architecture.cannot_generate:
            raise EngineError(
                f"A {kind} model cannot generate with {self.engine}: {architecture.cannot_generate[self.engine]}.",
                hint='Generate with torch: engines=["torch"] on the marker, or --hfmodels-engines torch.',
            )


def _lengthened(values: Any, length: int, axis: int, fill: float) -> Any:
    """Return an array filled up at the end of an axis."""
    widths = [(0, length - size if number == axis else 0) for number, size in enumerate(values.shape)]
    return np.pad(values, widths, constant_values=fill)


def _heard(calls: Sequence[Call], output: Any) -> list[Call]:
    """Return the calls inside one `generate`: its own, or one for each window of a long sound."""
    own = Call(resolved=calls[-1].resolved if calls else None, output=output)
    heard = [call for call in calls if hasattr(call.output, "sequences")] or [own]
    windows = all("float" in str(getattr(call.given, "dtype", "")) for call in heard)
    return heard if len(heard) == 1 or windows else [own]  # a model may generate in several stages
