"""Ours and upstream's are the same model: both run on the same weights, where upstream's works.

transformers 4.37.2 has both: `nox -s parity`.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pytest_hfmodels import transfo_xl

from .tiny_transfo_xl import WORDS, fill, settings, text, vocabulary_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MANY = hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_SOME = hypothesis_settings(_MANY, max_examples=20)
# Ids are compared exactly, and a draw may always hold a tie: these draws are the same in every run.
_SETTLED = hypothesis_settings(_SOME, derandomize=True)
# Absolute and relative. What is left in float32 is rounding: the same draws agree in float64.
_TOLERANCES = {torch.float64: (1e-9, 0.0), torch.float32: (2e-4, 1e-5)}


@pytest.fixture(scope="session", autouse=True)
def _upstream_works() -> None:
    found = transfo_xl.working_implementation()
    release = found.reason.split("'")[0]
    if not release.startswith("transformers 4.37."):
        pytest.skip(f"parity is proven with transformers 4.37.2, in its own environment: nox -s parity ({release})")


@pytest.fixture(scope="session")
def upstream() -> Any:
    import transformers

    transformers.logging.set_verbosity_error()
    return transformers


@st.composite
def switches(draw: st.DrawFn, *, equal_widths: bool = False) -> dict[str, Any]:
    """Draw a configuration: every switch, both ways, in every company."""
    d_model = draw(st.sampled_from([4, 8]))
    d_embed = d_model if equal_widths else draw(st.sampled_from([4, 8, 12]))
    div_val = draw(st.sampled_from([1, 2]))
    cutoffs = draw(st.sampled_from([[], [10], [8, 16], [1, 2, 23]]))
    return settings(
        cutoffs=cutoffs if d_embed >= div_val ** len(cutoffs) else [],
        div_val=div_val,
        d_model=d_model,
        d_embed=d_embed,
        n_head=draw(st.integers(1, 3)),
        d_head=draw(st.integers(1, 4)),
        n_layer=draw(st.integers(1, 3)),
        mem_len=draw(st.integers(0, 7)),
        clamp_len=draw(st.integers(-1, 8)),
        same_length=draw(st.booleans()),
        pre_lnorm=draw(st.booleans()),
        untie_r=draw(st.booleans()),
        tie_word_embeddings=draw(st.booleans()),
        proj_share_all_but_first=draw(st.booleans()),
        layer_norm_epsilon=draw(st.sampled_from([1e-5, 1e-3])),
    )


seeds = st.integers(0, 2**16)
dtypes = st.sampled_from([torch.float64, torch.float32])


@_MANY
@given(changes=switches(), seed=seeds, dtype=dtypes, lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_segments(upstream: Any, changes: dict[str, Any], seed: int, dtype: torch.dtype, lengths: list[int]) -> None:
    theirs, ours = pair(upstream, "TransfoXLLMHeadModel", changes, seed, dtype)
    their_mems = our_mems = None

    for number, length in enumerate(lengths):
        words = text(2, length, seed + number, start=0)
        with reference(dtype), torch.no_grad():
            wanted = theirs(words, mems=their_mems, output_hidden_states=True, output_attentions=True)
        with torch.no_grad():
            found = ours(words, mems=our_mems, output_hidden_states=True, output_attentions=True)
        their_mems, our_mems = wanted.mems, found.mems

        assert_same(found.prediction_scores, wanted.prediction_scores, dtype)
        assert_same(found.hidden_states, wanted.hidden_states, dtype)
        assert_same(found.attentions, wanted.attentions, dtype)
        assert_same(found.mems, wanted.mems, dtype)
        torch.testing.assert_close(found.prediction_scores.exp().sum(-1), torch.ones(2, length, dtype=dtype))


@_MANY
@given(changes=switches(), seed=seeds, dtype=dtypes, length=st.integers(2, 9), ignored=st.floats(0, 1))
def test_losses(
    upstream: Any, changes: dict[str, Any], seed: int, dtype: torch.dtype, length: int, ignored: float
) -> None:
    theirs, ours = pair(upstream, "TransfoXLLMHeadModel", changes, seed, dtype)
    words = text(3, length, seed, start=0)
    labels = words.masked_fill(torch.rand(words.shape, generator=torch.Generator().manual_seed(seed)) < ignored, -100)

    with reference(dtype), torch.no_grad():
        wanted = theirs(words, labels=labels.clone())
    with torch.no_grad():
        found = ours(words, labels=labels)

    assert_same(found.losses, wanted.losses, dtype)
    assert_same(found.loss.nan_to_num(), wanted.loss.nan_to_num(), dtype)


@_SOME
@given(changes=switches(), seed=seeds, labelled=st.booleans(), loss_first=st.booleans())
def test_tuples(upstream: Any, changes: dict[str, Any], seed: int, labelled: bool, loss_first: bool) -> None:
    changes["trainer_compatible"] = loss_first
    theirs, ours = pair(upstream, "TransfoXLLMHeadModel", changes, seed, torch.float32)
    words = text(2, 5, seed)
    labels = words if labelled else None

    wanted = theirs(words, labels=labels, output_hidden_states=True, return_dict=False)
    found = ours(words, labels=labels, output_hidden_states=True, return_dict=False)

    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert_same(one, other, torch.float32)


@_SOME
@given(changes=switches(), seed=seeds, head=st.integers(0, 2), per_layer=st.booleans())
def test_head_masks(upstream: Any, changes: dict[str, Any], seed: int, head: int, per_layer: bool) -> None:
    theirs, ours = pair(upstream, "TransfoXLModel", changes, seed, torch.float64)
    mask = (torch.arange(changes["n_head"]) != head).double()
    mask = mask.expand(changes["n_layer"], -1) if per_layer else mask

    with reference(torch.float64):
        wanted = theirs(text(2, 5, seed), head_mask=mask)

    assert_same(ours(text(2, 5, seed), head_mask=mask).last_hidden_state, wanted.last_hidden_state, torch.float64)


@_SOME
@given(changes=switches(), seed=seeds, length=st.integers(2, 6))
def test_gradients(upstream: Any, changes: dict[str, Any], seed: int, length: int) -> None:
    theirs, ours = pair(upstream, "TransfoXLLMHeadModel", changes, seed, torch.float64)
    words = text(2, length, seed)

    with reference(torch.float64):
        theirs(words, labels=words.clone()).loss.backward()
    ours(words, labels=words).loss.backward()

    wanted = {name: parameter.grad for name, parameter in theirs.named_parameters() if parameter.grad is not None}
    found = {name: parameter.grad for name, parameter in ours.named_parameters() if parameter.grad is not None}
    # A cluster that no label is in: theirs has no gradient, ours one of zeros.
    for name in wanted.keys() | found.keys():
        zeros = torch.zeros_like(ours.get_parameter(name))
        assert_same(found.get(name, zeros), wanted.get(name, zeros), torch.float64)


@_MANY
@given(
    changes=switches(equal_widths=True),
    seed=seeds,
    dtype=dtypes,
    labels=st.sampled_from([1, 2, 3]),
    rows=st.integers(1, 3),
    padding=st.sampled_from(["none", "left", "right", "inside"]),
    problem=st.sampled_from([None, "regression", "single_label_classification", "multi_label_classification"]),
)
def test_classification(
    upstream: Any,
    changes: dict[str, Any],
    seed: int,
    dtype: torch.dtype,
    labels: int,
    rows: int,
    padding: str,
    problem: str | None,
) -> None:
    if labels == 1 and problem == "single_label_classification":
        problem = "regression"
    changes |= {"num_labels": labels, "problem_type": problem}
    theirs, ours = pair(upstream, "TransfoXLForSequenceClassification", changes, seed, dtype)
    words = padded(text(rows, 6, seed), padding)
    given_labels = label_tensor(rows, labels, problem, dtype)

    with reference(dtype), torch.no_grad():
        wanted = theirs(words, labels=given_labels)
    with torch.no_grad():
        found = ours(words, labels=given_labels)

    assert_same(found.logits, wanted.logits, dtype)
    assert_same(found.loss, wanted.loss, dtype)
    assert_same(found.mems, wanted.mems, dtype)


@_SETTLED
@given(
    changes=switches(),
    seed=seeds,
    rows=st.integers(1, 2),
    length=st.integers(1, 7),
    beams=st.integers(1, 4),
    ngram=st.integers(0, 2),
)
def test_generation(
    upstream: Any, changes: dict[str, Any], seed: int, rows: int, length: int, beams: int, ngram: int
) -> None:
    theirs, ours = pair(upstream, "TransfoXLLMHeadModel", changes, seed, torch.float64)
    how = {"max_new_tokens": 8, "num_beams": beams, "num_return_sequences": beams, "no_repeat_ngram_size": ngram}
    how |= {"do_sample": False, "return_dict_in_generate": True, "output_scores": True}
    prompt = text(rows, length, seed)

    with reference(torch.float64):
        wanted = theirs.generate(prompt, **how)
    found = ours.generate(prompt, **how)

    if beams > 1:
        assert_same(found.sequences_scores, wanted.sequences_scores, torch.float64)
        # Beams that tie come in any order, and then their steps do too.
        assume((wanted.sequences_scores.view(rows, beams).diff(dim=1).abs() > 1e-6).all())
    assert found.sequences.tolist() == wanted.sequences.tolist()
    assert_same(found.scores, wanted.scores, torch.float64)


@hypothesis_settings(_MANY, max_examples=300)
@given(
    written=st.lists(
        st.one_of(
            st.sampled_from([*WORDS, "<EOS>", "5,000.5", "well-read", "Hasnain's", "don't", " ", "\n", "ΑΣ", "¿", "“"]),
            st.text(max_size=8),
        ),
        max_size=8,
    ),
    joint=st.sampled_from(["", " "]),
    lower_case=st.booleans(),
    delimiter=st.sampled_from([None, None, None, ""]),
    more=st.sampled_from([None, ["<a>"], ["the", "<formula>"]]),
    added=st.sampled_from([[], ["Foo"], ["bar", "the dog"]]),
)
def test_tokenizer(
    upstream: Any,
    vocabulary: str,
    written: list[str],
    joint: str,
    lower_case: bool,
    delimiter: str | None,
    more: list[str] | None,
    added: list[str],
) -> None:
    how: dict[str, Any] = {"vocab_file": vocabulary, "lower_case": lower_case, "delimiter": delimiter}
    how |= {} if more is None else {"additional_special_tokens": more}
    theirs, ours = upstream.TransfoXLTokenizer(**how), transfo_xl.TransfoXLTokenizer(**how)
    theirs.add_tokens(added)
    ours.add_tokens(added)
    line = joint.join(written)

    wanted, found = theirs(line), ours(line)

    assert dict(found) == dict(wanted)
    assert ours.tokenize(line) == theirs.tokenize(line)
    for skip in (False, True):
        ids = wanted["input_ids"]
        assert ours.decode(ids, skip_special_tokens=skip) == theirs.decode(ids, skip_special_tokens=skip)
    assert ours.get_vocab() == dict(theirs.get_vocab())
    assert len(ours) == len(theirs)


def test_saved_files_load_in_the_other(upstream: Any, tmp_path: Path) -> None:
    theirs, ours = pair(upstream, "TransfoXLLMHeadModel", settings(untie_r=False), 1, torch.float32)
    theirs.save_pretrained(tmp_path / "theirs")
    ours.save_pretrained(tmp_path / "ours")

    crossed = transfo_xl.TransfoXLLMHeadModel.from_pretrained(tmp_path / "theirs").eval()
    back = upstream.TransfoXLLMHeadModel.from_pretrained(tmp_path / "ours").eval()

    words = text(2, 5)
    assert_same(crossed(words).prediction_scores, theirs(words).prediction_scores, torch.float32)
    assert_same(back(words).prediction_scores, theirs(words).prediction_scores, torch.float32)


def test_both_write_the_same_configuration(upstream: Any) -> None:
    theirs, ours = upstream.TransfoXLConfig().to_dict(), transfo_xl.TransfoXLConfig().to_dict()

    assert ours == theirs


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> str:
    return vocabulary_file(tmp_path_factory.mktemp("words"))


def pair(upstream: Any, name: str, changes: dict[str, Any], seed: int, dtype: torch.dtype) -> tuple[Any, Any]:
    """Return upstream's model and ours, with the same weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # upstream announces a version 5 of itself that never came
        theirs = getattr(upstream, name)(upstream.TransfoXLConfig(**changes))
    theirs = fill(theirs, seed).to(dtype)
    ours = getattr(transfo_xl, name)(transfo_xl.TransfoXLConfig(**changes)).eval().to(dtype)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


