"""What a test hands to `load` and `adopt`, checked before anything is looked for.

For `cache` alone.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, get_args

from pytest_hfmodels.engines import EngineName, Task, architectures
from pytest_hfmodels.errors import EngineError, OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

_DTYPES = ("float32", "float64", "float16", "bfloat16")
_INSTEAD = {
    "torch_dtype": 'Use dtype="float32" and the like.',
    "attn_implementation": 'Use attention="sdpa" and the like.',
    "_attn_implementation": 'Use attention="sdpa" and the like.',
    "config": "Give the configuration's fields themselves, such as num_labels=3.",
    "subfolder": "Name the folder itself: ./models/bot/subfolder.",
    "trust_remote_code": "Load the model yourself, and hand it over: hf_models.adopt(model, tokenizer).",
}
# Keywords of upstream's `from_pretrained` that are no field of a configuration.
_UPSTREAMS = (
    "adapter_kwargs",
    "adapter_name",
    "cache_dir",
    "code_revision",
    "device_map",
    "dduf_entries",
    "force_download",
    "from_flax",
    "from_tf",
    "generation_config",
    "gguf_file",
    "ignore_mismatched_sizes",
    "key_mapping",
    "load_in_4bit",
    "load_in_8bit",
    "local_files_only",
    "low_cpu_mem_usage",
    "max_memory",
    "mirror",
    "offload_buffers",
    "offload_folder",
    "offload_state_dict",
    "output_loading_info",
    "pretrained_model_name_or_path",
    "proxies",
    "quantization_config",
    "resume_download",
    "return_unused_kwargs",
    "state_dict",
    "token",
    "tp_plan",
    "tp_size",
    "use_auth_token",
    "use_kernels",
    "use_safetensors",
    "variant",
    "weights_only",
)


def checkpoint_name(checkpoint: object) -> str:
    """Return a checkpoint as `resolve` takes it; a path is a folder, also where it is relative.

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
    return checkpoint


def require_texts(**arguments: object) -> None:
    """Refuse an optional argument that is neither None nor text.

    Raises:
        OptionError: naming it.
    """
    for name, value in arguments.items():
        if value is not None and (not isinstance(value, str) or not value):
            raise OptionError(f"{name}={value!r:.60} is no text.", hint=_EXAMPLES[name])


def require_patterns(unused: object) -> None:
    """Refuse names of unused weights that are not a list of texts.

    Raises:
        OptionError: the message shows the value.
    """
    if not isinstance(unused, list | tuple) or not all(isinstance(name, str) and name for name in unused):
        raise OptionError(f"unused={unused!r:.60} is not a list of names.", hint='Write it as in unused=["v_head.*"].')


def require_pinning(pin: object, dtype: str | None) -> None:
    """Refuse a `pin` that is no truth value, and a dtype that the plugin does not run.

    Raises:
        OptionError: naming the argument.
    """
    if not isinstance(pin, bool):
        raise OptionError(f"pin={pin!r:.60} is neither True nor False.", hint="Pin a dtype with dtype=.")
    if dtype is not None and dtype not in _DTYPES:
        raise OptionError(f"Unknown dtype {dtype!r}.", hint=f"It is one of {', '.join(_DTYPES)}, as text.")


def require_known(task: object, engine: object = "torch", head: object = "trained") -> None:
    """Refuse an unknown task, engine or head.

    Raises:
        OptionError: the message names the known ones.
    """
    if task not in get_args(Task):
        raise OptionError(f"Unknown task {task!r}.", hint=f"The tasks are {' and '.join(get_args(Task))}.")
    if engine not in get_args(EngineName):
        raise OptionError(f"Unknown engine {engine!r}.", hint=f"The engines are {' and '.join(get_args(EngineName))}.")
    if head not in ("trained", "fixed"):
        raise OptionError(f"Unknown head {head!r}.", hint='It is "trained" or "fixed".')


def require_fields(overrides: Mapping[str, Any]) -> None:
    """Refuse overrides that are upstream's keywords for loading, and no fields of a configuration.

    Raises:
        OptionError: naming the keyword, and ours where there is one.
    """
    for name in overrides:
        if name in _INSTEAD or name in _UPSTREAMS:
            raise OptionError(
                f"{name}= is no field of a model's configuration, and how a checkpoint is loaded is the plugin's part.",
                hint=_INSTEAD.get(name, "Leave it out, or load the model yourself and hand it to hf_models.adopt."),
            )


def require_adoptable(model: Any, tokenizer: Any, name: object) -> None:
    """Refuse what `adopt` could not describe or run.

    Raises:
        EngineError: naming what is wrong with it.
    """
    own = type(model).__name__
    if not hasattr(getattr(model, "config", None), "to_dict"):
        raise EngineError(
            f"adopt() takes a model with upstream's interface, and {own} has no configuration.",
            hint="Pass the transformers model itself (or PEFT's wrapper), whose .config is a PretrainedConfig.",
        )
    architectures.refuse_encoder_decoder(model)
    if not callable(tokenizer) or not hasattr(tokenizer, "get_vocab"):
        raise EngineError(
            f"adopt() needs the model's tokenizer, not {'None' if tokenizer is None else type(tokenizer).__name__}.",
            hint="Pass it second: hf_models.adopt(model, AutoTokenizer.from_pretrained(…)).",
        )
    if name is not None and (not isinstance(name, str) or not name.strip()):
        raise OptionError(f"name={name!r:.60} is no name.", hint="Give what snapshots are to call it, or leave it out.")
    if any(getattr(tensor, "is_meta", False) for tensor in _parameters(model)):
        raise EngineError(
            f"adopt() takes a model with weights, and {own} has some on torch's meta device, which holds none.",
            hint="Load it without device_map or low_cpu_mem_usage, or move it: model.to_empty(device='cpu').",
        )


def _parameters(model: Any) -> list[Any]:
    return [*model.parameters()] if hasattr(model, "parameters") else []


_EXAMPLES = {
    "revision": "Give the full commit, 40 hexadecimal digits, in quotes.",
    "digest": "Write it as 'sha256:' and 64 hexadecimal digits.",
    "attention": 'Write attention="eager" or "sdpa".',
}
