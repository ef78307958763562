"""Loading a checkpoint: the checks and steps that engines share, around what each builds in its own way."""

from __future__ import annotations

import warnings
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import adapter_weights, fill_adapter_copy, fill_private_copy
from pytest_hfmodels.engines import architectures, skeleton, upstream
from pytest_hfmodels.engines.generation_config import require_settings
from pytest_hfmodels.foundation.errors import CheckpointError, EngineError, HFModelsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from pytest_hfmodels.engines.base import EngineName, LoadOptions, Task


@dataclass(frozen=True)
class Plan:
    """What an engine is to build.

    Args:
        transformers: the installed release.
        folder: the checkpoint, for messages and for its weights.
        files: the private copy that upstream reads.
        task: what for.
        options: how.
        config: the configuration with the overrides.
        loader: the torch class, or transformers' auto class.
    """

    transformers: ModuleType
    folder: Path
    files: Path
    task: Task
    options: LoadOptions
    config: Any
    loader: Any

    def torch_model(self) -> Any:
        """Build the torch model of the configuration, without the checkpoint's weights."""
        config = deepcopy(self.config)
        return self.loader(config) if hasattr(self.loader, "config_class") else self.loader.from_config(config)


def load(
    engine: EngineName,
    folder: Path,
    task: Task,
    options: LoadOptions,
    build: Callable[[Plan], tuple[Any, list[str]]],
) -> Any:
    """Load a checkpoint.

    Args:
        engine: whose, for messages.
        folder: the checkpoint.
        task: what for.
        options: how.
        build: returns upstream's model with the checkpoint's weights, and the names that it does not use.

    Raises:
        CheckpointError: weights are missing, left over or do not fit the configuration.
        EngineError: the engine has no such architecture, or transformers cannot load the checkpoint.
    """
    transformers = upstream.transformers(with_tensorflow=False)
    architectures.require_loadable(transformers, folder, task)
    method = architectures.quantization(folder)
    skeleton.require_plausible(folder, any_dtype=bool(method))
    with TemporaryDirectory(prefix="hfmodels-") as private_copy, upstream.quiet(), upstream.random_state_kept():
        files = Path(private_copy)
        fill_private_copy(folder, files)
        require_settings(transformers, folder, files)
        try:
            loader = architectures.model_class(transformers, folder, task, options.implementation)
            config = _configuration(transformers, folder, files, options)
            plan = Plan(transformers, folder, files, task, options, config, loader)
            # A quantized model has tensors of its own until its library has built it.
            expected = None if method else skeleton.require_fit(folder, plan.torch_model, options.head)
            model, unused = build(plan)
        except HFModelsError:  # ours says it better already
            raise
        except Exception as error:  # upstream and Keras raise any kind of exception
            what = f"with {engine}" if not method else f"with {engine} and the quantization {method!a}"
            raise EngineError(
                f"transformers cannot load {folder} for {task} {what}: {upstream.error_text(error)}",
                hint="Install the library that it names."
                if upstream.is_missing_library(error)
                else "Check model_type and the sizes in the checkpoint's config.json, and the overrides given at load.",
            ) from error
    if method and not (upstream.knows_quantization(method) and getattr(model, "is_quantized", False)):
        raise EngineError(
            f"The checkpoint {folder} is quantized ({method!a:.40}), and transformers loads it as if it were not.",
            hint="This release does not know the method, or has no device for it. Load the model yourself and pass it "
            "in: hf_models.adopt(model, tokenizer).",
        )
    upstream.set_checkpoint_name(model, folder)
    skeleton.require_used(folder, unused, expected, options.unused)
    _give_special_tokens(model, options)
    return model


def of_base(options: LoadOptions) -> LoadOptions:
    """Return how to load the base of an adapter, which may bring the head that the base lacks."""
    brings = options.adapter is not None and any(map(skeleton.is_head, adapter_weights(options.adapter)))
    return replace(options, head="fixed") if brings else options


def adapted(model: Any, adapter: Path) -> Any:
    """Return the model with an adapter that PEFT applies.

    Raises:
        CheckpointError: the adapter does not fit the model.
        EngineError: PEFT is not installed, or cannot apply it.
    """
    try:
        import peft
    except ImportError as error:
        raise EngineError(
            f"{adapter} is an adapter, and PEFT, which applies it, cannot be imported ({upstream.error_text(error)}).",
            hint="Run: pip install peft",
        ) from error
    with TemporaryDirectory(prefix="hfmodels-") as private_copy, upstream.quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # missing weights are among them, and are looked for below
        fill_adapter_copy(adapter, Path(private_copy))
        try:
            changed = peft.PeftModel.from_pretrained(model, private_copy)
            own = sorted(peft.get_peft_model_state_dict(changed))
        except Exception as error:  # PEFT and torch raise any kind of exception
            raise EngineError(
                f"PEFT cannot apply {adapter}: {upstream.error_text(error)}",
                hint="Check target_modules in its adapter_config.json, and that its base is the right one.",
            ) from error
    if differing := sorted({*own}.symmetric_difference(adapter_weights(adapter))):
        names = ", ".join(map(ascii, differing[:5]))
        raise CheckpointError(
            f"The adapter {adapter} does not fit its base: only one of the two has {names}.",
            hint="Check that base_model_name_or_path in its adapter_config.json is the model that it was trained on.",
        )
    return changed


def _configuration(transformers: ModuleType, folder: Path, files: Path, options: LoadOptions) -> Any:
    reader = architectures.config_class(transformers, folder, options.implementation)
    closed = {"trust_remote_code": False} if reader is transformers.AutoConfig else {}
    if options.overrides:
        plain = reader.from_pretrained(str(files), local_files_only=True, **closed)
        upstream.require_config_fields(transformers, plain, options.overrides)
    return reader.from_pretrained(str(files), local_files_only=True, **closed, **options.overrides)


def _give_special_tokens(model: Any, options: LoadOptions) -> None:
    """Let special tokens that were given at load reach generation too.

    If the checkpoint has a generation_config.json, upstream sets them in the configuration only, and then says at
    every `generate` that it sets pad to eos.
    """
    generation_config = getattr(model, "generation_config", None)
    for name in ("pad_token_id", "eos_token_id", "bos_token_id"):
        if name in options.overrides and generation_config is not None:
            setattr(generation_config, name, options.overrides[name])
