"""The classes that load a checkpoint: transformers' auto classes, or for Transformer-XL the implementation that works.

A checkpoint is loaded only as the class that it names in `architectures`, or as that class's base with the head of
another task.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import read_configuration
from pytest_hfmodels.errors import CheckpointError, EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import ModuleType

    from pytest_hfmodels.engines.base import Task, TransfoXLChoice

_TRANSFO_XL = "transfo-xl"
_TRANSFO_XL_CLASSES: dict[Task, str] = {
    "text-generation": "TransfoXLLMHeadModel",
    "text-classification": "TransfoXLForSequenceClassification",
}
_MAPPINGS: dict[Task, str] = {
    "text-generation": "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
    "text-classification": "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
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
_SUPPORTED = (
    "The plugin runs decoders for text-generation and …ForSequenceClassification models for text-classification. "
    "It cannot load or adopt other kinds yet, such as encoder-decoders."
)
_ADOPT = "Load the model yourself and pass it in: hf_models.adopt(model, tokenizer)."


def model_class(transformers: ModuleType, folder: Path, task: Task, choice: TransfoXLChoice) -> Any:
    """Return the torch class that loads `folder` for `task`; see `require_loadable`.

    Args:
        transformers: the installed release.
        folder: the checkpoint.
        task: what for.
        choice: whose Transformer-XL; `auto` takes upstream's where its forward pass works.

    Raises:
        CheckpointError: the configuration is damaged.
        EngineError: the plugin does not run this kind of checkpoint, or upstream's Transformer-XL was chosen but does
            not exist.
    """
    require_loadable(transformers, folder, task)
    if model_type(folder) != _TRANSFO_XL:
        head = "ForCausalLM" if task == "text-generation" else "ForSequenceClassification"
        return getattr(transformers, f"AutoModel{head}")
    _check_configuration(folder)
    return _transfo_xl(transformers, _TRANSFO_XL_CLASSES[task], choice)


def require_loadable(transformers: ModuleType, folder: Path, task: Task) -> None:
    """Refuse a checkpoint that would load as a class other than the one it names, unless only the head differs.

    Raises:
        CheckpointError: the configuration is damaged or names no architecture.
        EngineError: the plugin does not run this kind, or it is quantized or needs its own code.
    """
    config = read_configuration(folder)
    kind = model_type(folder)
    if not kind:
        raise CheckpointError(
            f"{folder / 'config.json'} has no model_type.",
            hint='Add the architecture, as in "model_type": "gpt2".',
        )
    if config.get("quantization_config") or config.get("compression_config"):
        raise EngineError(
            f"The checkpoint {folder} is quantized; the plugin loads only weights that are not.", hint=_ADOPT
        )
    names = _named_classes(config)
    family = family_classes(transformers, kind)
    if config.get("auto_map") and not (family and all(_belongs_to(transformers, name, kind, family) for name in names)):
        raise EngineError(
            f"The checkpoint {folder} needs its own code ({', '.join(map(ascii, names)) or 'auto_map'}); "
            "the plugin runs no code from a checkpoint.",
            hint=_ADOPT,
        )
    if not family:
        return  # upstream reports the unknown architecture
    _require_same_base(transformers, folder, task, kind, names)


def family_classes(transformers: ModuleType, kind: str) -> tuple[str, ...]:
    """Return the names of all classes of an architecture in the installed release."""
    if kind == _TRANSFO_XL:
        return ("TransfoXLModel", *_TRANSFO_XL_CLASSES.values())
    mappings = _mappings(transformers)
    listed = (name for name in vars(mappings) if re.fullmatch(r"MODEL\w*_MAPPING_NAMES", name))
    return tuple(dict.fromkeys(name for mapping in listed for name in _entries(mappings, mapping, kind)))


def possible_classes(transformers: ModuleType, folder: Path) -> tuple[str, ...]:
    """Return the classes that may have saved a checkpoint: its named classes first, then its architecture's."""
    kind = model_type(folder)
    family = family_classes(transformers, kind)
    named = _named_classes(read_configuration(folder))
    return (*(name for name in named if _belongs_to(transformers, name, kind, family)), *family)


def named_class(transformers: ModuleType, name: str, choice: TransfoXLChoice) -> Any:
    """Return the torch class of that name; for Transformer-XL from the implementation that runs."""
    if name.startswith("TransfoXL"):
        return _transfo_xl(transformers, name, choice)
    return getattr(transformers, name)


