"""Arguments of `generate` that are not settings of the search; each is compared with the plain search.

suites/arguments.toml says which test exercises which argument.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels import engines
from pytest_hfmodels.engines import LoadOptions, upstream
from pytest_hfmodels.properties.forward import as_array, run_forward
from suites.calls import generated, rows
from suites.drawn import gpt2_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_hfmodels import HFModel, ModelCache
    from pytest_hfmodels.engines import LoadedModel

pytestmark = pytest.mark.hf_model("tiny-gpt2", engines=["torch"])

PROMPTS = [[3, 17, 8], [21, 4, 4], [9, 9, 28]]
STEPS = 6
END = 29  # some arguments need an eos token; none of these texts reaches it
searches = pytest.mark.parametrize("beams", [1, 3], ids=["greedy", "beams"])


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


@pytest.fixture
def flat(hf_model: HFModel, hf_models: ModelCache, drawn_checkpoints: dict[str, Path]) -> HFModel:
    return hf_models.load(drawn_checkpoints["gpt2"], task="text-generation", engine=hf_model.engine)


def settings(**given: Any) -> dict[str, Any]:
    """Return `given` and the settings that make a search repeatable."""
    return {"do_sample": False, "max_new_tokens": STEPS, "pad_token_id": 0, **given}


def tokens(model: HFModel, prompts: list[list[int]] = PROMPTS, **given: Any) -> list[list[int]]:
    """Return the tokens after the prompts."""
    output = generated(model, prompts, attention_mask=np.ones_like(prompts), **settings(**given))
    return [row[len(prompts[0]) :] for row in rows(getattr(output, "sequences", output))]


def require(name: str, since: str) -> None:
    """Skip if the release has no argument of this name."""
    from transformers import GenerationConfig
    from transformers.generation import GenerationMixin

    if not hasattr(GenerationConfig(), name) and name not in inspect.signature(GenerationMixin.generate).parameters:
        pytest.skip(f"generate has no {name} here: install transformers>={since}")


def require_cache_objects() -> None:
    """Skip if GPT-2 keeps keys and values in tuples."""
    if not upstream.release_at_least("4.53"):
        pytest.skip("GPT-2 has no cache objects here: install transformers>=4.53")


def greedily(model: HFModel, prompt: list[int], choose: Callable[[Any, list[int]], Any]) -> list[int]:
    """Decode step by step with forward passes only; `choose` returns scores for the logits and the text so far."""
    text = list(prompt)
    for _ in range(STEPS):
        text.append(int(np.argmax(choose(last_logits(model, text), text))))
    return text[len(prompt) :]


def last_logits(model: HFModel, text: list[int]) -> Any:
    return model.forward([text]).logits[0, -1]


# Inputs


def test_ids_by_either_name(flat: HFModel) -> None:
    ids = flat.loaded.tensor(PROMPTS)

    assert rows(flat.model.generate(inputs=ids, **settings())) == rows(flat.model.generate(input_ids=ids, **settings()))


@searches
def test_input_embeddings_replace_a_prompt(flat: HFModel, beams: int) -> None:
    vectors = flat.model.get_input_embeddings()(flat.loaded.tensor(PROMPTS)).detach()
    mask = flat.loaded.tensor(np.ones_like(PROMPTS))

    output = flat.model.generate(
        inputs_embeds=vectors, attention_mask=mask, **settings(num_beams=beams, bos_token_id=END)
    )

    # Old releases return a bos in place of the prompt.
    assert [row[-STEPS:] for row in rows(output)] == tokens(flat, num_beams=beams)


def test_without_a_prompt_the_first_token_is_bos(flat: HFModel) -> None:
    output = flat.model.generate(**settings(bos_token_id=3))

    assert rows(output) == [[3, *tokens(flat, [[3]])[0]]]


@searches
def test_a_conversation_continues_with_its_cache(flat: HFModel, beams: int) -> None:
    require_cache_objects()
    from transformers import DynamicCache

    turn = tokens(flat, PROMPTS[:1])[0]
    conversation = [[*PROMPTS[0], *turn, 5, 6]]
    cache = DynamicCache()
    run_forward(flat, input_ids=np.array([[*PROMPTS[0], *turn]]), past_key_values=cache, use_cache=True)
    if beams > 1:
        cache.batch_repeat_interleave(beams)

    assert tokens(flat, conversation, past_key_values=cache, num_beams=beams) == tokens(
        flat, conversation, num_beams=beams
    )


# When generation ends


def test_a_stop_string_ends_generation(hf_model: HFModel) -> None:
    require("stop_strings", "4.39")
    prompt = [hf_model.tokenizer.encode("My name is Hasnain")]
    plain = tokens(hf_model, prompt)[0]
    text = hf_model.tokenizer.decode(plain[2:4])

    given = {"tokenizer": hf_model.tokenizer}
    assert tokens(hf_model, prompt, stop_strings=[text, "nowhere"], **given)[0] == plain[:4]
    assert tokens(hf_model, prompt, stop_strings="nowhere", **given)[0] == plain


@searches
def test_max_time_ends_generation_after_the_current_step(flat: HFModel, beams: int) -> None:
    found = tokens(flat, max_time=1e-9, num_beams=beams, eos_token_id=END)

    # Beam search of old releases appends an eos when the time is over.
    assert [len([token for token in row if token != END]) for row in found] == [1] * 3


def test_a_stopping_criterion_ends_generation(flat: HFModel) -> None:
    from transformers import StoppingCriteria, StoppingCriteriaList

    class Fourth(StoppingCriteria):  # type: ignore[misc] # transformers has no types
        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            del scores
            return input_ids.new_full((1,), input_ids.shape[1] == 3 + 4).bool()

    found = tokens(flat, PROMPTS[:1], stopping_criteria=StoppingCriteriaList([Fourth()]))[0]

    assert found == tokens(flat, PROMPTS[:1])[0][:4]


# Scores


class Recorder:
    """A logits processor that bans odd tokens and remembers its inputs."""

    def __init__(self) -> None:
        self.seen: list[list[list[int]]] = []

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        self.seen.append(rows(input_ids))
        banned = scores.new_zeros(scores.shape[-1]).bool()
        banned[1::2] = True
        return scores.masked_fill(banned, -float("inf"))


@searches
def test_a_custom_logits_processor_runs_at_every_step(flat: HFModel, beams: int) -> None:
    from transformers import LogitsProcessorList

    recorder = Recorder()

    found = tokens(flat, logits_processor=LogitsProcessorList([recorder]), num_beams=beams)

    assert found == tokens(flat, num_beams=beams, suppress_tokens=list(range(1, 30, 2)))
    assert [len(text[0]) for text in recorder.seen] == [3, 4, 5, 6, 7, 8]
    assert recorder.seen[0] == [prompt for prompt in PROMPTS for _ in range(beams)]


@searches
def test_only_allowed_tokens_are_generated(flat: HFModel, beams: int) -> None:
    asked: set[tuple[int, tuple[int, ...]]] = set()

    def allowed(row: int, text: Any) -> list[int]:
        asked.add((row, tuple(text[:3].tolist())))
        return list(range(0, 30, 2))

    found = tokens(flat, prefix_allowed_tokens_fn=allowed, num_beams=beams)

    assert found == tokens(flat, num_beams=beams, suppress_tokens=list(range(1, 30, 2)))
    assert asked == {(row, tuple(prompt)) for row, prompt in enumerate(PROMPTS)}


def test_guidance_moves_away_from_the_negative_prompt(flat: HFModel) -> None:
    require("guidance_scale", "4.33")
    negative, scale = [12, 13], 1.8

    def guided(logits: Any, text: list[int]) -> Any:
        other = log_softmax(last_logits(flat, [*negative, *text[3:]]))
        return other + scale * (log_softmax(logits) - other)

    found = tokens(flat, PROMPTS[:1], guidance_scale=scale, negative_prompt_ids=np.array([negative]))

    assert found[0] == greedily(flat, PROMPTS[0], guided)


def test_a_masked_word_of_the_negative_prompt_is_ignored(flat: HFModel) -> None:
    require("guidance_scale", "4.33")

    def guided(**given: Any) -> list[list[int]]:
        return tokens(flat, PROMPTS[:1], guidance_scale=1.8, **given)

    mask = np.array([[1, 1, 0]])
    first = guided(negative_prompt_ids=np.array([[12, 13, 1]]), negative_prompt_attention_mask=mask)

    assert first == guided(negative_prompt_ids=np.array([[12, 13, 2]]), negative_prompt_attention_mask=mask)
    assert first != guided(negative_prompt_ids=np.array([[12, 13, 2]]))


def log_softmax(logits: Any) -> Any:
    return logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())


def test_words_of_the_prompt_are_favoured(flat: HFModel) -> None:
    penalty = 1.7

    def favoured(logits: Any, _: list[int]) -> Any:
        scores = logits.copy()
        for token in set(PROMPTS[0]):
            scores[token] = scores[token] * penalty if scores[token] > 0 else scores[token] / penalty
        return scores

    found = tokens(flat, PROMPTS[:1], encoder_repetition_penalty=penalty)

    assert found[0] == greedily(flat, PROMPTS[0], favoured)


@pytest.mark.parametrize("size", [1, 2])
def test_ngrams_of_the_prompt_are_blocked(flat: HFModel, size: int) -> None:
    prompt = [*PROMPTS[0], *tokens(flat, PROMPTS[:1])[0]]  # so that it would continue in the same way
    ngrams = {tuple(prompt[start : start + size]) for start in range(len(prompt) - size + 1)}

    def new(logits: Any, text: list[int]) -> Any:
        scores = logits.copy()
        start = tuple(text[len(text) - size + 1 :])
        for token in range(len(scores)):
            if (*start, token) in ngrams:
                scores[token] = -np.inf
        return scores

    assert tokens(flat, [prompt], encoder_no_repeat_ngram_size=size)[0] == greedily(flat, prompt, new)


# How the search is computed


@pytest.fixture
def helper(flat: HFModel, tmp_path: Path) -> LoadedModel:
    """Another model with the same vocabulary; not the session's, because upstream configures it as an assistant."""
    engine = engines.engine(flat.engine, with_tensorflow=False)
    return engine.load(gpt2_checkpoint(tmp_path / "drawn", seed=8), "text-generation", LoadOptions())


