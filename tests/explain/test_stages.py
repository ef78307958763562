"""What two records say by themselves, without a model."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_hfmodels.explain import Explanation, explain, explaining
from pytest_hfmodels.explain.case import Case
from pytest_hfmodels.kinds.inputs import model_inputs
from pytest_hfmodels.snapshots import Tolerance, compare

from ..example_records import CHECKPOINT, EFFECTIVE, PROMPT, STEPS, classification, generation, live, moved, provenance
from .asking import TEST, all_said, ask

OTHER_FILES = replace(CHECKPOINT, tokenizer="sha256:other")
TIED = replace(STEPS[1], margin=0.0)
TURNED = (STEPS[0], replace(TIED, id=14, text=" but"), STEPS[2])
OTHER_TOKEN = (STEPS[0], replace(STEPS[1], id=14, text=" but"), STEPS[2])
ROWS = classification().inputs


@pytest.mark.parametrize(
    ("recorded", "observed", "verdict", "cause", "said"),
    [
        (generation(prompt=replace(PROMPT, ids=(5, 6))), generation(), "changed", "tokenizer", "2 tokens -> 3"),
        (generation(), generation(text="other"), "changed", "decoding", "each token on its own is spelt as recorded"),
        (
            generation(),
            generation(text="other", checkpoint=OTHER_FILES),
            "changed",
            "checkpoint:tokenizer",
            "the checkpoint's tokenizer files have changed",
        ),
        (
            generation(),
            generation((STEPS[0], replace(STEPS[1], text=" AND"), STEPS[2])),
            "changed",
            "decoding",
            "token 2 (id 13) was spelt ' and', and is now ' AND'",
        ),
        (
            generation(),
            generation(moved(0, by=1.0), checkpoint=replace(CHECKPOINT, config="sha256:y")),
            "drift",
            "checkpoint:config",
            "a snapshot keeps only their digest",
        ),
        (
            generation((STEPS[0], TIED, STEPS[2])),
            generation(TURNED, live=live(TURNED)),
            "near-tie",
            None,
            "rounding chose between two equally good tokens",
        ),
        (
            generation(),
            generation(moved(0, by=1.0), checkpoint=replace(CHECKPOINT, weights="sha256:other")),
            "drift",
            "checkpoint:weights",
            "different digest",
        ),
        (
            generation(),
            generation(OTHER_TOKEN, live=live(OTHER_TOKEN, drift=-1.0)),
            "changed",
            None,
            "no longer in memory",
        ),
        (generation(), classification(), "changed", "test", "the test compares a record of kind classification"),
        (
            classification(),
            classification(inputs=(replace(ROWS[0], logits=(*ROWS[0].logits, 0.0)), ROWS[1])),
            "changed",
            None,
            "a different number of logits; no package changed version",
        ),
    ],
    ids=["prompt", "text", "files", "token", "config", "near-tie", "weights", "no model", "kind", "logits"],
)
def test_records_without_a_model(recorded: Any, observed: Any, verdict: str, cause: str | None, said: str) -> None:
    found = ask(recorded, observed)

    assert (found.verdict, found.cause) == (verdict, cause)
    assert said in all_said(found)


@pytest.mark.parametrize(
    ("then", "now", "cause", "said"),
    [
        ({}, {"suppress_tokens": [3], "early_stopping": True}, None, "early_stopping differs from the recorded value"),
        ({}, {"suppress_tokens": [3]}, "test", "suppress_tokens"),  # no release has it by itself
        (
            {"max_length": 20},
            {"max_length": 20 + len(PROMPT.ids)},
            "generation-defaults",
            "20 tokens are added to the prompt; before, 20 tokens are the whole",
        ),
        # The test no longer gives max_new_tokens, and the default comes in.
        ({"max_length": 9}, {"max_length": 20 + len(PROMPT.ids)}, None, "max_length differs from the recorded value"),
    ],
)
def test_settings_of_another_release(then: Any, now: Any, cause: str | None, said: str) -> None:
    recorded = generation(
        effective={**EFFECTIVE, **then}, provenance=replace(provenance(), versions={"transformers": "4.36.2"})
    )

    found = ask(recorded, generation(effective={**EFFECTIVE, **then, **now}))

    assert found.cause == cause
    assert said in found.sentence
    assert found.rules == (("default_length_counts_prompt",) if cause == "generation-defaults" else ())
    assert (found.suggests == ()) is (cause is not None)


OTHER_RELEASE: dict[str, Any] = {"provenance": replace(provenance(), versions={"transformers": "4.36.2"})}


@pytest.mark.parametrize(
    ("then", "changed"),
    [
        ({}, None),
        ({"checkpoint": replace(CHECKPOINT, config="sha256:other")}, "the checkpoint's configuration"),
        ({"checkpoint": OTHER_FILES}, "the checkpoint's tokenizer files"),
        (OTHER_RELEASE, "transformers"),
    ],
    ids=["nothing", "configuration", "tokenizer", "release"],
)
@pytest.mark.parametrize(
    "given",
    [
        {"prompt": replace(PROMPT, text="What a template made of it", ids=(5, 6))},
        {"effective": {**EFFECTIVE, "suppress_tokens": [3]}},
        {"processed": model_inputs({"pixel_values": np.ones((1, 3, 2, 2))}, given={"pixel_values"})},
    ],
    ids=["prompt", "setting", "input"],
)
def test_what_the_test_gives_is_its_own_change_only_if_nothing_has_changed_that_it_may_come_from(
    given: dict[str, Any], then: dict[str, Any], changed: str | None
) -> None:
    """A test may render a chat template, ask a processor, or compute with the configuration."""
    before = generation(
        effective={**EFFECTIVE, "suppress_tokens": [4]},
        processed=model_inputs({"pixel_values": np.zeros((1, 3, 2, 2))}, given={"pixel_values"}),
        **then,
    )
    now = {
        "effective": {**EFFECTIVE, "suppress_tokens": [4]},
        "processed": model_inputs({"pixel_values": np.zeros((1, 3, 2, 2))}, given={"pixel_values"}),
    }

    found = ask(before, generation(**{**now, **given}))

    assert found.cause == (None if changed else "test")
    assert changed is None or f"({changed})" in found.sentence


@pytest.mark.parametrize(
    ("then", "now", "cause"),
    [
        ("sha256:a of transformers 4.49.0", "sha256:b of transformers 5.23.0", None),
        ("sha256:a of transformers 5.23.0", "sha256:b of transformers 5.23.0", "checkpoint:preprocessor"),
        ("sha256:a", "sha256:a", "preprocessor"),
        ("", "sha256:a", None),
    ],
    ids=["adopted, other releases", "adopted", "files", "an earlier version"],
)
def test_a_preprocessor_is_another_one_only_if_its_digests_can_be_compared(
    then: str, now: str, cause: str | None
) -> None:
    sides = [
        generation(
            checkpoint=replace(CHECKPOINT, preprocessor=digest),
            processed=model_inputs({"pixel_values": np.full((1, 3, 2, 2), value)}),
        )
        for digest, value in ((then, 0.0), (now, 1.0))
    ]

    assert ask(*sides).cause == cause


@pytest.mark.parametrize(
    ("changes", "cause"),
    [({"early_stopping": True}, None), ({"max_length": 20 + len(PROMPT.ids)}, "generation-defaults")],
    ids=["a setting", "a rule of the release"],
)
def test_a_release_is_blamed_for_a_setting_of_an_adopted_model_only_by_a_known_rule(
    changes: dict[str, Any], cause: str | None
) -> None:
    then, now = ("sha256:x of transformers 4.36.2", "sha256:y of transformers 4.57.6")
    usual = {**EFFECTIVE, "max_length": 20}
    recorded = generation(
        checkpoint=replace(CHECKPOINT, origin="adopted", config=then), effective=usual, **OTHER_RELEASE
    )
    observed = generation(checkpoint=replace(CHECKPOINT, origin="adopted", config=now), effective={**usual, **changes})

    assert ask(recorded, observed).cause == cause


def case(recorded: Any, observed: Any) -> Case[Any]:
    return Case.of(compare(recorded, observed, Tolerance(1e-4)), recorded, observed)


def test_weights_go_before_the_configuration() -> None:
    other = replace(CHECKPOINT, weights="sha256:x", config="sha256:y")

    assert case(generation(), generation(checkpoint=other)).part == "weights"


def test_of_several_packages_the_likeliest_reason_goes_first() -> None:
    then, now = ({"transformers": v, "tokenizers": v, "torch": v, "accelerate": v} for v in ("1.0", "2.0"))
    sides = [generation(provenance=replace(provenance(), versions=versions)) for versions in (then, now)]

    assert list(case(*sides).changed_packages()) == ["transformers", "tokenizers", "torch", "accelerate"]


def answered(monkeypatch: pytest.MonkeyPatch, answer: Any) -> Explanation:
    """Return what `explain` makes of an answer."""
    before = replace(provenance(), versions={"transformers": "4.49.0", "torch": "1.0.0"})
    recorded, observed = generation(moved(0, by=1.0), provenance=before), generation()
    monkeypatch.setattr(explaining, "_explained", answer)
    return explain(compare(recorded, observed, Tolerance(1e-4)), recorded, observed, test=TEST)


def test_rounding_on_another_machine_is_looked_for_in_the_engine_s_releases(monkeypatch: pytest.MonkeyPatch) -> None:
    found = answered(monkeypatch, lambda _: Explanation("drift", "backend", "rounding"))

    assert found.suggests[0].startswith("hfmodels bisect torch --good 1.0.0 --bad 2.0.0")


def test_an_interrupt_while_explaining_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answered(monkeypatch, stopped)


def test_warnings_of_the_library_are_kept_out_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    def noisy(_: object) -> Any:
        warnings.warn("set pad_token_id", UserWarning, stacklevel=1)
        return Explanation("drift", None, "quiet")

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")

        found = answered(monkeypatch, noisy)

    assert (found.sentence, said) == ("quiet", [])
