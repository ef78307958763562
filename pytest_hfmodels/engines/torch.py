"""The torch engine. This module imports torch: `engines.engine` asks for it, alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pytest_hfmodels.checkpoints import read_weights
from pytest_hfmodels.engines import loading, module_state, skeleton, threads, upstream
from pytest_hfmodels.engines.base import PROCESS_LOCK
from pytest_hfmodels.engines.loaded_model import DTYPES, LoadedModel
from pytest_hfmodels.foundation.errors import DeviceUnavailable, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pytest_hfmodels.engines.base import AnyFloats, FloatArray, IntArray, LoadOptions, Task
    from pytest_hfmodels.engines.loaded_model import StoredTensors

_SEED = 0  # of the numbers that a forward pass draws

if (_share := threads.share(torch.get_num_threads())) < torch.get_num_threads():
    torch.set_num_threads(_share)


def load(folder: Path, task: Task, options: LoadOptions) -> TorchModel:
    """Load through upstream's own `from_pretrained`, which is part of what a run guards."""
    with torch.random.fork_rng(devices=[]):
        model = loading.load("torch", folder, task, loading.of_base(options), _built)
        if options.adapter is not None:
            model = loading.adapted(model, options.adapter)
    return TorchModel(_placed(model.eval(), folder, options.device or os.environ.get(threads.DEVICE_VARIABLE)))


def _placed(model: Any, folder: Path, device: str | None) -> Any:
    """Return the model on a device."""
    if not device:
        return model
    try:
        return model.to(device)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise DeviceUnavailable(
            f"The model in {folder} cannot be moved to the device {device}: {upstream.error_text(error)}",
            hint="Check the driver and torch's build, or name another: --hfmodels-device, or device= on the marker.",
        ) from error


def adopt(model: Any) -> TorchModel:
    """Take in a `torch.nn.Module` with upstream's interface (PEFT's wrappers have it)."""
    return TorchModel(model)


def _built(plan: loading.Plan) -> tuple[Any, list[str]]:
    options = plan.options
    model, info = plan.loader.from_pretrained(
        str(plan.files),
        **upstream.torch_keywords(options),
        ignore_mismatched_sizes=True,  # reported below, in a sentence, by `check_loaded`
        local_files_only=True,
        output_loading_info=True,
        trust_remote_code=False,
        use_safetensors=True,
    )
    mismatched = _mismatched(plan.folder, model, info["mismatched_keys"])
    missing = {*info["missing_keys"]} - _computed(model)
    if getattr(model, "is_quantized", False):  # its library fills the buffers
        missing &= {name for name, _ in model.named_parameters()}
    skeleton.check_loaded(plan.folder, missing=missing, mismatched=mismatched, head=options.head)
    new = {*missing, *(name for name, _, _ in mismatched)}
    for name, parameter in model.named_parameters():
        if name in new:
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(skeleton.new_head(tuple(parameter.shape))))
    return model, [*info["unexpected_keys"]]


def _computed(model: torch.nn.Module) -> set[str]:
    """Return the buffers that attention computes itself; before 4.32, releases expect some of them in a file."""
    own = ("inv_freq", "masked_bias", "bias")
    return {name for name, _ in model.named_buffers() if name.rpartition(".")[2] in own}


