from __future__ import annotations

from copy import deepcopy
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels import ModelCache
from pytest_hfmodels.models.fingerprint import Fingerprint, checksum

from ..surroundings import needs_both_engines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_hfmodels import HFModel


def look(handle: HFModel, *, weights: bool = True) -> Fingerprint:
    return Fingerprint.of(handle.loaded, handle.tokenizer, with_weights=weights)


@pytest.mark.parametrize("engine", ["torch", pytest.param("tensorflow", marks=needs_both_engines)])
def test_a_model_that_was_only_used_has_not_changed(models: ModelCache, engine: str) -> None:
    handle = models.load("./model", engine=engine)
    before = look(handle)

    handle.generate("Hi", max_new_tokens=2, num_beams=2)
    handle.forward([[1, 2, 3]])

    assert before.changes(look(handle)) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.__setitem__((700, 3), np.nextafter(table[700, 3], np.float32(9))),
        lambda table: table.__setitem__((-1, -1), 0),
        lambda table: table.__setitem__([0, 8], table[[8, 0]]),
        lambda table: table.__setitem__(slice(None), table[::-1].copy()),
        lambda table: table.__setitem__((slice(None), slice(None, 2)), table[:, 1::-1].copy()),
        lambda table: table.__imul__(-1),
        lambda table: table.__setitem__(slice(None), np.roll(table, 1, axis=0)),
    ],
    ids=["one bit", "the last number", "two rows", "all rows", "two columns", "signs", "rolled"],
)
@pytest.mark.parametrize("width", [64, 768, 1021, 2042])
def test_the_checksum_of_weights_shows_what_is_written_in_place(change: Callable[[Any], Any], width: int) -> None:
    table = np.random.Generator(np.random.PCG64(0)).normal(size=(1000, width)).astype(np.float32)

    def taken() -> int:
        return checksum([("wte", "F32", table.shape, table.reshape(-1).view(np.uint8).data)])

    before = taken()
    assert taken() == before

    change(table)

    assert taken() != before


def test_changes_are_described() -> None:
    before = Fingerprint({"config.n_inner": "null", "tensor wte": (1, 2), "gone": "x", "same": 1}, 1)
    now = Fingerprint({"config.n_inner": "7", "tensor wte": (1, 3), "new": "y", "same": 1}, 2)

    assert before.changes(now) == [
        "config.n_inner: null -> 7",
        "gone: x -> (absent)",
        "new: (absent) -> y",
        "tensor wte was replaced or written in place",
    ]


def test_a_digest_reports_only_changes_that_nothing_else_reports() -> None:
    before = Fingerprint({}, 1)

    assert before.changes(Fingerprint({}, 2)) == ["weights or buffers were written in place"]
    assert before.changes(Fingerprint({}, 1)) == []
    assert before.changes(Fingerprint({}, None)) == []
    assert Fingerprint({}, None).changes(Fingerprint({}, 2)) == []


def test_the_backend_of_a_tokenizer_is_watched(models: ModelCache, tiny_gpt2: Path) -> None:
    del models
    cache = ModelCache(tiny_gpt2.parent)
    handle = cache.load("./model")
    normalizers = pytest.importorskip("tokenizers").normalizers

    handle.tokenizer("Hello", truncation=True, max_length=2)
    untouched = list(cache.dirty())
    handle.tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()

    assert untouched == []
    assert [changes for _, changes in cache.dirty()] == [
        ["tokenizer's backend (merges, normalizer, decoder …) was changed"]
    ]


def _add_known(tokenizer: Any) -> None:
    tokenizer.add_tokens(["H"])


def _strip(tokenizer: Any) -> None:
    tokenizers = pytest.importorskip("tokenizers")

    tokenizer.add_tokens([tokenizers.AddedToken("<|endoftext|>", rstrip=True)], special_tokens=True)


def _replace_model(tokenizer: Any) -> None:
    models = pytest.importorskip("tokenizers").models
    backend = tokenizer.backend_tokenizer
    words = {word: 256 - number for word, number in backend.get_vocab(with_added_tokens=False).items()}
    flags, affixes = ("byte_fallback", "ignore_merges"), ("continuing_subword_prefix", "end_of_word_suffix")
    settings = {name: getattr(backend.model, name, None) for name in (*flags, *affixes, "unk_token", "fuse_unk")}
    backend.model = models.BPE(vocab=words, merges=[], **{k: v for k, v in settings.items() if v is not None})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_add_known, "tokenizer's added token 'H': (absent) -> AddedToken("),
        (_strip, "tokenizer's added token '<|endoftext|>': AddedToken("),
        (_replace_model, "tokenizer's backend"),
    ],
)
def test_a_change_that_keeps_the_size_of_a_tokenizer_is_found_after_the_test(
    models: ModelCache, tiny_gpt2: Path, change: Callable[[Any], None], said: str
) -> None:
    del models
    cache = ModelCache(tiny_gpt2.parent)
    handle = cache.load("./model")

    change(handle.tokenizer)

    ((_, changes),) = cache.dirty()
    assert any(one.startswith(said) for one in changes), changes


