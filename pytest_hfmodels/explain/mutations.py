"""Changes that a test made to the model in memory, which is then no longer its checkpoint's."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.engines.module_state import is_set_by_upstream
from pytest_hfmodels.engines.settings import SETTINGS
from pytest_hfmodels.engines.upstream import CHECKPOINT_NAMES
from pytest_hfmodels.kinds.evidence import IN_PLACE
from pytest_hfmodels.kinds.explanation import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.kinds.evidence import LiveModel

_SETTINGS, _TOKENIZER = "generation_config.", "tokenizer"
_SHOWN = 3
WRITTEN = f"{IN_PLACE} (changed by this test or an earlier one)"
NOT_NAMED = (
    "loading the checkpoint again reproduces the recorded numbers, so something changed the model in memory; "
    "the plugin cannot find what"
)
TOKENIZER_NOT_NAMED = (
    "something changed the tokenizer in memory, because the same tokenizer loaded again gives what was recorded; "
    "the plugin cannot find what"
)
_NAMED = re.compile(r"^(tensor|training mode of|requires_grad of) (the model|[^\s:]+)")


def of_the_model(origin: LiveModel) -> list[str]:
    """Return the changes that can move numbers: of weights, hooks and configuration."""
    return [change for change in origin.altered() if not change.startswith((_SETTINGS, _TOKENIZER))]


def of_the_tokenizer(origin: LiveModel | None) -> list[str]:
    """Return the changes of the tokenizer."""
    changes = [] if origin is None else origin.altered(weights=False, vocabulary=True)
    return [change for change in changes if change.startswith(_TOKENIZER)]


def of_settings(origin: LiveModel | None, names: Sequence[str]) -> list[str]:
    """Return the changes of these settings, in a configuration or in the tokenizer."""
    wanted = tuple(f"{owner}.{name}: " for name in names for owner in ("generation_config", "config", "tokenizer"))
    return [] if origin is None else [one for one in origin.altered(weights=False) if one.startswith(wanted)]


def of_unrecorded_settings(origin: LiveModel) -> list[str]:
    """Return the changes of generation settings that a snapshot does not hold."""
    recorded = tuple(f"{_SETTINGS}{name}: " for name in SETTINGS)
    found = [one for one in origin.altered(weights=False) if one.startswith(_SETTINGS)]
    return [one for one in found if not one.startswith(recorded)]


def is_proven_by_fresh_tokenizer(
    origin: LiveModel | None, give: Callable[[Any], object], sides: tuple[object, object]
) -> bool:
    """Return whether `give` makes the recorded side with a fresh tokenizer, and the observed side with this one."""
    if origin is None:
        return False
    try:
        fresh = origin.fresh_tokenizer()
        return fresh is not None and (give(fresh), give(origin.tokenizer)) == sides
    except Exception:  # a tokenizer may raise any kind of exception; then nothing is proven
        return False


def sentence(changes: Sequence[str], what: str = "model") -> str:
    """Return the sentence that names changes as the cause."""
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


def differences(model: Any, fresh: Any) -> list[str]:
    """Return the modules, buffers and plain attributes in which a torch model differs from a fresh load."""
    if not hasattr(model, "named_modules"):
        return []
    modules, found = dict(fresh.named_modules()), []
    for name, module in model.named_modules():
        other = modules.pop(name, None)
        prefix = f"{name}." if name else ""
        if type(other) is not type(module):
            was = "(absent)" if other is None else type(other).__name__
            found.append(f"{name or 'the model'}: {was} -> {type(module).__name__}")
            continue
        found += [f"buffer {prefix}{own} has other values" for own in _differing_buffers(module, other)]
        before, now = _plain(other), _plain(module)
        for attribute in sorted(before.keys() | now.keys()):
            then, here = (values.get(attribute, "(absent)") for values in (before, now))
            if then != here:
                found.append(f"{prefix}{attribute}: {then} -> {here}")
    return [*found, *(f"{name}: removed" for name in modules)]


def _differing_buffers(module: Any, other: Any) -> list[str]:
    """Return the names of a module's own buffers, persistent or not, whose values differ from the other module's."""
    now, before = (dict(one.named_buffers(recurse=False)) for one in (module, other))
    names = [name for name in sorted(now.keys() | before.keys()) if not is_set_by_upstream(name, module)]
    return [name for name in names if not _equal(now.get(name), before.get(name))]


def _equal(tensor: Any, other: Any) -> bool:
    if tensor is None or other is None or tensor.shape != other.shape:
        return False
    other = other.to(tensor.device)
    return bool(((tensor == other) | ((tensor != tensor) & (other != other))).all())  # a NaN equals a NaN here


def _plain(module: Any) -> dict[str, object]:
    """Return a module's plain attributes, without private ones, names of folders and those that upstream sets."""
    own = {name: value for name, value in vars(module).items() if isinstance(value, bool | int | float | str | tuple)}
    skipped = [name for name in own if name.startswith("_") or name in CHECKPOINT_NAMES or is_set_by_upstream(name)]
    return {name: value for name, value in own.items() if name not in skipped}


def _listed(changes: Sequence[str]) -> str:
    """Return the first few changes and the number of the others; changes of many tensors or modules count as one."""
    alike: dict[str, list[str]] = {}
    for one in changes:
        alike.setdefault(_NAMED.sub(r"\1", one), []).append(one)
    shown = [f"{those[0]:.120}{f', and {len(those) - 1} more so' if those[1:] else ''}" for those in alike.values()]
    more = len(shown) - _SHOWN
    return f"{'; '.join(shown[:_SHOWN])}{f'; and {more} more' if more > 0 else ''}"
