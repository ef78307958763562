"""The classes that load a checkpoint: transformers' auto classes, the class that it names, or a registered one.

A checkpoint is loaded only as the class that it names in `architectures`, or as that class's base with the head of
another task.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import read_configuration
from pytest_hfmodels.checkpoints.folders import PREPROCESSOR_FILES, is_file, read_json_object
from pytest_hfmodels.engines import tasks
from pytest_hfmodels.foundation.architecture import ARCHITECTURES
from pytest_hfmodels.foundation.errors import CheckpointError, EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from pytest_hfmodels.engines.base import Task
    from pytest_hfmodels.foundation.architecture import Architecture

# An architecture with classes of these kinds has several kinds of base: an encoder, or an encoder and a decoder.
_ENCODER_DECODERS = ("AutoModelForSeq2SeqLM", "AutoModelForSpeechSeq2Seq")
_OTHER_BASES = (
    *_ENCODER_DECODERS,
    "AutoModelForMaskedLM",
    "AutoModelForVision2Seq",
    "AutoModelForImageTextToText",
    "AutoModelForMultimodalLM",
)
# Their classes hold the whole base, whatever it is.
_WHOLE_BASE = ("feature-extraction", "text2text-generation", "automatic-speech-recognition", "image-text-to-text")
# The file and the field that name a class of a processor, how such names look, and what they are for upstream.
_TOKENIZER = ("tokenizer", r"\w+(Tokenizer|TokenizerFast|Backend)", "PreTrainedTokenizerBase")
_PROCESSOR = ("processor", r"\w+(Processor|ProcessorFast|ProcessorPil|FeatureExtractor)", "PushToHubMixin")
_CLASS_FIELDS = {
    ("config.json", "tokenizer_class"): _TOKENIZER,
    ("tokenizer_config.json", "tokenizer_class"): _TOKENIZER,
    **{
        (file, field): _PROCESSOR
        for file in PREPROCESSOR_FILES
        for field in ("processor_class", "image_processor_type", "feature_extractor_type", "video_processor_type")
    },
}
_ADOPT = "Load the model yourself and pass it in: hf_models.adopt(model, tokenizer)."


def model_class(transformers: ModuleType, folder: Path, task: Task, choice: str) -> Any:
    """Return the torch class that loads `folder`: an auto class, the checkpoint's, or a registered architecture's own.

    Raises:
        CheckpointError: the configuration contradicts itself.
        EngineError: the chosen implementation does not exist.
    """
    own, config = _registered(folder), read_configuration(folder)
    if own is None:
        return getattr(transformers, _loader(transformers, task, config))
    own.check(config)
    return own.find(own.classes[task], choice)


def infer_task(folder: Path, tag: str = "") -> Task:
    """Return the task of a checkpoint, see `tasks.infer`; `tag` is its model card's `pipeline_tag`."""
    config, own = read_configuration(folder), _registered(folder)
    if own is None:
        return tasks.infer(class_names(config), config, tag)
    return next((task for task, name in own.classes.items() if name in class_names(config)), next(iter(own.classes)))


def config_class(transformers: ModuleType, folder: Path, choice: str) -> Any:
    """Return the class that reads the configuration of `folder`; see `model_class`."""
    own = _registered(folder)
    return transformers.AutoConfig if own is None else own.find(own.config, choice)


def tokenizer_class(transformers: ModuleType, folder: Path, choice: str) -> Any:
    """Return the class that loads the tokenizer of `folder`; see `model_class`.

    Raises:
        CheckpointError: the vocabulary is damaged.
    """
    own = _registered(folder)
    if own is None or not own.tokenizer:
        return transformers.AutoTokenizer
    own.check_tokenizer(folder)
    return own.find(own.tokenizer, choice)


