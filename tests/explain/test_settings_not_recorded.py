"""Settings that a snapshot does not keep, or that no longer come from the test: the library is not to blame."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from .asking import after, all_said, ask, generate, searches, stored
from .test_causes import second_best

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel, ModelCache


def banned(record: Any) -> list[int]:
    """Return the tokens without which the output must be another."""
    return sorted({token for beam in record.beams for token in beam.ids} | set(record.ids))


# -- logits processors of the checkpoint ----------------------------------------------------------------------------


@pytest.mark.parametrize("changed", ["added", "removed"])
@searches
def test_a_setting_of_the_checkpoint_that_a_snapshot_does_not_keep(
    model: HFModel, models: ModelCache, other: Any, settings: dict[str, Any], changed: str
) -> None:
    plain = generate(model, **settings)
    banning = generate(models.load(other(generation={"suppress_tokens": banned(plain)})), **settings)
    recorded, observed = (plain, banning) if changed == "added" else (banning, plain)

    found = ask(stored(recorded), observed)

    assert (found.cause, found.suggests) == ("checkpoint:config", ())
    assert "config.json or generation_config.json differs from the recorded one" in found.sentence
    said = "active now although the test did not ask for it, so it is in no snapshot: suppress_tokens"
    assert (said in all_said(found)) is (changed == "added")


def test_a_setting_of_an_adopted_model_that_a_snapshot_does_not_keep(model: HFModel, models: ModelCache) -> None:
    plain = models.adopt(copy.deepcopy(model.model), model.tokenizer)
    record = generate(plain)
    changed = copy.deepcopy(model.model)
    changed.generation_config.suppress_tokens = banned(record)

    found = ask(stored(record), generate(models.adopt(changed, model.tokenizer)))

    assert found.cause == "checkpoint:config"
    assert found.sentence.startswith("the adopted model's configuration differs from the recorded one")


def test_a_setting_that_the_test_sets_in_the_model(model: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    record = generate(model)
    monkeypatch.setattr(model.model.generation_config, "suppress_tokens", banned(record))

    found = ask(stored(record), generate(model))

    assert found.cause == "test"
    assert "generation_config.suppress_tokens: " in found.sentence


def test_a_logits_processor_that_the_reference_does_not_know_proves_nothing(
    model: HFModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import LogitsProcessor, LogitsProcessorList

    record, kind = generate(model), type(model.model)
    plain = kind.generate

    class Flip(LogitsProcessor):  # type: ignore[misc]
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            del input_ids
            return -scores

    def flipped(self: Any, *arguments: Any, **keywords: Any) -> Any:
        return plain(self, *arguments, **keywords, logits_processor=LogitsProcessorList([Flip()]))

    monkeypatch.setattr(kind, "generate", flipped)

    found = ask(stored(record), generate(model))

    assert found.cause is None
    assert "the reference does not cover Flip" in found.sentence


def test_a_library_that_breaks_its_rules_beside_another_configuration_is_not_convicted(
    model: HFModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = generate(model)
    recorded = stored(replace(record, checkpoint=replace(record.checkpoint, config="sha256:other")))
    second_best(model, monkeypatch)

    found = ask(recorded, generate(model))

    assert found.cause is None
    assert "the checkpoint's configuration differs, too" in found.sentence


# -- settings of the test -------------------------------------------------------------------------------------------


def test_a_setting_that_the_test_no_longer_gives(model: HFModel) -> None:
    found = ask(stored(generate(model, repetition_penalty=1.3)), generate(model))

    assert (found.cause, found.suggests) == (None, ())
    assert "neither the release nor the checkpoint's configuration has changed" in found.sentence


def test_a_setting_in_the_test_s_generation_config(model: HFModel) -> None:
    from transformers import GenerationConfig

    before, now = (
        generate(model, generation_config=GenerationConfig(max_new_tokens=8, repetition_penalty=penalty))
        for penalty in (1.2, 1.3)
    )

    found = ask(stored(before), now)

    assert found.cause == "test"
    assert found.sentence == "the test asks for settings that differ from the recorded ones: repetition_penalty"


@pytest.mark.parametrize("own", [{}, {"repetition_penalty": 1.3}], ids=["added", "replaced"])
def test_a_setting_that_a_patched_generate_gives(model: HFModel, own: dict[str, Any]) -> None:
    def change(model: HFModel, patch: pytest.MonkeyPatch) -> None:
        kind = type(model.model)
        plain = kind.generate
        patch.setattr(
            kind, "generate", lambda *seen, **keywords: plain(*seen, **{**keywords, "repetition_penalty": 1.5})
        )

    found = after(change, model, **own)

    assert found.cause is None
    assert "something patches generate" in found.sentence


def test_a_setting_that_was_edited_in_the_file(model: HFModel) -> None:
    record = generate(model)
    edited = replace(record, effective={**record.effective, "no_repeat_ngram_size": 2})

    found = ask(stored(edited), record)

    assert found.cause is None
    assert "or the file was edited" in found.sentence
