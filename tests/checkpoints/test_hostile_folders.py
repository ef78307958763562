"""Folders made to hang the plugin, to fill the memory or to crash in another library."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import contextmanager
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels import CheckpointError, EngineError, HFModelsError, ModelCache
from pytest_hfmodels.checkpoints import resolve
from pytest_hfmodels.engines import usable
from pytest_hfmodels.engines.generation_config import inherited_named

from ..other_checkpoints import edit_json
from ..tiny_gpt2 import write_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 2


@contextmanager
def _bounded(megabytes: int = 300) -> Iterator[None]:
    """Fail if a block takes more than `SECONDS` or more than `megabytes` of memory."""
    import resource

    def stop(*_: Any) -> None:
        raise TimeoutError("it hangs")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    handler = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS * 2)
    start = time.process_time()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    assert time.process_time() - start < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < megabytes * 1024


@pytest.fixture
def cache(models: ModelCache, tmp_path: Path) -> ModelCache:
    """An empty cache with its own folder, which has a checkpoint in `./bot`."""
    del models
    write_checkpoint(tmp_path / "bot")
    return ModelCache(tmp_path, with_tensorflow="tensorflow" in usable())


@pytest.mark.parametrize(
    "fields",
    [
        {"vocab_size": 30_000_000},
        {"vocab_size": 10**15},
        {"n_embd": 2_000_000},
        {"n_positions": 200_000_000},
        {"n_layer": 10**7},
        {"n_layer": 10**12},
        {"n_inner": 10**8},
        {"model_type": "gpt_neo", "architectures": None, "attention_types": [[["global"], 10**9]]},
        {"num_labels": 10**9},
        {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 10**8},
        {"model_type": "mixtral", "architectures": ["MixtralForCausalLM"], "num_local_experts": 10**8},
    ],
    ids=lambda fields: "-".join(
        f"{name}={value}" for name, value in fields.items() if name[:3] not in ("mod", "arc", "att")
    ),
)
@pytest.mark.parametrize("engine", usable())
def test_a_configuration_larger_than_the_weights_is_refused_quickly(
    cache: ModelCache, tmp_path: Path, fields: dict[str, Any], engine: Any
) -> None:
    if "model_type" in fields and engine == "tensorflow":
        pytest.skip("run it in torch: TensorFlow's half of transformers has no such architecture")
    edit_json(tmp_path / "bot" / "config.json", **fields)

    with _bounded(), pytest.raises(CheckpointError, match=r"more than|does not fit|lacks weights"):
        cache.load("./bot", engine=engine)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_a_path_that_is_not_a_regular_file_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    file = write_checkpoint(tmp_path / "bot") / name
    file.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.symlink_to(os.devnull)

    with (
        _bounded(),
        pytest.raises(CheckpointError, match=rf"{name} cannot be read: (it is not a regular file|Is a directory)"),
    ):
        resolve("./bot", rootdir=tmp_path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "model.safetensors", "merges.txt"])
def test_an_unreadable_file_gives_a_clear_error(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path

    write_checkpoint(tmp_path / "bot")

    def refusing(opening: Any) -> Any:
        def refuse(path: Any, *args: Any, **keywords: Any) -> Any:
            if Path(path).name == name:
                raise PermissionError(13, "Permission denied", str(path))
            return opening(path, *args, **keywords)

        return refuse

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refusing(Path.open))
        patched.setattr(os, "open", refusing(os.open))
        with pytest.raises(CheckpointError, match=rf"Checkpoint './bot'.*{name}.*read.*Permission denied|{name}'"):
            resolve("./bot", rootdir=tmp_path)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
@pytest.mark.parametrize("depth", [480, 900])
def test_a_deeply_nested_configuration_gives_a_clear_error(tmp_path: Path, name: str, depth: int) -> None:
    file = write_checkpoint(tmp_path / "bot") / name
    edit_json(file, deep=1)
    file.write_text(file.read_text().replace('"deep": 1', '"deep": ' + "[" * depth + "]" * depth))

    with pytest.raises(CheckpointError, match=rf"{name}.* deep"):
        resolve("./bot", rootdir=tmp_path)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"max_length": "abc"}, "max_length"),
        ({"max_new_tokens": [5]}, "max_new_tokens"),
        ({"eos_token_id": "x"}, "eos_token_id"),
        ({"eos_token_id": {"a": 1}}, "eos_token_id"),
        ({"num_beams": -1}, "num_beams"),
        ({"num_beams": 10**9}, "num_beams"),
        ({"num_beams": 2.5}, "num_beams"),
        ({"length_penalty": "a"}, "length_penalty"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"no_repeat_ngram_size": "2"}, "no_repeat_ngram_size"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 10**400}, "temperature"),
        ({"suppress_tokens": 5}, "suppress_tokens"),
        ({"bad_words_ids": [5]}, "bad_words_ids"),
        ({"bad_words_ids": [[99_999_999]]}, "bad_words_ids"),
        ({"sequence_bias": [5]}, "sequence_bias"),
        ({"max_time": 60}, "max_time to 60; it must be null"),
        ({"is_assistant": True}, "is_assistant to True; it must be false"),
        ({"forced_eos_token_id": "\x1b[31m"}, "forced_eos_token_id"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("engine", usable()[:1])
def test_an_invalid_setting_gives_a_clear_error(
    cache: ModelCache, tmp_path: Path, fields: dict[str, Any], said: str, engine: Any
) -> None:
    edit_json(tmp_path / "bot" / "generation_config.json", **fields)

    with _bounded(), pytest.raises(HFModelsError) as raised:
        cache.load("./bot", engine=engine).generate("Hi", max_new_tokens=2)

    assert said in raised.value.message
    assert "generation_config.json" in str(raised.value)
    assert "\x1b" not in str(raised.value)


def test_a_panic_of_a_tokenizer_gives_a_clear_error(cache: ModelCache, tmp_path: Path) -> None:
    tokenizer = cache.load("./bot").tokenizer
    file = tmp_path / "bot" / "tokenizer.json"
    tokenizer.backend_tokenizer.save(str(file))
    edit_json(file, normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"})
    edit_json(tmp_path / "bot" / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")

    with pytest.raises(CheckpointError, match=r"The tokenizer of \./bot cannot"):
        ModelCache(tmp_path).load("./bot").generate("Hi", max_new_tokens=1)


def test_numbers_that_count_nothing_are_let_through(cache: ModelCache, tmp_path: Path) -> None:
    fields = {"seeds": [20240101], "task_specific_params": {"x": {"rows": [10**9]}}, "eos_token_id": [50256]}
    edit_json(write_checkpoint(tmp_path / "bot") / "config.json", **fields)

    assert cache.load("./bot").engine == "torch"


def test_a_list_of_no_suppressed_tokens_is_let_through(cache: ModelCache, tmp_path: Path) -> None:
    """Whisper's recipe for fine-tuning writes these."""
    plain = cache.load("./bot").generate("Hi", max_new_tokens=2)
    edit_json(tmp_path / "bot" / "generation_config.json", suppress_tokens=[], begin_suppress_tokens=[])

    assert ModelCache(tmp_path).load("./bot").generate("Hi", max_new_tokens=2).ids == plain.ids


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_file_that_is_far_too_large_is_refused_unread(tmp_path: Path, name: str) -> None:
    with (write_checkpoint(tmp_path / "bot") / name).open("ab") as file:
        file.truncate(1 << 30)

    with _bounded(), pytest.raises(CheckpointError, match=rf"{name} cannot be read: it has .* bytes, more than"):
        resolve("./bot", rootdir=tmp_path)


