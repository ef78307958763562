"""Builds a model without weights from a configuration, and compares it with the weight files.

For the engines. It is built on torch's meta device, which allocates nothing; building stops as soon as the model has
more than the files hold. Sizes are checked before loading, unused tensors after it.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import read_configuration, same_bytes, stored_headers
from pytest_hfmodels.engines import architectures, upstream
from pytest_hfmodels.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from pytest_hfmodels.checkpoints import StoredTensor

# Buffers that some releases store and others recompute.
_COMPUTED = re.compile(
    r"(^|\.)(attn\.bias|masked_bias|causal_mask|inv_freq|position_ids|token_type_ids|decoder\.version)$"
)
# Heads of tasks that transformers has no class for: pretraining heads of DeBERTa, TRL's value head, a Trainer's loss.
_OTHER_HEADS = re.compile(r"(lm_predictions|mask_predictions|v_head|loss_fct)\.")
_FLOATS = ("F64", "F32", "F16", "BF16")
_EPSILON = re.compile(r"\w*(eps|epsilon)")
_COUNTS_ROWS = ("num_labels", "vocab_size", "attention_types")  # GPT-Neo's attention_types contains repetition counts
_COUNTS_LAYERS = re.compile(r"n_?layers?|\w*_n?layers?|\w*experts")
# A configuration may describe this much more than the files hold, for example a new head.
_FACTOR = 4
_MORE_TENSORS, _MORE_NUMBERS, _MORE_BUFFERS = 1_000, 10_000_000, 200_000_000
_MORE_LAYERS = 10_000
_SAVE_AGAIN = "Save the model again, so that config.json fits the weights: model.save_pretrained(folder)."


class _TooLargeError(Exception):
    """The model has more parts than the files hold."""


@dataclass(frozen=True)
class Skeleton:
    """A model's tensors.

    Args:
        shapes: the shapes of its parameters, by name.
        buffers: names of its other tensors, stored or not.
        tied: groups of parameter names that share one tensor.
        prefix: the prefix of its base's tensor names, in a model with a head.
    """

    shapes: Mapping[str, tuple[int, ...]]
    buffers: frozenset[str]
    tied: tuple[tuple[str, ...], ...]
    prefix: str


def require_plausible(folder: Path) -> None:
    """Refuse a configuration with far more layers or rows than the weight files; even reading it would take long.

    Also refuses an epsilon that is not a number, and tensors in an 8-bit float.

    Raises:
        CheckpointError: a field is too large or not a number, or a tensor has 8 bits; the message names it.
    """
    stored = stored_headers(folder)
    _require_dtype(folder, (tensor for tensor in stored.values() if tensor.dtype.startswith("F8")))
    rows = sum(max(tensor.shape, default=1) for tensor in stored.values())
    _check_counts(folder, read_configuration(folder), _FACTOR * len(stored) + _MORE_LAYERS, rows + _MORE_LAYERS)


def require_fit(folder: Path, build: Callable[[], Any], head: str) -> Skeleton | None:
    """Refuse a configuration that describes much more than the weight files hold, without allocating memory.

    Args:
        folder: the checkpoint.
        build: builds the model.
        head: see `LoadOptions`.

    Returns:
        The model's tensors; None if it cannot be built on the meta device.

    Raises:
        CheckpointError: the message names the tensors.
    """
    stored = stored_headers(folder)
    try:
        skeleton = _build(build, stored)
    except _TooLargeError as error:
        raise CheckpointError(
            f"The configuration of {folder} describes more than its weights hold ({len(stored)} tensors).",
            hint=_SAVE_AGAIN,
        ) from error
    except Exception:
        return None  # loading reports the reason, or the model reads values while it is built
    found = {name: stored.get(_stored_name(name, stored, skeleton)) for name in skeleton.shapes}
    _require_dtype(folder, (tensor for tensor in found.values() if tensor and tensor.dtype not in _FLOATS))
    total = sum(_size(shape) for shape in skeleton.shapes.values())
    if total > _FACTOR * sum(tensor.size for tensor in stored.values()) + _MORE_NUMBERS:
        upstream.check_loaded(
            folder,
            missing=[name for name, tensor in found.items() if tensor is None],
            mismatched=[
                (name, tensor.shape, skeleton.shapes[name])
                for name, tensor in found.items()
                if tensor is not None and tensor.shape != skeleton.shapes[name]
            ],
            head=head,
        )
    return skeleton


def require_tied(folder: Path, skeleton: Skeleton) -> None:
    """Refuse files that hold different values for a tied tensor.

    Raises:
        CheckpointError: the message names both tensors.
    """
    stored = stored_headers(folder)
    for group in skeleton.tied:
        names = sorted({name for name in (_stored_name(own, stored, skeleton) for own in group) if name in stored})
        if len(names) > 1 and not same_bytes(folder, names):
            raise CheckpointError(
                f"The checkpoint {folder} holds different weights in {' and '.join(map(ascii, names))}, "
                "but the model ties them into one tensor.",
                hint='Set "tie_word_embeddings": false in config.json if they should differ, or save the model again.',
            )


def require_used(
    transformers: ModuleType,
    folder: Path,
    unused: Iterable[str],
    skeleton: Skeleton | None,
    build: Callable[[str], Any],
    expected: Sequence[str],
) -> None:
    """Refuse files with tensors that the model did not use, except heads of other tasks on the same base.

    A pooler counts as a head, because classes of one architecture build their base with or without it.

    Args:
        transformers: the installed release.
        folder: the checkpoint.
        unused: names in the files that neither the loaded model uses nor the release ignores.
        skeleton: the loaded model's.
        build: builds a model of the class with that name.
        expected: see `LoadOptions.unused`.

    Raises:
        CheckpointError: the message names the tensors.
    """
    own = skeleton.buffers | skeleton.shapes.keys() if skeleton else frozenset[str]()
    left = {name for name in unused if name not in own and not _is_known(name, expected)}
    if left and find_spec("torch") is None:
        left = _beside_used(left, stored_headers(folder).keys() - set(unused))
    for name in architectures.possible_classes(transformers, folder) if left else ():
        left -= _heads(lambda name=name: build(name), left)  # type: ignore[misc] # bound at once
        if not left:
            break
    if left:
        shown = sorted(left)
        raise CheckpointError(
            f"The checkpoint {folder} has weights that the model does not use: {', '.join(map(ascii, shown[:5]))}"
            f"{' …' if len(shown) > 5 else ''}.",
            hint="Correct the number of layers or `architectures` in config.json, or save the model again. "
            f"If the model should leave them out, name them: unused=[{shown[0]!a}]; * matches any text.",
        )


def _require_dtype(folder: Path, wrong: Iterable[StoredTensor]) -> None:
    """Refuse weights that no model computes with: some releases load them, and fail in the first forward pass."""
    for tensor in wrong:
        raise CheckpointError(
            f"The checkpoint {folder} stores {tensor.name!a} as {tensor.dtype}, but weights must be "
            "float32, float16, bfloat16 or float64.",
            hint="Save the model again in one of these, or load a quantized one yourself and pass it in: "
            "hf_models.adopt(model, tokenizer).",
        )


def _is_known(name: str, expected: Sequence[str]) -> bool:
    known = _COMPUTED.search(name) or _OTHER_HEADS.match(name)
    return known is not None or any(fnmatchcase(name, pattern) for pattern in expected)


def _beside_used(unused: set[str], used: Iterable[str]) -> set[str]:
    """Return the unused names that cannot belong to a head, because a used name has the same first part.

    For runs without torch, which cannot build other classes to get the names of their heads.
    """
    modules = {name.partition(".")[0] for name in used}
    return {name for name in unused if name.partition(".")[0] in modules}


def _heads(build: Callable[[], Any], names: set[str]) -> set[str]:
    """Return the names that belong to the head of a model."""
    try:
        skeleton = _build(build, None)
    except Exception:  # a class that needs more than a configuration; skip it
        return set()
    known, prefix = skeleton.shapes.keys() | skeleton.buffers, f"{skeleton.prefix}."
    heads = {name for name in names if name in known and not name.startswith(prefix)}
    poolers = {name for name in names if "pooler" in name.split(".") and name.removeprefix(prefix) in known}
    return heads | poolers


def _check_counts(folder: Path, value: Any, layers: int, rows: int, field: str = "") -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            _check_epsilon(folder, name, item)
            _check_counts(folder, item, layers, rows, name)
    elif isinstance(value, list):
        for item in value:
            _check_counts(folder, item, layers, rows, field)
    elif isinstance(value, int):
        limit = layers if _COUNTS_LAYERS.fullmatch(field) else rows if field in _COUNTS_ROWS else value
        if value > limit:
            raise CheckpointError(
                f"The configuration of {folder} describes more than its weights hold: {field!a} is {value}.",
                hint=_SAVE_AGAIN,
            )


def _check_epsilon(folder: Path, name: str, value: object) -> None:
    """Refuse an epsilon that is not a number: it would fail only in the first forward pass."""
    if _EPSILON.fullmatch(name) and (not isinstance(value, int | float) or isinstance(value, bool)):
        raise CheckpointError(
            f"The configuration of {folder} sets {name!a} to {value!a:.60}; it must be a number.",
            hint="Correct it in config.json, or save the model again.",
        )


def _build(build: Callable[[], Any], stored: Mapping[str, StoredTensor] | None) -> Skeleton:
    import torch

    with torch.device("meta"), _limited(stored):
        model = build()
    parameters = dict(model.named_parameters(remove_duplicate=False))
    names: dict[int, list[str]] = {}
    for name, parameter in parameters.items():
        names.setdefault(id(parameter), []).append(name)
    return Skeleton(
        shapes={name: tuple(parameter.shape) for name, parameter in parameters.items()},
        buffers=frozenset(name for name, _ in model.named_buffers(remove_duplicate=False)),
        tied=tuple(tuple(group) for group in names.values() if len(group) > 1),
        prefix=str(getattr(model, "base_model_prefix", "")),
    )


@contextmanager
def _limited(stored: Mapping[str, StoredTensor] | None) -> Iterator[None]:
    """Stop building if the model gets many more parameters, modules or numbers than the files hold."""
    if stored is None:
        yield
        return
    from torch.nn.modules import module as registration

    tensors = _FACTOR * len(stored) + _MORE_TENSORS
    size = sum(tensor.size for tensor in stored.values())
    left = {"modules": 20 * tensors, "parameters": tensors, "buffers": 10 * tensors}
    numbers = {"buffers": _FACTOR * size + _MORE_BUFFERS}  # parameters are compared at the end

    def count(kind: str) -> Callable[[Any, str, Any], None]:
        def registered(_module: Any, _name: str, tensor: Any) -> None:
            left[kind] -= 1
            if kind in numbers and tensor is not None:
                numbers[kind] -= tensor.numel()
            if left[kind] < 0 or numbers.get(kind, 0) < 0:
                raise _TooLargeError

        return registered

    hooks = [
        registration.register_module_module_registration_hook(count("modules")),
        registration.register_module_parameter_registration_hook(count("parameters")),
        registration.register_module_buffer_registration_hook(count("buffers")),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _stored_name(name: str, stored: Mapping[str, StoredTensor], skeleton: Skeleton) -> str:
    """Return the name of a model's tensor in the files, with or without the prefix of the base."""
    prefix = f"{skeleton.prefix}."
    for candidate in (name, name.removeprefix(prefix), prefix + name):
        if candidate in stored:
            return candidate
    return name


def _size(shape: tuple[int, ...]) -> int:
    product = 1
    for length in shape:
        product *= length
    return product
