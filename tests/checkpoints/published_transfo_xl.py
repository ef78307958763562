"""What a published Transformer-XL's repo holds, made from `tiny-transfo-xl`: no safetensors, no text vocabulary.

For the tests of this folder.
"""

from __future__ import annotations

import io
import json
import pickle
from collections import Counter, OrderedDict
from typing import Any

from pytest_hfmodels.checkpoints import read_weights
from pytest_hfmodels.checkpoints.bundled_files import BUNDLED

TINY = BUNDLED / "tiny-transfo-xl"
REPO = "transfo-xl/transfo-xl-wt103"
COMMIT = "40a186da79458c9f9de846edfaea79c412137f97"


def words() -> list[str]:
    return (TINY / "vocab.txt").read_text(encoding="utf-8").split()


def published_files(**vocabulary: Any) -> dict[str, bytes]:
    """Return the repo's files; `vocabulary` replaces parts of its vocab.pkl."""
    return {
        "README.md": b"A model.",
        "config.json": json.dumps(_config()).encode(),
        "pytorch_model.bin": _bin_weights(),
        "tf_model.h5": b"never read",
        "vocab.bin": b"never read",
        "vocab.pkl": pickled_vocabulary(**vocabulary),
    }


def pickled_vocabulary(**changes: Any) -> bytes:
    found = words()
    whole = {
        "counter": Counter(found),
        "special": ["<eos>"],
        "min_freq": 0,
        "max_size": None,
        "lower_case": False,
        "delimiter": None,
        "vocab_file": None,
        "eos_idx": 0,
        "idx2sym": found,
        "sym2idx": OrderedDict((word, index) for index, word in enumerate(found)),
    }
    return pickle.dumps({**whole, **changes}, protocol=2)


def _config() -> dict[str, Any]:
    config = json.loads((TINY / "config.json").read_text(encoding="utf-8"))
    for name in ("id2label", "label2id", "pad_token_id"):
        del config[name]
    return {**config, "tie_weight": True, "task_specific_params": {"text-generation": {"do_sample": True}}}


def _bin_weights() -> bytes:
    import torch

    # No head for texts was ever published.
    state = {name: torch.from_numpy(array) for name, array in read_weights(TINY).items() if name != "score.weight"}
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=False)  # as in 2020
    return buffer.getvalue()