@pytest.mark.parametrize("schedule", ["constant", "heuristic"])
@pytest.mark.parametrize("ahead", [1, 4])
def test_an_assistant_model_changes_nothing(flat: HFModel, helper: LoadedModel, schedule: str, ahead: int) -> None:
    require("num_assistant_tokens", "4.37")
    helper.model.generation_config.num_assistant_tokens = ahead
    helper.model.generation_config.num_assistant_tokens_schedule = schedule

    found = tokens(flat, PROMPTS[:1], assistant_model=helper.model, eos_token_id=END)

    assert found == tokens(flat, PROMPTS[:1], eos_token_id=END)


@pytest.mark.parametrize("longest", [1, 3])
def test_prompt_lookup_changes_nothing(flat: HFModel, longest: int) -> None:
    require("prompt_lookup_num_tokens", "4.37")
    if longest > 1 and not has("max_matching_ngram_size"):
        pytest.skip("generate has no max_matching_ngram_size here: install transformers>=4.39")
    prompt = [PROMPTS[0] * 3]
    given: dict[str, Any] = {"max_matching_ngram_size": longest} if longest > 1 else {}

    found = tokens(flat, prompt, prompt_lookup_num_tokens=4, eos_token_id=END, **given)

    assert found == tokens(flat, prompt, eos_token_id=END)