@pytest.mark.parametrize(
    "fields",
    [{"stop_strings": ["e"]}, {"exponential_decay_length_penalty": [1, 2, 3]}, {"length_penalty": float("nan")}],
    ids=["stop strings", "decay", "not a number"],
)
def test_a_setting_that_cannot_run_is_refused(cache: ModelCache, tmp_path: Path, fields: dict[str, Any]) -> None:
    edit_json(write_checkpoint(tmp_path / "bot") / "generation_config.json", **fields)

    with pytest.raises(HFModelsError, match=next(iter(fields))):
        cache.load("./bot").generate("Hi", max_new_tokens=2)


@pytest.fixture
def uncompiled_quanto(models: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces what optimum-quanto compiles at its first packed number, which takes a C++ compiler a minute."""
    del models
    try:
        cpp = import_module("optimum.quanto.library.extensions.cpp")
    except ImportError:  # then no release packs numbers
        return
    import torch

    def unpack(packed: torch.Tensor, bits: int) -> torch.Tensor:
        return torch.cat([packed >> shift & (1 << bits) - 1 for shift in range(0, 8, bits)])

    monkeypatch.setattr(cpp.ext, "_lib", SimpleNamespace(unpack=unpack))


@pytest.mark.usefixtures("uncompiled_quanto")
@pytest.mark.parametrize(
    "fields",
    [
        {"penalty_alpha": 0.6, "top_k": 4},
        {"dola_layers": "high"},
        {"force_words_ids": [[1]]},
        {"constraints": [1]},
        {"cache_implementation": "quantized"},
        {"cache_implementation": "offloaded"},
        {"prompt_lookup_num_tokens": 3, "use_cache": "yes"},
        {"assistant_early_exit": 1},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_setting_that_this_release_cannot_run_is_named(
    cache: ModelCache, tmp_path: Path, fields: dict[str, Any]
) -> None:
    edit_json(write_checkpoint(tmp_path / "bot") / "generation_config.json", **fields)

    said = ""
    try:
        cache.load("./bot").generate("Hi", max_new_tokens=2)
    except HFModelsError as error:
        said = str(error)

    # Some releases run some of these.
    assert said == "" or (next(iter(fields)) in said and "generation_config.json" in said)
    assert "trust_remote_code" not in said


def test_switches_at_their_default_are_not_named() -> None:
    fields = {"output_attentions": False, "use_cache": True, "remove_invalid_values": False, "repetition_penalty": 2.0}
    config = SimpleNamespace(to_diff_dict=lambda: fields)

    with pytest.raises(EngineError, match=r"did not ask for: repetition_penalty=2\.0\."), inherited_named(config, {}):
        raise ValueError
    with (
        pytest.raises(EngineError, match=r"did not ask for: use_cache=False\."),
        inherited_named(SimpleNamespace(to_diff_dict=lambda: {"use_cache": False}), {}),
    ):
        raise ValueError


def test_an_error_without_a_message_names_the_settings_too() -> None:
    config = SimpleNamespace(to_diff_dict=lambda: {"penalty_alpha": 0.6, "max_length": 9})

    with pytest.raises(EngineError, match="penalty_alpha=") as raised, inherited_named(config, {}):
        raise AssertionError

    assert "AssertionError" in raised.value.message


@pytest.mark.parametrize(
    "settings",
    [
        {"penalty_alpha": 0.6, "top_k": 4},
        {"dola_layers": "low"},
        {"force_words_ids": [[5]], "num_beams": 2},
        {"constraints": [1], "num_beams": 2},
        {"num_beam_groups": 2, "num_beams": 4, "diversity_penalty": 1.0},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_a_setting_of_the_test_that_only_some_releases_run_is_named(
    cache: ModelCache, tmp_path: Path, settings: dict[str, Any]
) -> None:
    handle = cache.load(f"./{write_checkpoint(tmp_path / 'bot').name}")

    try:
        handle.generate("Hi", max_new_tokens=2, **settings)
    except EngineError as error:
        said = str(error)
    else:
        pytest.skip(
            "install another release of transformers: this one runs the setting, so there is no error to name it"
        )

    assert f"{next(iter(settings))}=" in said
    assert "The test asks for" in said
    assert "trust_remote_code" not in said


def test_a_tokenizer_that_cannot_decode_the_models_tokens_is_named(cache: ModelCache, tmp_path: Path) -> None:
    handle = cache.load(f"./{write_checkpoint(tmp_path / 'bot').name}")

    def decode(*_: Any, **__: Any) -> str:
        raise ValueError("bytes must be in range(0, 256)")

    handle.tokenizer.decode = decode

    with pytest.raises(CheckpointError, match="cannot decode token ids of this model") as raised:
        handle.generate("Hi", max_new_tokens=2)
    assert "bytes must be in range" in raised.value.message
