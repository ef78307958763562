"""Slow, fast and reloaded tokenizers agree on texts from every branch of the pre-tokenizer's pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("hypothesis", reason='needs the extra: python -m pip install "pytest-hfmodels[properties]"')

from hypothesis import given
from hypothesis import strategies as st

from pytest_hfmodels.engines import upstream
from pytest_hfmodels.engines.upstream import quiet, release_at_least
from pytest_hfmodels.properties import check_round_trip, check_same
from pytest_hfmodels.properties.profiles import examples
from suites.tokenizers import made

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = {"add_special_tokens": False}
TEXTS = st.lists(st.sampled_from(made.SAMPLE.split(" ")) | st.text(made.CHARACTERS, max_size=4), max_size=8)
# Letters, marks and spaces that a lower-casing BERT and a SentencePiece model treat alike in both languages.
WORDS = st.text("abzZé中.,!?'(-²1 \t\n", max_size=30)
FAMILIES = {  # of the slow class, without the last part of its name
    "gpt2": ("GPT2Tokenizer", made.write_bytes),
    "qwen2": ("Qwen2Tokenizer", made.write_bytes),
    "bert": ("BertTokenizer", made.write_words),
    "t5": ("T5Tokenizer", lambda folder: made.write_pieces(folder, "unigram", "spiece.model")),
    "albert": ("AlbertTokenizer", lambda folder: made.write_pieces(folder, "albert", "spiece.model")),
    "llama": ("LlamaTokenizer", lambda folder: made.write_pieces(folder, "bpe", "tokenizer.model")),
}


def tokenizer(folder: Path, name: str, **settings: Any) -> Any:
    """Load a class of upstream's, or skip the test if the release lacks it."""
    package = upstream.transformers(with_tensorflow=False)
    if not hasattr(package, name):
        pytest.skip(f"transformers {package.__version__} has no {name}: install a newer release, such as 4.57.6")
    with quiet():  # some releases warn where nobody chose whether decoding cleans up spaces
        return getattr(package, name).from_pretrained(str(folder), clean_up_tokenization_spaces=False, **settings)


def require_sentencepiece() -> None:
    """Skip the test where SentencePiece's models cannot be made, or read."""
    if not release_at_least("4.36"):
        pytest.skip("transformers 4.30 reads SentencePiece models with protobuf 3 only: install 4.36 or later")
    for package in ("sentencepiece", "google.protobuf"):
        pytest.importorskip(package, reason="needs packages: python -m pip install sentencepiece protobuf")


@pytest.fixture(scope="module", params=FAMILIES)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """The slow and the fast tokenizer of one family."""
    if release_at_least("5.0"):
        pytest.skip("transformers 5 has one tokenizer a family: to compare two, install transformers<5")
    if request.param in ("t5", "albert", "llama"):
        require_sentencepiece()
    name, write = FAMILIES[request.param]
    folder = write(tmp_path_factory.mktemp(request.param))
    # With legacy=False, Llama's slow tokenizer adds a space before a text that starts with one, the fast one does not.
    settings = {"legacy": False} if request.param == "t5" else {}
    return tokenizer(folder, name, **settings), tokenizer(folder, f"{name}Fast", **settings)


@pytest.fixture(scope="module", params=made.BRANCHES)
def cut(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    """A pattern, and a tokenizer that cuts texts by it."""
    pattern = "|".join(made.BRANCHES[request.param])
    folder = made.write_split(tmp_path_factory.mktemp(f"{request.param}-split"), pattern)
    return pattern, tokenizer(folder, "PreTrainedTokenizerFast")


@pytest.mark.parametrize("family", made.BRANCHES)
def test_the_texts_reach_every_branch(family: str) -> None:
    import regex  # transformers needs it

    branches = made.BRANCHES[family]
    found = regex.finditer("|".join(f"(?P<b{number}>{branch})" for number, branch in enumerate(branches)), made.SAMPLE)
    assert {match.lastgroup for match in found} == {f"b{number}" for number in range(len(branches))}


@examples(60)
@given(parts=TEXTS)
def test_pieces_are_cut_by_the_pattern(cut: tuple[str, Any], parts: list[str]) -> None:
    import regex  # transformers needs it

    pattern, fast = cut
    text = " ".join(parts)
    pieces = regex.findall(pattern, text)

    assert "".join(pieces) == text
    alone = [token for piece in pieces for token in fast(piece, **PLAIN)["input_ids"]]
    assert fast(text, **PLAIN)["input_ids"] == alone
    assert check_round_trip(fast, text) is None


@examples(60)
@given(words=WORDS, parts=TEXTS)
def test_slow_and_fast_agree(both: tuple[Any, Any], words: str, parts: list[str]) -> None:
    slow, fast = both
    byte_level = "GPT2" in type(slow).__name__ or "Qwen2" in type(slow).__name__
    text = " ".join(parts) if byte_level else words
    if "Albert" in type(slow).__name__ or ("T5" in type(slow).__name__ and not release_at_least("4.37")):
        text = text.rstrip()  # the fast tokenizer makes a token of a space there: see the next test

    assert fast(text, **PLAIN)["input_ids"] == slow(text, **PLAIN)["input_ids"]
    assert fast(text)["input_ids"] == slow(text)["input_ids"]


@pytest.mark.usefixtures("hf_models")  # so that the ledger's entry about it applies
@pytest.mark.parametrize("family", ["albert", "t5"])
def test_a_space_at_the_end_is_no_token(tmp_path: Path, family: str) -> None:
    require_sentencepiece()
    name, write = FAMILIES[family]
    fast = tokenizer(write(tmp_path), f"{name}Fast", **({"legacy": False} if family == "t5" else {}))

    assert fast.tokenize("the cat ") == fast.tokenize("the cat")


@examples(10)
@given(parts=TEXTS)
def test_reloaded_tokenizers_agree(both: tuple[Any, Any], again: list[Any], parts: list[str]) -> None:
    text = " ".join(parts)
    for one, reloaded in zip(both, again, strict=True):
        assert check_same(one, reloaded, text) is None


@pytest.fixture(scope="module")
def again(both: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Both, saved and loaded."""
    found = []
    for one in both:
        folder = tmp_path_factory.mktemp("saved")
        one.save_pretrained(str(folder))
        with quiet():
            found.append(type(one).from_pretrained(str(folder)))
    return found
