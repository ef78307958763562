"""The TensorFlow engine (transformers 4 only). This module imports TensorFlow: `engines.engine` asks for it, alone."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.checkpoints import read_weights
from pytest_hfmodels.engines import architectures, loading, module_state, skeleton, upstream
from pytest_hfmodels.engines.loaded_model import DTYPES, LoadedModel
from pytest_hfmodels.engines.tasks import TASKS
from pytest_hfmodels.foundation.errors import EngineError

with upstream.environment({"TF_CPP_MIN_LOG_LEVEL": "2"}):  # its start-up banner says nothing about a test
    import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pytest_hfmodels.engines.base import FloatArray, IntArray, LoadOptions, Task
    from pytest_hfmodels.engines.loaded_model import StoredTensors


def load(folder: Path, task: Task, options: LoadOptions) -> TensorFlowModel:
    """Build the model from its configuration and assign the checkpoint's arrays.

    Upstream's `from_pretrained` cannot read a torch-format safetensors file at 4.57.6 (it takes `safe_open`
    for a mapping), so the arrays go in through the function underneath it, which every 4.x release has.
    """
    upstream.require_tensorflow()
    if options.dtype not in (None, "float32"):
        raise EngineError(
            f"The tensorflow engine runs in float32, and {folder} was asked for in {options.dtype}.",
            hint='Use engines=["torch"] for other dtypes.',
        )
    if options.device not in (None, "cpu"):
        raise EngineError(
            f"The tensorflow engine runs only on the CPU, but {folder} was requested on {options.device}.",
            hint='Use engines=["torch"] for other devices.',
        )
    if options.adapter is not None or architectures.quantization(folder):
        raise EngineError(
            f"The tensorflow engine runs neither adapters nor quantized models; {options.adapter or folder} is one.",
            hint='Run it with torch: engines=["torch"] on the marker, or --hfmodels-engines torch.',
        )
    with _random_state_kept():
        # Architectures that are registered are torch's: here upstream's run.
        return TensorFlowModel(
            loading.load("tensorflow", folder, task, replace(options, implementation="transformers"), _built)
        )


def adopt(model: Any) -> TensorFlowModel:
    """Take in a Keras model with upstream's interface."""
    return TensorFlowModel(model)


def _built(plan: loading.Plan) -> tuple[Any, list[str]]:
    transformers, config = plan.transformers, plan.config
    autos = [getattr(transformers, f"TF{name}", None) for name in TASKS[plan.task].auto]
    try:
        model = next(filter(None, autos)).from_config(config)
    except (ValueError, StopIteration) as error:
        raise EngineError(
            f"transformers has no TensorFlow model for {plan.folder} (model_type {config.model_type!r}, {plan.task}).",
            hint='Run it with torch: engines=["torch"] on the marker, or --hfmodels-engines torch.',
        ) from error
    if (plan.files / "generation_config.json").is_file() and getattr(model, "generation_config", None) is not None:
        model.generation_config = transformers.GenerationConfig.from_pretrained(str(plan.files), local_files_only=True)
    return model, _assigned(model, plan.folder, plan.options.head)


def _assigned(model: Any, folder: Path, head: str) -> list[str]:
    """Assign the checkpoint's arrays; return the names that the model does not have."""
    from transformers.modeling_tf_pytorch_utils import load_pytorch_state_dict_in_tf2_model

    model(model.dummy_inputs, training=False)  # creates the variables
    arrays = read_weights(folder)
    misfits = _misfits(model, arrays)
    skeleton.check_loaded(folder, missing=(), mismatched=misfits, head=head)
    for name, _, wanted in misfits:
        arrays[name] = skeleton.new_head(wanted)
    _, info = load_pytorch_state_dict_in_tf2_model(model, arrays, allow_missing_keys=True, output_loading_info=True)
    skeleton.check_loaded(folder, missing=info["missing_keys"], mismatched=(), head=head)
    for variable in model.weights:
        if skeleton.is_head(variable.name) and any(skeleton.is_head(name) for name in info["missing_keys"]):
            # Keras keeps a dense kernel transposed: fill it so that both engines get the same head.
            variable.assign(skeleton.new_head(tuple(reversed(variable.shape))).T)
    return [*info["unexpected_keys"]]


