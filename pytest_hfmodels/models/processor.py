"""Loads the processor of a checkpoint, for `cache`. It imports transformers, so `cache` asks late."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from weakref import finalize

import transformers
from packaging.version import InvalidVersion, Version

from pytest_hfmodels.checkpoints import fill_private_copy, read_configuration, tokenizer_digest
from pytest_hfmodels.checkpoints.folders import PREPROCESSOR_FILES, is_file, read_json_object
from pytest_hfmodels.engines import architectures, upstream
from pytest_hfmodels.foundation.errors import CheckpointError, HFModelsError
from pytest_hfmodels.models.fingerprint import tokenizer_of

if TYPE_CHECKING:
    from pytest_hfmodels.checkpoints import Checkpoint

_INSTALL = "Install the library that it names."
_SAVE = "Save it beside the model: {}.save_pretrained(folder)."


def load_processor(checkpoint: Checkpoint, implementation: str) -> Any | None:
    """Return upstream's processor: a tokenizer, an image processor, a feature extractor, or a joint one.

    Args:
        checkpoint: whose.
        implementation: see `LoadOptions`.

    Returns:
        None for a checkpoint without the files of any.

    Raises:
        CheckpointError: they cannot be read.
    """
    folder = checkpoint.processor_folder
    has_tokenizer = checkpoint.digests.tokenizer != tokenizer_digest({})  # transformers 5 would make up an empty one
    if not has_tokenizer and not checkpoint.digests.preprocessor:
        return None
    name = "processor" if checkpoint.digests.preprocessor else "tokenizer"
    # The folder is kept as long as the processor, which may copy its files when it is saved.
    private_copy = TemporaryDirectory(prefix="hfmodels-")
    try:
        fill_private_copy(checkpoint.folder, Path(private_copy.name), processor=folder)
        with upstream.quiet(), warnings.catch_warnings():
            architectures.require_processor(transformers, folder)
            loader = _loader(checkpoint, implementation, has_tokenizer=has_tokenizer)
            # Some releases (4.44 for one) announce a coming default: advice on a call that is ours, not the test's.
            warnings.simplefilter("ignore", FutureWarning)
            processor = loader.from_pretrained(private_copy.name, local_files_only=True, trust_remote_code=False)
            if has_tokenizer and tokenizer_of(processor) in (None, processor):
                processor = _join_processor(checkpoint, private_copy.name, processor, implementation)
            if (tokenizer := tokenizer_of(processor)) is not None:
                tokenizer("A word, 1 ä.")  # a broken normalizer fails only when it is used
    except BaseException as error:
        private_copy.cleanup()
        # Our own errors are clear already, and Ctrl-C is not the tokenizer's fault; a panic of its Rust code is, whose
        # class is not an Exception and cannot be imported.
        panic = type(error).__name__ == "PanicException"
        if isinstance(error, HFModelsError) or not (isinstance(error, Exception) or panic):
            raise
        said = f"The {name} of {checkpoint.name} cannot be loaded from {folder}"
        reason = upstream.error_text(error).replace(private_copy.name, str(folder))
        missing = upstream.is_missing_library(error)
        hint = _INSTALL if missing else _hint_for_newer(checkpoint.folder) or _SAVE.format(name)
        raise CheckpointError(f"{said}: {reason}", hint=hint) from error
    finalize(processor, private_copy.cleanup)
    for part in (processor, *vars(processor).values()):
        upstream.set_checkpoint_name(part, folder)
    return processor


def _loader(checkpoint: Checkpoint, implementation: str, *, has_tokenizer: bool) -> Any:
    folder = checkpoint.folder
    if not checkpoint.digests.preprocessor:
        return architectures.tokenizer_class(transformers, folder, implementation)
    if has_tokenizer:
        return transformers.AutoProcessor
    # A joint processor would insist on its tokenizer.
    file = folder / PREPROCESSOR_FILES[0]
    hears = is_file(file) and "sampling_rate" in read_json_object(file)
    return transformers.AutoFeatureExtractor if hears else transformers.AutoImageProcessor


# For these, AutoProcessor returns the tokenizer alone, or the other part if the tokenizer cannot be loaded.
_JOINT_PROCESSORS = {
    "vision-encoder-decoder": ("AutoImageProcessor", "TrOCRProcessor"),
    "speech-encoder-decoder": ("AutoFeatureExtractor", "Wav2Vec2Processor"),
}


def _join_processor(checkpoint: Checkpoint, folder: str, found: Any, implementation: str) -> Any:
    """Return the tokenizer and the image processor or feature extractor as one; `found` for other models.

    If the joint class refuses the feature extractor, this is the tokenizer alone.
    """
    names = _JOINT_PROCESSORS.get(str(read_configuration(checkpoint.folder).get("model_type")))
    if names is None or not checkpoint.digests.preprocessor:
        return found
    local = {"local_files_only": True, "trust_remote_code": False}
    part, joint = (getattr(transformers, name) for name in names)
    loader = architectures.tokenizer_class(transformers, checkpoint.folder, implementation)
    tokenizer = loader.from_pretrained(folder, **local)
    try:
        return joint(part.from_pretrained(folder, **local), tokenizer)
    except TypeError:  # before transformers 5, Wav2Vec2Processor takes only a Wav2Vec2FeatureExtractor
        return tokenizer


def _hint_for_newer(folder: Path) -> str | None:
    """Return a hint for files that a later release saved; None if the installed release is not older."""
    saved, installed = read_configuration(folder).get("transformers_version"), transformers.__version__
    try:
        if not isinstance(saved, str) or Version(saved) <= Version(installed):
            return None
    except InvalidVersion:
        return None
    return f"transformers {saved} saved it, but {installed} is installed. Upgrade, or save it again with {installed}."