def tokenizer_class(transformers: ModuleType, folder: Path, choice: TransfoXLChoice) -> Any:
    """Return the class that loads the tokenizer of `folder`; see `model_class`.

    Raises:
        CheckpointError: a file names a class that is not a tokenizer, or the vocabulary is damaged.
    """
    from pytest_hfmodels.checkpoints.folders import is_file, read_json_object

    for name in ("config.json", "tokenizer_config.json"):
        if is_file(folder / name):
            _require_tokenizer(transformers, folder / name, read_json_object(folder / name).get("tokenizer_class"))
    if model_type(folder) != _TRANSFO_XL:
        return transformers.AutoTokenizer
    _check_vocabulary(folder)
    return _transfo_xl(transformers, "TransfoXLTokenizer", choice)


def model_type(folder: Path) -> str:
    """Return the architecture that the configuration names; an empty string where it names none."""
    return str(read_configuration(folder).get("model_type") or "")


def refuse_encoder_decoder(model: Any) -> None:
    """Refuse to adopt an encoder-decoder.

    Raises:
        EngineError: it is one.
    """
    if getattr(model.config, "is_encoder_decoder", False):
        raise EngineError(f"{type(model).__name__} is an encoder-decoder and cannot be adopted.", hint=_SUPPORTED)


def _require_same_base(transformers: ModuleType, folder: Path, task: Task, kind: str, names: list[str]) -> None:
    mappings = _mappings(transformers)
    wanted = (_TRANSFO_XL_CLASSES[task],) if kind == _TRANSFO_XL else _entries(mappings, _MAPPINGS[task], kind)
    others = _ENCODER_DECODERS if task == "text-classification" else _OTHER_BASES
    several = any(name not in wanted for mapping in others for name in _entries(mappings, mapping, kind))
    if task == "text-classification" and several:
        wanted = ()  # a classifier with a decoder has different outputs
    family = family_classes(transformers, kind)
    if not names and not wanted:
        raise EngineError(
            f"The checkpoint {folder} is a {kind!a} model, which does not run for {task}.", hint=_SUPPORTED
        )
    if not names and several:
        raise EngineError(
            f"The checkpoint {folder} names no architecture; {kind!a} could be any of {', '.join(family)}.",
            hint=f'Name it in config.json, as in "architectures": ["{family[0]}"]. {_SUPPORTED}',
        )
    for name in names:
        if name not in wanted and (several or not wanted or not _belongs_to(transformers, name, kind, family)):
            if wanted and not several and getattr(transformers, name, None) is None:
                raise EngineError(
                    f"The checkpoint {folder} is a {name!a}, a class that the installed transformers does not have; "
                    f"for {kind!a} it has {wanted[0]}.",
                    hint=f'If that class runs it, write "architectures": ["{wanted[0]}"] into config.json. {_ADOPT}',
                )
            instead = f", and {task} would load it as {wanted[0]}" if wanted else ""
            raise EngineError(f"The checkpoint {folder} is a {name!a} ({kind!a}){instead}.", hint=_SUPPORTED)


def _named_classes(config: Mapping[str, Any]) -> list[str]:
    """Return the class names in `architectures`, without the prefixes TF and Flax."""
    names = config.get("architectures")
    if not isinstance(names, list):
        return []
    return [re.sub(r"^(TF|Flax)(?=[A-Z])", "", str(name)) for name in names]


def _belongs_to(transformers: ModuleType, name: str, kind: str, family: tuple[str, ...]) -> bool:
    """Return whether a class belongs to an architecture, even if no mapping lists it (GPT-2's double heads)."""
    if name in family:
        return True
    found = getattr(transformers, name, None) if name.isidentifier() else None
    return bool(getattr(getattr(found, "config_class", None), "model_type", None) == kind)


def _mappings(transformers: ModuleType) -> ModuleType:
    from importlib import import_module

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


def _check_configuration(folder: Path) -> None:
    """Refuse a configuration that contradicts itself; upstream's would speak of a negative dimension."""
    from pytest_hfmodels.transfo_xl import TransfoXLConfig
    from pytest_hfmodels.transfo_xl.configuration import check_configuration

    check_configuration(TransfoXLConfig.from_dict(read_configuration(folder)))


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
