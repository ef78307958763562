"""What tests of explanations share: a record made before something changed, and the answer about one made after."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.version import Version

from pytest_hfmodels.explain import explain
from pytest_hfmodels.snapshots import Tolerance, compare
from pytest_hfmodels.snapshots.format import dump, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_hfmodels import HFModel, ModelCache
    from pytest_hfmodels.explain import Explanation
    from pytest_hfmodels.kinds import ClassificationRecord, GenerationRecord, Record

RELEASE = Version(version("transformers"))
needs_sdpa = pytest.mark.skipif(Version("4.48") > RELEASE, reason="install transformers>=4.48")
BEAMS: dict[str, Any] = {"num_beams": 3, "num_return_sequences": 2, "max_new_tokens": 8, "early_stopping": True}
searches = pytest.mark.parametrize("settings", [{}, BEAMS], ids=["greedy", "beams"])
CLASSIFIER: dict[str, Any] = {"task": "text-classification", "pad_token_id": 0}
TEST = "tests/test_bot.py::test_reply[torch]"


def generate(model: HFModel, **settings: Any) -> GenerationRecord:
    return model.generate("Hello", **{"max_new_tokens": 8, **settings})


def classify(model: HFModel, **about: Any) -> ClassificationRecord:
    return model.classify(["Good dog.", "Bad dog, not again!"], **about)


def after(
    change: Callable[[HFModel, pytest.MonkeyPatch], None],
    model: HFModel,
    call: Callable[..., Any] = generate,
    *,
    tolerance: float = 1e-4,
    versions: dict[str, str] | None = None,
    **about: Any,
) -> Explanation:
    """Return why a model's record differs after a change from one made before, perhaps with other versions."""
    recorded = stored(call(model, **about), **(versions or {}))
    with pytest.MonkeyPatch.context() as patch:
        change(model, patch)
        return ask(recorded, call(model, **about), tolerance=tolerance)


def across(
    models: ModelCache,
    then: dict[str, Any],
    now: dict[str, Any],
    call: Callable[..., Any] = generate,
    *,
    tolerance: float = 1e-4,
    release: str | None = None,
    **about: Any,
) -> Explanation:
    """Return why a model loaded with `now` gives another record than with `then`, perhaps by another release."""
    task = CLASSIFIER if call is classify else {}
    before, here = (call(models.load("./model", **{**task, **options}), **about) for options in (then, now))
    return ask(stored(before, **({} if release is None else {"transformers": release})), here, tolerance=tolerance)


def shifted(record: GenerationRecord, by: float, **changes: Any) -> Any:
    """Return a record whose log-probabilities are larger, as its snapshot keeps it, with changes of provenance."""
    steps = tuple(replace(step, log_probability=step.log_probability + by) for step in record.steps)
    return stored(replace(record, steps=steps, provenance=replace(record.provenance, **changes)))


def stored(record: Any, **versions: str) -> Any:
    """Return a record as its snapshot keeps it, with nine digits and nothing live, perhaps of other releases."""
    read: Any = load(dump(record), Path("a.toml"))
    return replace(read, provenance=replace(read.provenance, versions={**read.provenance.versions, **versions}))


def ask(recorded: Record, observed: Record, *, tolerance: float = 1e-4) -> Explanation:
    """Return why two records differ, which they must; explaining it must go well."""
    comparison = compare(recorded, observed, Tolerance(tolerance))
    assert comparison.differences, "nothing differs"
    found = explain(comparison, recorded, observed, test=TEST)
    assert "failed" not in found.sentence, found.sentence
    return found


def all_said(explanation: Explanation) -> str:
    """Return all that an explanation says."""
    return "\n".join([explanation.sentence, *(evidence.what for evidence in explanation.evidence)])


@contextmanager
def blocks_shifted(model: Any, block: int, amount: float) -> Iterator[None]:
    """Let every instance of a GPT-2 add to the output of one block, as a faulty release would."""
    kind = type(model.transformer.h[block])
    original = kind.forward

    def shifted(self: Any, *arguments: Any, **keywords: Any) -> Any:
        output = original(self, *arguments, **keywords)
        if getattr(self.attn, "layer_idx", None) != block:
            return output
        if isinstance(output, tuple):
            return (bent(output[0], amount), *output[1:])
        return bent(output, amount)

    kind.forward = shifted
    try:
        yield
    finally:
        kind.forward = original


def bent(states: Any, amount: float) -> Any:
    """Add in alternating directions: a layer norm would take a shift out again."""
    import torch

    signs = torch.ones(states.shape[-1], dtype=states.dtype)
    signs[::2] = -1
    return states + amount * signs


def other_folder(folder: Path, place: Path) -> Path:
    """Return a copy of a checkpoint."""
    return shutil.copytree(folder, place)
