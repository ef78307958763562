from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.checkpoints import digest_cache, ordered_weights_digest, tokenizer_digest
from pytest_hfmodels.checkpoints.digests import config_digest, folder_digests, is_digest
from pytest_hfmodels.foundation.errors import CheckpointError

from .tiny_checkpoint import CONFIG, TENSORS, checkpoint_files, safetensors_bytes, sharded_files, write_files

if TYPE_CHECKING:
    from pathlib import Path

Tensor = tuple[str, str, tuple[int, ...], bytes]

W: Tensor = ("w", "F32", (1, 2), b"12345678")
V: Tensor = ("v", "I64", (1,), b"abcdefgh")


def test_weights_are_bytes_however_they_are_held() -> None:
    assert ordered_weights_digest([W]) == ordered_weights_digest([(*W[:3], memoryview(W[3]))])


@pytest.mark.parametrize(
    "other",
    [
        ("x", "F32", (1, 2), b"12345678"),
        ("w", "I32", (1, 2), b"12345678"),
        ("w", "F32", (2, 1), b"12345678"),
        ("w", "F32", (1, 2), b"12345679"),
    ],
    ids=["name", "dtype", "shape", "values"],
)
def test_weights_differ_in_each_of_their_parts(other: Tensor) -> None:
    assert ordered_weights_digest([W]) != ordered_weights_digest([other])


def test_two_lists_of_weights_never_share_their_bytes() -> None:
    joined = W[3] + json.dumps([*V[:2], list(V[2]), len(V[3])]).encode() + b"\n" + V[3]

    assert ordered_weights_digest([V, W]) != ordered_weights_digest([("v", "F32", (1, 2), joined)])


@pytest.mark.parametrize(("tensors", "said"), [([V, W, W], "two tensors are named 'w'"), ([W, V], "sort tensors")])
def test_weights_out_of_order_or_with_one_name_twice(tensors: list[Tensor], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ordered_weights_digest(tensors)


def test_weights_do_not_depend_on_files(tmp_path: Path) -> None:
    reordered = safetensors_bytes(order={"wte.weight": 2, "mask": 1})
    layouts = [checkpoint_files(), sharded_files(), checkpoint_files() | {"model.safetensors": reordered}]

    digests = {
        folder_digests(write_files(tmp_path / str(number), files)).weights for number, files in enumerate(layouts)
    }

    assert digests == {ordered_weights_digest(sorted((name, *tensor) for name, tensor in TENSORS.items()))}


def test_a_digest_names_its_algorithm() -> None:
    assert is_digest(ordered_weights_digest([W]))
    assert not is_digest("sha256:0123")


def test_the_digest_of_a_config_does_not_depend_on_the_folder() -> None:
    saved = {"_name_or_path": "./here", "transformers_version": "4.57.6", "vocab_size": 50, "n_layer": 2}

    assert config_digest(saved) == config_digest({"n_layer": 2, "vocab_size": 50})
    assert config_digest({"parts": [{"text": saved}]}) == config_digest(
        {"parts": [{"text": {**saved, "_name_or_path": ""}}]}
    )


def test_a_config_differs_in_its_values() -> None:
    assert config_digest({"n_layer": 2}) != config_digest({"n_layer": 3})


def test_generation_config_counts() -> None:
    without = config_digest(CONFIG)
    empty = config_digest(CONFIG, {})
    saved = config_digest(CONFIG, {"transformers_version": "5.0.0"})

    assert empty == saved
    assert len({without, empty, config_digest(CONFIG, {"num_beams": 2})}) == 3


def test_generation_config_is_read_from_the_folder(tmp_path: Path) -> None:
    folder = write_files(tmp_path, {**checkpoint_files(), "generation_config.json": b'{"num_beams": 2}'})

    assert folder_digests(folder).config == config_digest(CONFIG, {"num_beams": 2})


def test_a_tokenizer_is_its_files() -> None:
    files = {"vocab.json": b"{}", "merges.txt": b"a b"}

    assert tokenizer_digest(files) == tokenizer_digest(dict(reversed(files.items())))
    assert tokenizer_digest(files) != tokenizer_digest({"vocab.json": b"a b", "merges.txt": b"{}"})
    assert tokenizer_digest(files) != tokenizer_digest({**files, "vocab.txt": b""})


def test_no_tokenizer_is_the_digest_of_nothing(tmp_path: Path) -> None:
    weights_alone = {name: checkpoint_files()[name] for name in ("config.json", "model.safetensors")}

    digests = folder_digests(write_files(tmp_path, weights_alone))

    assert digests.tokenizer == f"sha256:{hashlib.sha256().hexdigest()}"


def test_every_tokenizer_file_counts_and_no_other(tmp_path: Path) -> None:
    before = folder_digests(write_files(tmp_path, checkpoint_files())).tokenizer

    beside = folder_digests(write_files(tmp_path, {"README.md": b"words", "vocab.bin": b"pickled"})).tokenizer
    added = folder_digests(write_files(tmp_path, {"added_tokens.json": b"{}"})).tokenizer

    assert beside == before
    assert added != before


@pytest.mark.parametrize(("content", "said"), [(b"{", "is not JSON"), (b"[]", "is JSON, but not an object")])
def test_a_config_that_is_not_a_json_object(tmp_path: Path, content: bytes, said: str) -> None:
    folder = write_files(tmp_path, {**checkpoint_files(), "config.json": content})

    with pytest.raises(CheckpointError, match=f"config.json {said}"):
        folder_digests(folder)


def test_a_large_file_is_read_once_as_long_as_it_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_HFMODELS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(digest_cache, "_SETTLED", -1.0)
    monkeypatch.setattr(digest_cache, "_LARGE", 4)
    file = tmp_path / "model.safetensors"
    read: list[bytes] = []

    def compute() -> str:
        read.append(file.read_bytes())
        return f"sha256:{hashlib.sha256(read[-1]).hexdigest()}"

    file.write_bytes(b"weights")
    first = digest_cache.weights_digest([file], compute)
    assert (digest_cache.weights_digest([file], compute), read) == (first, [b"weights"])

    before = file.stat()
    file.write_bytes(b"WEIGHTS")  # as large, and as old
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = digest_cache.weights_digest([file], compute)
    assert (second != first, read) == (True, [b"weights", b"WEIGHTS"])

    for entry in (tmp_path / "cache" / "digests").iterdir():
        entry.write_bytes(b"\xff cut")
    assert digest_cache.weights_digest([file], compute) == second
    assert len(read) == 3

    monkeypatch.setattr(digest_cache, "_SETTLED", 60.0)  # written a moment ago: its times may not show the next write
    digest_cache.weights_digest([file], compute)
    monkeypatch.setattr(digest_cache, "_LARGE", 100)  # a small one
    digest_cache.weights_digest([file], compute)
    assert len(read) == 5
