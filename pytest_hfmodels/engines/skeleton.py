"""Compares a model with the weight files: sizes before loading, missing and unused tensors after it.

For the engines. Sizes come from a model that is built on torch's meta device, which allocates nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.checkpoints import read_configuration, same_bytes, stored_headers
from pytest_hfmodels.engines import upstream
from pytest_hfmodels.foundation.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from pytest_hfmodels.checkpoints import StoredTensor

# Buffers that some releases store and others recompute.
_COMPUTED = re.compile(
    r"(^|\.)(attn\.bias|masked_bias|causal_mask|inv_freq|position_ids|token_type_ids|decoder\.version)$"
)
# Heads of transformers' classes for other tasks, TRL's value head and a Trainer's loss; a pooler is a head as well,
# because classes of one architecture build their base with or without it.
_HEADS = re.compile(
    r"(lm_heads?|lm_loss|score|head|cls|crit|loss_fct|v_head|embed_out|output_projection|pred_layer|logits_proj|"
    r"(\w+_)?classifier|classification_head|multiple_choice_head|sequence_summary|qa_outputs|answer_class|"
    r"(start|end)_logits|(\w+_)?predictions|generator_lm_head|vocab_(transform|layer_norm|projector))\.|(.*\.)?pooler\."
)
_SETS_VALUES = ("normal_", "uniform_", "zero_", "fill_", "tril", "triu")  # and keeps the shape
_FLOATS = ("F64", "F32", "F16", "BF16")
_EPSILON = re.compile(r"\w*(eps|epsilon)")
_COUNTS_ROWS = ("num_labels", "vocab_size", "attention_types")  # GPT-Neo's attention_types contains repetition counts
_COUNTS_LAYERS = re.compile(r"n_?layers?|\w*_n?layers?|\w*experts")
# A configuration may describe this much more than the files hold, for example a new head.
_FACTOR = 4
_MORE_NUMBERS, _MORE_BUFFERS, _MORE_ROWS = 10_000_000, 200_000_000, 10_000
_MORE_LAYERS = 500  # building one takes a millisecond
_SAVE_AGAIN = "Save the model again, so that config.json fits the weights: model.save_pretrained(folder)."


@dataclass(frozen=True)
class Skeleton:
    """A model's tensors.

    Args:
        shapes: the shapes of its parameters, by name.
        buffers: sizes of its other tensors, stored or not.
        tied: groups of parameter names that share one tensor.
        prefix: the prefix of its base's tensor names, in a model with a head.
    """

    shapes: Mapping[str, tuple[int, ...]]
    buffers: Mapping[str, int]
    tied: tuple[tuple[str, ...], ...]
    prefix: str

    @classmethod
    def of(cls, build: Callable[[], Any]) -> Skeleton:
        """Build a model on the meta device and describe it."""
        import torch  # TensorFlow's engine may run without it
        from torch.overrides import TorchFunctionMode

        class NoValues(TorchFunctionMode):
            """Skip what only sets values, which a tensor on the meta device has not: it takes half of a load."""

            def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                if getattr(function, "__name__", "") in _SETS_VALUES:
                    return args[0] if args else (kwargs.get("tensor") if "tensor" in kwargs else kwargs["input"])
                return function(*args, **(kwargs or {}))

        with torch.device("meta"), NoValues():
            model = build()
        names: dict[int, list[str]] = {}
        shapes = {}
        for name, parameter in model.named_parameters(remove_duplicate=False):
            names.setdefault(id(parameter), []).append(name)
            shapes[name] = tuple(parameter.shape)
        return cls(
            shapes=shapes,
            buffers={name: buffer.numel() for name, buffer in model.named_buffers(remove_duplicate=False)},
            tied=tuple(tuple(group) for group in names.values() if len(group) > 1),
            prefix=f"{getattr(model, 'base_model_prefix', '')}.",
        )

    def stored_name(self, name: str, stored: Mapping[str, StoredTensor]) -> str:
        """Return the name of a model's tensor in the files, with or without the prefix of the base."""
        candidates = (name, name.removeprefix(self.prefix), self.prefix + name)
        return next((one for one in candidates if one in stored), name)


def require_plausible(folder: Path, *, any_dtype: bool = False) -> None:
    """Refuse a configuration with far more layers or rows than the weight files; even reading it would take long.

    Also refuses an epsilon that is not a number, and tensors in an 8-bit float unless they may be of any dtype.

    Raises:
        CheckpointError: a field is too large or not a number, or a tensor has 8 bits; the message names it.
    """
    stored = stored_headers(folder)
    if not any_dtype:
        _require_dtype(folder, (tensor for tensor in stored.values() if tensor.dtype.startswith("F8")))
    rows = sum(max(tensor.shape, default=1) for tensor in stored.values())
    _check_counts(folder, read_configuration(folder), _FACTOR * len(stored) + _MORE_LAYERS, rows + _MORE_ROWS)


