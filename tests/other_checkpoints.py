"""Folders of other architectures, saved by the installed transformers with few random weights.

For the tests of what is loaded and what is refused.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .tiny_gpt2 import VOCABULARY, write_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

_SMALL = {"vocab_size": VOCABULARY, "d_model": 16, "hidden_size": 16, "pad_token_id": 1, "bos_token_id": 0}
_ENDS = {"eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": None}
_BLOCKS = {"encoder_layers": 1, "decoder_layers": 1, "num_hidden_layers": 1, "num_layers": 1, "num_decoder_layers": 1}
_HEADS = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "num_attention_heads": 2, "num_heads": 2}
_WIDTHS = {"encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "intermediate_size": 16, "d_ff": 16, "d_kv": 8}
_ROOM = {"max_position_embeddings": 32, "max_source_positions": 16, "max_target_positions": 32}
_OF: dict[str, dict[str, Any]] = {
    "WhisperForConditionalGeneration": {"num_mel_bins": 8},
    "ViTForImageClassification": {"image_size": 16, "patch_size": 8},
    "Wav2Vec2ForCTC": {
        "conv_dim": (8, 8),
        "conv_stride": (5, 2),
        "conv_kernel": (10, 3),
        "num_feat_extract_layers": 2,
        "num_conv_pos_embeddings": 4,
        "num_conv_pos_embedding_groups": 2,
    },
    "YolosForObjectDetection": {"image_size": [16, 16], "patch_size": 8, "num_detection_tokens": 3},
    "CLIPModel": {
        "text_config": {"vocab_size": VOCABULARY, "num_attention_heads": 2, "hidden_size": 16, "num_hidden_layers": 1},
        "vision_config": {"image_size": 16, "patch_size": 8, "num_attention_heads": 2, "hidden_size": 16},
    },
}


def save_model(folder: Path, name: str, **fields: Any) -> Path:
    """Save a small model of transformers' class `name` as safetensors, with the tokenizer of the tiny GPT-2."""
    import torch
    import transformers

    write_checkpoint(folder)
    kind, fields = getattr(transformers, name), {**_OF.get(name, {}), **fields}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind(kind.config_class(**_SMALL, **_ENDS, **_BLOCKS, **_HEADS, **_WIDTHS, **_ROOM, **fields))
    model.save_pretrained(str(folder), safe_serialization=True)
    return folder


def edit_json(file: Path, **fields: Any) -> Path:
    """Set fields of a JSON file; None removes one."""
    said = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    changed = {name: value for name, value in {**said, **fields}.items() if value is not None}
    file.write_text(json.dumps(changed), encoding="utf-8")
    return file
