from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch

from pytest_hfmodels import transfo_xl
from pytest_hfmodels.foundation.errors import CheckpointError

from .tiny_transfo_xl import classifier, fill, language_model, settings, text

if TYPE_CHECKING:
    from pathlib import Path

TIES: list[dict[str, Any]] = [
    {},
    {"untie_r": False},
    {"div_val": 1},
    {"div_val": 1, "d_embed": 12},
    {"tie_word_embeddings": False},
    {"proj_share_all_but_first": False},
    {"cutoffs": []},
]


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = "import sys, pytest_hfmodels.transfo_xl.vocabulary; print({'torch', 'transformers'} & sys.modules.keys())"

    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "set()"


def test_log_probabilities_are_those_of_all_words() -> None:
    output = language_model()(text(2, 5))

    assert output.logits.shape == (2, 5, 24)
    torch.testing.assert_close(output.logits.exp().sum(-1), torch.ones(2, 5))


@pytest.mark.parametrize("div_val", [1, 2])
def test_losses_are_the_log_probabilities_of_the_labels_sorted_by_cluster(div_val: int) -> None:
    model, words = language_model(div_val=div_val), text(2, 6)

    output = model(words, labels=words)

    expected = -model(words).logits[:, :-1].gather(2, words[:, 1:, None]).flatten()
    cluster = torch.bucketize(words[:, 1:].flatten(), torch.tensor([8, 16]), right=True)
    torch.testing.assert_close(output.losses.flatten(), expected[cluster.argsort(stable=True)])
    torch.testing.assert_close(output.loss, expected.mean())


def test_ignored_labels_do_not_count_and_stay_as_they_are() -> None:
    model, words = language_model(), text(1, 6)
    labels = words.clone()
    labels[0, 3:] = -100
    before = labels.clone()

    torch.testing.assert_close(model(words, labels=labels).loss, model(words[:, :3], labels=words[:, :3]).loss)
    assert labels.equal(before)


def test_a_single_word_has_no_loss() -> None:
    with pytest.raises(CheckpointError, match="single word has no loss"):
        language_model()(text(1, 1), labels=text(1, 1))


def test_later_words_change_nothing_before_them() -> None:
    model, words = language_model(), text(1, 6)
    other = words.clone()
    other[0, 4:] = torch.tensor([5, 6])

    torch.testing.assert_close(model(words).logits[:, :4], model(other).logits[:, :4])


def test_input_embeddings_replace_ids() -> None:
    model, words = language_model(), text(2, 4)
    vectors = model.get_input_embeddings()(words)

    torch.testing.assert_close(model(inputs_embeds=vectors).logits, model(words).logits)


def test_words_and_vectors_together_are_refused() -> None:
    model = language_model()

    with pytest.raises(ValueError, match="either input_ids or inputs_embeds"):
        model(text(1, 2), inputs_embeds=torch.zeros(1, 2, 8))


@pytest.mark.parametrize(
    ("build", "changes"),
    [
        *((language_model, changes) for changes in TIES),
        *((classifier, changes) for changes in TIES if "d_embed" not in changes),  # a classifier's widths are equal
    ],
)
def test_a_saved_model_loads_as_it_was(build: Any, changes: dict[str, Any], tmp_path: Path) -> None:
    model = build(**changes)

    model.save_pretrained(tmp_path)
    loaded, report = type(model).from_pretrained(tmp_path, output_loading_info=True)

    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert {name: value.tolist() for name, value in loaded.state_dict().items()} == {
        name: value.tolist() for name, value in model.state_dict().items()
    }
    torch.testing.assert_close(loaded.eval()(text(2, 4)).logits, model(text(2, 4)).logits)
    for name, source in loaded.tied_weights().items():
        assert loaded.get_parameter(name) is loaded.get_parameter(source)


