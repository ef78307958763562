"""Importing transformers, and speaking to whichever release came: the only place that knows its keywords."""

from __future__ import annotations

import gc
import inspect
import os
import random
import sys
import warnings
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.engines import threads
from pytest_hfmodels.engines.availability import installed
from pytest_hfmodels.foundation.errors import EngineError, OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

    from pytest_hfmodels.engines.base import LoadOptions

CHECKPOINT_NAMES = frozenset({"name_or_path", "_name_or_path"})  # attributes that hold the folder of a checkpoint


def transformers(*, with_tensorflow: bool) -> ModuleType:
    """Import transformers, without TensorFlow unless a run has selected it.

    transformers 4 imports an installed TensorFlow with any of its models, which costs seconds. `USE_TF=0`
    stops that, is read once while transformers is imported, and does not touch TensorFlow itself. A TensorFlow that
    cannot be imported is left out as well: torch must not fail with it.
    """
    if "transformers" not in sys.modules:
        with environment({"TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")}):
            variables = {} if with_tensorflow and _tensorflow_imports() else {"USE_TF": "0"}
            variables |= threads.sleeping()  # it imports torch, unless somebody has
            with environment(variables), _collector_paused(), warnings.catch_warnings():
                # An older release meets newer dependencies that deprecate what it uses: no test can fix that.
                warnings.simplefilter("ignore")
                import transformers as package

                # Most of what a model needs is imported with these names, which transformers imports on first use.
                _ = package.AutoModelForCausalLM, package.AutoTokenizer
    else:
        import transformers as package
    module: ModuleType = package
    return module


def require_tensorflow() -> None:
    """Import transformers with TensorFlow.

    Raises:
        EngineError: transformers has already been imported without it.
    """
    if not transformers(with_tensorflow=True).utils.is_tf_available():
        raise EngineError(
            "transformers has been imported without TensorFlow in this process.",
            hint="Select it for the whole run: --hfmodels-engines torch,tensorflow (or the ini key hfmodels_engines), "
            "and leave USE_TF unset.",
        )


def _tensorflow_imports() -> bool:
    """Import TensorFlow now: transformers would do it later, when its start-up banner is not suppressed."""
    try:
        import tensorflow as tensorflow
    except (ImportError, OSError, RuntimeError):
        return False  # its own engine says why
    return True


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the garbage collector during a block of imports, where it takes a fifth of the time.

    The imported objects are not frozen (`gc.freeze`), because `gc.get_objects()` in a later test would miss them.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the length of a block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def quiet() -> Iterator[None]:
    """Hide transformers' log messages and progress bars during loading; the plugin checks the result itself."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging._tqdm_active
    logging.set_verbosity_error()
    logging._tqdm_active = False  # `disable_progress_bar` would switch off those of huggingface_hub as well
    try:
        yield
    finally:
        logging.set_verbosity(before)
        logging._tqdm_active = bars


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Restore Python's and NumPy's global random state: building a model draws weights that we then replace."""
    import numpy as np

    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def release_at_least(wanted: str) -> bool:
    """Return whether the installed transformers is `wanted` or newer (5.0.0rc1 counts as 5.0.0)."""
    from packaging.version import Version

    return Version(Version(installed("transformers") or "0").base_version) >= Version(wanted)


def torch_keywords(options: LoadOptions) -> dict[str, Any]:
    """Return `from_pretrained` keywords for `options`, by the names that the installed release takes."""
    keywords: dict[str, Any] = dict(options.overrides)
    if options.dtype is not None:
        import torch

        # `dtype=` is a TypeError through 4.53, `torch_dtype=` is deprecated from 4.56.
        keywords["dtype" if release_at_least("4.56") else "torch_dtype"] = getattr(torch, options.dtype)
    if options.attention is not None and release_at_least("4.36"):  # before, eager was all there was
        keywords["attn_implementation"] = options.attention
    return keywords


def knows_quantization(method: str) -> bool:
    """Return whether the installed transformers has a quantization of this name: some releases ignore others."""
    from transformers.utils import quantization_config

    known = getattr(quantization_config, "QuantizationMethod", ())  # 4.30 has none
    return method in {one.value for one in known} or not known


def require_config_fields(transformers: ModuleType, config: Any, overrides: Mapping[str, Any]) -> None:
    """Refuse overrides that the model's configuration does not have: upstream would take them as its own keywords.

    Raises:
        OptionError: the message names the argument, and where it belongs or which one is meant.
    """
    of_generate = vars(transformers.GenerationConfig()).keys() - _IN_BOTH
    own = inspect.signature(type(config).__init__).parameters
    for name, value in overrides.items():
        if name in of_generate and name not in own:  # releases before 5 accept some, and then ignore them
            raise OptionError(
                f"{name}= is a setting of generate(), not of the model.",
                hint="Leave it out: a record must come out the same every time."
                if name == "do_sample"
                else f"Give it to generate: hf_model.generate(prompt, {name}={value!r:.40}).",
            )
        if not hasattr(config, name):
            known = [*config.to_dict(), *getattr(config, "attribute_map", ()), "num_labels", *_OF_LOAD]
            near = get_close_matches(name, known, n=1, cutoff=0.7)
            raise OptionError(
                f"{type(config).__name__} of transformers {installed('transformers')} has no field {name}.",
                hint=f"Did you mean {near[0]}=?"
                if near
                else "Give fields of the checkpoint's config.json, or load the model yourself and pass it in: "
                "hf_models.adopt(model, tokenizer).",
            )


# Fields of a model's configuration that generation settings have too.
_IN_BOTH = frozenset(
    {"bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "use_cache", "transformers_version"}
    | {"output_attentions", "output_hidden_states", "is_encoder_decoder"}
)
_OF_LOAD = ("attention", "digest", "dtype", "engines", "head", "pin", "revision", "task", "unused")


def set_checkpoint_name(model: Any, folder: object) -> None:
    """Set the name of a model or tokenizer to its checkpoint's folder instead of the private copy.

    Upstream also writes the name into every inner model and its configuration.
    """
    parts = list(model.modules()) if hasattr(model, "modules") else [model]
    for holder in (*parts, *(getattr(part, "config", None) for part in parts)):
        for attribute in CHECKPOINT_NAMES & getattr(holder, "__dict__", {}).keys():
            setattr(holder, attribute, str(folder))


def is_missing_library(error: BaseException) -> bool:
    """Return whether an error says that a library is missing; transformers 5 raises ValueError for some."""
    return isinstance(error, ImportError) or "to be installed" in str(error)


def is_missing_sdpa(error: BaseException | None) -> bool:
    """Return whether an error says that a model, or a part of it, has no sdpa attention."""
    return isinstance(error, ValueError) and "scaled_dot_product_attention" in str(error)


def error_text(error: BaseException) -> str:
    """Return an error's class and text."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
