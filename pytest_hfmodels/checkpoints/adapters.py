"""Adapters as PEFT saves them: a folder with few weights and the name of the base that they change.

For `checkpoint`, and through the package for `engines`, which apply them.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import digests, folders, weights
from pytest_hfmodels.foundation.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_hfmodels.checkpoints.digests import Digests

ADAPTER = "adapter_config.json"
FORMAT = folders.WeightFormat("adapter_model.safetensors")
# PEFT's kinds whose configuration names no further model and no text to start from.
_KINDS = (
    *("LORA", "ADALORA", "IA3", "LOHA", "LOKR", "OFT", "BOFT", "VERA", "HRA", "FOURIERFT", "LN_TUNING"),
    "PREFIX_TUNING",
)
# They name code or files, or say where the adapter was made.
_OUTSIDE = re.compile(r"auto_mapping|megatron_\w+|\w*_name_or_path|revision|peft_version|inference_mode")
_TASKS = {
    "CAUSAL_LM": "text-generation",
    "SEQ_2_SEQ_LM": "text2text-generation",
    "SEQ_CLS": "text-classification",
    "TOKEN_CLS": "token-classification",
    "QUESTION_ANS": "question-answering",
    "FEATURE_EXTRACTION": "feature-extraction",
}


def is_adapter(folder: Path) -> bool:
    """Return whether a folder holds an adapter."""
    return folders.is_file(folder / ADAPTER)


def base_name(folder: Path, rootdir: Path) -> tuple[str, str | None]:
    """Return the name of an adapter's base as `resolve` takes it, and its revision.

    Raises:
        CheckpointError: the adapter names no base, or is of a kind that is not loaded.
    """
    said = folders.read_json_object(folder / ADAPTER)
    name, kind, revision = (said.get(field) for field in ("base_model_name_or_path", "peft_type", "revision"))
    if kind not in _KINDS:
        raise CheckpointError(
            f"{folder / ADAPTER} is an adapter of kind {kind!a:.40}; the plugin loads only {', '.join(_KINDS)}.",
            hint="Load the model with PEFT and pass it in: hf_models.adopt(model, tokenizer).",
        )
    if not isinstance(name, str) or not name:
        raise CheckpointError(f"{folder / ADAPTER} names no base model.", hint="Write base_model_name_or_path into it.")
    is_folder = (rootdir / name).is_dir() and not name.startswith((".", "/", "~"))
    return (f"./{name}" if is_folder else name), (revision if isinstance(revision, str) else None)


def with_adapter(base: Digests, folder: Path) -> Digests:
    """Return the digests of a base with an adapter; a tokenizer beside the adapter takes the place of the base's."""
    tensors = sorted(weights.stored_tensors(folder, FORMAT), key=lambda stored: stored[0].name)
    own = digests.ordered_weights_digest((tensor.name, tensor.dtype, tensor.shape, raw) for tensor, raw in tensors)
    config = json.dumps(_plain_config(folder), sort_keys=True)
    changed = replace(base, weights=_combined(base.weights, own), config=_combined(base.config, config))
    if not has_tokenizer(folder):
        return changed
    parts = digests.processor_digests(folder)
    return replace(changed, tokenizer=parts["tokenizer"], chat_template=parts["chat_template"])


def has_tokenizer(folder: Path) -> bool:
    """Return whether the files of a tokenizer lie beside an adapter."""
    return any(folders.is_file(folder / name) for name in folders.TOKENIZER_FILES)


def adapter_task(folder: Path) -> str | None:
    """Return the task that an adapter was trained for, by the Hub's name; None if it does not say."""
    return _TASKS.get(str(folders.read_json_object(folder / ADAPTER).get("task_type")))


def adapter_weights(folder: Path) -> list[str]:
    """Return the names of an adapter's weights, sorted."""
    return sorted(weights.stored_headers(folder, FORMAT))


def fill_adapter_copy(folder: Path, target: Path) -> None:
    """Put the configuration and the weights of an adapter into the empty folder `target`.

    Fields that name code or files elsewhere are removed.
    """
    (target / ADAPTER).write_text(json.dumps(_plain_config(folder)), encoding="utf-8")
    shutil.copyfile(folder / FORMAT.single, target / FORMAT.single)


def _plain_config(folder: Path) -> dict[str, Any]:
    said = folders.read_json_object(folder / ADAPTER)
    return {name: value for name, value in said.items() if not _OUTSIDE.fullmatch(name)}


def _combined(*parts: str) -> str:
    return f"sha256:{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}"