def test_truncation_and_padding_of_the_backend_do_not_reach_a_record(models: ModelCache) -> None:
    """Every call of the tokenizer sets both, so they are not watched."""
    handle = models.load("./model")
    before = handle.generate("Hello", max_new_tokens=2)

    handle.tokenizer.backend_tokenizer.enable_truncation(max_length=2)
    handle.tokenizer.backend_tokenizer.enable_padding(length=9)

    assert handle.generate("Hello", max_new_tokens=2).prompt == before.prompt


@pytest.mark.parametrize("fast", [True, False])
def test_a_tokenizer_that_was_only_used_has_not_changed(models: ModelCache, fast: bool) -> None:
    import transformers

    handle = models.load("./model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        str(handle.checkpoint.folder), use_fast=fast, pad_token="<|endoftext|>"
    )
    before = Fingerprint.of(handle.loaded, tokenizer, with_weights=False)

    tokenizer(["a b", "c"], padding=True, pad_to_multiple_of=8)
    tokenizer(["a b", "c"], padding="max_length", truncation=True, max_length=9)
    tokenizer("long " * 500)
    tokenizer.pad([{"input_ids": [1, 2]}, {"input_ids": [1]}])
    tokenizer.tokenize("a b")
    tokenizer(text_target="b")
    tokenizer.batch_decode([[72, 73], [74]], skip_special_tokens=True)
    tokenizer.apply_chat_template([{"role": "user", "content": "a"}], chat_template="{{ messages[0]['content'] }}")

    assert before.changes(Fingerprint.of(handle.loaded, tokenizer, with_weights=False)) == []


@pytest.mark.parametrize(
    ("attribute", "value", "change"),
    [
        ("clean_up_tokenization_spaces", "other", "* -> 'other'"),
        ("split_special_tokens", True, "False -> True"),
        ("model_max_length", 5, "128 -> 5"),
        ("chat_template", "{{ messages }}", "(absent) -> '{{ messages }}'"),
        ("decode", lambda *_, **__: "", "added"),
        ("_decode", lambda *_, **__: "", "added"),
    ],
)
def test_an_attribute_of_a_tokenizer_is_watched(
    models: ModelCache, monkeypatch: pytest.MonkeyPatch, attribute: str, value: object, change: str
) -> None:
    handle = models.load("./model")
    before = look(handle, weights=False)

    monkeypatch.setattr(handle.tokenizer, attribute, value, raising=False)
    (found,) = before.changes(look(handle, weights=False))

    assert fnmatch(found, f"tokenizer.{attribute}: {change}")


def test_another_attention_kernel_is_a_change(models: ModelCache) -> None:
    handle = models.load("./model")
    before = look(handle, weights=False)
    config = handle.model.config
    if not hasattr(config, "_attn_implementation"):
        pytest.skip("this release has one kernel")

    config._attn_implementation = "sdpa"
    found = before.changes(look(handle, weights=False))
    config._attn_implementation = "eager"

    assert found == ['config._attn_implementation: "eager" -> "sdpa"']


def test_another_configuration_of_an_inner_module_is_a_change(
    models: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = models.load("./model")
    before = look(handle, weights=False)

    monkeypatch.setattr(handle.model.transformer, "config", deepcopy(handle.model.config))

    assert before.changes(look(handle, weights=False)) == ["attribute config of transformer: replaced"]


STATEFUL: dict[str, dict[str, int]] = {
    "Rwkv": {"num_hidden_layers": 2, "attention_hidden_size": 16, "rescale_every": 1, "context_length": 64},
    "RecurrentGemma": {"num_hidden_layers": 3, "num_attention_heads": 2, "lru_width": 16, "pad_token_id": 0},
    "BigBird": {"num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 64},
}


@pytest.mark.parametrize("family", STATEFUL)
def test_changes_of_upstream_in_a_call_are_not_reported(models: ModelCache, tmp_path: Path, family: str) -> None:
    import torch
    import transformers

    if not hasattr(transformers, f"{family}ForCausalLM"):
        pytest.skip(f"this release has no {family}")
    settings = {"vocab_size": 300, "hidden_size": 16, "intermediate_size": 32, **STATEFUL[family]}
    model = getattr(transformers, f"{family}ForCausalLM")(getattr(transformers, f"{family}Config")(**settings)).eval()
    cache = ModelCache(tmp_path)
    handle = cache.adopt(model, models.load("./model").tokenizer)

    with torch.no_grad():
        model(torch.tensor([[1, 2, 3]]))
    untouched = list(cache.dirty(weights=True))
    name, weight = next(iter(model.named_parameters()))
    with torch.no_grad():
        weight.add_(1)
    del handle

    assert untouched == []
    assert [changes for _, changes in cache.dirty(weights=True)] == [
        [f"tensor {name} was replaced or written in place"]
    ]


def test_a_buffer_that_is_never_saved_is_watched(models: ModelCache) -> None:
    handle = models.load("./model", engine="torch", attention="eager", pad_token_id=3)
    handle.model.register_buffer("frequencies", handle.loaded.tensor([1.0, 2.0]), persistent=False)
    before = look(handle)

    handle.model.frequencies.data[0] = 5.0

    assert before.changes(look(handle)) == ["weights or buffers were written in place"]
    assert before.changes(look(handle, weights=False)) == []
