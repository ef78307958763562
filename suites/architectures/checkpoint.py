"""Small checkpoints as a file describes them: a configuration, names and shapes of weights, numbers drawn by rule.

A number depends on the weight's name, its shape, the place in it and the seed. No class of the library is built for
it, so that all releases read the same files, named as 4.57.6 saves them.
"""

from __future__ import annotations

import json
import math
import re
from itertools import product
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from tests.projects.drawn import SPECIAL, WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

VOCABULARY = len(SPECIAL + WORDS)
_RANGES = {  # numbers that a part of a model keeps in a range
    r"(^|\.)running_var": (0.5, 1.5),
    r"time_mix_": (0.2, 0.8),
    r"A_log$": (0.0, 1.5),
    r"logit_scale": (0.5, 1.0),
}

_CROSS = "encoder_attn|EncDecAttention"


def write_checkpoint(
    folder: Path, config: Mapping[str, Any], weights: str, *, seed: int = 0, gain: float = 1.0, tokenizer: bool = True
) -> Path:
    """Write a folder that `from_pretrained` reads.

    Args:
        folder: where to; made if it is not there.
        config: of `config.json`.
        weights: a line a shape, `16x24: model.layers.{0,1}.mlp.{up_proj,gate_proj}.weight`; `()` is a single number.
        seed: of the numbers.
        gain: the standard deviation that a matrix gives to a product with numbers of standard deviation 1.
        tokenizer: whether the model reads words.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "config.json", config)
    if tokenizer:
        write_tokenizer(folder)
    drawn = {name: numbers(name, shape, seed=seed, gain=gain) for name, shape in shapes(weights)}
    save_file(drawn, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def shapes(weights: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of each weight; names in braces are alternatives."""
    for line in weights.strip().splitlines():
        shape, _, names = line.partition(":")
        sizes = tuple(int(size) for size in shape.split("x") if size.strip(" ()"))
        for pattern in names.split():
            parts = re.split(r"\{(.*?)\}", pattern)
            for name in product(*(part.split(",") if index % 2 else (part,) for index, part in enumerate(parts))):
                yield "".join(name), sizes


def numbers(name: str, shape: tuple[int, ...], *, seed: int = 0, gain: float = 1.0) -> NDArray[Any]:
    """Return the numbers of one weight: norms near 1, biases near 0, and matrices scaled by their inputs."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    random = np.random.Generator(np.random.PCG64(crc32(f"{seed} {name}".encode())))
    for pattern, (low, high) in _RANGES.items():
        if re.search(pattern, name):
            return np.asarray(random.uniform(low, high, shape), np.float32)
    drawn = random.standard_normal(shape)
    if len(shape) < 2:
        return np.asarray(0.1 * drawn + (1.0 if name.endswith("weight") else 0.0), np.float32)
    if re.search(_CROSS, name):  # else each step reads the same vector, and repeats one word
        gain /= 4
    return np.asarray(gain / math.sqrt(math.prod(shape[1:])) * drawn, np.float32)


def write_tokenizer(folder: Path) -> None:
    """Write a tokenizer of whole words, lower-cased: a file of ours, the same with every release of `tokenizers`."""
    vocabulary = {word: index for index, word in enumerate((*SPECIAL, *WORDS))}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": index, "content": word, **flags} for index, word in enumerate(SPECIAL)],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    }
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 64, **names}
    inputs = {"model_input_names": ["input_ids", "attention_mask"]}
    _write(folder / "tokenizer.json", whole)
    _write(folder / "tokenizer_config.json", {**settings, **inputs, "clean_up_tokenization_spaces": False})


def _write(file: Path, values: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
