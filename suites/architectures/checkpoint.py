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
    from collections.abc import Callable, Iterator, Mapping, Sequence
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
    folder: Path,
    config: Mapping[str, Any],
    weights: str,
    *,
    seed: int = 0,
    gain: float = 1.0,
    tokenizer: bool = True,
    more: Sequence[str] = (),
    files: Mapping[str, Any] | None = None,
) -> Path:
    """Write a folder that `from_pretrained` reads.

    Args:
        folder: where to; made if it is not there.
        config: of `config.json`.
        weights: a line a shape, `16x24: model.layers.{0,1}.mlp.{up_proj,gate_proj}.weight`; `()` is a single number.
        seed: of the numbers.
        gain: the standard deviation that a matrix gives to a product with numbers of standard deviation 1.
        tokenizer: whether the model reads words.
        more: special words behind the others.
        files: further files by name, such as those of a processor: JSON, or a text.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "config.json", config)
    if tokenizer:
        write_tokenizer(folder, *more)
    for name, content in (files or {}).items():
        _write(folder / name, content)
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
    for ending, rule in _WHOLE.items():
        if name.endswith(ending):
            return rule(shape)
    random = np.random.Generator(np.random.PCG64(crc32(f"{seed} {name}".encode())))
    for pattern, (low, high) in _RANGES.items():
        if re.search(pattern, name):
            return np.asarray(random.uniform(low, high, shape), np.float32)
    drawn = random.standard_normal(shape)
    if name.endswith("embed_tokens.weight") and len(drawn) > 2 * VOCABULARY:
        drawn[VOCABULARY:] /= 20  # times, which are so many that no word would be as likely
    if len(shape) < 2:
        return np.asarray(0.1 * drawn + (1.0 if name.endswith("weight") else 0.0), np.float32)
    if re.search(_CROSS, name):  # else each step reads the same vector, and repeats one word
        gain /= 4
    return np.asarray(gain / math.sqrt(math.prod(shape[1:])) * drawn, np.float32)


def relative_positions(size: int) -> NDArray[np.int64]:
    """Return where each pair of places in a square window of `size` places finds its bias (arXiv:2103.14030, 3.2)."""
    side = math.isqrt(size)
    rows, columns = np.divmod(np.arange(size), side)
    down, right = (places[:, None] - places[None, :] + side - 1 for places in (rows, columns))
    return np.asarray(down * (2 * side - 1) + right, np.int64)


_WHOLE: dict[str, Callable[[tuple[int, ...]], NDArray[np.int64]]] = {  # tables that 4.57.6 saves with the weights
    "num_batches_tracked": lambda shape: np.zeros(shape, np.int64),
    "token_type_ids": lambda shape: np.zeros(shape, np.int64),
    "position_ids": lambda shape: np.arange(shape[-1]).reshape(shape),
    "relative_position_index": lambda shape: relative_positions(shape[0]),
}


def write_tokenizer(folder: Path, *more: str) -> None:
    """Write a tokenizer of whole words, lower-cased: a file of ours, the same with every release of `tokenizers`."""
    vocabulary = {word: index for index, word in enumerate((*SPECIAL, *WORDS))}
    special = [*SPECIAL, *more]
    added = {**vocabulary, **{word: len(vocabulary) + index for index, word in enumerate(more)}}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": added[word], "content": word, **flags} for word in special],
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


def _write(file: Path, content: Mapping[str, Any] | str) -> None:
    file.write_text(content if isinstance(content, str) else json.dumps(content, indent=1) + "\n", encoding="utf-8")
