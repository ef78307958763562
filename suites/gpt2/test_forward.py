"""GPT-2's forward pass against the reference: every switch, every input, with and without a cache, eager and sdpa."""

from __future__ import annotations

import inspect
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("hypothesis", reason='needs the extra: python -m pip install "pytest-hfmodels[properties]"')

from hypothesis import given
from hypothesis import strategies as st

from pytest_hfmodels import engines
from pytest_hfmodels.checkpoints import read_weights
from pytest_hfmodels.engines import LoadOptions
from pytest_hfmodels.properties.forward import (
    TOLERANCES,
    ForwardDifference,
    Reading,
    as_array,
    check_cache,
    check_causality,
    check_padding,
    counted_positions,
    difference,
    logits_of,
    readings,
    run_forward,
)
from pytest_hfmodels.properties.profiles import examples
from pytest_hfmodels.reference.gpt2 import ACTIVATIONS, GPT2
from suites.drawn import GPT2 as DRAWN
from suites.drawn import gpt2_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_hfmodels import HFModel
    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.reference.gpt2 import GPT2Pass

VOCABULARY = int(DRAWN["vocab_size"])
IDS = np.random.Generator(np.random.PCG64(1)).integers(0, VOCABULARY, (4, 9))
LEFT = np.array([[0] * 3 + [1] * 6, [1] * 9, [0] * 8 + [1], [0] + [1] * 8])
RIGHT = LEFT[:, ::-1]
REFERENCE = "where the reference has"

# Each switch alone; `test_drawn_configurations` combines them.
SWITCHES: list[dict[str, Any]] = [
    *({"activation_function": name} for name in ACTIVATIONS),
    {"n_inner": 20},
    {"layer_norm_epsilon": 0.1},
    {"scale_attn_weights": False},
    {"scale_attn_by_inverse_layer_idx": True},
    {"reorder_and_upcast_attn": True},
    {"tie_word_embeddings": False},
    {"n_layer": 1},
    {"n_layer": 3},
    {"n_head": 4},
    {"n_embd": 24},
    {"n_positions": 9},
    {"vocab_size": 7},
]
# Releases before 4.41 use the old name of torch's autocast if scores are upcast.
pytestmark = pytest.mark.filterwarnings("ignore:.*autocast:FutureWarning")
torch_only = pytest.mark.hf_model("tiny-gpt2", engines=["torch"])
tensorflow_only = pytest.mark.hf_model("tiny-gpt2", engines=["tensorflow"])
both_attentions = pytest.mark.parametrize("attention", ["eager", "sdpa"])


def name_of(switch: dict[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in switch.items())


each_switch = pytest.mark.parametrize("switch", SWITCHES, ids=name_of)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Run tiny models on one thread, because more threads would only wait for each other."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Subject:
    """A model and the reference with the same weights."""

    loaded: LoadedModel
    reference: GPT2
    folder: Path

    def difference(
        self, expected: GPT2Pass, mask: Any = None, *, tolerance: float | None = None, **inputs: Any
    ) -> ForwardDifference | None:
        """Run one forward pass and return the difference from the reference, or None."""
        given = inputs if mask is None else {"attention_mask": mask, **inputs}
        found = logits_of(run_forward(self.loaded, **given))
        bound = TOLERANCES[self.loaded.environment()["dtype"]] if tolerance is None else tolerance
        ids = inputs.get("input_ids", IDS)
        return difference(found, expected.logits, ids, mask, REFERENCE, bound)


@pytest.fixture(scope="session")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Subject]:
    """Load a GPT-2 with drawn weights, but not through the session's cache, which would keep hundreds of them."""
    folders: dict[str, Path] = {}

    def load(model: HFModel, attention: str = "eager", dtype: str = "float32", **config: Any) -> Subject:
        key = json.dumps(config, sort_keys=True)
        if key not in folders:
            folders[key] = gpt2_checkpoint(tmp_path_factory.mktemp("forward") / "drawn", **config)
        if attention == "sdpa":
            require_sdpa()
        engine = engines.engine(model.engine, with_tensorflow=model.engine == "tensorflow")
        loaded = engine.load(folders[key], "text-generation", LoadOptions(dtype=dtype, attention=attention))
        return Subject(loaded, GPT2({**DRAWN, **config}, read_weights(folders[key])), folders[key])

    return load


def require_sdpa() -> None:
    from transformers import GPT2LMHeadModel

    if not getattr(GPT2LMHeadModel, "_supports_sdpa", False):
        pytest.skip("GPT-2 has no sdpa attention here: install transformers>=4.42")


