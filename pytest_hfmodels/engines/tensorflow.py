"""The TensorFlow engine (transformers 4 only). This module imports TensorFlow: `engines.engine` asks for it, alone."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.checkpoints import fill_private_copy, read_weights
from pytest_hfmodels.engines import architectures, module_state, skeleton, upstream
from pytest_hfmodels.engines.base import (
    Classification,
    ForwardPass,
    Generation,
    LoadedModel,
    one_at_a_time,
    one_in_process,
)
from pytest_hfmodels.engines.generation_config import inherited_named, require_settings
from pytest_hfmodels.engines.settings import resolved_settings, settings_of_run, without_advice
from pytest_hfmodels.errors import EngineError, HFModelsError

with upstream.environment({"TF_CPP_MIN_LOG_LEVEL": "2"}):  # its start-up banner says nothing about a test
    import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_hfmodels.engines.base import EngineName, FloatArray, IntArray, LoadOptions, Task

_DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32"}


class TensorFlowEngine:
    """Loads checkpoints into TensorFlow."""

    name: EngineName = "tensorflow"

    def load(self, folder: Path, task: Task, options: LoadOptions) -> TensorFlowModel:
        """Build the model from its configuration and assign the checkpoint's arrays.

        Upstream's `from_pretrained` cannot read a torch-format safetensors file at 4.57.6 (it takes `safe_open`
        for a mapping), so the arrays go in through the function underneath it, which every 4.x release has.
        """
        transformers = upstream.transformers_with_tensorflow()
        if options.dtype not in (None, "float32"):
            raise EngineError(
                f"The tensorflow engine runs in float32, and {folder} was asked for in {options.dtype}.",
                hint='Use engines=["torch"] for other dtypes.',
            )
        architectures.require_loadable(transformers, folder, task)
        skeleton.require_plausible(folder)
        with (
            TemporaryDirectory(prefix="hfmodels-") as private_copy,
            upstream.quiet(),
            upstream.random_state_kept(),
            _tensorflow_random_state_kept(),
        ):
            fill_private_copy(folder, Path(private_copy))
            require_settings(transformers, folder, Path(private_copy))
            config = self._config(transformers, folder, Path(private_copy), options)
            expected_model = skeleton.require_fit(
                folder, lambda: _torch_model(transformers, task, config), options.head
            )
            model = self._build(transformers, folder, Path(private_copy), task, config)
            try:
                unused = self._assign(model, folder, options)
            except HFModelsError:
                raise
            except Exception as error:  # Keras raises any kind of exception for a wrong shape
                raise EngineError(
                    f"transformers cannot load {folder} for {task} with TensorFlow: {upstream.error_text(error)}",
                    hint="Check its config.json and the overrides given at load; torch names the weights at fault.",
                ) from error
            upstream.set_checkpoint_name(model, folder)
            upstream.give_special_tokens(model, options.overrides)
            if expected_model is not None:
                skeleton.require_tied(folder, expected_model)
            skeleton.require_used(
                transformers,
                folder,
                unused,
                expected_model,
                lambda name: getattr(transformers, name)(deepcopy(config)),
                options.unused,
            )
        return TensorFlowModel(model)

    def adopt(self, model: Any) -> TensorFlowModel:
        """Take in a Keras model with upstream's interface."""
        return TensorFlowModel(model)

    def _config(self, transformers: Any, folder: Path, private_copy: Path, options: LoadOptions) -> Any:
        # Our Transformer-XL is torch: here upstream's runs, which `AutoConfig` no longer finds once ours is registered.
        own = architectures.model_type(folder) == "transfo-xl"
        reader = transformers.TransfoXLConfig if own else transformers.AutoConfig
        try:
            config = reader.from_pretrained(
                str(private_copy), trust_remote_code=False, local_files_only=True, **options.overrides
            )
        except Exception as error:  # upstream raises any kind of exception here
            raise EngineError(
                f"transformers cannot read the configuration of {folder}: {upstream.error_text(error)}",
                hint="Check the checkpoint's model_type and the overrides given at load.",
            ) from error
        upstream.require_config_fields(transformers, config, options.overrides)
        return config

    def _build(self, transformers: Any, folder: Path, private_copy: Path, task: Task, config: Any) -> Any:
        head = "ForCausalLM" if task == "text-generation" else "ForSequenceClassification"
        auto = getattr(transformers, f"TFAutoModel{head}")
        try:
            model = auto.from_config(config)
        except ValueError as error:
            raise EngineError(
                f"transformers has no TensorFlow model for {folder} (model_type {config.model_type!r}, {task}).",
                hint='Run it with torch: engines=["torch"] on the marker, or --hfmodels-engines torch.',
            ) from error
        if (private_copy / "generation_config.json").is_file() and getattr(
            model, "generation_config", None
        ) is not None:
            model.generation_config = transformers.GenerationConfig.from_pretrained(
                str(private_copy), local_files_only=True
            )
        return model

    def _assign(self, model: Any, folder: Path, options: LoadOptions) -> list[str]:
        """Assign the arrays; return the names that the model does not have."""
        from transformers.modeling_tf_pytorch_utils import load_pytorch_state_dict_in_tf2_model

        model(model.dummy_inputs, training=False)  # creates the variables
        arrays = read_weights(folder)
        misfits = _misfits(model, arrays)
        upstream.check_loaded(folder, missing=(), mismatched=misfits, head=options.head)
        for name, _, wanted in misfits:
            arrays[name] = upstream.new_head(wanted)
        _, info = load_pytorch_state_dict_in_tf2_model(model, arrays, allow_missing_keys=True, output_loading_info=True)
        upstream.check_loaded(folder, missing=info["missing_keys"], mismatched=(), head=options.head)
        for variable in model.weights:
            if upstream.is_head(variable.name) and any(upstream.is_head(name) for name in info["missing_keys"]):
                # Keras keeps a dense kernel transposed: fill it so that both engines get the same head.
                variable.assign(upstream.new_head(tuple(reversed(variable.shape))).T)
        return [*info["unexpected_keys"]]


