"""Changes that a test made to the model in memory, which is then no longer its checkpoint's."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.engines.settings import SETTINGS
from pytest_hfmodels.kinds.evidence import IN_PLACE
from pytest_hfmodels.kinds.explanation import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.kinds.evidence import LiveModel

_SETTINGS, _TOKENIZER = "generation_config.", "tokenizer"
_PREPROCESSOR = ("processor.", "image_processor.", "feature_extractor.", "video_processor.")
_SHOWN = 3
WRITTEN = f"{IN_PLACE} (changed by this test or an earlier one)"
_NAMED = re.compile(r"^(tensor|training mode of|requires_grad of) (the model|[^\s:]+)")


def of_the_model(origin: LiveModel) -> list[str]:
    """Return the changes that can move numbers: of weights, hooks and configuration."""
    return [change for change in origin.altered() if not change.startswith((_SETTINGS, _TOKENIZER, *_PREPROCESSOR))]


def of_the_tokenizer(origin: LiveModel | None) -> list[str]:
    """Return the changes of the tokenizer."""
    changes = [] if origin is None else origin.altered(weights=False, vocabulary=True)
    return [change for change in changes if change.startswith(_TOKENIZER)]


def of_the_maker(origin: LiveModel | None, maker: str) -> list[str]:
    """Return what has changed of what makes the model's inputs: the `tokenizer`, or the `preprocessor`."""
    if maker == "tokenizer":
        return of_the_tokenizer(origin)
    changes = [] if origin is None else origin.altered(weights=False)
    return [change for change in changes if change.startswith(_PREPROCESSOR)]


def of_settings(origin: LiveModel | None, names: Sequence[str]) -> list[str]:
    """Return the changes of these settings, in a configuration or in the tokenizer."""
    wanted = tuple(f"{owner}.{name}: " for name in names for owner in ("generation_config", "config", "tokenizer"))
    return [] if origin is None else [one for one in origin.altered(weights=False) if one.startswith(wanted)]


def of_unrecorded_settings(origin: LiveModel) -> list[str]:
    """Return the changes of generation settings that a snapshot does not hold."""
    recorded = tuple(f"{_SETTINGS}{name}: " for name in SETTINGS)
    found = [one for one in origin.altered(weights=False) if one.startswith(_SETTINGS)]
    return [one for one in found if not one.startswith(recorded)]


def is_proven_by_fresh(
    origin: LiveModel | None, maker: str, give: Callable[[Any], object], sides: tuple[object, object]
) -> bool:
    """Return whether `give` makes the recorded side with a fresh tokenizer or processor, and the observed with this."""
    if origin is None:
        return False
    try:
        of_text = maker == "tokenizer"
        fresh = origin.fresh_tokenizer() if of_text else origin.fresh_processor()
        return fresh is not None and (give(fresh), give(origin.tokenizer if of_text else origin.processor)) == sides
    except Exception:  # a tokenizer may raise any kind of exception; then nothing is proven
        return False


def sentence(changes: Sequence[str], what: str = "model") -> str:
    """Return the sentence that names changes as the cause, or says that a fresh load proves some."""
    if not changes:
        unchanged = f"something changed the {what} in memory, because loading it again gives what was recorded"
        return f"{unchanged}; the plugin cannot find what"
    who = "a test" if any("(changed by " in change for change in changes) else "the test"
    return f"{who} has changed the {what} in memory, so that it is no longer the checkpoint's: {_listed(changes)}"


def as_evidence(changes: Sequence[str], what: str = "model") -> Evidence:
    """Return changes as evidence, if there may be another cause."""
    return Evidence(f"the {what} in memory has changed since it was loaded: {_listed(changes)}")


def with_weights_of(loaded: LoadedModel, fresh: LoadedModel) -> LoadedModel:
    """Return a copy of a torch model in memory with the weights of a fresh load."""
    model = copy.deepcopy(loaded.model)
    model.load_state_dict(fresh.model.state_dict())
    return type(loaded)(model)


def _listed(changes: Sequence[str]) -> str:
    """Return the first few changes and the number of the others; changes of many tensors or modules count as one."""
    alike: dict[str, list[str]] = {}
    for one in changes:
        alike.setdefault(_NAMED.sub(r"\1", one), []).append(one)
    shown = [
        f"{those[0]:.120}{f', and {len(those) - 1} more of this kind' if those[1:] else ''}" for those in alike.values()
    ]
    more = len(shown) - _SHOWN
    return f"{'; '.join(shown[:_SHOWN])}{f'; and {more} more' if more > 0 else ''}"
