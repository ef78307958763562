"""The torch engine. This module imports torch: `engines.engine` asks for it, alone."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

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

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import ModuleType

    from pytest_hfmodels.engines.base import EngineName, FloatArray, IntArray, LoadOptions, Task

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


_SMALL = 10_000_000  # parameters


class TorchEngine:
    """Loads checkpoints into torch."""

    name: EngineName = "torch"

    def load(self, folder: Path, task: Task, options: LoadOptions) -> TorchModel:
        """Load through upstream's own `from_pretrained`, which is part of what a run guards."""
        transformers = upstream.transformers(with_tensorflow=False)
        loader = architectures.model_class(transformers, folder, task, options.transfo_xl)
        skeleton.require_plausible(folder)
        with (
            TemporaryDirectory(prefix="hfmodels-") as private_copy,
            upstream.quiet(),
            upstream.random_state_kept(),
            _torch_random_state_kept(),
        ):
            fill_private_copy(folder, Path(private_copy))
            require_settings(transformers, folder, Path(private_copy))
            try:
                build = _Builder(transformers, loader, Path(private_copy), options)
                expected_model = skeleton.require_fit(folder, build, options.head)
                model, info = loader.from_pretrained(
                    private_copy,
                    **upstream.torch_keywords(options),
                    ignore_mismatched_sizes=True,  # reported below, in a sentence, by `check_loaded`
                    local_files_only=True,
                    output_loading_info=True,
                    trust_remote_code=False,
                    use_safetensors=True,
                )
            except HFModelsError:  # ours says it better already
                raise
            # Upstream raises any kind of exception here, also a bare Exception or an AssertionError.
            except Exception as error:
                raise EngineError(
                    f"transformers cannot load {folder} for {task} with torch: {upstream.error_text(error)}",
                    hint="Check the checkpoint's model_type and the overrides given at load.",
                ) from error
            upstream.set_checkpoint_name(model, folder)
            if expected_model is not None:
                skeleton.require_tied(folder, expected_model)
            skeleton.require_used(
                transformers, folder, info["unexpected_keys"], expected_model, build.named, options.unused
            )
        mismatched = _mismatched(folder, model, info["mismatched_keys"])
        upstream.check_loaded(folder, missing=info["missing_keys"], mismatched=mismatched, head=options.head)
        upstream.give_special_tokens(model, options.overrides)
        _fill_new_head(model, {*info["missing_keys"], *(name for name, _, _ in mismatched)})
        return TorchModel(model.eval())

    def adopt(self, model: Any) -> TorchModel:
        """Take in a `torch.nn.Module` with upstream's interface (PEFT's wrappers have it)."""
        return TorchModel(model)


class _Builder:
    """Builds models from a checkpoint's configuration, without weights; reads the configuration once."""

    def __init__(self, transformers: ModuleType, loader: Any, private_copy: Path, options: LoadOptions) -> None:
        self._transformers = transformers
        self._loader = loader
        self._choice = options.transfo_xl
        reader = getattr(loader, "config_class", None) or transformers.AutoConfig
        closed = {"trust_remote_code": False} if reader is transformers.AutoConfig else {}
        self._config = reader.from_pretrained(str(private_copy), local_files_only=True, **closed, **options.overrides)
        upstream.require_config_fields(transformers, self._config, options.overrides)

    def __call__(self) -> Any:
        config = deepcopy(self._config)
        return self._loader(config) if hasattr(self._loader, "config_class") else self._loader.from_config(config)

    def named(self, name: str) -> Any:
        """Build a model of the class with that name."""
        return architectures.named_class(self._transformers, name, self._choice)(deepcopy(self._config))