def _torch_model(transformers: Any, task: Task, config: Any) -> Any:
    """Build the torch model of a configuration: its tensors have the same names as TensorFlow's."""
    head = "ForCausalLM" if task == "text-generation" else "ForSequenceClassification"
    return getattr(transformers, f"AutoModel{head}").from_config(deepcopy(config))


class TensorFlowModel(LoadedModel):
    """One TensorFlow model."""

    engine = "tensorflow"
    tensors = "tf"

    @one_in_process
    def generate(self, ids: IntArray, mask: IntArray | None, settings: Mapping[str, Any]) -> Generation:
        """See `LoadedModel.generate`."""
        if self.model.config.model_type == "transfo-xl":
            raise EngineError(
                "transformers' TensorFlow Transformer-XL cannot generate: what it prepares for a step leaves out "
                "the words, in every release.",
                hint='Generate with torch: engines=["torch"] on the marker, or --hfmodels-engines torch.',
            )
        with (
            inherited_named(self.model.generation_config, settings),
            without_advice(settings),
            resolved_settings(self.model) as resolved,
        ):
            output = self.model.generate(
                self.tensor(ids.astype(np.int32)),
                **self._mask(np.ones_like(ids) if mask is None else mask),
                **{"do_sample": False, "return_dict_in_generate": True, "output_scores": True, **settings},
            )
        beam_indices = getattr(output, "beam_indices", None)
        sequence_scores = getattr(output, "sequences_scores", None)
        return Generation(
            sequences=_ids(output.sequences),
            scores=np.stack([_floats(step) for step in output.scores]),
            # In 4.30 the prompt has columns of its own.
            beam_indices=None if beam_indices is None else _ids(beam_indices)[:, -len(output.scores) :],
            sequence_scores=None if sequence_scores is None else _floats(sequence_scores),
            effective=settings_of_run(resolved, self.model, settings, ids.shape[1], engine=self.engine),
            plain_scores=bool(resolved) and resolved[-1].plain_scores,
            processors=resolved[-1].processors if resolved else None,
        )

    @one_at_a_time
    def forward(self, ids: IntArray, mask: IntArray | None = None) -> ForwardPass:
        """See `LoadedModel.forward`."""
        output = self.model(self._inputs(ids, mask), output_hidden_states=True, training=False)
        logits = output.prediction_scores if "prediction_scores" in output else output.logits  # Transformer-XL's name
        return ForwardPass(_floats(logits), tuple(_floats(state) for state in output.hidden_states or ()))

    @one_at_a_time
    def classify(
        self, ids: IntArray, mask: IntArray | None, labels: IntArray | FloatArray | None, problem_type: str | None
    ) -> Classification:
        """See `LoadedModel.classify`; upstream reads no `problem_type` here and gives one loss an example."""
        del problem_type
        if labels is not None and labels.ndim > 1:
            raise EngineError(
                "transformers' TensorFlow classifiers take one class index a text, and no rows of labels.",
                hint='Use engines=["torch"] for a multi-label loss.',
            )
        inputs = self._inputs(ids, mask)
        given = None if labels is None else tf.convert_to_tensor(labels, dtype=_label_dtype(labels))
        output = self.model(inputs, labels=given, output_hidden_states=True, training=False)
        loss = None if output.loss is None else float(np.mean(_floats(output.loss)))
        logits = _floats(output.logits)
        if logits.ndim == 3:  # through 4.37 one text without labels and pad token is not pooled
            logits = logits[:, -1]
        return Classification(logits, loss, tuple(_floats(state) for state in output.hidden_states or ()))

    def tensor(self, values: Any) -> Any:
        """See `LoadedModel.tensor`."""
        return tf.convert_to_tensor(values)

    def weights(self) -> Iterator[tuple[str, str, tuple[int, ...], memoryview]]:
        """See `LoadedModel.weights`; names are TensorFlow's own."""
        for variable in sorted(self.model.weights, key=lambda variable: str(variable.name)):
            array = np.ascontiguousarray(variable.numpy())
            data = array.reshape(-1).view(np.uint8).data
            yield variable.name, _DTYPES.get(array.dtype.name, array.dtype.name), array.shape, data
            del array, data  # before the next one is copied

    def modes(self) -> Mapping[str, object]:
        """See `LoadedModel.modes`: TensorFlow has no version counters, so this compares only ids; see `weights`."""
        found: dict[str, object] = {f"tensor {variable.name}": id(variable) for variable in self.model.weights}
        found["trainable"] = self.model.trainable
        found.update(module_state.attributes(self.model, "the model"))
        layers = [one for one in self.model.submodules if not _is_metric(one)]
        for position, layer in enumerate(layers):
            where = f"layer {position} ({getattr(layer, 'name', type(layer).__name__)})"
            found[f"module {where}"] = (type(layer).__name__, id(layer))
            found.update(module_state.attributes(layer, where))
        # Private values are Keras's own; a private function is a patch.
        return {
            name: mark for name, mark in found.items() if not (name.startswith("attribute _") and isinstance(mark, str))
        }

    def environment(self) -> Mapping[str, str]:
        """See `LoadedModel.environment`."""
        return {"dtype": "float32", "attention": "eager", "device": "cpu", "cpu": "unknown"}

    def _inputs(self, ids: IntArray, mask: IntArray | None) -> dict[str, Any]:
        return {"input_ids": self.tensor(ids.astype(np.int32)), **self._mask(mask)}

    def _mask(self, mask: IntArray | None) -> dict[str, Any]:
        # Some architectures (Transformer-XL) take no mask; one of ones is the same as none elsewhere.
        if mask is None or "attention_mask" not in inspect.signature(self.model.call).parameters:
            return {}
        return {"attention_mask": self.tensor(mask.astype(np.int32))}


