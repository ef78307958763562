"""What two records say by themselves, without a model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_hfmodels.explain import Explanation, explain, stages
from pytest_hfmodels.explain.releases import moved_versions
from pytest_hfmodels.snapshots import Tolerance, compare

from ..example_records import (
    CHECKPOINT,
    EFFECTIVE,
    PROMPT,
    STEPS,
    classification,
    generation,
    live,
    moved,
    provenance,
)
from .asking import TEST, ask, told

OTHER_FILES = replace(CHECKPOINT, tokenizer="sha256:other")


def test_a_prompt_that_ends_early_is_told_as_such() -> None:
    found = ask(generation(prompt=replace(PROMPT, ids=(5, 6))), generation())

    assert "token 3 was the end and is (id 7); 2 tokens -> 3" in told(found)


def test_a_text_of_other_tokenizer_files() -> None:
    same, other = (
        ask(generation(), generation(text="other", checkpoint=checkpoint)) for checkpoint in (CHECKPOINT, OTHER_FILES)
    )

    assert (same.cause, other.cause) == ("decoding", "checkpoint:tokenizer")
    assert "each token alone is spelt as recorded" in told(same)


def test_the_token_that_is_spelt_otherwise_is_named() -> None:
    steps = (STEPS[0], replace(STEPS[1], text=" AND"), STEPS[2])

    found = ask(generation(), generation(steps))

    assert "token 2 (id 13) was spelt ' and', and is ' AND'" in told(found)


def settings(**changes: Any) -> Explanation:
    recorded = generation(provenance=replace(provenance(), versions={"transformers": "4.36.2"}))
    return ask(recorded, generation(effective={**EFFECTIVE, **changes}))


def test_settings_of_a_release_beside_the_test_s_own() -> None:
    found = settings(suppress_tokens=[3], early_stopping=True)

    assert found.cause == "generation-defaults"
    assert found.sentence == "the release's defaults have changed: early_stopping"
    assert found.suggests


def test_a_setting_that_no_release_has_by_itself_is_the_test_s() -> None:
    assert settings(suppress_tokens=[3]).cause == "test"


def test_a_length_that_counts_otherwise_is_named_with_its_rule() -> None:
    found = settings(max_length=23)

    assert found.rules == ("default_length_counts_prompt",)
    assert "20 tokens are added to the prompt; before, 20 tokens are the whole" in found.sentence
    assert found.suggests == ()


def test_weights_go_before_the_configuration() -> None:
    other = replace(CHECKPOINT, weights="sha256:x", config="sha256:y")
    config = replace(CHECKPOINT, config="sha256:y")

    assert stages.checkpoint_part(generation(), generation(checkpoint=other)) == "weights"
    found = ask(generation(), generation(moved(0, by=1.0), checkpoint=config))
    assert (found.cause, found.suggests) == ("checkpoint:config", ())
    assert "a snapshot keeps only their digest" in found.sentence


def test_rounding_on_another_machine_is_looked_for_in_the_engine_s_releases() -> None:
    from pytest_hfmodels.explain import explaining

    recorded = generation(
        moved(0, by=1.0), provenance=replace(provenance(), versions={"transformers": "4.49.0", "torch": "1.0.0"})
    )
    comparison = compare(recorded, generation(), Tolerance(1e-4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explaining, "_explained", lambda *_: Explanation("drift", "backend", "rounding"))

        found = explain(comparison, recorded, generation(), test=TEST)

    assert found.suggests[0].startswith("hfmodels bisect torch --good 1.0.0 --bad 2.0.0")


def test_of_several_packages_the_likeliest_reason_goes_first() -> None:
    then, now = ({"transformers": v, "tokenizers": v, "torch": v, "accelerate": v} for v in ("1.0", "2.0"))
    sides = [generation(provenance=replace(provenance(), versions=versions)) for versions in (then, now)]

    assert list(moved_versions(*sides)) == ["transformers", "tokenizers", "torch", "accelerate"]


def test_an_interrupt_while_explaining_goes_on() -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    recorded, observed = generation(), generation(moved(0, by=1.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pytest_hfmodels.explain.explaining._explained", stopped)

        with pytest.raises(KeyboardInterrupt):
            explain(compare(recorded, observed, Tolerance(1e-4)), recorded, observed, test=TEST)


def test_what_the_library_says_while_it_is_asked_again_is_kept_out_of_the_test() -> None:
    import warnings

    def noisy(*_: object) -> Any:
        warnings.warn("set pad_token_id", UserWarning, stacklevel=1)
        return Explanation("drift", None, "quiet")

    recorded, observed = generation(), generation(moved(0, by=1.0))
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        patch.setattr("pytest_hfmodels.explain.explaining._explained", noisy)

        found = explain(compare(recorded, observed, Tolerance(1e-4)), recorded, observed, test=TEST)

    assert (found.sentence, said) == ("quiet", [])


def test_a_near_tie_whose_model_is_gone_is_still_one() -> None:
    tied = replace(STEPS[1], margin=0.0)
    turned = (STEPS[0], replace(tied, id=14, text=" but"), STEPS[2])

    found = ask(generation((STEPS[0], tied, STEPS[2])), generation(turned, live=live(turned)))

    assert (found.verdict, found.cause) == ("near-tie", None)
    assert "rounding chose between two equally good tokens" in found.sentence


def test_another_number_of_logits() -> None:
    row = classification().inputs[0]
    inputs = (replace(row, logits=(*row.logits, 0.0)), classification().inputs[1])

    found = ask(classification(), classification(inputs=inputs))

    assert (found.cause, found.sentence) == ("forward", "the classifier gives another number of logits than recorded")
