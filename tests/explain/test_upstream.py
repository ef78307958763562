"""On what real releases gave: the committed variants against the installed one, and what the ledger says of each."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.version import Version

from pytest_hfmodels.explain import explain
from pytest_hfmodels.snapshots import Tolerance, compare
from pytest_hfmodels.snapshots.format import load
from pytest_hfmodels.snapshots.ledger import Change, read_ledger
from suites.gpt2 import EOS, PROMPT

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_hfmodels import ModelCache
    from pytest_hfmodels.kinds import Record

SNAPSHOTS = Path(__file__).parents[2] / "snapshots"
CHANGES = [entry for entry in read_ledger(SNAPSHOTS / "upstream.toml").entries if isinstance(entry, Change)]
BEAM: dict[str, Any] = {"max_length": 50, "num_beams": 5, "no_repeat_ngram_size": 2, "early_stopping": True}
BATCH = ["My name is Hasnain", PROMPT, "I was going with my dog"]

# The cause of each change in the ledger, and the rule that makes it.
CAUSES = {
    "padding-pooled-by-count": ("forward", "pooling"),
    "length-penalty-counts-prompt": ("search", "length_penalty_counts_prompt"),
    "default-length-counts-prompt": ("generation-defaults", "default_length_counts_prompt"),
    "beams-finished-first": ("search", "ended_beams_first"),
}

pytestmark = pytest.mark.skipif(
    Version(version("transformers")) < Version("4.54"), reason="run it with transformers 4.54 or newer"
)


def _padded(models: ModelCache, name: str, pad: int) -> Record:
    classifier = models.load(name, task="text-classification", pad_token_id=pad)
    side, classifier.tokenizer.padding_side = classifier.tokenizer.padding_side, "left"
    try:
        return classifier.classify(BATCH)
    finally:
        classifier.tokenizer.padding_side = side


# What the test behind each committed snapshot generates.
AGAIN: dict[str, Callable[[ModelCache], Record]] = {
    "suites/gpt2/test_beam/test_beam": lambda models: models.load("tiny-gpt2").generate(
        PROMPT, skip_special_tokens=True, **BEAM
    ),
    "suites/gpt2/test_beam/test_all_five_beams": lambda models: models.load("tiny-gpt2").generate(
        PROMPT, skip_special_tokens=True, num_return_sequences=5, **BEAM
    ),
    "suites/gpt2/test_beam/test_early_stopping_at_the_length_limit": lambda models: models.load("tiny-gpt2").generate(
        "It is not easy to learn the trumpet.",
        max_new_tokens=80,
        num_beams=4,
        num_return_sequences=2,
        early_stopping=True,
        length_penalty=2.0,
    ),
    "suites/gpt2/test_defaults/test_length": lambda models: models.load("tiny-gpt2").generate("My name is Hasnain"),
    "suites/gpt2/test_classification/test_padded_on_the_left": lambda models: _padded(models, "tiny-gpt2", EOS),
    "suites/transfo_xl/test_language_model/test_beam": lambda models: models.load("tiny-transfo-xl").generate(
        PROMPT, max_length=44, num_beams=5, no_repeat_ngram_size=2, early_stopping=True, num_return_sequences=5
    ),
    "suites/transfo_xl/test_batches/test_padded_on_the_left": lambda models: _padded(models, "tiny-transfo-xl", 0),
}
VARIANTS = [
    (change, path.relative_to(SNAPSHOTS / change.folder).with_suffix("").as_posix())
    for change in CHANGES
    for path in sorted((SNAPSHOTS / change.folder).rglob("*.toml"))
]


@pytest.mark.filterwarnings("ignore:.*(model-agnostic default `max_length`|`max_length`'s default):UserWarning")
@pytest.mark.parametrize(("change", "test"), VARIANTS, ids=[f"{change.name}-{test}" for change, test in VARIANTS])
def test_what_a_release_changed_is_named_as_the_ledger_names_it(models: ModelCache, change: Any, test: str) -> None:
    if test not in AGAIN or change.name not in CAUSES:
        pytest.skip(f"say in tests/explain what {test} generates and what {change.name} is caused by")
    path = SNAPSHOTS / change.folder / f"{test}.toml"
    recorded = load(path.read_text(encoding="utf-8"), path)
    observed = AGAIN[test](models)

    found = explain(compare(recorded, observed, Tolerance(1e-4)), recorded, observed, test=test)

    cause, rule = CAUSES[change.name]
    assert found.cause == cause
    assert change.cause in (None, cause)
    assert rule in found.rules
    assert found.suggests == ()  # the release is known
