"""Variants of a checkpoint folder, by class: a function that damages a good folder in one way each."""

from __future__ import annotations

import json
import os
import pickle
import random
import struct
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Damage = Callable[[Path], object]

ODD: tuple[Any, ...] = (
    None,
    True,
    "x",
    "",
    [],
    {},
    [1, "a"],
    {"a": {"b": None}},
    -1,
    0,
    1.5,
    1e308,
    2**63,
    10**30,
    "\x1b[2J\u202e",
    "../..",
)
DEEP = "[" * 100_000


def classes() -> dict[str, dict[str, Damage]]:
    """Return the damages by class and name."""
    found = {
        "config-field": _fields("config.json", CONFIG_FIELDS),
        "config-size": _sizes(),
        "config-file": _files("config.json"),
        "generation-config-field": _fields("generation_config.json", GENERATION_FIELDS),
        "generation-config-file": _files("generation_config.json"),
        "tokenizer-config-field": _fields("tokenizer_config.json", TOKENIZER_FIELDS),
        "tokenizer-config-file": _files("tokenizer_config.json"),
        "tokenizer-json": _tokenizers(),
        "vocabulary-file": {**_files("vocab.json"), **_files("merges.txt")},
        "special-tokens-file": _files("special_tokens_map.json"),
        "weights-file": _files("model.safetensors"),
        "weights-header": _headers(),
        "weights-index": _indices(),
        "weights-bytes": _flips(),
        "code": _code(),
        "extra-file": _extra(),
    }
    return {name: dict(damages) for name, damages in found.items()}


CONFIG_FIELDS = (
    "model_type",
    "architectures",
    "vocab_size",
    "n_positions",
    "n_embd",
    "n_layer",
    "n_head",
    "activation_function",
    "eos_token_id",
    "id2label",
    "label2id",
    "torch_dtype",
    "dtype",
    "quantization_config",
    "tie_word_embeddings",
    "attn_implementation",
    "transformers_version",
    "layer_norm_epsilon",
    "n_inner",
    "scale_attn_weights",
    "text_config",
)
GENERATION_FIELDS = (
    "max_length",
    "max_new_tokens",
    "num_beams",
    "eos_token_id",
    "pad_token_id",
    "early_stopping",
    "length_penalty",
    "no_repeat_ngram_size",
    "bad_words_ids",
    "suppress_tokens",
    "forced_eos_token_id",
    "cache_implementation",
)
TOKENIZER_FIELDS = (
    "tokenizer_class",
    "model_max_length",
    "eos_token",
    "unk_token",
    "added_tokens_decoder",
    "chat_template",
    "padding_side",
    "clean_up_tokenization_spaces",
    "extra_special_tokens",
    "add_prefix_space",
)


def _fields(file: str, names: tuple[str, ...]) -> dict[str, Damage]:
    drawn = random.Random(file)
    return {
        f"{name}={value!r:.20}": partial(_set, file, name, value) for name in names for value in drawn.sample(ODD, 5)
    }


def _set(file: str, name: str, value: Any, folder: Path) -> None:
    path = folder / file
    values = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**values, name: value}))


def _sizes() -> dict[str, Damage]:
    sizes = {
        "vocab_size": (30_000_000, 2**31),
        "n_layer": (10**4, 10**7),
        "n_embd": (10**6, 2**40),
        "n_positions": (10**9,),
        "n_inner": (10**9,),
        "n_head": (10**9,),
    }
    return {
        f"{name}={size}": partial(_set, "config.json", name, size)
        for name, several in sizes.items()
        for size in several
    }


def _files(name: str) -> dict[str, Damage]:
    """Damages of a whole file: its text and its kind."""
    texts: dict[str, bytes] = {
        "empty": b"",
        "no-json": b"{",
        "list": b"[]",
        "text": b'"x"',
        "number": b"7",
        "null": b"null",
        "nan": b'{"a": NaN}',
        "bytes": bytes(range(256)),
        "zeros": bytes(1000),
        "deep-list": DEEP.encode(),
        "bom": b"\xef\xbb\xbf{}",
        "deep-table": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "digits": b'{"vocab_size": ' + b"9" * 10_000 + b"}",
        "surrogate": b'{"model_type": "\\ud800"}',
        "twice": b'{"a": 1, "a": 2}',
        "utf-16": "{}".encode("utf-16"),
    }
    found: dict[str, Damage] = {f"{name}-{what}": partial(_replace, name, text) for what, text in texts.items()}
    return found | {
        f"{name}-missing": lambda folder: (folder / name).unlink(missing_ok=True),
        f"{name}-folder": partial(_instead, name, Path.mkdir),
        f"{name}-fifo": partial(_instead, name, os.mkfifo),
        f"{name}-link-to-itself": partial(_instead, name, lambda path: path.symlink_to(path)),
        f"{name}-link-to-nothing": partial(_instead, name, lambda path: path.symlink_to("nothing")),
        f"{name}-device": partial(_instead, name, lambda path: path.symlink_to("/dev/zero")),
        f"{name}-unreadable": partial(_instead, name, lambda path: path.symlink_to("/proc/self/mem")),
    }