@contextmanager
def reference(dtype: torch.dtype) -> Iterator[None]:
    """Let upstream's run in float64: its attention casts scores to float32, which lacks float64's lowest number."""
    with pytest.MonkeyPatch.context() as patch:
        if dtype is torch.float64:
            patch.setattr(torch.Tensor, "float", lambda tensor: tensor)
        yield


def assert_same(found: Any, wanted: Any, dtype: torch.dtype) -> None:
    if isinstance(wanted, tuple | list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_same(one, other, dtype)
    elif wanted is None:
        assert found is None
    else:
        absolute, relative = _TOLERANCES[dtype]
        torch.testing.assert_close(found, wanted, atol=absolute, rtol=relative)


def padded(words: torch.Tensor, side: str) -> torch.Tensor:
    columns = {"none": slice(0, 0), "left": slice(0, 2), "right": slice(4, 6), "inside": slice(2, 3)}
    words[-1, columns[side]] = 1
    return words


def label_tensor(rows: int, labels: int, problem: str | None, dtype: torch.dtype) -> torch.Tensor:
    if problem == "regression" or labels == 1:
        return torch.linspace(-1, 1, rows * labels, dtype=dtype).view(rows, labels)
    if problem == "multi_label_classification":
        return (torch.arange(rows * labels).view(rows, labels) % 2).to(dtype)
    return torch.arange(rows) % labels
