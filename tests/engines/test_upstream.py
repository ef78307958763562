from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_hfmodels.engines import LoadOptions, skeleton, upstream
from pytest_hfmodels.foundation.errors import CheckpointError

from ..surroundings import needs_both_engines

if TYPE_CHECKING:
    from pytest_hfmodels import ModelCache

    from ..project import Project


@pytest.mark.parametrize(
    ("installed", "wanted", "at_least"),
    [
        ("4.57.6", "4.57", True),
        ("4.57.6", "4.57.6", True),
        ("4.57.6", "5", False),
        ("5.0.0rc1", "5", True),
        ("5.1.0.dev0", "5.1", True),
        (None, "4.30", False),
    ],
)
def test_releases_are_compared_by_their_base_version(
    monkeypatch: pytest.MonkeyPatch, installed: str | None, wanted: str, at_least: bool
) -> None:
    monkeypatch.setattr(upstream, "installed", lambda _: installed)

    assert upstream.release_at_least(wanted) is at_least


@pytest.mark.parametrize(
    ("release", "keywords"),
    [
        ("4.30.2", {"torch_dtype"}),
        ("4.37.2", {"torch_dtype", "attn_implementation"}),
        ("4.53.3", {"torch_dtype", "attn_implementation"}),
        ("4.57.6", {"dtype", "attn_implementation"}),
        ("5.23.0", {"dtype", "attn_implementation"}),
    ],
)
def test_each_release_gets_the_keywords_that_it_takes(
    monkeypatch: pytest.MonkeyPatch, release: str, keywords: set[str]
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(upstream, "installed", lambda _: release)

    assert {*upstream.torch_keywords(LoadOptions(overrides={"n_layer": 1}))} == {"n_layer", *keywords}
    assert upstream.torch_keywords(LoadOptions(dtype=None, attention=None)) == {}


def test_the_environment_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_A", "before")
    monkeypatch.delenv("HF_B", raising=False)

    with upstream.environment({"HF_A": "1", "HF_B": "2"}):
        inside = os.environ["HF_A"], os.environ["HF_B"]

    assert inside == ("1", "2")
    assert os.environ["HF_A"] == "before"
    assert "HF_B" not in os.environ


def test_random_states_are_restored() -> None:
    before = random.getstate(), repr(np.random.get_state())

    with upstream.random_state_kept():
        random.random()
        np.random.random()

    assert (random.getstate(), repr(np.random.get_state())) == before


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("score.weight", True),
        ("classifier.bias", True),
        ("tfgpt2_for_sequence_classification/score/kernel:0", True),
        ("transformer.h.0.mlp.c_fc.weight", False),
        ("transformer.underscore.weight", False),
    ],
)
def test_which_tensors_are_a_head(name: str, head: bool) -> None:
    assert skeleton.is_head(name) is head


def test_tensors_that_did_not_come_from_the_checkpoint_are_refused() -> None:
    many = [f"block.{number}" for number in range(7)]

    skeleton.check_loaded("./a", missing=(), mismatched=(), head="trained")
    skeleton.check_loaded("./a", missing=["score.weight"], mismatched=[("score.weight", (3, 2), (5, 2))], head="fixed")
    with pytest.raises(CheckpointError, match=r"lacks .*: block.0, block.1, block.2, block.3, block.4 …\."):
        skeleton.check_loaded("./a", missing=many, mismatched=(), head="fixed")
    with pytest.raises(CheckpointError, match=r"wte \(expected \[5, 2\], found \[3, 2\]\)"):
        skeleton.check_loaded("./a", missing=(), mismatched=[("wte", (3, 2), (5, 2))], head="fixed")


def test_a_new_head_is_never_drawn() -> None:
    head = skeleton.new_head((2, 3))

    assert head.shape == (2, 3)
    assert head.dtype == np.float32
    np.testing.assert_allclose(head.ravel()[:2], 0.02 * np.sin([1, 2]), rtol=1e-6)


def test_loading_shows_no_progress_bar(models: ModelCache, capfd: pytest.CaptureFixture[str]) -> None:
    del models
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    capfd.readouterr()

    with upstream.quiet():
        list(logging.tqdm(range(3), desc="Loading weights"))
    inside = "".join(capfd.readouterr())

    assert inside == ""
    assert logging.is_progress_bar_enabled() is before


def test_progress_bars_that_were_off_stay_off(models: ModelCache) -> None:
    del models
    from huggingface_hub.utils import are_progress_bars_disabled  # type: ignore[attr-defined] # no re-export
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with upstream.quiet():
            pass
        after = logging.is_progress_bar_enabled(), are_progress_bars_disabled()
    finally:
        if before:
            logging.enable_progress_bar()

    assert after == (False, True)


@needs_both_engines
def test_tensorflow_is_not_to_be_had_once_transformers_came_without_it(project: Project) -> None:
    project.write("""
import pytest

@pytest.fixture(scope="session", autouse=True)
def _first():
    import os
    os.environ["USE_TF"] = "0"
    import transformers

@pytest.mark.hf_model("./model", engines=["tensorflow"])
def test_a(hf_model): pass
""")

    result = project.run_alone()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "*transformers has been imported without TensorFlow in this process.",
            "*Select it for the whole run: --hfmodels-engines torch,tensorflow*",
        ]
    )