# The configuration


@torch_only
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@both_attentions
@each_switch
def test_each_switch_does_what_it_says(
    hf_model: HFModel, subject: Callable[..., Subject], switch: dict[str, Any], attention: str, dtype: str
) -> None:
    small = subject(hf_model, attention, dtype, **switch)
    ids = IDS % switch.get("vocab_size", VOCABULARY)
    # Upcast scores are float32 in every dtype.
    tolerance = TOLERANCES["float32"] if "reorder_and_upcast_attn" in switch else None

    found = small.difference(small.reference.forward(ids, LEFT), LEFT, input_ids=ids, tolerance=tolerance)

    assert found is None, str(found)


@tensorflow_only
@each_switch
def test_each_switch_does_what_it_says_in_tensorflow(
    hf_model: HFModel, subject: Callable[..., Subject], switch: dict[str, Any]
) -> None:
    small = subject(hf_model, **switch)
    ids = IDS % switch.get("vocab_size", VOCABULARY)

    found = small.difference(small.reference.forward(ids, LEFT), LEFT, input_ids=ids)

    assert found is None, str(found)


def configurations(*, scaling: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Draw whole configurations; without `scaling`, scores have GPT-2's default scaling."""
    heads = st.sampled_from([1, 2, 4])
    fields: dict[str, st.SearchStrategy[Any]] = {
        "activation_function": st.sampled_from(list(ACTIVATIONS)),
        "n_inner": st.sampled_from([None, 12, 20]),
        "layer_norm_epsilon": st.sampled_from([1e-5, 1e-2, 0.5]),
        "tie_word_embeddings": st.booleans(),
        "n_layer": st.integers(1, 3),
        "n_head": heads,
        "n_embd": st.sampled_from([8, 16, 24]),
        "seed": st.integers(0, 99),
    }
    if scaling:
        switches = ("scale_attn_weights", "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn")
        fields |= {name: st.booleans() for name in switches}
    return st.fixed_dictionaries(fields)


@torch_only
@examples(20)
@given(config=configurations(scaling=True), reading=readings(VOCABULARY))
def test_drawn_configurations(
    hf_model: HFModel, subject: Callable[..., Subject], config: dict[str, Any], reading: Reading
) -> None:
    small = subject(hf_model, **config)
    ids, mask = np.asarray(reading.ids), np.asarray(reading.mask)

    found = small.difference(small.reference.forward(ids, mask), mask, input_ids=ids)

    assert found is None, str(found)


@torch_only
@examples(12)
@given(config=configurations(scaling=False), reading=readings(VOCABULARY))
def test_drawn_configurations_with_sdpa(
    hf_model: HFModel, subject: Callable[..., Subject], config: dict[str, Any], reading: Reading
) -> None:
    small = subject(hf_model, "sdpa", **config)
    ids, mask = np.asarray(reading.ids), np.asarray(reading.mask)

    found = small.difference(small.reference.forward(ids, mask), mask, input_ids=ids)

    assert found is None, str(found)


# Inputs


@torch_only
@both_attentions
@pytest.mark.parametrize("mask", [LEFT, RIGHT], ids=["left", "right"])
def test_padding_is_ignored(hf_model: HFModel, subject: Callable[..., Subject], mask: Any, attention: str) -> None:
    small = subject(hf_model, attention)
    positions = counted_positions(mask)
    expected = small.reference.forward(IDS, mask, positions=positions)

    found = small.difference(expected, mask, input_ids=IDS, position_ids=positions)

    assert found is None, str(found)


@torch_only
@both_attentions
def test_token_types_are_added(hf_model: HFModel, subject: Callable[..., Subject], attention: str) -> None:
    small = subject(hf_model, attention)
    kinds = (IDS + 1) % 3
    expected = small.reference.forward(IDS, token_types=kinds)

    found = small.difference(expected, input_ids=IDS, token_type_ids=kinds)

    assert found is None, str(found)


@torch_only
@both_attentions
def test_input_embeddings_replace_ids(hf_model: HFModel, subject: Callable[..., Subject], attention: str) -> None:
    small = subject(hf_model, attention)
    vectors = np.random.Generator(np.random.PCG64(2)).standard_normal((4, 9, 16))
    expected = small.reference.forward(embedded=vectors)

    found = small.difference(expected, inputs_embeds=vectors)

    assert found is None, str(found)


@torch_only
@both_attentions
@pytest.mark.parametrize("heads", [[1.0, 0.0], [[0.0, 1.0], [0.5, 0.25]]], ids=["of all layers", "layer by layer"])
def test_heads_are_masked(hf_model: HFModel, subject: Callable[..., Subject], heads: Any, attention: str) -> None:
    small = subject(hf_model, attention)
    if "head_mask" not in inspect.signature(small.loaded.model.forward).parameters:
        pytest.skip("transformers 5 has no head mask: install transformers<5")
    factors = np.asarray(heads)

    found = small.difference(small.reference.forward(IDS, head_mask=factors), input_ids=IDS, head_mask=factors)

    assert found is None, str(found)


@torch_only
@both_attentions
def test_cross_attention_reads_an_encoder(hf_model: HFModel, subject: Callable[..., Subject], attention: str) -> None:
    small = subject(hf_model, attention, add_cross_attention=True)
    states = np.random.Generator(np.random.PCG64(3)).standard_normal((4, 5, 16))
    seen = np.array([[1] * 5, [1] * 3 + [0] * 2, [1] * 5, [1] + [0] * 4])
    expected = small.reference.forward(IDS, LEFT, encoder_states=states, encoder_mask=seen)

    given: dict[str, Any] = {"encoder_hidden_states": states, "encoder_attention_mask": seen}
    found = small.difference(expected, LEFT, input_ids=IDS, **given)

    assert found is None, str(found)


@tensorflow_only
def test_inputs_in_tensorflow(hf_model: HFModel, subject: Callable[..., Subject]) -> None:
    small = subject(hf_model)
    positions, kinds = counted_positions(LEFT), (IDS + 1) % 3
    expected = small.reference.forward(IDS, LEFT, positions=positions, token_types=kinds)

    found = small.difference(expected, LEFT, input_ids=IDS, position_ids=positions, token_type_ids=kinds)

    assert found is None, str(found)


@tensorflow_only
def test_heads_are_masked_in_tensorflow(hf_model: HFModel, subject: Callable[..., Subject]) -> None:
    small = subject(hf_model)
    factors = np.array([1.0, 0.0])

    found = small.difference(small.reference.forward(IDS, head_mask=factors), input_ids=IDS, head_mask=factors)

    assert found is None, str(found)


def test_later_words_are_ignored(gpt2: HFModel, flat_gpt2: HFModel) -> None:
    for model in (gpt2, flat_gpt2):
        for position in (1, 5, 8):
            found = check_causality(model, IDS.tolist(), position=position)

            assert found is None, str(found)


# Outputs


@torch_only
def test_hidden_states_and_attentions(hf_model: HFModel, subject: Callable[..., Subject]) -> None:
    small = subject(hf_model, dtype="float64")
    expected = small.reference.forward(IDS)

    output = run_forward(small.loaded, input_ids=IDS, output_hidden_states=True, output_attentions=True)

    for name in ("hidden_states", "attentions"):
        wanted = getattr(expected, name)
        assert len(output[name]) == len(wanted)
        for found, state in zip(output[name], wanted, strict=True):
            np.testing.assert_allclose(as_array(found), state, atol=1e-9)
    for weights in output["attentions"]:
        np.testing.assert_allclose(as_array(weights).sum(axis=-1), 1, atol=1e-9)
        assert not np.triu(as_array(weights), k=1).any()


@torch_only
@both_attentions
def test_hidden_states_are_returned_on_request(
    hf_model: HFModel, subject: Callable[..., Subject], attention: str
) -> None:
    small = subject(hf_model, attention)
    expected = small.reference.forward(IDS)

    output = run_forward(small.loaded, input_ids=IDS, output_hidden_states=True)

    assert len(output["hidden_states"]) == len(expected.hidden_states)
    for found, state in zip(output["hidden_states"], expected.hidden_states, strict=True):
        np.testing.assert_allclose(as_array(found), state, atol=1e-4)
    assert run_forward(small.loaded, input_ids=IDS).get("hidden_states") is None


def test_a_tuple_holds_the_same_as_the_output(flat_gpt2: HFModel) -> None:
    output = run_forward(flat_gpt2, input_ids=IDS, use_cache=False, output_hidden_states=True, return_dict=True)

    plain = run_forward(flat_gpt2, input_ids=IDS, use_cache=False, output_hidden_states=True, return_dict=False)

    np.testing.assert_array_equal(as_array(plain[0]), as_array(output["logits"]))
    for found, state in zip(plain[1], output["hidden_states"], strict=True):
        np.testing.assert_array_equal(as_array(found), as_array(state))


@torch_only
@pytest.mark.parametrize("kept", [1, 4])
def test_logits_to_keep_computes_only_the_last_logits(
    hf_model: HFModel, subject: Callable[..., Subject], kept: int
) -> None:
    small = subject(hf_model)
    if "logits_to_keep" not in inspect.signature(small.loaded.model.forward).parameters:
        pytest.skip("GPT-2 has no logits_to_keep here: install transformers>=4.53")

    found = logits_of(run_forward(small.loaded, input_ids=IDS, logits_to_keep=kept))

    expected = small.reference.forward(IDS).logits[:, -kept:]
    assert difference(found, expected, IDS[:, -kept:], None, REFERENCE, TOLERANCES["float32"]) is None


SUMMARIES: list[dict[str, Any]] = [
    {"summary_type": "last"},
    {"summary_type": "first"},
    {"summary_type": "mean"},
    {"summary_type": "cls_index"},
    {"summary_type": "last", "summary_use_proj": False},
    {"summary_type": "last", "summary_proj_to_labels": False},
    {"summary_type": "last", "summary_activation": "tanh", "summary_first_dropout": 0.5},
]


@torch_only
@pytest.mark.parametrize("switch", SUMMARIES, ids=name_of)
def test_sequence_summary(hf_model: HFModel, subject: Callable[..., Subject], switch: dict[str, Any]) -> None:
    import torch
    from transformers import GPT2DoubleHeadsModel

    small = subject(hf_model)
    config = type(small.loaded.model.config)(**{**DRAWN, **switch, "num_labels": 3})
    model = GPT2DoubleHeadsModel(config).eval()
    model.load_state_dict(small.loaded.model.state_dict(), strict=False)
    random = np.random.Generator(np.random.PCG64(5))
    with torch.no_grad():
        for parameter in model.multiple_choice_head.parameters():
            parameter.copy_(torch.from_numpy(random.standard_normal(tuple(parameter.shape))))
    chosen = np.array([2, 0, 8, 5])

    with torch.no_grad():
        output = model(input_ids=small.loaded.tensor(IDS), mc_token_ids=small.loaded.tensor(chosen))

    last = small.reference.forward(IDS).hidden_states[-1]
    ways = {"last": last[:, -1], "first": last[:, 0], "mean": last.mean(axis=1), "cls_index": last[range(4), chosen]}
    expected = ways[switch["summary_type"]]
    if switch.get("summary_use_proj", True):
        projection = model.multiple_choice_head.summary
        expected = expected @ as_array(projection.weight).T + as_array(projection.bias)
    if "summary_activation" in switch:
        expected = np.tanh(expected)
    np.testing.assert_allclose(as_array(output.mc_logits).reshape(expected.shape), expected, atol=1e-4)


# Caches


@examples(6)
@given(reading=readings(VOCABULARY))
def test_pieces_with_a_cache_equal_the_whole(flat_gpt2: HFModel, reading: Reading) -> None:
    plain = check_cache(flat_gpt2, reading.ids, cuts=reading.cuts)
    padded = check_cache(flat_gpt2, reading.ids, reading.mask, cuts=reading.cuts)

    assert plain is None, str(plain)
    assert padded is None, str(padded)


@torch_only
@both_attentions
@examples(12)
@given(reading=readings(VOCABULARY))
def test_pieces_with_a_cache_equal_the_whole_under_each_attention(
    hf_model: HFModel, subject: Callable[..., Subject], attention: str, reading: Reading
) -> None:
    small = subject(hf_model, attention)

    plain = check_cache(small.loaded, reading.ids, cuts=reading.cuts)
    padded = check_cache(small.loaded, reading.ids, reading.mask, cuts=reading.cuts)

    assert plain is None, str(plain)
    assert padded is None, str(padded)


def test_word_by_word_equals_the_whole(gpt2: HFModel) -> None:
    ids = [[11, 250, 3, 999, 17, 17, 4], [8, 8, 8, 1020, 5, 6, 7]]

    found = check_cache(gpt2, ids, [[1] * 7, [0] * 2 + [1] * 5], cuts=range(1, 7))

    assert found is None, str(found)


@torch_only
@both_attentions
def test_a_cache_of_fixed_size(hf_model: HFModel, subject: Callable[..., Subject], attention: str) -> None:
    small = subject(hf_model, attention)
    mask = LEFT.tolist()

    plain = check_cache(small.loaded, IDS.tolist(), cuts=[4, 5, 8], new_cache=lambda: static_cache(small.loaded.model))
    padded = check_cache(small.loaded, IDS.tolist(), mask, cuts=[8], new_cache=lambda: static_cache(small.loaded.model))

    assert plain is None, str(plain)
    assert padded is None, str(padded)


def static_cache(model: Any) -> Any:
    """Make upstream's cache of a fixed size, larger than any text here, with the release's argument names."""
    import transformers

    if not (getattr(model, "_supports_static_cache", False) or getattr(model, "_can_compile_fullgraph", False)):
        pytest.skip("GPT-2 has no cache of fixed size here: install transformers>=4.53")
    wanted = {
        "config": model.config,
        "max_cache_len": 16,
        "max_batch_size": len(IDS),
        "device": "cpu",
        "dtype": model.dtype,
    }
    parameters = inspect.signature(transformers.StaticCache.__init__).parameters
    return transformers.StaticCache(**{name: value for name, value in wanted.items() if name in parameters})


@torch_only
@both_attentions
def test_a_cropped_cache_continues_from_the_cut(
    hf_model: HFModel, subject: Callable[..., Subject], attention: str
) -> None:
    small = subject(hf_model, attention)
    cache = run_forward(small.loaded, input_ids=IDS, use_cache=True)["past_key_values"]
    if not hasattr(cache, "crop"):
        pytest.skip("GPT-2's cache is a tuple here, which cannot be cropped: install transformers>=4.57")

    cache.crop(-5)  # newer releases only count from the end
    found = logits_of(run_forward(small.loaded, input_ids=IDS[:, 4:], past_key_values=cache))

    expected = small.reference.forward(IDS).logits[:, 4:]
    assert difference(found, expected, IDS[:, 4:], None, REFERENCE, TOLERANCES["float32"]) is None


# Must not change the output


@examples(6)
@given(lengths=st.lists(st.integers(1, 9), min_size=2, max_size=4), side=st.sampled_from(["left", "right"]))
def test_a_batch_equals_its_texts(flat_gpt2: HFModel, lengths: list[int], side: str) -> None:
    texts = [row[:length].tolist() for row, length in zip(IDS, lengths, strict=False)]

    found = check_padding(flat_gpt2, texts, side=side, padding=7)

    assert found is None, str(found)


@torch_only
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_narrower_numbers_stay_close_to_float64(hf_model: HFModel, subject: Callable[..., Subject], dtype: str) -> None:
    small = subject(hf_model, dtype=dtype)

    found = small.difference(small.reference.forward(IDS, LEFT), LEFT, input_ids=IDS)

    assert found is None, str(found)


@torch_only
def test_the_trained_model_in_float32_stays_close_to_float64(hf_model: HFModel) -> None:
    ids = np.random.Generator(np.random.PCG64(4)).integers(0, 1000, (2, 40))
    engine = engines.engine("torch", with_tensorflow=False)
    double = engine.load(hf_model.checkpoint.folder, "text-generation", LoadOptions(dtype="float64"))
    expected = double.forward(ids).logits

    found = difference(hf_model.loaded.forward(ids).logits, expected, ids, None, "and in float64", 2e-5)

    assert found is None, str(found)


@torch_only
def test_threads_do_not_matter(hf_model: HFModel) -> None:
    import torch

    ids = hf_model.loaded.tensor(np.random.Generator(np.random.PCG64(4)).integers(0, 1000, (2, 40)))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            with torch.no_grad():
                found.append(as_array(hf_model.model(ids).logits))
    finally:
        torch.set_num_threads(before)

    for logits in found[1:]:
        np.testing.assert_allclose(logits, found[0], atol=1e-5)
        np.testing.assert_array_equal(logits.argmax(axis=-1), found[0].argmax(axis=-1))


@torch_only
def test_a_loaded_model_has_no_dropout(hf_model: HFModel, subject: Callable[..., Subject]) -> None:
    small = subject(hf_model, resid_pdrop=0.5, embd_pdrop=0.5, attn_pdrop=0.5)
    ids = small.loaded.tensor(IDS)

    found = as_array(small.loaded.model(ids).logits)

    expected = small.reference.forward(IDS).logits
    assert difference(found, expected, IDS, None, REFERENCE, TOLERANCES["float32"]) is None