def require_loadable(transformers: ModuleType, folder: Path, task: Task) -> None:
    """Refuse a checkpoint that would load as a class other than the one it names, unless only the head differs.

    Raises:
        CheckpointError: the configuration is damaged or names no architecture.
        EngineError: its class does not run for the task or is not there, or it needs its own code.
    """
    config = read_configuration(folder)
    kind = str(config.get("model_type") or "")
    if not kind:
        raise CheckpointError(
            f"{folder / 'config.json'} has no model_type.",
            hint='Add the architecture, as in "model_type": "gpt2".',
        )
    names = class_names(config)
    known = bool(_family(transformers, kind)) or not {*names} <= {*_foreign(transformers, config)}
    if config.get("auto_map") and (_foreign(transformers, config) or not known):
        raise EngineError(
            f"The checkpoint {folder} needs its own code ({', '.join(map(ascii, names)) or 'auto_map'}); "
            "the plugin runs no code from a checkpoint.",
            hint=_ADOPT,
        )
    if not known:
        raise EngineError(
            f"The checkpoint {folder} is a {', '.join(map(ascii, names)) or 'model'} ({kind!a}), which transformers "
            f"{transformers.__version__} does not have.",
            hint=f"{_upgrade(config)}Or register classes of your own for it: register_architecture(…) in conftest.py.",
        )
    _require_same_base(transformers, folder, task, config)


def quantization(folder: Path) -> str:
    """Return how the weights of a checkpoint are quantized, by upstream's name; empty if they are not."""
    config = read_configuration(folder)
    said = config.get("quantization_config") or config.get("compression_config") or {}
    if not isinstance(said, dict) or not said:
        return ""
    unnamed = "bitsandbytes" if any(str(name).startswith("load_in_") for name in said) else "compressed-tensors"
    return str(said.get("quant_method") or unnamed)


def class_names(config: Mapping[str, Any]) -> list[str]:
    """Return the names of a checkpoint's classes (`architectures`), as torch's are called."""
    listed = config.get("architectures")
    return [re.sub(r"^(TF|Flax)(?=[A-Z])", "", str(name)) for name in listed] if isinstance(listed, list) else []


def _require_same_base(transformers: ModuleType, folder: Path, task: Task, config: Mapping[str, Any]) -> None:
    kind, names, foreign = str(config["model_type"]), class_names(config), _foreign(transformers, config)
    wanted, shared = _wanted(transformers, task, kind)
    if not names and not wanted:
        raise EngineError(
            f"The checkpoint {folder} is a {kind!a} model, which does not run for {task}.",
            hint=f"Its classes are {', '.join(_family(transformers, kind))}; give the task of one of them.",
        )
    if not names and not shared:
        family = _family(transformers, kind)
        raise EngineError(
            f"The checkpoint {folder} names no architecture; {kind!a} could be any of {', '.join(family)}.",
            hint=f'Name it in config.json, as in "architectures": ["{family[0]}"].',
        )
    itself = tasks.infer(names, config) == task and ARCHITECTURES.get(kind) is None
    for name in names:
        if name in wanted or (name not in foreign and (shared or itself)):
            continue
        if shared and getattr(transformers, name, None) is None:
            raise EngineError(
                f"The checkpoint {folder} is a {name!a}, a class that the installed transformers does not have; "
                f"for {kind!a} it has {wanted[0]}.",
                hint=f'If that class runs it, write "architectures": ["{wanted[0]}"] into config.json. {_ADOPT}',
            )
        own = tasks.infer([name], config)
        hint = _ADOPT if name in foreign or own == task else f'Load it for its own task: task="{own}".'
        raise EngineError(f"The checkpoint {folder} is a {name!a} ({kind!a}){_instead(task, wanted)}.", hint=hint)


def _instead(task: Task, wanted: Sequence[str]) -> str:
    return f"; {task} would load it as {wanted[0]}" if wanted else f", which does not run for {task}"


def _loader(transformers: ModuleType, task: Task, config: Mapping[str, Any]) -> str:
    """Return the class that loads a checkpoint: the auto class that has its own, its own, or one with another head."""
    kind, names = str(config["model_type"]), class_names(config)
    found = {auto: classes for auto in tasks.TASKS[task].auto if (classes := _entries(transformers, auto, kind))}
    named = [auto for auto, classes in found.items() if not {*names}.isdisjoint(classes)]
    itself = names if tasks.infer(names, config) == task else []
    others = [*found, *itself] if _wanted(transformers, task, kind)[1] else [*itself, *found]
    if task == "feature-extraction":  # a class without a name for its task may hold more than the base
        others = [*itself, *found]
    return [*named, *others][0]


