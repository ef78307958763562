"""Transformer-XL's forward pass against the reference: every switch, segment after segment with memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("hypothesis", reason='needs the extra: python -m pip install "pytest-hfmodels[properties]"')

from hypothesis import given
from hypothesis import strategies as st

from pytest_hfmodels import engines
from pytest_hfmodels.checkpoints import read_weights
from pytest_hfmodels.engines import LoadOptions
from pytest_hfmodels.properties.forward import as_array, check_causality, difference, logits_of, run_forward
from pytest_hfmodels.properties.profiles import examples
from pytest_hfmodels.reference.transfo_xl import TransfoXL
from suites.drawn import TRANSFO_XL, transfo_xl_checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from pytest_hfmodels import HFModel
    from pytest_hfmodels.engines import LoadedModel

VOCABULARY = int(TRANSFO_XL["vocab_size"])
IDS = np.random.Generator(np.random.PCG64(1)).integers(0, VOCABULARY, (3, 12))
THREES, FIVES = [3, 6, 9], [5, 10]
REFERENCE = "where the reference has"
# Releases keep the frequencies of the sinusoids in float32, whatever the model's dtype.
TOLERANCES = {"float32": 2e-5, "float64": 1e-8}

# Each switch alone; `test_drawn_configurations` combines them.
SWITCHES: list[dict[str, Any]] = [
    {},
    {"same_length": True},
    {"same_length": False},
    {"mem_len": 0, "same_length": False},
    {"mem_len": 2, "same_length": True},
    {"mem_len": 20, "same_length": True},
    {"clamp_len": 0},
    {"clamp_len": 2},
    {"untie_r": False},
    {"pre_lnorm": True},
    {"div_val": 1},
    {"cutoffs": [], "div_val": 1},
    {"cutoffs": [3], "div_val": 4},
    {"d_embed": 16},
    {"d_embed": 16, "div_val": 1},
    {"d_model": 12},
    {"d_head": 3},
    {"d_inner": 5},
    {"n_head": 1},
    {"n_layer": 3},
    {"vocab_size": 40},
    {"tie_word_embeddings": False},
    {"proj_share_all_but_first": False},
    {"layer_norm_epsilon": 0.5},
]
torch_only = pytest.mark.hf_model("tiny-transfo-xl", engines=["torch"])
tensorflow_only = pytest.mark.hf_model("tiny-transfo-xl", engines=["tensorflow"])


def name_of(switch: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in switch.items()) or "as drawn"


def drawn(model: HFModel, dtype: str, config: Mapping[str, Any], seed: int = 3) -> tuple[LoadedModel, TransfoXL]:
    """Build a model of `model`'s class with drawn weights, and a reference with the same weights."""
    import torch

    fields = {**TRANSFO_XL, **config, "eos_token_id": 0}
    inner = type(model.model)(type(model.config)(**fields)).to(getattr(torch, dtype)).eval()
    random = np.random.Generator(np.random.PCG64(seed))
    with torch.no_grad():
        for name, parameter in inner.named_parameters():
            values = 0.3 * random.standard_normal(tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(values + 1 if name.endswith("layer_norm.weight") else values))
    weights = {name: as_array(tensor) for name, tensor in inner.state_dict().items()}
    loaded = engines.engine("torch", with_tensorflow=False).adopt(inner)
    return loaded, TransfoXL({**fields, **inner.config.to_dict()}, weights)


def read(loaded: LoadedModel, reference: TransfoXL, ids: NDArray[Any], cuts: list[int], tolerance: float) -> str | None:
    """Read the segments with both and describe the first difference in log-probabilities or memory."""
    mems, known = None, None
    for segment in np.split(ids, cuts, axis=1):
        output = run_forward(loaded, input_ids=segment, **({} if mems is None else {"mems": mems}))
        expected = reference.forward(segment, known)
        scores = logits_of(output).reshape(*segment.shape, -1)
        found = difference(scores, expected.log_probabilities, segment, None, REFERENCE, tolerance)
        if found is not None:
            return str(found)
        mems, known = output.get("mems"), expected.mems
        for layer, (kept, wanted) in enumerate(zip(mems or (), known, strict=bool(mems))):
            if tuple(kept.shape) != wanted.shape:
                return f"layer {layer} remembers {kept.shape[0]} words, and the reference {len(wanted)}"
            if np.abs(as_array(kept) - wanted).max(initial=0) > tolerance * 100:
                return f"layer {layer} remembers other numbers than the reference"
    return None


@torch_only
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("switch", SWITCHES, ids=name_of)
def test_each_switch_does_what_it_says(hf_model: HFModel, switch: dict[str, Any], dtype: str) -> None:
    loaded, reference = drawn(hf_model, dtype, switch)
    ids = IDS % reference.config["vocab_size"]

    for cuts in (THREES, FIVES, []):
        wrong = read(loaded, reference, ids, cuts, TOLERANCES[dtype])
        assert wrong is None, wrong


