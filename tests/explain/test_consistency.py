"""Records that contradict themselves: the recording run warns, and an explanation names the side."""

from __future__ import annotations

from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.engines import upstream

from .asking import all_said, ask, stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels import ModelCache

    from ..project import Project

SIDES = {"recorded": "the recorded side contradicts itself at token", "now": "this run contradicts itself at token"}
RECORDING = """
import pytest
from tests.explain.test_consistency import cache_broken

@pytest.mark.hf_model("./model")
def test_reply(hf_model, hf_snapshot):
    with cache_broken(hf_model.model, {by}):
        assert hf_model.generate("Hi", max_new_tokens=5, {settings}) == hf_snapshot
"""


@contextmanager
def cache_broken(model: Any, by: float = 0.5) -> Iterator[None]:
    """Change the model's output whenever it gets one token and a cache."""
    kind = type(model)
    original = kind.forward

    @wraps(original)
    def forward(self: Any, input_ids: Any = None, *arguments: Any, **keywords: Any) -> Any:
        output = original(self, input_ids, *arguments, **keywords)
        if input_ids.shape[1] == 1:
            output.logits[..., ::2] += by
        return output

    kind.forward = forward
    try:
        yield
    finally:
        kind.forward = original


@pytest.mark.parametrize(
    ("by", "settings", "warns"),
    [
        (0.5, "num_beams=1", True),
        (0.5, "num_beams=3", True),
        (0.5, "use_cache=True", True),
        (0.0, "num_beams=1", False),
        (0.0, "num_beams=3", False),
        (0.0, "no_repeat_ngram_size=1", False),
        (0.0, "repetition_penalty=1.5, num_beams=2", False),
        (0.5, "use_cache=False", False),
        (0.5, "no_repeat_ngram_size=2", False),  # unknown with a processor on
    ],
)
def test_only_recording_a_contradiction_warns(project: Project, by: float, settings: str, warns: bool) -> None:
    project.write(RECORDING.format(by=by, settings=settings))

    recording = project.run("--snapshot-update")

    recording.assert_outcomes(passed=1, warnings=int(warns))
    if warns:
        recording.stdout.fnmatch_lines(["*InconsistentRecordWarning: test_it.py::test_reply*use_cache=False*"])
        project.run().assert_outcomes(passed=1)


@pytest.mark.parametrize("settings", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
@pytest.mark.parametrize("broken", ["recorded", "now"])
def test_a_difference_says_which_side_contradicts_itself(
    models: ModelCache, settings: dict[str, Any], broken: str
) -> None:
    bot = models.load("./model")
    sound = bot.generate("Hello", max_new_tokens=5, **settings)
    with cache_broken(bot.model):
        unsound = bot.generate("Hello", max_new_tokens=5, **settings)
        explained = ask(stored(sound), unsound) if broken == "now" else None
    explained = explained or ask(stored(unsound), sound)

    assert [side for side, words in SIDES.items() if words in all_said(explained)] == [broken]


def test_with_a_logits_processor_neither_side_contradicts_itself(models: ModelCache) -> None:
    bot = models.load("./model")
    settings: dict[str, Any] = {"max_new_tokens": 5, "no_repeat_ngram_size": 2}
    sound = bot.generate("Hello", **settings)
    with cache_broken(bot.model):
        unsound = bot.generate("Hello", **settings)

    assert not any(words in all_said(ask(stored(unsound), sound)) for words in SIDES.values())


@pytest.mark.skipif(
    not upstream.release_at_least("4.57.0") or upstream.release_at_least("5"),
    reason="install transformers>=4.57,<5: it reorders Mamba's cache",
)
def test_mamba_s_beams_contradict_their_forward_pass(models: ModelCache) -> None:
    import torch
    from transformers import MambaConfig, MambaForCausalLM

    from pytest_hfmodels.kinds.generation.consistency import contradiction

    torch.manual_seed(0)
    config = MambaConfig(vocab_size=257, hidden_size=32, state_size=8, num_hidden_layers=2, eos_token_id=None)
    bot = models.adopt(MambaForCausalLM(config).eval(), models.load("./model").tokenizer)

    beams, without = (
        bot.generate("Hello", max_new_tokens=12, num_beams=4, use_cache=cached) for cached in (True, False)
    )

    assert contradiction(beams) is not None
    assert contradiction(without) is None
    assert contradiction(bot.generate("Hello", max_new_tokens=12)) is None
