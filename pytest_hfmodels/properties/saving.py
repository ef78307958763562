"""Checks that a saved and reloaded model has the same weights, outputs and settings, and is in evaluation mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.properties.forward import TOLERANCES, difference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.models import HFModel

# Written by saving itself, or the origin of a model.
_OF_THE_FILE = frozenset(
    {
        "_name_or_path",
        "_commit_hash",
        "_from_model_config",
        "_attn_implementation_autoset",
        "architectures",
        "transformers_version",
        "dtype",
        "torch_dtype",
    }
)


@dataclass(frozen=True)
class SavingFault:
    """What a reloaded model lost.

    Args:
        part: `weights`, `mode`, `configuration`, `generation config` or `outputs`.
        what: the loss, in words.
    """

    part: str
    what: str

    def __str__(self) -> str:
        return f"the reloaded model's {self.part}: {self.what}"


def check_reloaded(model: HFModel | LoadedModel, reloaded: Any, ids: Sequence[Sequence[int]]) -> SavingFault | None:
    """Compare a model with itself after saving and loading; return the first fault, or None.

    Weights are compared bit for bit, outputs within the tolerance of their dtype. Compare a model that was reloaded in
    another dtype with a model of that dtype.

    Args:
        model: the saved one.
        reloaded: upstream's object from `from_pretrained`.
        ids: a batch to read, (B, L).
    """
    from pytest_hfmodels import engines

    before = _loaded(model)
    after = engines.engine(before.engine).adopt(reloaded)
    what = _modes(after) if before.engine == "torch" else None
    if what is not None:
        return SavingFault("mode", what)
    for part, what in (
        ("weights", _weights(before, after)),
        ("configuration", _settings(before.model.config.to_dict(), after.model.config.to_dict())),
        ("generation config", _generation(before.model, after.model)),
        ("outputs", _outputs(before, after, ids)),
    ):
        if what is not None:
            return SavingFault(part, what)
    return None


def _loaded(model: Any) -> LoadedModel:
    loaded: LoadedModel = getattr(model, "loaded", model)
    return loaded


def _modes(after: LoadedModel) -> str | None:
    training = [name for name, value in after.modes().items() if name.startswith("training mode") and value]
    return f"{len(training)} modules are in training mode, with their dropout" if training else None


def _weights(before: LoadedModel, after: LoadedModel) -> str | None:
    kept, found = (
        {_plain(model, name): (dtype, shape, bytes(data)) for name, dtype, shape, data in model.weights()}
        for model in (before, after)
    )
    if missing := sorted(kept.keys() ^ found.keys()):
        return f"only one of the two has {missing[0]}"
    for name, (dtype, shape, data) in kept.items():
        if found[name][:2] != (dtype, shape):
            return f"{name} is {found[name][0]} {list(found[name][1])} and was {dtype} {list(shape)}"
        if found[name][2] != data:
            return f"{name} has different numbers"
    return None


def _plain(model: LoadedModel, name: str) -> str:
    # Keras numbers the models that a process builds: "tfgpt2lm_head_model_1/transformer/…".
    return name.split("/", 1)[-1] if model.engine == "tensorflow" else name


def _generation(before: Any, after: Any) -> str | None:
    kept, found = (getattr(model, "generation_config", None) for model in (before, after))
    if kept is None or found is None:
        return None if kept is found else "is in only one of the two"
    return _settings(kept.to_dict(), found.to_dict())


def _settings(kept: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    for name in sorted({*kept, *found} - _OF_THE_FILE):
        if kept.get(name) != found.get(name):
            return f"{name} is {found.get(name)!r} and was {kept.get(name)!r}"
    return None


def _outputs(before: LoadedModel, after: LoadedModel, ids: Sequence[Sequence[int]]) -> str | None:
    # Not bit for bit: a kernel may add in another order where a tensor lies elsewhere in memory.
    words = np.asarray(ids, np.int64)
    kept, found = (model.forward(words).logits for model in (before, after))
    fault = difference(found, kept, words, None, "and was", TOLERANCES[before.environment()["dtype"]])
    return None if fault is None else f"the same weights give other logits: {fault}"