def _replace(name: str, content: bytes, folder: Path) -> None:
    (folder / name).write_bytes(content)


def _instead(name: str, make: Callable[[Path], object], folder: Path) -> None:
    (folder / name).unlink(missing_ok=True)
    make(folder / name)


def _tokenizers() -> dict[str, Damage]:
    """Damages of a `tokenizer.json`, which a Rust library reads."""
    good: dict[str, Any] = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {"a": 0, "Hi": 1}, "unk_token": "a"},
    }
    pieces: dict[str, tuple[Any, ...]] = {
        "normalizer": (
            {"type": "Precompiled", "precompiled_charsmap": "AAAA"},
            {"type": "Precompiled", "precompiled_charsmap": ""},
            {"type": "Precompiled", "precompiled_charsmap": "/////w=="},
            {"type": "Nothing"},
            {"type": "Sequence"},
            7,
            {"type": "Replace", "pattern": {"Regex": "((a+)+)+$"}, "content": ""},
            {"type": "Replace", "pattern": {"Regex": "(("}, "content": ""},
        ),
        "pre_tokenizer": ({"type": "Split", "pattern": {"Regex": "("}, "behavior": "Removed", "invert": False}, 7),
        "post_processor": ({"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {"x": 1}}, []),
        "decoder": ({"type": "Nothing"}, "x"),
        "model": (
            {},
            {"type": "BPE", "vocab": {}, "merges": [["a", "b"]]},
            {"type": "Unigram", "vocab": [], "unk_id": 9},
        ),
        "added_tokens": ([{"id": 2**40, "content": "x"}], [{"id": 5, "content": ""}], "x", [{"id": -1}]),
        "version": (None, 7, "9.9"),
    }
    found: dict[str, Damage] = {
        f"{part}={value!r:.60}": partial(_replace, "tokenizer.json", json.dumps({**good, part: value}).encode())
        for part, values in pieces.items()
        for value in values
    }
    return {**found, **_files("tokenizer.json")}


def _headers() -> dict[str, Damage]:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    odd = {
        "dtype": ("F99", None, 7, "f32"),
        "shape": ([-2], [2.0], None, [2**63, 2], ["2"], [1] * 5000),
        "data_offsets": ([8, 0], [0, 9], [0], None, [0, 2**62], [-8, 0], ["0", "8"]),
    }
    headers: dict[str, Any] = {
        f"{name}={value!r:.30}": {"a": {**entry, name: value}} for name, values in odd.items() for value in values
    }
    headers |= {
        "empty": {},
        "no-table": [],
        "tensor-is-text": {"a": "b"},
        "metadata": {"__metadata__": 7, "a": entry},
        "overlapping": {"a": entry, "b": entry},
        "name-is-empty": {"": entry},
        "name-escapes": {"\x1b[2J": entry},
        "more": {"a": {**entry, "more": 1}},
        "no-shape": {"a": {"dtype": "F32", "data_offsets": [0, 8]}},
    }
    found: dict[str, Damage] = {
        name: partial(_replace, "model.safetensors", _safetensors(json.dumps(header).encode()))
        for name, header in headers.items()
    }
    raw = {
        "longer-than-file": struct.pack("<Q", 2**40) + b"{}",
        "length-of-all-bits": b"\xff" * 8 + b"{}",
        "deep": _safetensors(DEEP.encode()),
        "cut": struct.pack("<Q", 50) + b'{"a"',
        "short": b"\x00\x00",
        "digits": _safetensors(b'{"a": {"dtype": "F32", "shape": [' + b"9" * 10_000 + b'], "data_offsets": [0, 8]}}'),
        "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    }
    return found | {name: partial(_replace, "model.safetensors", content) for name, content in raw.items()}


def _safetensors(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + bytes(8)


def _indices() -> dict[str, Damage]:
    maps: dict[str, Any] = {
        "above": {"a": "../model.safetensors"},
        "absolute": {"a": "/etc/passwd"},
        "missing": {"a": "other.safetensors"},
        "list": [],
        "number": {"a": 7},
        "empty": {},
        "itself": {"a": "model.safetensors.index.json"},
        "null": None,
        "escapes": {"\x1b[2J": "x\u202e.safetensors"},
        "nul": {"a": "a\0b"},
        "long": {"a": "x" * 5000},
    }

    def write(weight_map: Any, folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
        _set("model.safetensors.index.json", "weight_map", weight_map, folder)

    return {f"index-{name}": partial(write, weight_map) for name, weight_map in maps.items()}


def _flips() -> dict[str, Damage]:
    """Damages of single bytes of the weights' header, of their end, and of the configuration."""

    def flip(name: str, seed: int, most: int, folder: Path) -> None:
        drawn = random.Random(seed)
        content = bytearray((folder / name).read_bytes())
        for _ in range(3):
            content[drawn.randrange(min(len(content), most))] = drawn.randrange(256)
        (folder / name).write_bytes(content[: drawn.randrange(1, len(content))] if seed % 4 == 0 else content)

    return {
        f"{name}-{seed}": partial(flip, name, seed, most)
        for name, most in (("model.safetensors", 2000), ("config.json", 10**6))
        for seed in range(20)
    }


class _Runs:
    """Writes the canary as soon as it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"open({CANARY!r}, 'w')",)


CANARY = "canary"  # in the current folder
RUN = f"open({CANARY!r}, 'w').close()\n"


def _code() -> dict[str, Damage]:
    """Every way in which a folder may contain code."""
    module = f"{RUN}from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer\n" + "".join(
        f"class Own{kind}(GPT2{kind}):\n    pass\n" for kind in ("Config", "LMHeadModel", "Tokenizer")
    )
    generate = f"{RUN}def generate(model, *args, **kwargs):\n    {RUN}    return model\n"

    def custom(folder: Path) -> None:
        (folder / "own.py").write_text(module)
        names = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnLMHeadModel"}
        _set("config.json", "auto_map", names, folder)

    def own_type(folder: Path) -> None:
        custom(folder)
        _set("config.json", "model_type", "own", folder)

    def tokenizer(folder: Path) -> None:
        (folder / "own.py").write_text(module)
        _set("tokenizer_config.json", "auto_map", {"AutoTokenizer": ["own.OwnTokenizer", None]}, folder)
        _set("tokenizer_config.json", "tokenizer_class", "OwnTokenizer", folder)

    def script(*names: str) -> Damage:
        def write(folder: Path) -> None:
            for name in names:
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_text(generate)

        return write

    def pickled(name: str, *, alone: bool) -> Damage:
        def write(folder: Path) -> None:
            (folder / name).write_bytes(pickle.dumps(_Runs()))
            if alone:
                (folder / "model.safetensors").unlink()

        return write

    template = "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ cycler.__init__.__globals__.os.system(': >canary') }}"
    return {
        "auto-map": custom,
        "own-model-type": own_type,
        "tokenizer-auto-map": tokenizer,
        "custom-generate": script("custom_generate/generate.py"),
        "scripts": script(
            "modeling_gpt2.py", "configuration_gpt2.py", "tokenization_gpt2.py", "generate.py", "__init__.py"
        ),
        "sitecustomize": script("sitecustomize.py", "conftest.py", "torch.py", "json.py"),
        "bin": pickled("pytorch_model.bin", alone=True),
        "bin-beside": pickled("pytorch_model.bin", alone=False),
        "vocab-pickle": pickled("vocab.pkl", alone=False),
        "vocab-bin": pickled("vocab.bin", alone=False),
        "training-args": pickled("training_args.bin", alone=False),
        "h5": pickled("tf_model.h5", alone=True),
        "msgpack": pickled("flax_model.msgpack", alone=True),
        "safetensors": pickled("model.safetensors", alone=False),
        "chat-template": partial(_set, "tokenizer_config.json", "chat_template", template),
        "chat-template-file": partial(_replace, "chat_template.jinja", template.encode()),
        "adapter": partial(_set, "adapter_config.json", "base_model_name_or_path", "../model"),
        "quantized": partial(_set, "config.json", "quantization_config", {"quant_method": "gptq", "bits": 4}),
        "name-elsewhere": partial(_set, "config.json", "_name_or_path", "somebody/else"),
        "custom-pipelines": partial(_set, "config.json", "custom_pipelines", {"x": {"impl": "own.Own", "pt": ["A"]}}),
    }


def _extra() -> dict[str, Damage]:
    def large(folder: Path) -> None:
        with (folder / "large.json").open("wb") as file:
            file.truncate(1 << 40)

    return {
        "fifo": lambda folder: os.mkfifo(folder / "extra"),
        "name-escapes": lambda folder: (folder / "\x1b[2J\u202e.json").write_text("{}"),
        "name-no-utf-8": lambda folder: (folder / os.fsdecode(b"\xff.json")).write_text("{}"),
        "loop": lambda folder: (folder / "loop").symlink_to(".."),
        "large": large,
        "many": lambda folder: [(folder / f"{number}.json").write_text("{}") for number in range(300)],
    }
