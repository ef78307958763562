from __future__ import annotations

import pytest

from pytest_hfmodels.foundation.errors import HFModelsError
from pytest_hfmodels.reference import Rules, Settings, beam_search, greedy_search
from pytest_hfmodels.reference.rules import old_releases

from .tables import after_last_word

END, PAD = 0, 4
MODEL = after_last_word(
    {
        1: [0.1, 0.0, 0.5, 0.4, 0.0],
        2: [0.3, 0.4, 0.1, 0.2, 0.0],
        3: [0.9, 0.1, 0.0, 0.0, 0.0],
    }
)


def test_a_release_candidate_has_the_rules_of_its_release() -> None:
    assert Rules.of("5.0.0rc1") == Rules.of("5.0.0")
    assert Rules.of("4.9.2").pooling == "count"
    assert Rules.of("5.23.0") == Rules()


def test_a_patch_release_may_have_a_rule_of_its_own() -> None:
    padded = [
        version for version in ("4.49.0", "4.50", "4.50.2", "4.50.3") if Rules.of(version).padded_to_the_last_step
    ]

    assert padded == ["4.50", "4.50.2"]


def test_what_is_no_version_is_refused() -> None:
    with pytest.raises(HFModelsError, match="'main' is not a version of transformers"):
        Rules.of("main")


def test_tensorflow_returns_beams_that_are_cut_only_where_none_has_ended() -> None:
    asked = Settings(max_new_tokens=2, num_beams=2, num_return_sequences=2, eos_token_id=END, pad_token_id=PAD)

    def found(rules: Rules, ends: int) -> list[list[int]]:
        beams = beam_search(MODEL, [[1]], None, Settings(**{**asked.given, "eos_token_id": ends}), rules)
        return [row for row, score in zip(beams.ids.tolist(), beams.scores, strict=True) if score > -1e8]

    assert found(Rules(), END) == [[1, 3, END], [1, 2, 1]]
    assert found(Rules.of("4.57.6", "tensorflow"), END) == [[1, 3, END]]
    assert found(Rules.of("4.57.6", "tensorflow"), 4) == [[1, 3, 0], [1, 2, 1]]  # nothing ends with 4


def test_tensorflow_pads_beams_up_to_the_last_step() -> None:
    model = after_last_word({1: [0.4, 0.0, 0.3, 0.3], 2: [0.0, 0.0, 1.0, 0.0], 3: [0.0, 0.0, 0.0, 1.0]})
    asked = Settings(max_new_tokens=4, num_beams=2, eos_token_id=END, pad_token_id=PAD, length_penalty=0.0)

    assert beam_search(model, [[1]], None, asked).ids.tolist() == [[1, END]]
    padded = beam_search(model, [[1]], None, asked, Rules.of("4.57.6", "tensorflow")).ids.tolist()
    assert padded == [[1, END, PAD, PAD, PAD]]


def test_tensorflow_does_not_know_some_settings() -> None:
    asked = Settings(max_new_tokens=2, sequence_bias={(2,): -9.0}, eos_token_id=END, min_new_tokens=2, pad_token_id=PAD)

    assert greedy_search(MODEL, [[3]], None, asked).ids.tolist() == [[3, 1, 3]]
    assert greedy_search(MODEL, [[3]], None, asked, Rules.of("4.57.6", "tensorflow")).ids.tolist() == [[3, END]]
    assert asked.read_by(Rules.of("4.57.6", "tensorflow")).given.keys() == {
        "eos_token_id",
        "max_new_tokens",
        "pad_token_id",
    }


def test_settings_read_as_the_call_that_makes_them() -> None:
    asked = Settings(num_beams=2, eos_token_id=[1, 2], early_stopping="never", sequence_bias={(1, 2): 0.5})

    assert repr(asked) == (
        "Settings(num_beams=2, early_stopping='never', eos_token_id=[1, 2], sequence_bias={(1, 2): 0.5})"
    )
    assert eval(repr(asked)) == asked


@pytest.mark.parametrize(
    ("rule", "then", "now", "releases"),
    [
        ("ended_beams_first", "4.49.0", "5.23.0", "transformers<4.50"),
        ("ended_beams_first", "5.0.0", "4.44.2", "transformers>=4.50"),
        ("spaces_cleaned_up", "4.44.0", "5.0.0", "transformers<4.45.1"),
        ("ended_beams_first", "4.44.0", "4.49.0", ""),
    ],
)
def test_the_releases_of_an_old_output_end_where_its_rule_does(rule: str, then: str, now: str, releases: str) -> None:
    assert old_releases([rule], then, now) == releases