class TensorFlowModel(LoadedModel):
    """One TensorFlow model."""

    engine = "tensorflow"
    tensors = "tf"
    call = "call"
    ids = np.int32

    def tensor(self, values: Any) -> Any:
        return tf.convert_to_tensor(values)

    def input(self, value: Any) -> Any:
        if not hasattr(value, "dtype") and not isinstance(value, list | tuple):
            return value
        tensor = tf.convert_to_tensor(value)
        kind = tf.float32 if tensor.dtype.is_floating else self.ids if tensor.dtype.is_integer else tensor.dtype
        return tf.cast(tensor, kind)

    def run(self, inputs: Mapping[str, Any], **keywords: Any) -> Any:
        return self.model(dict(inputs), **keywords, training=False)

    def floats(self, tensor: Any) -> FloatArray:
        return np.asarray(tensor).astype(np.float64)

    def seeded(self, seed: int | None) -> AbstractContextManager[Mapping[str, Any]]:
        return nullcontext({} if seed is None else {"seed": [seed, 0]})  # upstream draws from it alone

    def labels(self, labels: IntArray | FloatArray) -> Any:
        # Upstream reads no `problem_type` here.
        if labels.ndim > 1:
            raise EngineError(
                "transformers' TensorFlow classifiers take one class index per text, not rows of labels.",
                hint='Use engines=["torch"] for a multi-label loss.',
            )
        return tf.convert_to_tensor(labels, dtype=tf.float32 if labels.dtype.kind == "f" else tf.int64)

    def class_logits(self, logits: FloatArray) -> FloatArray:
        # Through 4.37 one text without labels and pad token is not pooled.
        return logits[:, -1] if logits.ndim == 3 else logits

    def beam_indices(self, output: Any) -> IntArray | None:
        # In 4.30 the prompt has columns of its own.
        found = super().beam_indices(output)
        return None if found is None else found[:, -len(output.scores) :]

    def weights(self) -> StoredTensors:
        # Names are TensorFlow's own.
        for variable in sorted(self.model.weights, key=lambda variable: str(variable.name)):
            array = np.ascontiguousarray(variable.numpy())
            data = array.reshape(-1).view(np.uint8).data
            yield variable.name, DTYPES.get(f"torch.{array.dtype.name}", array.dtype.name), array.shape, data
            del array, data  # before the next one is copied

    def modes(self) -> Mapping[str, object]:
        # TensorFlow has no version counters, so this compares only ids; see `weights`.
        found: dict[str, object] = {f"tensor {variable.name}": id(variable) for variable in self.model.weights}
        found["trainable"] = self.model.trainable
        found.update(module_state.attributes(self.model, "the model"))
        for position, layer in enumerate(one for one in self.model.submodules if not _is_metric(one)):
            where = f"layer {position} ({getattr(layer, 'name', type(layer).__name__)})"
            found[f"module {where}"] = (type(layer).__name__, id(layer))
            found.update(module_state.attributes(layer, where))
        # Private values are Keras's own; a private function is a patch.
        return {
            name: mark for name, mark in found.items() if not (name.startswith("attribute _") and isinstance(mark, str))
        }

    def environment(self) -> Mapping[str, str]:
        return {"dtype": "float32", "attention": "eager", "device": "cpu", "cpu": "unknown"}


def _is_metric(module: Any) -> bool:
    """Return whether a module is a Keras metric: some layers add one at their first call (Transformer-XL's loss)."""
    return any(base.__name__ == "Metric" for base in type(module).__mro__)


def _misfits(model: Any, arrays: Mapping[str, Any]) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """Return (name, found, wanted) of head weights with another shape, on which upstream fails."""
    wanted = {
        variable.name.split("/")[-2]: tuple(reversed(variable.shape))
        for variable in model.weights
        if skeleton.is_head(variable.name) and len(variable.shape) == 2
    }
    heads = {name: name.split(".")[-2] if "." in name else name for name in arrays if skeleton.is_head(name)}
    found = [(name, tuple(arrays[name].shape), wanted[head]) for name, head in heads.items() if head in wanted]
    return [entry for entry in found if entry[1] != entry[2]]


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """Keep the stream of seeds that eager operations draw after `tf.random.set_seed`."""
    from tensorflow.python.eager import context  # no public way to read this state

    generator = getattr(context.context(), "_rng", None)
    state = None if generator is None else generator.getstate()
    try:
        yield
    finally:
        if generator is not None and state is not None:
            generator.setstate(state)
