"""Which classes load a checkpoint: transformers' auto classes, or for Transformer-XL whichever implementation works."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from pytest_hfmodels.engines.base import Task, TransfoXLChoice

_TRANSFO_XL = "transfo-xl"
_TRANSFO_XL_CLASSES: dict[Task, str] = {
    "text-generation": "TransfoXLLMHeadModel",
    "text-classification": "TransfoXLForSequenceClassification",
}


def model_class(transformers: ModuleType, folder: Path, task: Task, choice: TransfoXLChoice) -> Any:
    """Return the torch class that loads `folder` for `task`.

    Args:
        transformers: the installed release.
        folder: the checkpoint.
        task: what for.
        choice: whose Transformer-XL; `auto` takes upstream's where its forward pass works.

    Raises:
        EngineError: upstream's Transformer-XL was chosen, and the installed release has none.
    """
    if model_type(folder) != _TRANSFO_XL:
        head = "ForCausalLM" if task == "text-generation" else "ForSequenceClassification"
        return getattr(transformers, f"AutoModel{head}")
    _check_configuration(folder)
    return _transfo_xl(transformers, _TRANSFO_XL_CLASSES[task], choice)


def tokenizer_class(transformers: ModuleType, folder: Path, choice: TransfoXLChoice) -> Any:
    """Return the class that loads the tokenizer of `folder`; see `model_class`."""
    if model_type(folder) != _TRANSFO_XL:
        return transformers.AutoTokenizer
    _check_vocabulary(folder)
    return _transfo_xl(transformers, "TransfoXLTokenizer", choice)


def model_type(folder: Path) -> str:
    """Return the architecture that the configuration names; an empty string where it names none."""
    return str(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type", ""))


def _check_configuration(folder: Path) -> None:
    """Refuse a configuration that contradicts itself; upstream's would speak of a negative dimension."""
    from pytest_hfmodels.transfo_xl import TransfoXLConfig
    from pytest_hfmodels.transfo_xl.configuration import check_configuration

    check_configuration(TransfoXLConfig.from_dict(json.loads((folder / "config.json").read_text(encoding="utf-8"))))


def _check_vocabulary(folder: Path) -> None:
    """Refuse a vocabulary that cannot end or stand in for a word; upstream's tokenizer would load it in silence."""
    from pytest_hfmodels.transfo_xl import TransfoXLTokenizer

    TransfoXLTokenizer.from_pretrained(str(folder), local_files_only=True)


def _transfo_xl(transformers: ModuleType, name: str, choice: TransfoXLChoice) -> Any:
    from pytest_hfmodels import transfo_xl

    wanted = transfo_xl.working_implementation().name if choice == "auto" else choice
    if wanted == "pytest-hfmodels":
        transfo_xl.register()  # so that whoever asks transformers' auto classes gets the same
        return getattr(transfo_xl, name)
    try:
        return getattr(transformers, name)
    except (AttributeError, ImportError) as error:
        raise EngineError(
            f"transformers {transformers.__version__} has no {name}, and --hfmodels-transfo-xl asks for it.",
            hint="Leave the choice to the plugin: --hfmodels-transfo-xl auto.",
        ) from error
