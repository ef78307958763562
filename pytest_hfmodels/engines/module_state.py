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
    """Yield (words, mark) for every kind of hook on a torch module, without upstream's own."""
    for attribute, words in _HOOKS.items():
        own = (getattr(part, attribute, None) or {}).values()
        mark = tuple(id(hook) for hook in own if not str(getattr(hook, "__module__", "")).startswith("transformers."))
        if mark:
            yield f"{words} of {name}", mark


def attributes(part: Any, name: str) -> Iterator[tuple[str, object]]:
    """Yield (words, mark) for every plain value of an object, and every callable that does not come from its class.

    The mark of a plain value is its text, that of a callable or a configuration its id. Attributes that upstream sets
    are skipped.
    """
    for attribute, value in vars(part).items():
        # Upstream fills in some None at the first call; a number that a test sets to None loses its mark.
        if value is None or attribute in _ELSEWHERE or is_set_by_upstream(attribute, part):
            continue
        if is_exchanged_by_upstream(part) and not callable(value):
            continue
        text = _text(value)
        if attribute == "config":  # only the model's own one is compared by its settings
            yield f"attribute config of {name}", id(value)
        elif text is not None:
            yield f"attribute {attribute} of {name}", text
        elif _is_own_callable(part, attribute, value):
            yield f"attribute {attribute} of {name}", id(value)


def tokenizer_attributes(tokenizer: Any) -> Iterator[tuple[str, object]]:
    """Yield (words, mark) as `attributes` does, without what a mere call changes or `special_tokens_map` contains."""
    for words, mark in attributes(tokenizer, "tokenizer"):
        attribute = words.removeprefix("attribute ").removesuffix(" of tokenizer")
        if attribute not in _OF_A_TOKENIZER and not _SPECIAL_TOKEN.fullmatch(attribute):
            yield f"tokenizer.{attribute}", mark


def is_set_by_upstream(attribute: str, part: Any = None) -> bool:
    """Return whether upstream itself sets an attribute or a buffer of this name while a model runs."""
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
        for prefix, module in (model.named_modules() if hasattr(model, "named_modules") else ())
        if "layers_are_rescaled" in vars(module)
        for name, _ in module.named_parameters(prefix=prefix)
        if name.endswith(("attention.output.weight", "feed_forward.value.weight"))
    )


def _text(value: Any) -> str | None:
    """Return a plain value, or a small collection of them, as text; None for everything else."""
    if isinstance(value, _PLAIN) or type(value).__name__ in _PLAIN_TYPES:
        return repr(value)
    if not isinstance(value, dict | list | tuple | set | frozenset) or len(value) > _LONGEST:
        return None
    if isinstance(value, dict):
        pairs = [(repr(key), _text(entry)) for key, entry in value.items()]
        return None if any(text is None for _, text in pairs) else f"{{{', '.join(f'{k}: {v}' for k, v in pairs)}}}"
    texts = [text for entry in value if (text := _text(entry)) is not None]
    if len(texts) < len(value):
        return None
    if isinstance(value, set | frozenset):
        texts.sort()
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"  # PEFT writes 'default' or ['default']


def _is_own_callable(part: Any, attribute: str, value: Any) -> bool:
    """Return whether an attribute is a function, or hides one of the class, that the class does not provide anyway.

    Upstream wraps a module's forward for one call and restores the bound method as an attribute. PEFT's `generate`
    sets a method of the inner model on a wrapper whose class has no such method.
    """
    hides = hasattr(type(part), attribute)
    if not callable(value) or not (hides or isinstance(value, _FUNCTIONS)):
        return False
    owner = getattr(value, "__self__", None)
    if not isinstance(value, MethodType) or getattr(type(owner), attribute, None) is not value.__func__:
        return True
    inner = () if hides or not hasattr(part, "modules") else part.modules()
    return not (owner is part or any(owner is one for one in inner))