@torch_only
@examples(20)
@given(
    config=st.fixed_dictionaries(
        {
            "same_length": st.booleans(),
            "mem_len": st.integers(1, 8),
            "clamp_len": st.integers(0, 6),
            "untie_r": st.booleans(),
            "pre_lnorm": st.booleans(),
            "div_val": st.sampled_from([1, 2]),
            "cutoffs": st.sampled_from([[8, 16], [5]]),
            "d_embed": st.sampled_from([8, 16]),
            "n_head": st.integers(1, 3),
            "n_layer": st.integers(1, 3),
            "tie_word_embeddings": st.booleans(),
            "proj_share_all_but_first": st.booleans(),
        }
    ),
    cuts=st.sets(st.integers(1, 11), max_size=5),
    seed=st.integers(0, 99),
)
def test_drawn_configurations(hf_model: HFModel, config: dict[str, Any], cuts: set[int], seed: int) -> None:
    loaded, reference = drawn(hf_model, "float32", config, seed)

    wrong = read(loaded, reference, IDS, sorted(cuts), TOLERANCES["float32"])

    assert wrong is None, wrong


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of drawn checkpoints that TensorFlow can also load."""
    folder = tmp_path_factory.mktemp("forward")
    switches: list[dict[str, Any]] = [{}, {"same_length": True}, {"mem_len": 2, "same_length": False}]
    switches += [{"clamp_len": 2}, {"pre_lnorm": True}]
    return {name_of(switch): transfo_xl_checkpoint(folder / str(n), **switch) for n, switch in enumerate(switches)}


@tensorflow_only
@pytest.mark.parametrize(
    "switch",
    [
        "as drawn",
        "same_length=True",
        "mem_len=2,same_length=False",
        "clamp_len=2",
        "pre_lnorm=True",
    ],
)
def test_each_switch_does_what_it_says_in_tensorflow(
    hf_model: HFModel, checkpoints: dict[str, Path], switch: str
) -> None:
    folder = checkpoints[switch]
    engine = engines.engine(hf_model.engine, with_tensorflow=True)
    loaded = engine.load(folder, "text-generation", LoadOptions())
    reference = TransfoXL({**TRANSFO_XL, **loaded.model.config.to_dict()}, read_weights(folder))

    wrong = read(loaded, reference, IDS, THREES, TOLERANCES["float32"])

    assert wrong is None, wrong


@torch_only
def test_input_embeddings_replace_ids(hf_model: HFModel) -> None:
    loaded, reference = drawn(hf_model, "float32", {})
    vectors = np.random.Generator(np.random.PCG64(2)).standard_normal((3, 12, 8))

    found = logits_of(run_forward(loaded, inputs_embeds=vectors)).reshape(3, 12, -1)

    expected = reference.forward(IDS, embedded=vectors).log_probabilities
    assert difference(found, expected, IDS, None, REFERENCE, TOLERANCES["float32"]) is None


@torch_only
@pytest.mark.parametrize("heads", [[1.0, 0.0], [[0.0, 1.0], [0.5, 0.25]]], ids=["of all layers", "layer by layer"])
def test_heads_are_masked(hf_model: HFModel, heads: Any) -> None:
    loaded, reference = drawn(hf_model, "float32", {})
    factors = np.asarray(heads)

    found = logits_of(run_forward(loaded, input_ids=IDS, head_mask=factors)).reshape(3, 12, -1)

    expected = reference.forward(IDS, head_mask=factors).log_probabilities
    assert difference(found, expected, IDS, None, REFERENCE, TOLERANCES["float32"]) is None


@torch_only
def test_hidden_states_and_attentions(hf_model: HFModel) -> None:
    loaded, reference = drawn(hf_model, "float32", {})
    expected = reference.forward(IDS)

    output = run_forward(loaded, input_ids=IDS, output_hidden_states=True, output_attentions=True)

    for name in ("hidden_states", "attentions"):
        wanted = getattr(expected, name)
        assert len(output[name]) == len(wanted)
        for found, state in zip(output[name], wanted, strict=True):
            array = as_array(found)
            if array.shape != state.shape:  # in upstream's attentions the batch is the last axis
                array = np.moveaxis(array, (0, 1), (2, 3)) if name == "attentions" else array.swapaxes(0, 1)
            np.testing.assert_allclose(array, state, atol=1e-4)


def test_later_words_are_ignored(transfo_xl: HFModel) -> None:
    for position in (1, 6, 11):
        found = check_causality(transfo_xl, IDS.tolist(), position=position)

        assert found is None, str(found)


@torch_only
@pytest.mark.parametrize("same_length", [True, False])
def test_a_word_beyond_the_window_is_ignored(hf_model: HFModel, same_length: bool) -> None:
    config = {"same_length": same_length, "mem_len": 4, "n_layer": 1}
    loaded, _ = drawn(hf_model, "float32", config)
    other = IDS.copy()
    other[:, 2] = (other[:, 2] + 1) % VOCABULARY

    moved = np.abs(logits_of(run_forward(loaded, input_ids=other)) - logits_of(run_forward(loaded, input_ids=IDS)))

    seen = moved.reshape(3, 12, -1).max(axis=(0, 2)) > 1e-6
    assert seen.tolist() == [False] * 2 + [True] * 4 + [not same_length] * 6


@torch_only
@pytest.mark.parametrize("switch", [{"attn_type": 1}, {"sample_softmax": 5}], ids=name_of)
def test_unpublished_variants_are_refused(hf_model: HFModel, switch: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"attn_type|[Ss]ampl|not implemented|^$"):
        run_forward(drawn(hf_model, "float32", switch)[0], input_ids=IDS)


@torch_only
def test_a_loaded_model_has_no_dropout(hf_model: HFModel) -> None:
    loaded, reference = drawn(hf_model, "float32", {"dropout": 0.5, "dropatt": 0.5})

    wrong = read(loaded, reference, IDS, THREES, TOLERANCES["float32"])

    assert wrong is None, wrong
