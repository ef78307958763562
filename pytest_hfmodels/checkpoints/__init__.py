"""Checkpoints: a name becomes a folder of safetensors with a digest per part.

For `engines` and above. Importing it imports the standard library only.
"""

from pytest_hfmodels.checkpoints.adapters import adapter_task, adapter_weights, fill_adapter_copy
from pytest_hfmodels.checkpoints.bundled_files import bundled_names
from pytest_hfmodels.checkpoints.checkpoint import Checkpoint, Origin, file_stamp, is_gguf, is_known, resolve
from pytest_hfmodels.checkpoints.digests import (
    Digests,
    ordered_weights_digest,
    overrides_text,
    same_content,
    tokenizer_digest,
)
from pytest_hfmodels.checkpoints.folders import model_card_tag, read_configuration
from pytest_hfmodels.checkpoints.private_copy import fill_private_copy
from pytest_hfmodels.checkpoints.weights import StoredTensor, read_weights, same_bytes, stored_headers

__all__ = [
    "Checkpoint",
    "Digests",
    "Origin",
    "StoredTensor",
    "adapter_task",
    "adapter_weights",
    "bundled_names",
    "file_stamp",
    "fill_adapter_copy",
    "fill_private_copy",
    "is_gguf",
    "is_known",
    "model_card_tag",
    "ordered_weights_digest",
    "overrides_text",
    "read_configuration",
    "read_weights",
    "resolve",
    "same_bytes",
    "same_content",
    "stored_headers",
    "tokenizer_digest",
]
