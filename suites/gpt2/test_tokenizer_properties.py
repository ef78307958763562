"""Properties of GPT-2's tokenizers, fast and slow: round trips, offsets, special tokens, batches, saving."""

from __future__ import annotations

import json
import shutil
import warnings
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("hypothesis", reason='needs the extra: python -m pip install "pytest-hfmodels[properties]"')

from hypothesis import given
from hypothesis import strategies as st

from pytest_hfmodels.engines.upstream import quiet, release_at_least
from pytest_hfmodels.properties import (
    check_batch,
    check_clean_up,
    check_decoded_bytes,
    check_offsets,
    check_round_trip,
    check_same,
    check_special_token,
    separated_texts,
    unicode_texts,
)
from pytest_hfmodels.properties.profiles import examples
from suites.gpt2 import EOS, PROMPT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_hfmodels import HFModel
    from pytest_hfmodels.properties.texts import Side

END = "<|endoftext|>"

pytestmark = pytest.mark.hf_model("tiny-gpt2")
plain, any_text, separated = unicode_texts(), unicode_texts(special=[END]), separated_texts()
sides = st.sampled_from(("left", "right"))


@pytest.fixture(scope="module", params=["fast", "slow"])
def load(request: pytest.FixtureRequest, hf_model: HFModel) -> Callable[..., Any]:
    """Load the bundled tokenizer, or that of a folder."""
    fast = request.param == "fast"
    if not fast and release_at_least("5.0"):
        pytest.skip("transformers 5 has one GPT-2 tokenizer, the fast one: to run this, install transformers<5")

    def loaded(folder: Path = hf_model.checkpoint.folder, **settings: Any) -> Any:
        from transformers import AutoTokenizer

        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # 4.44 announces a new default
            return AutoTokenizer.from_pretrained(str(folder), use_fast=fast, **settings)

    return loaded


@pytest.fixture(scope="module")
def tokenizer(load: Callable[..., Any]) -> Any:
    """The bundled tokenizer."""
    return load()


@pytest.fixture(scope="module")
def fast(hf_model: HFModel) -> Any:
    """The bundled fast tokenizer."""
    return hf_model.tokenizer


@pytest.fixture(scope="module")
def padding(load: Callable[..., Any]) -> Any:
    """The bundled tokenizer with a padding token, for tests that choose its sides."""
    return load(pad_token=END)


@pytest.fixture(scope="module")
def short(load: Callable[..., Any]) -> Any:
    """The bundled tokenizer for a model of five tokens."""
    return load(model_max_length=5)


@examples(80)
@given(text=any_text)
def test_any_text_survives_encoding_and_decoding(tokenizer: Any, text: str) -> None:
    violation = check_round_trip(tokenizer, text)

    assert violation is None, str(violation)


@examples(60)
@given(ids=st.lists(st.integers(0, EOS), max_size=12))
def test_any_ids_are_decoded_by_their_bytes_and_broken_characters_are_marked(tokenizer: Any, ids: list[int]) -> None:
    violation = check_decoded_bytes(tokenizer, ids)

    assert violation is None, str(violation)


@pytest.mark.parametrize("known", [1, 2, 3])
def test_a_character_that_is_cut_off_is_marked(tokenizer: Any, known: int) -> None:
    ids = tokenizer.encode("\N{HUGGING FACE}")

    assert len(ids) == 4
    assert tokenizer.decode(ids[:known]) == "\N{REPLACEMENT CHARACTER}"


@examples(80)
@given(text=any_text)
def test_offsets_cover_the_text(fast: Any, text: str) -> None:
    violation = check_offsets(fast, text)

    assert violation is None, str(violation)


@examples(40)
@given(before=plain, after=plain)
def test_a_special_token_in_a_text_is_one_token_and_can_be_skipped(tokenizer: Any, before: str, after: str) -> None:
    violation = check_special_token(tokenizer, before, END, after)

    assert violation is None, str(violation)


@examples(40)
@given(text=st.one_of(separated, any_text))
def test_decoding_cleans_up_spaces_on_request(tokenizer: Any, text: str) -> None:
    violation = check_clean_up(tokenizer, text)

    assert violation is None, str(violation)


