"""Checkpoints: a name becomes a folder of safetensors with a digest per part.

For `engines` and above. Importing it imports the standard library only.
"""

from pytest_hfmodels.checkpoints.bundled_files import bundled_names
from pytest_hfmodels.checkpoints.checkpoint import Checkpoint, Origin, resolve
from pytest_hfmodels.checkpoints.digests import (
    Digests,
    config_digest,
    tokenizer_digest,
    weights_digest,
)
from pytest_hfmodels.checkpoints.weights import read_weights

__all__ = [
    "Checkpoint",
    "Digests",
    "Origin",
    "bundled_names",
    "config_digest",
    "read_weights",
    "resolve",
    "tokenizer_digest",
    "weights_digest",
]
