"""Loads the tokenizer of a checkpoint, for `cache`. It imports transformers, so `cache` asks late."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from weakref import finalize

import transformers
from packaging.version import InvalidVersion, Version

from pytest_hfmodels.checkpoints import fill_private_copy, read_configuration, tokenizer_digest
from pytest_hfmodels.engines import architectures, upstream
from pytest_hfmodels.foundation.errors import CheckpointError, HFModelsError

if TYPE_CHECKING:
    from pytest_hfmodels.checkpoints import Checkpoint

_SAVE = "Save it beside the model: tokenizer.save_pretrained(folder)."


def load_tokenizer(checkpoint: Checkpoint, implementation: str) -> Any:
    """Return upstream's tokenizer of a checkpoint; see `LoadOptions` for `implementation`.

    Raises:
        CheckpointError: it has no tokenizer's files, or they cannot be read.
    """
    folder, said = checkpoint.folder, f"The tokenizer of {checkpoint.name} cannot be loaded from {checkpoint.folder}"
    if checkpoint.digests.tokenizer == tokenizer_digest({}):  # transformers 5 would make up an empty one
        raise CheckpointError(f"{said}: it has no tokenizer files.", hint=_SAVE)
    # The folder is kept as long as the tokenizer, which may copy its files when it is saved.
    private_copy = TemporaryDirectory(prefix="hfmodels-")
    try:
        loader = architectures.tokenizer_class(transformers, folder, implementation)
        fill_private_copy(folder, Path(private_copy.name))
        with upstream.quiet(), warnings.catch_warnings():
            # Some releases (4.44 for one) announce a coming default: advice on a call that is ours, not the test's.
            warnings.simplefilter("ignore", FutureWarning)
            tokenizer = loader.from_pretrained(private_copy.name, local_files_only=True, trust_remote_code=False)
            tokenizer("A word, 1 ä.")  # a broken normalizer fails only when it is used
    except BaseException as error:
        private_copy.cleanup()
        # Our own errors are clear already, and Ctrl-C is not the tokenizer's fault; a panic of its Rust code is, whose
        # class is not an Exception and cannot be imported.
        panic = type(error).__name__ == "PanicException"
        if isinstance(error, HFModelsError) or not (isinstance(error, Exception) or panic):
            raise
        raise CheckpointError(f"{said}: {upstream.error_text(error)}", hint=_hint_for_newer(folder) or _SAVE) from error
    finalize(tokenizer, private_copy.cleanup)
    upstream.set_checkpoint_name(tokenizer, folder)
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