def _is_metric(module: Any) -> bool:
    """Return whether a module is a Keras metric: some layers add one at their first call (Transformer-XL's loss)."""
    return any(base.__name__ == "Metric" for base in type(module).__mro__)


def _label_dtype(labels: IntArray | FloatArray) -> Any:
    return tf.float32 if labels.dtype.kind == "f" else tf.int64


def _ids(tensor: Any) -> IntArray:
    return np.asarray(tensor).astype(np.int64)


def _floats(tensor: Any) -> FloatArray:
    return np.asarray(tensor).astype(np.float64)


def _misfits(model: Any, arrays: Mapping[str, Any]) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """Return (name, found, wanted) of head weights whose shape is another one, which upstream would trip on."""
    wanted = {
        variable.name.split("/")[-2]: tuple(reversed(variable.shape))
        for variable in model.weights
        if upstream.is_head(variable.name) and len(variable.shape) == 2
    }
    found = []
    for name, array in arrays.items():
        head = name.split(".")[-2] if "." in name else name
        if upstream.is_head(name) and head in wanted and tuple(array.shape) != wanted[head]:
            found.append((name, tuple(array.shape), wanted[head]))
    return found


@contextmanager
def _tensorflow_random_state_kept() -> Iterator[None]:
    """Keep the stream of seeds that eager operations draw after `tf.random.set_seed`."""
    from tensorflow.python.eager import context  # no public way to read this state

    generator = getattr(context.context(), "_rng", None)
    state = None if generator is None else generator.getstate()
    try:
        yield
    finally:
        if generator is not None and state is not None:
            generator.setstate(state)
