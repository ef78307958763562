"""GGUF files on the marker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels import CheckpointError, ModelCache
from pytest_hfmodels.engines import upstream

if TYPE_CHECKING:
    from pathlib import Path

    from ..project import Project

pytest.importorskip("torch")
WIDTH, LAYERS, HEADS, INNER = 32, 2, 2, 64
MATRICES = {
    **dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH)),
    **dict.fromkeys(("ffn_gate", "ffn_up"), (INNER, WIDTH)),
    "ffn_down": (WIDTH, INNER),
}


@pytest.fixture
def cache(models: ModelCache, tmp_path: Path) -> ModelCache:
    """An empty cache with its own folder."""
    del models
    return ModelCache(tmp_path)


def write_gguf(file: Path) -> Path:
    """Write a Llama of bytes with drawn weights in eight bits."""
    gguf: Any = pytest.importorskip("gguf", reason="needs gguf and accelerate: pip install gguf accelerate")
    pytest.importorskip("accelerate", reason="needs accelerate: pip install accelerate")
    if not upstream.release_at_least("4.45"):
        pytest.skip("transformers reads GGUF files of this kind from 4.45 on")
    out = gguf.GGUFWriter(str(file), "llama")
    out.add_context_length(64)
    out.add_embedding_length(WIDTH)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(INNER)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_freq_base(10000.0)
    out.add_rope_dimension_count(WIDTH // HEADS)
    words = ["<unk>", "<s>", "</s>", "<pad>", *map(chr, range(33, 127)), "\u0120", "he", "hi"]
    out.add_vocab_size(len(words))
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("default")
    out.add_token_list(words)
    out.add_token_types([3] * 4 + [1] * (len(words) - 4))
    out.add_token_merges(["h e", "h i"])
    for name, index in (("unk", 0), ("bos", 1), ("eos", 2), ("pad", 3)):
        getattr(out, f"add_{name}_token_id")(index)
    random = np.random.Generator(np.random.PCG64(5))
    shapes = {"token_embd": (len(words), WIDTH), "output": (len(words), WIDTH)}
    shapes |= {f"blk.{block}.{name}": shape for block in range(LAYERS) for name, shape in MATRICES.items()}
    eight = gguf.GGMLQuantizationType.Q8_0
    for name, shape in shapes.items():
        drawn = (0.3 * random.standard_normal(shape)).astype(np.float32)
        out.add_tensor(f"{name}.weight", gguf.quantize(drawn, eight), raw_dtype=eight)
    for name in ("output_norm", *(f"blk.{block}.{norm}_norm" for block in range(LAYERS) for norm in ("attn", "ffn"))):
        out.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return file


def test_a_gguf_file_loads_as_transformers_reads_it(cache: ModelCache, tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "bot.gguf")

    bot = cache.load("./bot.gguf")

    assert (bot.task, bot.loaded.environment()["dtype"]) == ("text-generation", "float32")
    assert bot.checkpoint.digests.weights.startswith("sha256:")
    assert bot.tokenizer("he")["input_ids"][-1] == bot.tokenizer.get_vocab()["he"]
    assert bot.generate("he", max_new_tokens=3).ids
    assert cache.load(file).model is cache.load("bot.gguf").model
    assert list(cache.dirty(weights=True)) == []


def test_a_damaged_gguf_file_is_refused(cache: ModelCache, tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "bot.gguf")
    file.write_bytes(file.read_bytes()[:200])

    with pytest.raises(CheckpointError, match=r"cannot read .*bot\.gguf"):
        cache.load("./bot.gguf")


def test_a_missing_gguf_file_is_named(cache: ModelCache) -> None:
    with pytest.raises(CheckpointError, match=r"no\.gguf does not exist\."):
        cache.load("./no.gguf")


@pytest.mark.parametrize("where", ["models", "../outside"])
def test_a_gguf_file_is_checked_without_a_test(bare_project: Project, models: ModelCache, where: str) -> None:
    del models
    (bare_project.path / where).mkdir()
    write_gguf(bare_project.path / where / "bot.gguf")
    model = (f"--hfmodels-model={where}/bot.gguf", "--hfmodels-engines=torch", "-k", "greedy or alone or reload")

    bare_project.run(*model, "--snapshot-update").assert_outcomes(passed=3, deselected=9)
    bare_project.run(*model).assert_outcomes(passed=3, deselected=9)

    shown = "models/bot.gguf" if where == "models" else "bot.gguf"
    assert list(bare_project.snapshots) == [f"hfmodels/{shown}/test_greedy.toml"]
