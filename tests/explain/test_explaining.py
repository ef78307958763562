"""What explaining costs, and what it does where it cannot."""

from __future__ import annotations

import copy
import gc
import pickle
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from threading import RLock
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from packaging.version import Version

from pytest_hfmodels import ModelCache
from pytest_hfmodels.engines.loaded_model import LoadedModel
from pytest_hfmodels.explain import CAUSES, explain
from pytest_hfmodels.explain.case import OutOfPassesError, Passes
from pytest_hfmodels.snapshots import Tolerance, compare

from ..example_records import generation, moved
from .asking import BEAMS, CLASSIFIER, RELEASE, TEST, ask, blocks_shifted, classify, generate, stored
from .test_causes import second_best, worse_beams

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_hfmodels.kinds import GenerationRecord

    from ..project import Project


@pytest.fixture
def counted(models: ModelCache, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often any torch model is asked."""
    kind = type(models.load("./model").loaded)
    assert issubclass(kind, LoadedModel)
    counts = {"generate": 0, "forward": 0, "classify_inputs": 0}

    def spied(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Any, *arguments: Any, **keywords: Any) -> Any:
            counts[name] += 1
            return plain(self, *arguments, **keywords)

        return call

    for name in counts:
        monkeypatch.setattr(kind, name, spied(name, getattr(kind, name)))
    return counts


def test_a_failing_test_costs_one_generate_and_nine_forward_passes_at_most(
    models: ModelCache, counted: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, classifier = models.load("./model"), models.load("./model", **CLASSIFIER)
    calls: list[Any] = [lambda: generate(model), lambda: generate(model, **BEAMS), lambda: classify(classifier)]
    recorded, seen = [stored(call()) for call in calls], []
    for amount in (0.0, 1e-3, 10.0):
        for before, call in zip(recorded, calls, strict=True):
            with blocks_shifted(model.model, 1, amount), monkeypatch.context() as patch:
                if not amount:
                    worse_beams(model, patch)
                observed = call()
                comparison = compare(before, observed, Tolerance(1e-6))
                counted.update(dict.fromkeys(counted, 0))
                if comparison.differences:
                    explain(comparison, before, observed, test=TEST)
                    seen.append(dict(counted))

    assert len(seen) >= 7
    for counts in seen:
        assert counts["generate"] <= 1
        assert counts["forward"] + counts["classify_inputs"] <= 9


@pytest.mark.parametrize(
    "settings", [{}, {"no_repeat_ngram_size": 1, "repetition_penalty": 1.3}], ids=["plain", "bans"]
)
def test_a_greedy_search_is_judged_by_what_the_test_has_seen(
    models: ModelCache, counted: dict[str, int], monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    model = models.load("./model")
    recorded = stored(generate(model, **settings))
    with monkeypatch.context() as patch:
        second_best(model, patch)
        observed = generate(model, **settings)
    counted.update(dict.fromkeys(counted, 0))

    found = ask(recorded, observed, tolerance=1e-6)

    assert (found.cause, counted["generate"]) == ("search", 0)


@pytest.mark.parametrize(
    ("calls", "most"),
    [
        (
            [
                lambda passes: passes.forward([[1]]),
                lambda passes: passes.classify({}),
                lambda passes: passes.observe({}),
            ],
            9,
        ),
        ([lambda passes: passes.generate([1])], 1),
    ],
    ids=["forward passes of any kind", "generate"],
)
def test_no_explanation_can_exceed_the_budget(calls: list[Any], most: int) -> None:
    answers = dict.fromkeys(("forward", "classify_inputs", "observe", "generate"), lambda *_: ())
    origin: Any = SimpleNamespace(loaded=SimpleNamespace(model=SimpleNamespace(), lock=RLock(), **answers))
    passes, asked = Passes(origin, {}), cycle(calls)

    for _, call in zip(range(most), asked, strict=False):
        call(passes)

    with pytest.raises(OutOfPassesError):
        next(asked)(passes)


def test_rounding_is_explained_without_another_search(models: ModelCache, counted: dict[str, int]) -> None:
    observed = generate(models.load("./model"), **BEAMS)
    steps = tuple(replace(step, log_probability=step.log_probability + 3e-7) for step in observed.steps)
    recorded = stored(replace(observed, steps=steps, provenance=replace(observed.provenance, cpu="VSX")))
    counted.update(dict.fromkeys(counted, 0))

    found = ask(recorded, observed, tolerance=1e-7)

    assert (found.verdict, found.cause) == ("drift", "backend")
    assert counted["generate"] == 0


@pytest.mark.skipif(
    Version("4.32") > RELEASE,
    reason="install transformers>=4.32: before it a step looks at too few candidates",
)
def test_a_beam_search_is_heard_up_to_the_length_limit(models: ModelCache, counted: dict[str, int]) -> None:
    """Whatever the rules of either release ask for has then been heard: the model is not asked again."""
    model = models.load("./model")
    settings: dict[str, Any] = {**BEAMS, "max_new_tokens": 12, "early_stopping": False, "length_penalty": 2.0}
    settings["eos_token_id"] = list(range(60, 120))
    record = generate(model, **settings)
    assert len(record.steps) < 12, "nothing has ended it"
    beams = tuple(replace(beam, score=beam.score / 2) for beam in record.beams)
    recorded = stored(replace(record, beams=beams), transformers="4.30.2")
    observed = generate(model, **settings)
    counted.update(dict.fromkeys(counted, 0))

    ask(recorded, observed)

    assert counted == {"generate": 1, "forward": 1, "classify_inputs": 0}  # it still gives the observed numbers


def test_a_green_test_asks_no_more_than_before(models: ModelCache, counted: dict[str, int]) -> None:
    generate(models.load("./model"))

    assert counted == {"generate": 1, "forward": 1, "classify_inputs": 0}


def test_explaining_that_fails_leaves_the_verdict_and_says_why(
    models: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models.load("./model")
    recorded = stored(generate(model), transformers="4.49.0")
    now = generate(model)
    observed = replace(now, steps=(replace(now.steps[0], id=now.steps[0].runner_up, text="?"), *now.steps[1:]))

    def broken(*_: Any) -> Any:
        raise RuntimeError("CUDA out of memory\nand more")

    for module in ("explain", "teacher"):
        monkeypatch.setattr(f"pytest_hfmodels.kinds.generation.{module}.teacher_forced", broken)
    comparison = compare(recorded, observed, Tolerance(1e-4))

    found = explain(comparison, recorded, observed, test=TEST)

    assert (found.verdict, found.cause) == ("changed", None)
    assert found.sentence.endswith("failed with RuntimeError: CUDA out of memory")
    assert found.suggests[0].startswith("hfmodels bisect transformers --good 4.49.0 --bad ")


def test_what_cannot_be_told_says_what_would_tell() -> None:
    observed = generation(moved(1, by=0.5))
    recorded = generation(provenance=replace(observed.provenance, versions={"transformers": "4.49.0"}))

    found = ask(recorded, observed)

    assert found.cause is None
    assert "no longer in memory" in found.sentence
    assert found.suggests == (f"hfmodels bisect transformers --good 4.49.0 --bad 4.57.6 -- '{TEST}'",)


def test_a_record_keeps_no_model_alive_and_can_be_copied(project: Project) -> None:
    cache = ModelCache(project.path)
    record = generate(cache.load("./model"))
    assert record.live is not None
    assert record.live.made_by is not None
    assert record.live.made_by.origin is not None

    copied: GenerationRecord = pickle.loads(pickle.dumps(record))
    deep = copy.deepcopy(record)
    del cache
    gc.collect()

    assert copied == deep == record
    assert copied.live is not None
    assert copied.live.made_by is not None
    assert copied.live.made_by.origin is None
    assert copied.live.made_by.settings == record.live.made_by.settings
    assert record.live.made_by.origin is None
    changed = replace(record, steps=tuple(replace(step, log_probability=-9.0) for step in record.steps))
    assert "no longer in memory" in ask(stored(changed), record).sentence


def test_asking_again_changes_no_shared_model(models: ModelCache) -> None:
    model = models.load("./model")
    recorded = stored(generate(model, **BEAMS), transformers="4.30.2")
    list(models.dirty())
    beams = tuple(replace(beam, score=beam.score / 2) for beam in recorded.beams)

    ask(replace(recorded, beams=beams), generate(model, **BEAMS))

    assert list(models.dirty(weights=True)) == []


def test_every_cause_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "explain.md").read_text(encoding="utf-8")
    assert all(f"`{cause}`" in page for cause in CAUSES)