def _wanted(transformers: ModuleType, task: Task, kind: str) -> tuple[tuple[str, ...], bool]:
    """Return the classes that load an architecture for a task, and whether they share its base with all others."""
    own = ARCHITECTURES.get(kind)
    if own is not None:
        return ((own.classes[task],) if task in own.classes else ()), task in own.classes
    wanted = [name for auto in tasks.TASKS[task].auto for name in _entries(transformers, auto, kind)]
    others = () if task in _WHOLE_BASE else _OTHER_BASES if task == "text-generation" else _ENCODER_DECODERS
    several = any(name not in wanted for auto in others for name in _entries(transformers, auto, kind))
    return tuple(dict.fromkeys(wanted)), bool(wanted) and not several


def _registered(folder: Path) -> Architecture | None:
    return ARCHITECTURES.get(str(read_configuration(folder).get("model_type") or ""))


def _family(transformers: ModuleType, kind: str) -> tuple[str, ...]:
    """Return the names of all classes of an architecture in the installed release."""
    own = ARCHITECTURES.get(kind)
    if own is not None:
        return (*([own.base] if own.base else []), *own.classes.values())
    mappings = vars(_mappings(transformers))
    listed = (names for name, names in mappings.items() if re.fullmatch(r"MODEL\w*_MAPPING_NAMES", name))
    return tuple(dict.fromkeys(name for names in listed for name in _names(names, kind)))


def _foreign(transformers: ModuleType, config: Mapping[str, Any]) -> list[str]:
    """Return the named classes that do not belong to the architecture."""
    kind = str(config["model_type"])
    family = _family(transformers, kind)
    return [name for name in class_names(config) if not _belongs_to(transformers, name, kind, family)]


def _belongs_to(transformers: ModuleType, name: str, kind: str, family: Sequence[str]) -> bool:
    """Return whether a class belongs to an architecture, even if no mapping lists it (GPT-2's double heads)."""
    if name in family:
        return True
    found = getattr(transformers, name, None) if name.isidentifier() else None
    return bool(getattr(getattr(found, "config_class", None), "model_type", None) == kind)


def _upgrade(config: Mapping[str, Any]) -> str:
    saved = config.get("transformers_version")
    which = (
        f"transformers {saved:.20}, which saved it, or a later one"
        if isinstance(saved, str)
        else "a release that has it"
    )
    return f"Install {which}. "


def _mappings(transformers: ModuleType) -> ModuleType:
    return import_module(f"{transformers.__name__}.models.auto.modeling_auto")


def _entries(transformers: ModuleType, auto: str, kind: str) -> tuple[str, ...]:
    """Return the classes that an auto class loads for an architecture; none if the release has no such auto class."""
    mapping = getattr(getattr(_mappings(transformers), auto, None), "_model_mapping", None)
    return _names(getattr(mapping, "_model_mapping", {}), kind)


def _names(mapping: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    names = mapping.get(kind, ())
    return (names,) if isinstance(names, str) else tuple(names)


def require_processor(transformers: ModuleType, folder: Path) -> None:
    """Refuse files of a processor that name a class of another kind: upstream would use any of its classes.

    Raises:
        CheckpointError: naming the file and the class.
    """
    for (name, field), kind in _CLASS_FIELDS.items():
        if is_file(folder / name) and (value := read_json_object(folder / name).get(field)) is not None:
            _require_class(transformers, folder / name, field, value, *kind)


def _require_class(
    transformers: ModuleType, file: Path, field: str, name: object, what: str, pattern: str, base: str
) -> None:
    if isinstance(name, str) and re.fullmatch(pattern, name, re.ASCII):
        found = getattr(transformers, name, None)
        # If a package is missing, the class is a placeholder that names the package.
        if found is None or type(found).__name__ == "DummyObject":
            return
        if isinstance(found, type) and base in (one.__name__ for one in found.__mro__):
            return
    raise CheckpointError(
        f"{file} sets {field} to {name!a:.80}, which is not a {what} of transformers.",
        hint=f"Save the {what} again: {what}.save_pretrained(folder).",
    )
