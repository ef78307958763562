"""The classes that load a checkpoint: transformers' auto classes, or those of a registered architecture.

A checkpoint is loaded only as the class that it names in `architectures`, or as that class's base with the head of
another task.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import read_configuration
from pytest_hfmodels.checkpoints.folders import is_file, read_json_object
from pytest_hfmodels.foundation.architecture import ARCHITECTURES
from pytest_hfmodels.foundation.errors import CheckpointError, EngineError

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from pytest_hfmodels.engines.base import Task
    from pytest_hfmodels.foundation.architecture import Architecture

_AUTO: dict[Task, tuple[str, str]] = {
    "text-generation": ("AutoModelForCausalLM", "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES"),
    "text-classification": ("AutoModelForSequenceClassification", "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES"),
}
# An architecture with classes of these kinds has several kinds of base: an encoder, or an encoder and a decoder.
_ENCODER_DECODERS = ("MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES", "MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES")
_OTHER_BASES = (
    *_ENCODER_DECODERS,
    "MODEL_FOR_MASKED_LM_MAPPING_NAMES",
    "MODEL_FOR_VISION_2_SEQ_MAPPING_NAMES",
    "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES",
    "MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES",
)
_TOKENIZER_NAME = re.compile(r"\w+(Tokenizer|TokenizerFast|Backend)", re.ASCII)
SUPPORTED = (
    "The plugin runs decoders for text-generation and …ForSequenceClassification models for text-classification. "
    "It cannot load or adopt other kinds yet, such as encoder-decoders."
)
_ADOPT = "Load the model yourself and pass it in: hf_models.adopt(model, tokenizer)."


def model_class(transformers: ModuleType, folder: Path, task: Task, choice: str) -> Any:
    """Return the torch class that loads `folder`: an auto class, or a registered architecture's own.

    Raises:
        CheckpointError: the configuration contradicts itself.
        EngineError: the chosen implementation does not exist.
    """
    own = _registered(folder)
    if own is None:
        return getattr(transformers, _AUTO[task][0])
    own.check(read_configuration(folder))
    return own.find(own.classes[task], choice)


def config_class(transformers: ModuleType, folder: Path, choice: str) -> Any:
    """Return the class that reads the configuration of `folder`; see `model_class`."""
    own = _registered(folder)
    return transformers.AutoConfig if own is None else own.find(own.config, choice)


def tokenizer_class(transformers: ModuleType, folder: Path, choice: str) -> Any:
    """Return the class that loads the tokenizer of `folder`; see `model_class`.

    Raises:
        CheckpointError: a file names a class that is not a tokenizer, or the vocabulary is damaged.
    """
    for name in ("config.json", "tokenizer_config.json"):
        if is_file(folder / name):
            _require_tokenizer(transformers, folder / name, read_json_object(folder / name).get("tokenizer_class"))
    own = _registered(folder)
    if own is None or not own.tokenizer:
        return transformers.AutoTokenizer
    own.check_tokenizer(folder)
    return own.find(own.tokenizer, choice)


def require_loadable(transformers: ModuleType, folder: Path, task: Task) -> None:
    """Refuse a checkpoint that would load as a class other than the one it names, unless only the head differs.

    Raises:
        CheckpointError: the configuration is damaged or names no architecture.
        EngineError: the plugin does not run this kind, or it is quantized or needs its own code.
    """
    config = read_configuration(folder)
    kind = str(config.get("model_type") or "")
    if not kind:
        raise CheckpointError(
            f"{folder / 'config.json'} has no model_type.",
            hint='Add the architecture, as in "model_type": "gpt2".',
        )
    if config.get("quantization_config") or config.get("compression_config"):
        raise EngineError(
            f"The checkpoint {folder} is quantized; the plugin loads only weights that are not.", hint=_ADOPT
        )
    listed = config.get("architectures")
    names = [re.sub(r"^(TF|Flax)(?=[A-Z])", "", str(name)) for name in listed] if isinstance(listed, list) else []
    family = _family(transformers, kind)
    foreign = [name for name in names if not _belongs_to(transformers, name, kind, family)]
    if config.get("auto_map") and (foreign or not family):
        raise EngineError(
            f"The checkpoint {folder} needs its own code ({', '.join(map(ascii, names)) or 'auto_map'}); "
            "the plugin runs no code from a checkpoint.",
            hint=_ADOPT,
        )
    if family:  # otherwise upstream reports the unknown architecture
        _require_same_base(transformers, folder, task, kind, names, foreign)


def _require_same_base(
    transformers: ModuleType, folder: Path, task: Task, kind: str, names: list[str], foreign: list[str]
) -> None:
    wanted, several = _wanted(transformers, task, kind)
    if not names and not wanted:
        raise EngineError(
            f"The checkpoint {folder} is a {kind!a} model, which does not run for {task}.", hint=SUPPORTED
        )
    if not names and several:
        family = _family(transformers, kind)
        raise EngineError(
            f"The checkpoint {folder} names no architecture; {kind!a} could be any of {', '.join(family)}.",
            hint=f'Name it in config.json, as in "architectures": ["{family[0]}"]. {SUPPORTED}',
        )
    shared = wanted and not several  # the head may differ
    for name in names:
        if name in wanted or (shared and name not in foreign):
            continue
        if shared and getattr(transformers, name, None) is None:
            raise EngineError(
                f"The checkpoint {folder} is a {name!a}, a class that the installed transformers does not have; "
                f"for {kind!a} it has {wanted[0]}.",
                hint=f'If that class runs it, write "architectures": ["{wanted[0]}"] into config.json. {_ADOPT}',
            )
        instead = f", and {task} would load it as {wanted[0]}" if wanted else ""
        raise EngineError(f"The checkpoint {folder} is a {name!a} ({kind!a}){instead}.", hint=SUPPORTED)


def _wanted(transformers: ModuleType, task: Task, kind: str) -> tuple[tuple[str, ...], bool]:
    """Return the classes that load an architecture for a task, and whether it has several kinds of base."""
    own = ARCHITECTURES.get(kind)
    if own is not None:
        return ((own.classes[task],) if task in own.classes else ()), False
    mappings = _mappings(transformers)
    wanted = _entries(mappings, _AUTO[task][1], kind)
    others = _ENCODER_DECODERS if task == "text-classification" else _OTHER_BASES
    several = any(name not in wanted for mapping in others for name in _entries(mappings, mapping, kind))
    if task == "text-classification" and several:
        return (), True  # a classifier with a decoder has different outputs
    return wanted, several


def _registered(folder: Path) -> Architecture | None:
    return ARCHITECTURES.get(str(read_configuration(folder).get("model_type") or ""))


def _family(transformers: ModuleType, kind: str) -> tuple[str, ...]:
    """Return the names of all classes of an architecture in the installed release."""
    own = ARCHITECTURES.get(kind)
    if own is not None:
        return (*([own.base] if own.base else []), *own.classes.values())
    mappings = _mappings(transformers)
    listed = (name for name in vars(mappings) if re.fullmatch(r"MODEL\w*_MAPPING_NAMES", name))
    return tuple(dict.fromkeys(name for mapping in listed for name in _entries(mappings, mapping, kind)))


def _belongs_to(transformers: ModuleType, name: str, kind: str, family: tuple[str, ...]) -> bool:
    """Return whether a class belongs to an architecture, even if no mapping lists it (GPT-2's double heads)."""
    if name in family:
        return True
    found = getattr(transformers, name, None) if name.isidentifier() else None
    return bool(getattr(getattr(found, "config_class", None), "model_type", None) == kind)


def _mappings(transformers: ModuleType) -> ModuleType:
    return import_module(f"{transformers.__name__}.models.auto.modeling_auto")


def _entries(mappings: ModuleType, mapping: str, kind: str) -> tuple[str, ...]:
    names = getattr(mappings, mapping, {}).get(kind, ())
    return (names,) if isinstance(names, str) else tuple(names)


def _require_tokenizer(transformers: ModuleType, file: Path, name: object) -> None:
    """Refuse a class that is not a tokenizer: upstream would use any of its classes with that name."""
    if name is None:
        return
    if isinstance(name, str) and _TOKENIZER_NAME.fullmatch(name):
        found = getattr(transformers, name, None)
        # If a package is missing, the class is a placeholder that names the package.
        if found is None or type(found).__name__ == "DummyObject":
            return
        if isinstance(found, type) and issubclass(found, transformers.PreTrainedTokenizerBase):
            return
    raise CheckpointError(
        f"{file} sets tokenizer_class to {name!a:.80}, which is not a tokenizer of transformers.",
        hint="Save the tokenizer again: tokenizer.save_pretrained(folder).",
    )