class TorchModel(LoadedModel):
    """One torch model."""

    engine = "torch"
    tensors = "pt"

    @one_in_process
    def generate(self, ids: IntArray, mask: IntArray | None, settings: Mapping[str, Any]) -> Generation:
        """See `LoadedModel.generate`."""
        with (
            inference_mode(self.model),
            inherited_named(self.model.generation_config, settings),
            without_advice(settings),
            resolved_settings(self.model) as resolved,
        ):
            output = self.model.generate(
                self.tensor(ids),
                **self._mask(np.ones_like(ids) if mask is None else mask),
                **{"do_sample": False, "return_dict_in_generate": True, "output_scores": True, **settings},
            )
        beam_indices = getattr(output, "beam_indices", None)
        sequence_scores = getattr(output, "sequences_scores", None)
        return Generation(
            sequences=_ids(output.sequences),
            scores=np.stack([_floats(step) for step in output.scores]),
            beam_indices=None if beam_indices is None else _ids(beam_indices),
            sequence_scores=None if sequence_scores is None else _floats(sequence_scores),
            effective=settings_of_run(resolved, self.model, settings, ids.shape[1], engine=self.engine),
            plain_scores=bool(resolved) and resolved[-1].plain_scores,
            processors=resolved[-1].processors if resolved else None,
        )

    @one_at_a_time
    def forward(self, ids: IntArray, mask: IntArray | None = None) -> ForwardPass:
        """See `LoadedModel.forward`."""
        with inference_mode(self.model):
            output = self.model(self.tensor(ids), **self._mask(mask), output_hidden_states=True)
        return ForwardPass(_floats(output.logits), tuple(_floats(state) for state in output.hidden_states or ()))

    @one_at_a_time
    def classify(
        self, ids: IntArray, mask: IntArray | None, labels: IntArray | FloatArray | None, problem_type: str | None
    ) -> Classification:
        """See `LoadedModel.classify`."""
        given = None if labels is None else self._labels(labels)
        with inference_mode(self.model), _problem_type(self.model.config, problem_type):
            output = self.model(self.tensor(ids), **self._mask(mask), labels=given, output_hidden_states=True)
        return Classification(
            _floats(output.logits),
            None if output.loss is None else float(output.loss.detach().double().mean()),
            tuple(_floats(state) for state in output.hidden_states or ()),
        )

    def tensor(self, values: Any) -> torch.Tensor:
        """See `LoadedModel.tensor`."""
        return torch.as_tensor(np.asarray(values), device=self._device)

    def weights(self) -> Iterator[tuple[str, str, tuple[int, ...], memoryview]]:
        """See `LoadedModel.weights`; a quantized model's state dict has other values, yielded as text."""
        for name, value in sorted(self.model.state_dict().items()):
            yield from _stored(name, value)

    def unsaved_buffers(self) -> Iterator[tuple[str, str, tuple[int, ...], memoryview]]:
        """See `LoadedModel.unsaved_buffers`."""
        found = {
            f"{prefix}.{name}": module._buffers[name]
            for prefix, module in self.model.named_modules()
            for name in module._non_persistent_buffers_set & module._buffers.keys()
            if not module_state.is_set_by_upstream(name, module)
        }
        for name, buffer in sorted(found.items()):
            if buffer is not None:
                yield from _stored(name, buffer)

    def modes(self) -> Mapping[str, object]:
        """See `LoadedModel.modes`: an in-place change increments a tensor's version; a new tensor has a new id."""
        found: dict[str, object] = {}
        exchanged: set[str] = set()
        for name, module in self.model.named_modules():
            where = name or "the model"
            if module_state.is_exchanged_by_upstream(module):
                exchanged.add(name)
            elif name.removesuffix(".dropout") in exchanged:  # only one of the two has it
                continue
            else:
                found[f"module {where}"] = (type(module).__name__, id(module))
            found[f"training mode of {where}"] = module.training
            found.update(module_state.hooks(module, where))
            found.update(module_state.attributes(module, where))
            for own, buffer in module.named_buffers(prefix=name, recurse=False):
                if not module_state.is_set_by_upstream(own.rpartition(".")[2], module):
                    found[f"tensor {own}"] = _mark(buffer)
        rescaled = module_state.rescaled_weights(self.model)
        for name, parameter in self.model.named_parameters():
            found[f"tensor {name}"] = _mark(parameter, with_version=name not in rescaled)
            found[f"requires_grad of {name}"] = parameter.requires_grad
        return found

    def environment(self) -> Mapping[str, str]:
        """See `LoadedModel.environment`."""
        return {
            "dtype": str(getattr(self.model, "dtype", torch.float32)).removeprefix("torch."),
            "attention": str(getattr(self.model.config, "_attn_implementation", None) or "eager"),
            "device": self._device.type,
            "cpu": torch.backends.cpu.get_cpu_capability(),
        }

    @property
    def _device(self) -> torch.device:
        found = next(self.model.parameters(), None)
        return torch.device("cpu") if found is None else found.device

    def _mask(self, mask: IntArray | None) -> dict[str, torch.Tensor]:
        # Some architectures (Transformer-XL) take no mask; one of ones is the same as none elsewhere.
        if mask is None or "attention_mask" not in inspect.signature(self.model.forward).parameters:
            return {}
        return {"attention_mask": self.tensor(mask)}

    def _labels(self, labels: IntArray | FloatArray) -> torch.Tensor:
        tensor = self.tensor(labels)
        return tensor.to(self.model.dtype) if tensor.is_floating_point() else tensor


