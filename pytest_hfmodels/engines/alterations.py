"""What a test may hang on a model's parts without touching a weight: hooks, and attributes that hide methods.

For the engines, which tell them in `modes`.
"""

from __future__ import annotations

from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOOKS = {
    "_forward_hooks": "forward hooks",
    "_forward_pre_hooks": "forward pre-hooks",
    "_backward_hooks": "backward hooks",
    "_backward_pre_hooks": "backward pre-hooks",
}
_FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodType, partial)


def hooks(part: Any, name: str) -> Iterator[tuple[str, object]]:
    """Yield (words, mark) for every kind of hook on a torch module; upstream's own, put on in passing, left out."""
    for attribute, words in _HOOKS.items():
        own = getattr(part, attribute, None) or {}
        mark = tuple(id(hook) for hook in own.values() if not _is_upstreams(hook))
        if mark:
            yield f"{words} of {name}", mark


def attributes(part: Any, name: str) -> Iterator[tuple[str, object]]:
    """Yield (words, mark) for every callable that an object holds itself and that its class has not."""
    for attribute, value in vars(part).items():
        if callable(value) and not _is_the_class_s(part, attribute, value):
            hides = hasattr(type(part), attribute)
            if hides or isinstance(value, _FUNCTIONS):
                yield f"attribute {attribute} of {name}", id(value)


def _is_upstreams(hook: Any) -> bool:
    return str(getattr(hook, "__module__", "")).split(".")[0] == "transformers"


def _is_the_class_s(part: Any, attribute: str, value: Any) -> bool:
    # Upstream wraps a module's forward for one call and puts the bound method back as an attribute.
    own = getattr(type(part), attribute, None)
    return isinstance(value, MethodType) and value.__self__ is part and value.__func__ is own
