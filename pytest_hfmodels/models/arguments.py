"""What a test hands to `load` and `adopt`, checked before anything is looked for. For `cache` alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import adapter_task, is_gguf, is_known, model_card_tag, read_configuration
from pytest_hfmodels.engines import architectures, tasks
from pytest_hfmodels.engines.availability import engine_of
from pytest_hfmodels.foundation.errors import CheckpointError, EngineError, OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_hfmodels.checkpoints import Checkpoint
    from pytest_hfmodels.engines import EngineName, Task
    from pytest_hfmodels.kinds.embedding.pooling import Recipe

_KNOWN = {
    "dtype": (None, "float32", "float64", "float16", "bfloat16"),
    "head": ("trained", "fixed"),
}
_TEXTS = {
    "revision": "Give the full commit, 40 hexadecimal digits, in quotes.",
    "digest": "Write it as 'sha256:' and 64 hexadecimal digits.",
    "attention": 'Write attention="eager" or "sdpa".',
    "device": 'Write device="cuda".',
}
_INSTEAD = {
    "torch_dtype": 'Use dtype="float32" and the like.',
    "attn_implementation": 'Use attention="sdpa" and the like.',
    "_attn_implementation": 'Use attention="sdpa" and the like.',
    "config": "Give the configuration's fields themselves, such as num_labels=3.",
    "subfolder": "Name the folder itself: ./models/bot/subfolder.",
    "trust_remote_code": "Load the model yourself, and hand it over: hf_models.adopt(model, tokenizer).",
}


def checkpoint_name(checkpoint: object, root: Path, revision: object = None) -> str:
    """Return a checkpoint as `resolve` takes it; a path is a folder, also if it is relative.

    Without a revision, the name of a folder or a GGUF file below `root` is that, as `--hfmodels-model` takes it; a
    name of the plugin's own stays that.

    Raises:
        OptionError: it is neither text nor a path.
    """
    if isinstance(checkpoint, os.PathLike):
        path = os.fsdecode(checkpoint)
        return path if path.startswith((".", "/", "~")) else f"./{path}"
    if not isinstance(checkpoint, str) or not checkpoint:
        raise OptionError(
            f"A checkpoint is a name or a folder, not {checkpoint!r:.60}.",
            hint="Write tiny-gpt2, ./models/bot, org/name, or a pathlib.Path of a folder.",
        )
    typed = checkpoint.startswith((".", "/", "~")) or revision is not None or is_known(checkpoint)
    if typed:
        return checkpoint
    at = root / checkpoint
    below = at.is_dir() or (is_gguf(f"./{checkpoint}") and at.is_file())
    return f"./{checkpoint}" if below else checkpoint


def require_known(**arguments: object) -> None:
    """Refuse an unknown dtype or head with an `OptionError`."""
    for name, value in arguments.items():
        if value not in _KNOWN[name]:
            known = ", ".join(word for word in _KNOWN[name] if word)
            raise OptionError(f"Unknown {name} {value!r:.60}.", hint=f"Give one of these, as text: {known}.")


def require_options(pin: object, unused: object, overrides: Mapping[str, Any], **texts: object) -> None:
    """Refuse other arguments of `load` that are of a wrong kind, with an `OptionError` that shows the value."""
    for name, value in texts.items():
        if value is not None and (not isinstance(value, str) or not value):
            raise OptionError(f"{name}={value!r:.60} is not text.", hint=_TEXTS[name])
    if not isinstance(pin, bool):
        raise OptionError(f"pin={pin!r:.60} is neither True nor False.", hint="Pin a dtype with dtype=.")
    if not isinstance(unused, list | tuple) or not all(isinstance(name, str) and name for name in unused):
        raise OptionError(f"unused={unused!r:.60} is not a list of names.", hint='Write it as in unused=["v_head.*"].')
    for name in overrides.keys() & _INSTEAD.keys():
        raise OptionError(f"{name}= is not a field of a model's configuration.", hint=_INSTEAD[name])


def separated(model: Any, tokenizer: Any) -> tuple[Any, Any, Recipe | None]:
    """Return a SentenceTransformer's transformer, its processor and how it pools; anything else as it is.

    Raises:
        CheckpointError: it has a module that is not computed here.
    """
    if not any(one.__name__ == "SentenceTransformer" for one in type(model).__mro__):
        return model, tokenizer, None
    from pytest_hfmodels.kinds.embedding.pooling import recipe_of

    first = model[0]
    own = getattr(first, "processor", None) or getattr(first, "tokenizer", None)
    return first.auto_model, own if tokenizer is None else tokenizer, recipe_of(model)


def require_adoptable(model: Any, tokenizer: Any, name: object) -> EngineName:
    """Return the engine of a model; refuse what `adopt` could not describe or run.

    Raises:
        EngineError: naming what is wrong with it.
        OptionError: the name is no text.
    """
    own, engine = type(model).__name__, engine_of(model)
    if engine is None:
        raise EngineError(
            f"adopt() takes a torch or a Keras model, not {own}.",
            hint="Pass the model object that has .generate or the classifier's forward.",
        )
    if tokenizer is not None and not callable(tokenizer):
        raise EngineError(
            f"adopt() takes the model's tokenizer or processor, or None, not {type(tokenizer).__name__}.",
            hint="Pass it second: hf_models.adopt(model, AutoTokenizer.from_pretrained(…)).",
        )
    if name is not None and (not isinstance(name, str) or not name.strip()):
        raise OptionError(f"name={name!r:.60} is not a name.", hint="Give the name for snapshots, or leave it out.")
    parameters = model.parameters() if hasattr(model, "parameters") else ()
    if any(getattr(tensor, "is_meta", False) for tensor in parameters):
        raise EngineError(
            f"adopt() takes a model with weights, and {own} has some on torch's meta device, which holds none.",
            hint="Load it without device_map or low_cpu_mem_usage, or move it: model.to_empty(device='cpu').",
        )
    return engine


def infer_task(checkpoint: Checkpoint) -> Task:
    """Return what the checkpoint was made for: its configuration says it (`architectures`), or its model card.

    Raises:
        CheckpointError: the configuration says it in no list of names.
    """
    names = read_configuration(checkpoint.folder).get("architectures") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CheckpointError(
            f"Checkpoint {checkpoint.name!r}: architectures in its config.json "
            f"is not a list of class names: {names!r:.60}.",
            hint='Write it as in ["GPT2LMHeadModel"], or name the task: task="text-generation".',
        )
    trained = None if checkpoint.adapter is None else adapter_task(checkpoint.adapter)
    return trained or architectures.infer_task(checkpoint.folder, model_card_tag(checkpoint.folder))


def task_of(model: Any) -> Task:
    """Return the task of a model that the user loaded: its class says it, or that of the model in a wrapper."""
    config: Any = getattr(model, "config", None)
    fields = config.to_dict() if hasattr(config, "to_dict") else {}
    own = [type(model).__name__]
    if not type(model).__module__.startswith("transformers."):
        own += architectures.class_names(fields)
    said = next((task for name in own if (task := tasks.of_class(name, fields)) is not None), None)
    return said or ("text-generation" if len(own) == 1 and hasattr(model, "generate") else "feature-extraction")