def _stored(name: str, value: Any) -> Iterator[tuple[str, str, tuple[int, ...], memoryview]]:
    """Yield one entry of a state dict for `LoadedModel.weights`; names of parts keep the sort order."""
    if isinstance(value, tuple):
        for index, part in enumerate(value):
            yield from _stored(f"{name} {index:04}", part)
    elif isinstance(value, torch.Tensor) and value.is_quantized:
        per_channel = value.qscheme() in (torch.per_channel_affine, torch.per_channel_affine_float_qparams)
        scales = value.q_per_channel_scales().tolist() if per_channel else [value.q_scale(), value.q_zero_point()]
        yield from _stored(f"{name} 0", value.int_repr())
        yield from _stored(f"{name} 1", repr((value.dtype, scales)))
    elif isinstance(value, torch.Tensor):
        whole = value.detach().cpu().contiguous().reshape(-1)
        data = whole.view(torch.uint8).numpy() if whole.numel() else np.zeros(0, dtype=np.uint8)
        yield name, _DTYPES.get(value.dtype, str(value.dtype)), tuple(value.shape), data.data
    else:
        yield name, "text", (), memoryview(repr(value).encode())


def _mark(tensor: torch.Tensor, *, with_version: bool = True) -> tuple[object, ...]:
    return id(tensor), tensor.data_ptr(), _version(tensor) if with_version else None, str(tensor.dtype)


def _version(tensor: torch.Tensor) -> int:
    return 0 if tensor.is_inference() else int(tensor._version)  # inference tensors count none


def _ids(tensor: torch.Tensor) -> IntArray:
    return tensor.detach().cpu().numpy().astype(np.int64)


def _floats(tensor: torch.Tensor) -> FloatArray:
    return tensor.detach().cpu().to(torch.float64).numpy()


@contextmanager
def inference_mode(model: torch.nn.Module, *, gradients: bool = False) -> Iterator[None]:
    """Run without dropout, without gradients unless they are wanted, and small models on one thread."""
    with _evaluating(model), _one_thread_if_small(model), torch.set_grad_enabled(gradients):
        yield


@contextmanager
def _one_thread_if_small(model: torch.nn.Module) -> Iterator[None]:
    """Keep small models on one thread.

    Their matrices are too small to share out, and on a busy machine the threads wait for each other at every layer:
    the GPT-2 suite on two threads took eight times as long beside two other busy processes, and no less alone.
    """
    before = torch.get_num_threads()
    if before == 1 or sum(parameter.numel() for parameter in model.parameters()) > _SMALL:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Run in evaluation mode (no dropout), and leave every module's mode as it was."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def _problem_type(config: Any, problem_type: str | None) -> Iterator[None]:
    """Set `problem_type` for one call: upstream keeps what it infers in the config, and the next call trips on it."""
    before = getattr(config, "problem_type", None)
    if problem_type is not None:
        config.problem_type = problem_type
    try:
        yield
    finally:
        config.problem_type = before


@contextmanager
def _torch_random_state_kept() -> Iterator[None]:
    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)


def _mismatched(
    folder: Path, model: torch.nn.Module, entries: Iterable[Any]
) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """Return (name, found, wanted): releases report a name with both shapes, or the name alone."""
    names = [entry if isinstance(entry, str) else entry[0] for entry in entries]
    if not names:
        return []
    found, wanted = read_weights(folder), model.state_dict()
    return [(name, tuple(found[name].shape), tuple(wanted[name].shape)) for name in names]


def _fill_new_head(model: torch.nn.Module, names: set[str]) -> None:
    for name, parameter in model.named_parameters():
        if name in names:
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(upstream.new_head(tuple(parameter.shape))))