def test_low_memory_changes_nothing(flat: HFModel) -> None:
    from transformers import GenerationConfig

    if "low_memory" not in (GenerationConfig.__doc__ or ""):
        pytest.skip("generate documents no low_memory here: install transformers>=4.37,<4.56")

    assert tokens(flat, num_beams=3, low_memory=True) == tokens(flat, num_beams=3)


@searches
def test_prefill_chunks_change_nothing(flat: HFModel, beams: int) -> None:
    require("prefill_chunk_size", "4.53")

    assert tokens(flat, [[*range(9)]], prefill_chunk_size=4, num_beams=beams) == tokens(
        flat, [[*range(9)]], num_beams=beams
    )


@searches
def test_a_static_cache_of_any_length_changes_nothing(flat: HFModel, beams: int) -> None:
    require_cache_objects()
    room: dict[str, Any] = {"max_cache_len": 40} if has("max_cache_len") else {}

    fixed = tokens(flat, cache_implementation="static", disable_compile=True, num_beams=beams, **room)

    assert fixed == tokens(flat, num_beams=beams)


def has(name: str) -> bool:
    from transformers import GenerationConfig

    return hasattr(GenerationConfig(), name)


# Outputs


@searches
def test_the_outputs_of_a_step_are_those_of_a_forward_pass(flat: HFModel, beams: int) -> None:
    prompt = PROMPTS[:1]
    given = {"output_hidden_states": True, "output_attentions": True, "output_scores": True}

    output = generated(flat, prompt, **settings(return_dict_in_generate=True, num_beams=beams, **given))

    text = np.array(rows(output.sequences))
    whole = run_forward(flat, input_ids=text, output_hidden_states=True, output_attentions=True)
    indices = np.zeros(STEPS, int) if beams == 1 else np.asarray(output.beam_indices)[0]
    assert len(output.hidden_states) == len(output.attentions) == len(output.scores) == STEPS
    for step in range(STEPS):
        # At the first step all beams are equal; later a step's rows are the beams of the step before.
        row, position = (0 if step == 0 else int(indices[step])), len(prompt[0]) - 1 + step
        for found, expected in zip(output.hidden_states[step], whole["hidden_states"], strict=True):
            np.testing.assert_allclose(as_array(found)[row, -1], as_array(expected)[0, position], atol=1e-4)
        for found, expected in zip(output.attentions[step], whole["attentions"], strict=True):
            wanted = as_array(expected)[0, :, position, : position + 1]
            np.testing.assert_allclose(as_array(found)[row, :, -1], wanted, atol=1e-4)