def require_fit(folder: Path, build: Callable[[], Any], head: str) -> Skeleton | None:
    """Refuse a configuration that describes much more than the weight files hold, without allocating memory.

    Raises:
        CheckpointError: the message names the tensors, or the files hold different values for a tied tensor.
    """
    stored = stored_headers(folder)
    try:
        skeleton = Skeleton.of(build)
    except Exception:
        return None  # loading reports the reason, or the model reads values while it is built
    found = {name: stored.get(skeleton.stored_name(name, stored)) for name in skeleton.shapes}
    _require_dtype(folder, (tensor for tensor in found.values() if tensor and tensor.dtype not in _FLOATS))
    _require_size(folder, skeleton, found, _FACTOR * sum(tensor.size for tensor in stored.values()), head)
    # From 5.0 on upstream keeps both if the files hold both, and calls T5 tied whatever its config.json says.
    for group in () if upstream.release_at_least("5") else skeleton.tied:
        _require_tied(folder, sorted({name for own in group if (name := skeleton.stored_name(own, stored)) in stored}))
    return skeleton


def require_used(folder: Path, unused: Iterable[str], skeleton: Skeleton | None, expected: Sequence[str]) -> None:
    """Refuse files with tensors that the model did not use, except heads of other tasks.

    Raises:
        CheckpointError: the message names the tensors.
    """
    own = {*skeleton.buffers, *skeleton.shapes} if skeleton else set()
    left = sorted(
        name
        for name in unused
        if not (name in own or _COMPUTED.search(name) or _HEADS.match(name))
        and not any(fnmatchcase(name, pattern) for pattern in expected)
    )
    if left:
        raise CheckpointError(
            f"The checkpoint {folder} has weights that the model does not use: {', '.join(map(ascii, left[:5]))}"
            f"{' …' if len(left) > 5 else ''}.",
            hint="Correct the number of layers or `architectures` in config.json, or save the model again. "
            f"If the model should leave them out, name them: unused=[{left[0]!a}]; * matches any text.",
        )


def check_loaded(
    folder: object, *, missing: Iterable[str], mismatched: Iterable[tuple[str, Any, Any]], head: str
) -> None:
    """Refuse a model with tensors that did not come from its checkpoint.

    Raises:
        CheckpointError: naming the tensors, the expected and the found shape.
    """
    fixed = head == "fixed"
    absent = sorted(name for name in missing if not (fixed and is_head(name)))
    if absent:
        raise CheckpointError(
            f"The checkpoint {folder} lacks weights that the model needs: {', '.join(absent[:5])}"
            f"{' …' if len(absent) > 5 else ''}.",
            hint="Use a checkpoint trained for this task"
            + (
                '; head="fixed" fills only the last layer.'
                if fixed
                else ', or load with head="fixed" to test shapes only.'
            ),
        )
    misfits = [
        f"{name} (expected {list(wanted)}, found {list(found)})"
        for name, found, wanted in mismatched
        if not (fixed and is_head(name))
    ]
    if misfits:
        raise CheckpointError(
            f"The checkpoint {folder} does not fit the model: {'; '.join(misfits)}.",
            hint='Load it with its own configuration, or with head="fixed" to test shapes only.',
        )


def is_head(name: str) -> bool:
    """Return whether a tensor belongs to a classification head (`score`, `classifier`), by either engine's name."""
    return not {"score", "classifier"}.isdisjoint(name.replace("/", ".").split("."))


def new_head(shape: tuple[int, ...]) -> Any:
    """Return the fixed numbers of a head without training: no library's initialisation, the same everywhere."""
    return (0.02 * np.sin(np.arange(1, prod(shape) + 1, dtype=np.float64))).reshape(shape).astype(np.float32)


def _require_size(
    folder: Path, skeleton: Skeleton, found: Mapping[str, StoredTensor | None], size: int, head: str
) -> None:
    if sum(map(prod, skeleton.shapes.values())) > size + _MORE_NUMBERS:
        pairs = [(name, tensor.shape, skeleton.shapes[name]) for name, tensor in found.items() if tensor is not None]
        check_loaded(
            folder,
            missing=[name for name, tensor in found.items() if tensor is None],
            mismatched=[pair for pair in pairs if pair[1] != pair[2]],
            head=head,
        )
    if sum(skeleton.buffers.values()) > size + _MORE_BUFFERS:
        raise CheckpointError(f"The configuration of {folder} describes more than its weights hold.", hint=_SAVE_AGAIN)


def _require_tied(folder: Path, names: list[str]) -> None:
    if len(names) > 1 and not same_bytes(folder, names):
        raise CheckpointError(
            f"The checkpoint {folder} holds different weights in {' and '.join(map(ascii, names))}, "
            "but the model ties them into one tensor.",
            hint='Set "tie_word_embeddings": false in config.json if they should differ, or save the model again.',
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
