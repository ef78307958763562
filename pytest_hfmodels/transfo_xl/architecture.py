"""Transformer-XL as an architecture of the registry: upstream's classes if they work, otherwise ours.

Nothing else in the package imports this folder; `foundation.architecture` names this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.architecture import Architecture
from pytest_hfmodels.foundation.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path


def _find(name: str, choice: str) -> Any:
    import transformers

    from pytest_hfmodels import transfo_xl

    wanted = transfo_xl.working_implementation().name if choice == "auto" else choice
    if wanted == "pytest-hfmodels":
        transfo_xl.register()  # so that transformers' auto classes return the same
        return getattr(transfo_xl, name)
    try:
        return getattr(transformers, name)
    except (AttributeError, ImportError) as error:
        raise EngineError(
            f"transformers {transformers.__version__} has no {name}, and --hfmodels-transfo-xl asks for it.",
            hint="Leave the choice to the plugin: --hfmodels-transfo-xl auto.",
        ) from error


def _check(config: dict[str, Any]) -> None:
    """Refuse a configuration that contradicts itself; upstream's message is about a negative dimension."""
    from pytest_hfmodels.transfo_xl.configuration import TransfoXLConfig, check_configuration

    check_configuration(TransfoXLConfig.from_dict(config))


def _check_tokenizer(folder: Path) -> None:
    """Refuse a vocabulary without an end or an unknown word, which upstream's tokenizer loads without an error."""
    from pytest_hfmodels.transfo_xl.tokenizer import TransfoXLTokenizer

    TransfoXLTokenizer.from_pretrained(str(folder), local_files_only=True)


def _implementation(choice: str) -> str:
    if choice != "auto":
        return f"{choice} (chosen)"
    from pytest_hfmodels.transfo_xl.probe import working_implementation

    found = working_implementation()
    return f"{found.name} ({found.reason})"


ARCHITECTURE = Architecture(
    model_type="transfo-xl",
    classes={
        "text-generation": "TransfoXLLMHeadModel",
        "text-classification": "TransfoXLForSequenceClassification",
    },
    find=_find,
    config="TransfoXLConfig",
    tokenizer="TransfoXLTokenizer",
    base="TransfoXLModel",
    check=_check,
    check_tokenizer=_check_tokenizer,
    implementation=_implementation,
    cannot_generate={"tensorflow": "what upstream prepares for a step leaves out the words, in every release"},
)
