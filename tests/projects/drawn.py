"""Weights drawn with NumPy: a number depends on the parameter's name, its shape and the place in it, on no release."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 64_000  # bytes of a committed checkpoint's weights
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")
WORDS = (
    *("the", "a", "my", "your", "name", "is", "and", "i", "am", "you", "how", "do", "reset", "password", "cat", "dog"),
    *("red", "green", "blue", "house", "in", "of", "to", "we", "they", "small", "large", "?", ".", "!", ",", "what"),
)


def save(folder: Path, architecture: str, /, *, scale: float = 0.25, **fields: Any) -> Any:
    """Build a model of transformers' class `architecture`, give it drawn weights, save it and return it.

    Args:
        folder: the checkpoint's.
        architecture: such as `BertForTokenClassification`; its configuration class takes `fields`.
        scale: the standard deviation of matrices; norms are near 1, biases near 0.
        fields: of the configuration.
    """
    import torch
    import transformers

    own = getattr(transformers, architecture)
    model = own(own.config_class(**fields))
    draw(model, scale=scale)
    folder.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        model.save_pretrained(str(folder), safe_serialization=True)
    size = (folder / "model.safetensors").stat().st_size
    assert size <= LARGEST, f"{folder} has {size} bytes of weights: make it smaller"
    return model


def save_llama(folder: Path, *, room: int = 64) -> None:
    """Save a Llama of two blocks with grouped-query attention, for the words of `save_tokenizer`.

    Args:
        folder: the checkpoint's.
        room: how many positions it has.
    """
    save(
        folder,
        "LlamaForCausalLM",
        scale=0.3,
        vocab_size=len(SPECIAL + WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=room,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=None,
        tie_word_embeddings=False,
    )


def draw(module: Any, *, scale: float = 0.25) -> None:
    """Fill every parameter of a torch module."""
    import torch

    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.from_numpy(numbers(name, tuple(parameter.shape), scale)))


def numbers(name: str, shape: tuple[int, ...], scale: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the numbers of one parameter."""
    random = np.random.Generator(np.random.PCG64(crc32(name.encode())))
    drawn = random.standard_normal(shape)
    vector = 0.1 * drawn + (1.0 if name.endswith("weight") else 0.0)
    return np.asarray(vector if len(shape) == 1 else scale * drawn, dtype=np.float32)


def save_tokenizer(
    folder: Path, kind: str = "PreTrainedTokenizerFast", *, pairs: bool = False, **settings: Any
) -> None:
    """Save a tokenizer of whole words, lower-cased, beside a model of `len(SPECIAL + WORDS)` or more tokens.

    Args:
        folder: the checkpoint's.
        kind: the tokenizer class that tokenizer_config.json names.
        pairs: put `<s>` and `</s>` around a text and behind the second of a pair, which has token type 1.
        settings: more of tokenizer_config.json, such as `chat_template`.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {word: index for index, word in enumerate((*SPECIAL, *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace()])
    tokenizer.add_special_tokens(list(SPECIAL))
    if pairs:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 2), ("</s>", 3)]
        )
        settings = {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"], **settings}
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    tokens = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    whole = {"tokenizer_class": kind, "model_max_length": 64, **tokens, **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
