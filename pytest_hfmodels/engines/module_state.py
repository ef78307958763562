"""Finds changes of a model other than its weights: hooks, attributes, replaced modules.

For the engines, which report them in `modes`.
"""

from __future__ import annotations

import re
from enum import Enum
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
_PLAIN = (type(None), bool, int, float, complex, str, bytes, Enum)
_PLAIN_TYPES = ("dtype", "device")  # type names in torch, which is not imported here
# Compared elsewhere (parameters, buffers, submodules, modes), or a counter of Keras.
_ELSEWHERE = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "training", "built")
# Upstream sets these while a model runs; similar names end in `_cache` or `_cached`, or contain `hook`.
_SET_BY_UPSTREAM = (
    *("layers_are_rescaled", "_previous_max_cache_length", "_compiled_call", "_last_compile_config"),
    *("_saved_model_inputs_spec", "_build_input_shape"),
)
# Rotary embeddings that recompute their frequencies for the length of a text: by class or `rope_type`.
_RECOMPUTED = ("dynamic", "longrope", "suscaled", "yarnscaled")
# BigBird's attention over blocks, and the full one that replaces it for a text of few blocks; they share their weights.
_EXCHANGED = ("BigBirdBlockSparseAttention", "BigBirdSelfAttention")
# A call of the tokenizer sets these, or they repeat what it was built from.
_OF_A_TOKENIZER = (
    *("cache", "deprecation_warnings", "verbose", "_in_target_context_manager", "init_inputs", "init_kwargs"),
    *("_special_tokens_map", "_extra_special_tokens", "extra_special_tokens"),
)
_SPECIAL_TOKEN = re.compile(r"_(bos|eos|unk|sep|pad|cls|mask)_token|_additional_special_tokens")
_LONGEST = 100  # entries of a collection


def hooks(part: Any, name: str) -> Iterator[tuple[str, object]]:
    """Yield (words, mark) for every kind of hook on a torch module; upstream's own, put on in passing, left out."""
    for attribute, words in _HOOKS.items():
        own = getattr(part, attribute, None) or {}
        mark = tuple(id(hook) for hook in own.values() if not _is_upstreams(hook))
        if mark:
            yield f"{words} of {name}", mark


def attributes(part: Any, name: str) -> Iterator[tuple[str, object]]:
    """Yield (words, mark) for every plain value of an object, and every callable that does not come from its class.

    The mark of a plain value is its text, that of a callable or a configuration its id. Attributes that upstream sets
    are skipped.
    """
    for attribute, value in vars(part).items():
        if attribute in _ELSEWHERE or is_set_by_upstream(attribute, part):
            continue
        if is_exchanged_by_upstream(part) and not callable(value):
            continue
        if value is None:  # upstream fills some in at the first call; a number that a test sets to None loses its mark
            continue
        text = _text(value)
        if attribute == "config":  # only the model's own one is compared by its settings
            yield f"attribute config of {name}", id(value)
        elif text is not None:
            yield f"attribute {attribute} of {name}", text
        elif callable(value) and not _is_the_class_s(part, attribute, value):
            hides = hasattr(type(part), attribute)
            if hides or isinstance(value, _FUNCTIONS):
                yield f"attribute {attribute} of {name}", id(value)


def tokenizer_attributes(tokenizer: Any) -> Iterator[tuple[str, object]]:
    """Yield (words, mark) as `attributes` does, without what a mere call changes or `special_tokens_map` contains."""
    for words, mark in attributes(tokenizer, "tokenizer"):
        attribute = words.removeprefix("attribute ").removesuffix(" of tokenizer")
        if attribute not in _OF_A_TOKENIZER and not _SPECIAL_TOKEN.fullmatch(attribute):
            yield f"tokenizer.{attribute}", mark


def is_set_by_upstream(attribute: str, part: Any = None) -> bool:
    """Return whether upstream itself sets an attribute or a buffer of this name while a model runs.

    Args:
        attribute: the name.
        part: the module, if known.
    """
    if attribute == "attention_type" and type(part).__name__.startswith("BigBird"):
        return True
    if attribute in _SET_BY_UPSTREAM or attribute.endswith(("_cache", "_cached")) or "hook" in attribute:
        return True
    kind = f"{type(part).__name__} {getattr(part, 'rope_type', '')}".lower()
    return attribute.endswith("inv_freq") and any(word in kind for word in _RECOMPUTED)


def is_exchanged_by_upstream(module: Any) -> bool:
    """Return whether upstream replaces a module of this class while a model runs: BigBird, for a short text."""
    return type(module).__name__ in _EXCHANGED


def rescaled_weights(model: Any) -> frozenset[str]:
    """Return the names of the weights that upstream divides in place at a model's first inference: RWKV's."""
    return frozenset(
        name
        for prefix, module in _named_modules(model)
        if "layers_are_rescaled" in vars(module)
        for name, _ in module.named_parameters(prefix=prefix)
        if name.endswith(("attention.output.weight", "feed_forward.value.weight"))
    )


def _text(value: Any) -> str | None:
    """Return a plain value, or a small collection of them, as text; None for everything else."""
    if isinstance(value, _PLAIN) or type(value).__name__ in _PLAIN_TYPES:
        return repr(value)
    if isinstance(value, dict) and len(value) <= _LONGEST:
        pairs = [(repr(key), _text(entry)) for key, entry in value.items()]
        return None if any(text is None for _, text in pairs) else f"{{{', '.join(f'{k}: {v}' for k, v in pairs)}}}"
    if isinstance(value, list | tuple | set | frozenset) and len(value) <= _LONGEST:
        texts = [text for entry in value if (text := _text(entry)) is not None]
        if len(texts) < len(value):
            return None
        if isinstance(value, set | frozenset):
            texts.sort()
        # PEFT writes 'default' or ['default'] for the same adapter.
        return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    return None


def _is_upstreams(hook: Any) -> bool:
    return str(getattr(hook, "__module__", "")).split(".")[0] == "transformers"


def _is_the_class_s(part: Any, attribute: str, value: Any) -> bool:
    """Return whether an attribute equals what the object's class provides anyway.

    Upstream wraps a module's forward for one call and restores the bound method as an attribute. PEFT's `generate`
    sets a method of the inner model on a wrapper whose class has no such method.
    """
    if not isinstance(value, MethodType) or getattr(type(value.__self__), attribute, None) is not value.__func__:
        return False
    owner = value.__self__
    return owner is part or (not hasattr(type(part), attribute) and any(owner is one for one in _modules(part)))


def _modules(part: Any) -> Iterator[Any]:
    return iter(part.modules()) if hasattr(part, "modules") else iter(())


def _named_modules(model: Any) -> Iterator[tuple[str, Any]]:
    return iter(model.named_modules()) if hasattr(model, "named_modules") else iter(())