@examples(40)
@given(text=st.one_of(separated, any_text))
def test_decoding_leaves_spaces_alone_by_default(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@examples(40)
@given(texts=st.lists(plain, min_size=1, max_size=4))
def test_batch_decode_equals_decoding_one_by_one(tokenizer: Any, texts: list[str]) -> None:
    ids = [tokenizer.encode(text) for text in texts]

    assert tokenizer.batch_decode(ids) == [tokenizer.decode(row) for row in ids]


def test_an_empty_batch_decodes_to_an_empty_list(tokenizer: Any) -> None:
    assert tokenizer.batch_decode([]) == []


@examples(60)
@given(
    texts=st.lists(any_text.filter(bool), min_size=1, max_size=4),
    padding_side=sides,
    truncation_side=sides,
    max_length=st.one_of(st.none(), st.integers(1, 6)),
)
def test_a_batch_equals_its_texts_one_by_one(
    padding: Any, texts: list[str], padding_side: Side, truncation_side: Side, max_length: int | None
) -> None:
    padding.padding_side, padding.truncation_side = padding_side, truncation_side

    violation = check_batch(padding, texts, max_length=max_length)

    assert violation is None, str(violation)


@examples(40)
@given(
    texts=st.lists(any_text.filter(bool), min_size=1, max_size=4),
    max_length=st.integers(1, 12),
    filled=st.booleans(),
    multiple=st.sampled_from((1, 4)),
)
def test_rows_are_padded_to_a_length_or_a_multiple(
    padding: Any, texts: list[str], max_length: int, filled: bool, multiple: int
) -> None:
    padding.padding_side = padding.truncation_side = "right"
    most = multiple * max_length if filled else max_length

    violation = check_batch(padding, texts, max_length=most, filled=filled, multiple=multiple if filled else 1)

    assert violation is None, str(violation)


@examples(30)
@given(text=any_text)
def test_a_text_is_truncated_at_the_length_of_the_model(short: Any, tokenizer: Any, text: str) -> None:
    assert short(text, truncation=True)["input_ids"] == tokenizer.encode(text)[:5]


@examples(40)
@given(first=any_text, second=any_text)
def test_a_pair_is_one_text_after_the_other(tokenizer: Any, first: str, second: str) -> None:
    assert tokenizer(first, second)["input_ids"] == tokenizer.encode(first) + tokenizer.encode(second)


@examples(40)
@given(text=any_text)
def test_tokens_and_ids_convert_to_each_other(tokenizer: Any, text: str) -> None:
    ids = tokenizer.encode(text)
    tokens = tokenizer.convert_ids_to_tokens(ids)

    assert tokenizer.tokenize(text) == tokens
    assert tokenizer.convert_tokens_to_ids(tokens) == ids
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == tokenizer.convert_tokens_to_string(tokens)


def test_every_word_of_the_vocabulary_has_its_own_id(tokenizer: Any) -> None:
    words = tokenizer.get_vocab()

    assert sorted(words.values()) == list(range(len(tokenizer)))
    assert tokenizer.convert_ids_to_tokens(sorted(words.values())) == sorted(words, key=words.__getitem__)


def test_padding_and_truncation_are_on_the_right_by_default(load: Callable[..., Any]) -> None:
    known = load(pad_token=END)

    assert (known.padding_side, known.truncation_side) == ("right", "right")
    assert check_batch(known, ["My name is Hasnain", "Hello"], max_length=3) is None
    assert known(PROMPT, truncation=True, max_length=3)["input_ids"] == known.encode(PROMPT)[:3]


@examples(40)
@given(text=any_text)
def test_every_tokenizer_equals_the_fast_one(fast: Any, tokenizer: Any, text: str) -> None:
    violation = check_same(fast, tokenizer, text)

    assert violation is None, str(violation)


@pytest.fixture(scope="module")
def changed(load: Callable[..., Any]) -> Any:
    """A tokenizer with an added padding token, an added word and another special token."""
    known = load(padding_side="left", truncation_side="left", model_max_length=77)
    known.pad_token = END
    known.add_tokens(["Zyxwvut"])
    known.add_special_tokens({"sep_token": "<sep>"})
    return known


@examples(30)
@given(before=plain, after=plain)
def test_an_added_special_token_is_one_token_and_can_be_skipped(changed: Any, before: str, after: str) -> None:
    violation = check_special_token(changed, before, "<sep>", after)

    assert violation is None, str(violation)


@pytest.fixture(scope="module")
def reloaded(load: Callable[..., Any], changed: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same, saved and loaded."""
    folder = tmp_path_factory.mktemp("saved")
    with quiet():
        changed.save_pretrained(str(folder))
    return load(folder)


@examples(40)
@given(text=unicode_texts(special=[END, "Zyxwvut", "<sep>"]))
def test_a_saved_tokenizer_is_the_same_once_loaded(changed: Any, reloaded: Any, text: str) -> None:
    violation = check_same(changed, reloaded, text)

    assert violation is None, str(violation)


@pytest.mark.parametrize(
    "name", ["special_tokens_map", "all_special_ids", "model_max_length", "padding_side", "truncation_side"]
)
def test_a_saved_tokenizer_keeps_its_settings(changed: Any, reloaded: Any, name: str) -> None:
    assert getattr(reloaded, name) == getattr(changed, name)


@pytest.mark.parametrize("name", ["padding_side", "truncation_side"])
def test_a_side_chosen_after_loading_is_saved(load: Callable[..., Any], tmp_path: Path, name: str) -> None:
    known = load()
    setattr(known, name, "left")
    with quiet():
        known.save_pretrained(str(tmp_path))

    assert getattr(load(tmp_path), name) == "left"


@pytest.mark.parametrize("token", [END, "Zyxwvut", "<sep>"])
def test_a_saved_tokenizer_keeps_its_tokens(changed: Any, reloaded: Any, token: str) -> None:
    assert reloaded.convert_tokens_to_ids(token) == changed.convert_tokens_to_ids(token)
    assert len(reloaded) == len(changed)


def test_saving_does_not_change_how_a_padding_word_is_decoded(load: Callable[..., Any], tmp_path: Path) -> None:
    known = load()
    known.pad_token = "!"
    with quiet():
        known.save_pretrained(str(tmp_path))

    violation = check_same(known, load(tmp_path), "Hello!")

    assert violation is None, str(violation)


@pytest.fixture(scope="module")
def bare(load: Callable[..., Any], hf_model: HFModel, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tokenizer whose files set nothing that has a default."""
    folder = tmp_path_factory.mktemp("bare")
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(hf_model.checkpoint.folder / name, folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}))
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    return load(folder)


@examples(25)
@given(text=plain)
def test_no_space_is_put_in_front_by_default(bare: Any, tokenizer: Any, text: str) -> None:
    violation = check_same(tokenizer, bare, text)

    assert violation is None, str(violation)


def test_the_first_word_has_no_space_by_default(bare: Any) -> None:
    assert bare.convert_ids_to_tokens(bare.encode("My name is")) == ["My", "Ġname", "Ġis"]


def test_a_space_is_put_in_front_on_request(load: Callable[..., Any]) -> None:
    known = load(add_prefix_space=True)

    assert known.encode("name is") == load().encode(" name is")