class TorchModel(LoadedModel):
    """One torch model."""

    engine = "torch"
    tensors = "pt"
    call = "forward"

    def tensor(self, values: Any) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values), device=self._device)

    def input(self, value: Any) -> Any:
        if isinstance(value, list | tuple) and any(isinstance(entry, torch.Tensor) for entry in value):
            return [self.input(entry) for entry in value]
        if not isinstance(value, torch.Tensor | np.ndarray | list | tuple):
            return value
        tensor = value.to(self._device) if isinstance(value, torch.Tensor) else self.tensor(value)
        return tensor.to(self._dtype) if tensor.is_floating_point() else tensor

    def run(self, inputs: Mapping[str, Any], **keywords: Any) -> Any:
        return self.model(**{**keywords, **inputs})  # what the test asks for wins

    def gradient_norms(self, inputs: Mapping[str, Any]) -> dict[str, float]:
        with PROCESS_LOCK, inference_mode(self.model, gradients=True), self.set_problem_type(None):
            given = {name: self.input(value) for name, value in inputs.items()}
            output = self.run(given)
            loss = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
            if loss is None:
                raise EngineError(
                    f"{type(self.model).__name__} returns no loss to take gradients of.", hint="Give it labels=…."
                )
            wanted = {name: one for name, one in self.model.named_parameters() if one.requires_grad}
            found: Any = torch.autograd.grad(loss.sum(), list(wanted.values()), allow_unused=True)
        norms = ((name, gradient) for name, gradient in zip(wanted, found, strict=True) if gradient is not None)
        return {name: float(gradient.double().norm()) for name, gradient in norms}

    def floats(self, tensor: Any) -> FloatArray:
        real = torch.view_as_real(tensor) if torch.is_tensor(tensor) and tensor.is_complex() else tensor
        array: FloatArray = torch.as_tensor(real).detach().cpu().to(torch.float64).numpy()
        return array

    def computed(self, tensor: Any) -> AnyFloats:
        if not torch.is_tensor(tensor) or tensor.dtype != torch.float32:
            return self.floats(tensor)
        array: AnyFloats = tensor.detach().cpu().numpy()
        return array

    def integers(self, tensor: Any) -> IntArray:
        array: IntArray = torch.as_tensor(tensor).detach().cpu().numpy().astype(np.int64)
        return array

    def labels(self, labels: IntArray | FloatArray) -> Any:
        # Rows of floats have the model's dtype.
        return self.input(labels)

    @contextmanager
    def running(self) -> Iterator[None]:
        # Some models draw numbers in their forward pass: ViTMAE, which patches it hides.
        with inference_mode(self.model), self.seeded(_SEED):
            yield

    def draws(self, inputs: Mapping[str, Any]) -> bool:
        given = {name: self.input(value) for name, value in inputs.items()}
        with self.running():
            before = torch.get_rng_state()
            self.run(given)
            return not torch.get_rng_state().equal(before)

    @contextmanager
    def on_other_threads(self) -> Iterator[None]:
        before = torch.get_num_threads()
        torch.set_num_threads(1 if before > 1 else 2)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    @contextmanager
    def seeded(self, seed: int | None) -> Iterator[Mapping[str, Any]]:
        if seed is None:
            yield {}
            return
        device = self._device
        with torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=_accelerator(device)):
            torch.manual_seed(seed)
            yield {}

    @contextmanager
    def set_problem_type(self, problem_type: str | None) -> Iterator[None]:
        # Upstream keeps what it infers, and then the next call fails.
        config = getattr(self.model, "config", None)
        if config is None:
            yield
            return
        before = getattr(config, "problem_type", None)
        if problem_type is not None:
            config.problem_type = problem_type
        try:
            yield
        finally:
            config.problem_type = before

    def weights(self) -> StoredTensors:
        # A quantized model's state dict has other values, yielded as text.
        for name, value in sorted(self.model.state_dict().items()):
            yield from _stored(name, value)

    def unsaved_buffers(self) -> StoredTensors:
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
        # An in-place change increments a tensor's version; a new tensor has a new id.
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
        return {
            "dtype": str(self._dtype).removeprefix("torch."),
            "attention": str(getattr(getattr(self.model, "config", None), "_attn_implementation", None) or "eager"),
            "device": self._device.type,
            "cpu": torch.backends.cpu.get_cpu_capability(),
        }

    @property
    def _dtype(self) -> torch.dtype:
        floating = (one.dtype for one in self.model.parameters() if one.is_floating_point())
        own = getattr(self.model, "dtype", None) or next(floating, torch.float32)
        return own if isinstance(own, torch.dtype) else torch.float32

    @property
    def _device(self) -> torch.device:
        found = next(self.model.parameters(), None)
        return torch.device("cpu") if found is None else found.device


def _accelerator(device: torch.device) -> str:
    return "cuda" if device.type == "cpu" else device.type


@contextmanager
def inference_mode(model: torch.nn.Module, *, gradients: bool = False) -> Iterator[None]:
    """Run without dropout, and without gradients unless they are wanted."""
    training = [module for module in model.modules() if module.training]
    forwards = {module: vars(module).get("forward") for module in model.modules()}
    model.eval()
    try:
        with torch.set_grad_enabled(gradients), _full_precision():
            yield
    except BaseException:
        _restore(forwards)
        raise
    finally:
        for module in training:
            module.training = True


@contextmanager
def _full_precision() -> Iterator[None]:
    """Multiply float32 matrices in float32: TF32 and bfloat16, which a project may allow, keep 10 and 7 bits."""
    before, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    if before != "highest":
        torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        if before != "highest":
            torch.set_float32_matmul_precision(before)
        torch.backends.cudnn.allow_tf32 = convolutions


def _restore(forwards: Mapping[torch.nn.Module, Any]) -> None:
    """Take off what upstream puts over `forward` to capture outputs, and leaves there if the call fails (4.56 on)."""
    for module, forward in forwards.items():
        if forward is not None:
            vars(module)["forward"] = forward
        else:
            vars(module).pop("forward", None)


def _stored(name: str, value: Any) -> StoredTensors:
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
        yield name, DTYPES.get(str(value.dtype), str(value.dtype)), tuple(value.shape), data.data
    else:
        yield name, "text", (), memoryview(repr(value).encode())


def _mark(tensor: torch.Tensor, *, with_version: bool = True) -> tuple[object, ...]:
    version = tensor._version if with_version and not tensor.is_inference() else None  # inference tensors count none
    return id(tensor), tensor.data_ptr(), version, str(tensor.dtype)


def _mismatched(
    folder: Path, model: torch.nn.Module, entries: Iterable[Any]
) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """Return (name, found, wanted): releases report a name with both shapes, or the name alone."""
    names = [entry if isinstance(entry, str) else entry[0] for entry in entries]
    if not names:
        return []
    found, wanted = read_weights(folder), model.state_dict()
    return [(name, tuple(found[name].shape), tuple(wanted[name].shape)) for name in names]