@searches
def test_returned_logits_are_unprocessed(flat: HFModel, beams: int) -> None:
    require("output_logits", "4.38")
    given = {"output_logits": True, "output_scores": True, "suppress_tokens": [4, 5], "repetition_penalty": 1.5}

    output = generated(flat, PROMPTS[:1], **settings(return_dict_in_generate=True, num_beams=beams, **given))

    first = flat.forward(PROMPTS[:1]).logits[0, -1]
    assert len(output.logits) == STEPS
    np.testing.assert_allclose(as_array(output.logits[0])[0], first, atol=1e-4)
    assert np.isneginf(as_array(output.scores[0])[:, 4:6]).all()
    for step in output.logits:
        assert np.isfinite(as_array(step)).all()


def test_return_legacy_cache_returns_the_old_form(flat: HFModel) -> None:
    if not has("return_legacy_cache"):
        pytest.skip("caches have no old form here: install transformers>=4.42,<5")

    output = generated(flat, PROMPTS, **settings(return_dict_in_generate=True, return_legacy_cache=True))

    assert isinstance(output.past_key_values, tuple)
    assert len(output.past_key_values) == flat.config.n_layer


def test_a_streamer_gets_every_token_once(flat: HFModel) -> None:
    from transformers.generation.streamers import BaseStreamer

    class Listener(BaseStreamer):  # type: ignore[misc] # transformers has no types
        heard: list[int] = []  # noqa: RUF012 - one listener, one call
        ended = 0

        def put(self, value: Any) -> None:
            self.heard.extend(value.flatten().tolist())

        def end(self) -> None:
            self.ended += 1

    listener = Listener()

    output = tokens(flat, PROMPTS[:1], streamer=listener)

    assert (listener.heard, listener.ended) == ([*PROMPTS[0], *output[0]], 1)


# Sources of settings


@searches
def test_keywords_override_a_generation_config(flat: HFModel, beams: int) -> None:
    from transformers import GenerationConfig

    config = GenerationConfig(**settings(num_beams=beams, suppress_tokens=[1, 2, 3], max_new_tokens=4))
    before = config.to_dict()

    together = rows(generated(flat, PROMPTS, generation_config=config))
    longer = rows(generated(flat, PROMPTS, generation_config=config, max_new_tokens=STEPS))

    assert [row[3:] for row in together] == tokens(flat, num_beams=beams, suppress_tokens=[1, 2, 3], max_new_tokens=4)
    assert [row[3:] for row in longer] == tokens(flat, num_beams=beams, suppress_tokens=[1, 2, 3])
    assert config.to_dict() == before


@pytest.mark.filterwarnings("ignore:.*")
def test_use_model_defaults_fills_in_the_models_own_settings(flat: HFModel) -> None:
    require("use_model_defaults", "4.50")
    if "use_model_defaults" not in inspect.signature(flat.model.generate).parameters:
        pytest.skip("generate has no use_model_defaults here: install transformers>=4.50,<5")
    from transformers import GenerationConfig

    config = GenerationConfig(do_sample=False, max_new_tokens=STEPS, pad_token_id=0)
    own = flat.model.generation_config
    banned = tokens(flat)[0][0]
    own.suppress_tokens = [banned]
    try:
        without, with_own = (
            generated(flat, PROMPTS, generation_config=config, use_model_defaults=choice) for choice in (False, True)
        )
    finally:
        own.suppress_tokens = None

    assert rows(without)[0][3] == banned
    assert rows(with_own)[0][3] != banned
