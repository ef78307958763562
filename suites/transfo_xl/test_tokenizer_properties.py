"""Properties of Transformer-XL's word tokenizers: ours, and upstream's if it exists."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("hypothesis", reason='needs the extra: python -m pip install "pytest-hfmodels[properties]"')

from hypothesis import given
from hypothesis import strategies as st

from pytest_hfmodels.checkpoints.bundled_files import BUNDLED
from pytest_hfmodels.engines.upstream import quiet, release_at_least
from pytest_hfmodels.properties import check_batch, check_clean_up, check_same, separated_texts, unicode_texts
from pytest_hfmodels.properties.profiles import examples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_hfmodels import HFModel
    from pytest_hfmodels.properties.texts import Side

FOLDER = BUNDLED / "tiny-transfo-xl"
# Moses leaves a word of letters whole.
WORDS = [word for word in (FOLDER / "vocab.txt").read_text(encoding="utf-8").split() if word.isalpha()]
EOS, UNKNOWN = "<eos>", "<unk>"

pytestmark = pytest.mark.hf_model("tiny-transfo-xl")
any_text, known_words = unicode_texts(special=[EOS]), st.lists(st.sampled_from(WORDS), max_size=10)
sides = st.sampled_from(("left", "right"))


@pytest.fixture(scope="module", params=["ours", "upstream's"])
def load(request: pytest.FixtureRequest, hf_model: HFModel) -> Callable[..., Any]:
    """Load the bundled tokenizer, or that of a folder."""
    del hf_model  # transformers is already imported, with the engines of this run
    import transformers

    from pytest_hfmodels import transfo_xl

    upstreams = request.param == "upstream's"
    if upstreams and release_at_least("5.0"):
        pytest.skip("transformers 5 removed Transformer-XL: to run this, install transformers<5")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some releases say at import that the model is deprecated
        known = getattr(transformers if upstreams else transfo_xl, "TransfoXLTokenizer")  # noqa: B009 - typed by neither

    def loaded(folder: Path = FOLDER, **settings: Any) -> Any:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return known.from_pretrained(str(folder), **settings)

    return loaded


@pytest.fixture(scope="module")
def tokenizer(load: Callable[..., Any]) -> Any:
    """The bundled tokenizer."""
    return load()


@pytest.fixture(scope="module")
def padding(load: Callable[..., Any]) -> Any:
    """The bundled tokenizer with a padding token, for tests that choose its sides."""
    return load(pad_token=EOS)


@examples(60)
@given(text=any_text)
def test_any_text_has_ids_of_the_vocabulary(tokenizer: Any, text: str) -> None:
    ids = tokenizer.encode(text)

    assert all(0 <= word < len(tokenizer) for word in ids)
    assert len(ids) == len(tokenizer.tokenize(text))


@examples(40)
@given(words=known_words)
def test_a_known_word_is_one_id_and_comes_back(tokenizer: Any, words: list[str]) -> None:
    text = " ".join(words)

    ids = tokenizer.encode(text)

    assert ids == tokenizer.convert_tokens_to_ids(words)
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


@examples(40)
@given(before=known_words, after=known_words, unknown=st.text("xyzjq", min_size=6))
def test_a_word_outside_the_vocabulary_is_unk(
    tokenizer: Any, before: list[str], after: list[str], unknown: str
) -> None:
    ids = tokenizer.encode(" ".join([*before, unknown, *after]))

    assert ids == tokenizer.convert_tokens_to_ids([*before, UNKNOWN, *after])


@examples(40)
@given(before=known_words, after=known_words)
def test_the_end_of_text_is_one_token_and_can_be_skipped(tokenizer: Any, before: list[str], after: list[str]) -> None:
    ids = tokenizer.encode(" ".join([*before, EOS, *after]))

    assert ids == tokenizer.convert_tokens_to_ids([*before, EOS, *after])
    assert tokenizer.decode(ids, skip_special_tokens=True) == tokenizer.decode(
        tokenizer.convert_tokens_to_ids([*before, *after])
    )


@examples(40)
@given(text=st.one_of(separated_texts(words=WORDS), any_text))
def test_decoding_cleans_up_spaces_on_request_and_by_default(tokenizer: Any, text: str) -> None:
    violation = check_clean_up(tokenizer, text)
    ids = tokenizer.encode(text)

    assert violation is None, str(violation)
    assert tokenizer.decode(ids) == tokenizer.decode(ids, clean_up_tokenization_spaces=True)


@examples(40)
@given(
    texts=st.lists(any_text, min_size=1, max_size=4),
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


@pytest.fixture(scope="module")
def changed(load: Callable[..., Any]) -> Any:
    """A tokenizer with an added padding token and an added word."""
    known = load(padding_side="left", truncation_side="left", model_max_length=77)
    known.pad_token = EOS
    known.add_tokens(["Zyxwvut"])
    return known


@pytest.fixture(scope="module")
def reloaded(load: Callable[..., Any], changed: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same, saved and loaded."""
    folder = tmp_path_factory.mktemp("saved")
    with quiet():
        changed.save_pretrained(str(folder))
        if any(file.suffix in (".bin", ".pkl") for file in folder.iterdir()):
            pytest.skip("upstream's tokenizer saves a pickle, which is not read: --hfmodels-transfo-xl runs ours")
        return load(folder)


@examples(30)
@given(text=unicode_texts(special=[EOS, " Zyxwvut ", *WORDS[:20]]))
def test_a_saved_tokenizer_is_the_same_once_loaded(changed: Any, reloaded: Any, text: str) -> None:
    violation = check_same(changed, reloaded, text)

    assert violation is None, str(violation)


@pytest.mark.parametrize(
    "name", ["special_tokens_map", "all_special_ids", "model_max_length", "padding_side", "truncation_side"]
)
def test_a_saved_tokenizer_keeps_its_settings(changed: Any, reloaded: Any, name: str) -> None:
    assert getattr(reloaded, name) == getattr(changed, name)


@examples(60)
@given(text=any_text)
def test_every_tokenizer_is_the_one_of_the_loaded_model(hf_model: HFModel, tokenizer: Any, text: str) -> None:
    """The release decides which of the two it is."""
    violation = check_same(hf_model.tokenizer, tokenizer, text)

    assert violation is None, str(violation)