def test_a_file_with_each_tied_name_loads_and_is_tied(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    model = language_model(untie_r=False)
    model.save_pretrained(tmp_path, safe_serialization=True)  # not the default through 4.34
    save_file({n: t.clone() for n, t in model.state_dict().items()}, tmp_path / "model.safetensors", {"format": "pt"})

    loaded = type(model).from_pretrained(tmp_path).eval()

    torch.testing.assert_close(loaded(text(2, 4)).logits, model(text(2, 4)).logits)
    assert all(loaded.get_parameter(one) is loaded.get_parameter(other) for one, other in loaded.tied_weights().items())


def test_missing_weights_start_as_the_configuration_says(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    model = language_model()
    model.save_pretrained(tmp_path, safe_serialization=True)  # not the default through 4.34
    kept = load_file(tmp_path / "model.safetensors")
    gone = {"crit.cluster_weight", "crit.cluster_bias", "transformer.pos_emb.inv_freq"}
    save_file(
        {name: value for name, value in kept.items() if name not in gone},
        tmp_path / "model.safetensors",
        {"format": "pt"},
    )

    loaded, report = type(model).from_pretrained(tmp_path, output_loading_info=True)

    assert gone - {"transformer.pos_emb.inv_freq"} <= set(report["missing_keys"])
    assert loaded.crit.cluster_bias.eq(0).all()
    assert 0 < loaded.crit.cluster_weight.std() < 0.1
    torch.testing.assert_close(loaded.transformer.pos_emb.inv_freq, model.transformer.pos_emb.inv_freq)
    torch.testing.assert_close(loaded.crit.out_layers[0].bias, model.crit.out_layers[0].bias)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cutoffs": [8, 40]}, r"cutoffs \[8, 40\] do not fit a vocabulary of 24 words"),
        ({"cutoffs": [16, 8]}, "do not fit a vocabulary"),
        ({"cutoffs": [0, 8]}, "do not fit a vocabulary"),
        ({"cutoffs": [8, 24]}, "do not fit a vocabulary"),
        ({"div_val": 4}, "d_embed=8 cannot be divided by div_val=4"),
        ({"attn_type": 2}, "attn_type=2 .* expected attn_type=0"),
        ({"sample_softmax": 10}, "sample_softmax=10"),
    ],
)
def test_invalid_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        transfo_xl.TransfoXLModel(transfo_xl.TransfoXLConfig(**settings(**changes)))


def test_the_vocabulary_cannot_be_resized() -> None:
    model = language_model()

    assert model.resize_token_embeddings() is model.transformer.word_emb
    with pytest.raises(CheckpointError, match="of 24 words cannot be resized to 30"):
        model.resize_token_embeddings(30)


def test_a_published_configuration_is_read_unchanged() -> None:
    published = {"tie_projs": [False, True, True], "tie_weight": True, "n_head": 4, "model_type": "transfo-xl"}

    config = transfo_xl.TransfoXLConfig.from_dict(settings(**published))

    assert (config.tie_projs, config.num_attention_heads, config.hidden_size) == ([False, True, True], 4, 8)


@pytest.mark.parametrize("init", ["normal", "uniform"])
def test_a_new_model_starts_as_the_configuration_says(init: str) -> None:
    model = transfo_xl.TransfoXLLMHeadModel(transfo_xl.TransfoXLConfig(**settings(init=init, d_inner=200)))

    weights = model.state_dict()
    weight = weights["transformer.layers.0.pos_ff.CoreNet.0.weight"]
    assert 0.003 < weight.std() < 0.03
    assert (weight.abs() <= 0.01).all() == (init == "uniform")
    assert weights["transformer.layers.0.pos_ff.CoreNet.0.bias"].eq(0).all()
    assert all(value.isfinite().all() for value in weights.values())


def test_half_precision_runs() -> None:
    output = fill(language_model()).to(torch.bfloat16)(text(2, 4))

    assert output.logits.dtype is torch.bfloat16
    assert output.logits.isfinite().all()
