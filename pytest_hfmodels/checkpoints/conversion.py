"""Converts what is not safetensors in our cache, without running what it holds.

That is PyTorch's `.bin` weights, the `vocab.pkl` of a published Transformer-XL, and GGUF files. For `checkpoint`, and
`cache_folder` for `versions`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hfmodels.checkpoints import folders, weights
from pytest_hfmodels.foundation.errors import CheckpointError
from pytest_hfmodels.foundation.files import expanded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

CACHE_VARIABLE = "PYTEST_HFMODELS_CACHE"
_CONVERSION = "conversion 2"  # raise it when the same files have to be converted differently
# Before 2.6, torch's weights-only reader could be made to run code (CVE-2025-32434).
_SAFE_TORCH = (2, 6)


def safe_folder(folder: Path) -> Path:
    """Return the folder itself if nothing that is read from it is a pickle, else our converted copy of it.

    The copy is found by the content of the files it is made from, and made once.

    Raises:
        CheckpointError: weights are missing, weights hold anything but tensors, or a vocabulary anything but words;
            nothing of them ran.
    """
    names = folders.file_names(folder)
    form = folders.weight_format(names, folder)
    files = folders.weight_files(folder, form)
    pickled = folder / folders.PICKLED_WORDS if folders.has_pickled_words(folder, names) else None
    if form is folders.SAFETENSORS and pickled is None:
        return folder
    sidecars = folders.read_sidecars(folder) | folders.read_sidecars(folder, folders.modules(folder))
    if card := folders.read_card(folder):
        sidecars[folders.MODEL_CARD] = card
    target = cache_folder() / "converted" / _content_key([*files, *([pickled] if pickled else [])], sidecars)
    try:
        _convert(target, sidecars, files, pickled)
    except OSError as error:
        raise CheckpointError(
            f"the converted checkpoint cannot be written to {target.parent}: {error}.",
            hint=f"Set {CACHE_VARIABLE} to a folder that can be written to.",
        ) from error
    return target


def gguf_folder(file: Path) -> tuple[Path, str]:
    """Return a folder of safetensors with what the installed transformers reads from a GGUF file, and its digest.

    Made once a release, because reading the file is a part of the library that can change.

    Raises:
        CheckpointError: it cannot be read.
    """
    import transformers

    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    target = cache_folder() / "converted" / f"{digest}-gguf-{transformers.__version__}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with _whole(target) as building:
        if building is not None:
            _read_gguf(file, building)
    return target, f"sha256:{digest}"


def _read_gguf(file: Path, building: Path) -> None:
    import transformers

    auto = {"local_files_only": True, "trust_remote_code": False, "gguf_file": "model.gguf"}
    with tempfile.TemporaryDirectory(prefix="hfmodels-") as alone:  # upstream looks at the files beside it, too
        Path(alone, "model.gguf").symlink_to(file.resolve())
        try:
            model = transformers.AutoModelForCausalLM.from_pretrained(alone, **auto)
            config = {**model.config.to_diff_dict(), "architectures": [type(model).__name__]}
            config.pop("quantization_config", None)  # upstream has turned all weights into floats
            (building / folders.CONFIG).write_text(json.dumps(config, default=str), encoding="utf-8")
            _write_safetensors(model.state_dict(), building / folders.SAFETENSORS.single)
            transformers.AutoTokenizer.from_pretrained(alone, **auto).save_pretrained(str(building))
        except Exception as error:  # upstream and gguf raise any kind of exception
            reason = next(iter(str(error).splitlines()), "")
            raise CheckpointError(
                f"transformers {transformers.__version__} cannot read {file} ({type(error).__name__}: {reason:.300}).",
                hint="Run: pip install gguf accelerate"
                if isinstance(error, ImportError)
                else f"Name the folder that it was made from. {folders.SAVE_AGAIN}",
            ) from error


def cache_folder() -> Path:
    """Return the plugin's own cache: `PYTEST_HFMODELS_CACHE`, else the user's cache folder."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return expanded(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("pytest-hfmodels", appauthor=False)


def _convert(target: Path, sidecars: dict[str, bytes], files: tuple[Path, ...], pickled: Path | None) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with _whole(target) as building:
        if building is None:
            return
        for name, content in sidecars.items():
            (building / name).parent.mkdir(exist_ok=True)
            (building / name).write_bytes(content)
        # Where there is text already, the pickle is not even read, as by our tokenizer.
        if pickled is not None and sidecars.keys().isdisjoint({"vocab.txt", "vocab.json"}):
            from pytest_hfmodels.checkpoints.pickled_words import read_pickled_words, write_words

            write_words(read_pickled_words(pickled), building)
        if files[0].suffix == ".bin":
            _write_safetensors(_read_bins(files), building / folders.SAFETENSORS.single)
        else:
            for file in files:
                shutil.copyfile(file, building / file.name)


@contextmanager
def _whole(target: Path) -> Iterator[Path | None]:
    """Give the folder to build `target` in, which takes its place after the block; None if it is there already."""
    from filelock import FileLock  # an engine brings it, and platformdirs

    with FileLock(f"{target}.lock"):
        if _is_whole(target):
            yield None
            return
        shutil.rmtree(target, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as building:
            yield Path(building)
            Path(building).replace(target)


def _read_bins(files: Sequence[Path]) -> dict[str, torch.Tensor]:
    # Seconds to import, and needed for .bin weights only.
    import torch

    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < _SAFE_TORCH:
        raise CheckpointError(
            f"{files[0]} was not read: torch {torch.__version__} has no weights-only reader that is safe against files "
            "that run code.",
            hint=f"Install torch>=2.6. Or: {folders.SAVE_AGAIN}",
        )
    tensors: dict[str, torch.Tensor] = {}
    for file in files:
        try:
            found = torch.load(file, map_location="cpu", weights_only=True)
        # The reader fails in as many ways as a damaged or hostile file can be built.
        except Exception as error:
            reason = next(iter(str(error).splitlines()), "")
            raise CheckpointError(
                f"{file} was refused, and nothing in it was run: torch's weights-only reader cannot "
                f"read it ({type(error).__name__}: {reason}).",
                hint=f"Get it again from where you trust it. {folders.SAVE_AGAIN}",
            ) from error
        if not (isinstance(found, dict) and found and all(isinstance(value, torch.Tensor) for value in found.values())):
            raise CheckpointError(
                f"{file} was refused: it holds something other than named tensors.", hint=folders.SAVE_AGAIN
            )
        tensors |= found
    return tensors


def _write_safetensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        # safetensors refuses shared and transposed memory, and tied weights share theirs: each name gets its own.
        own = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
        # transformers reads no safetensors file that does not say which framework wrote it.
        save_file(own, path, metadata={"format": "pt"})
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:  # sparse, quantized, no name
        raise CheckpointError(
            f"its weights cannot be saved as safetensors: {error}.", hint="Save the model with dense float weights."
        ) from error


def _is_whole(target: Path) -> bool:
    try:
        weights.stored_headers(target)
    except (CheckpointError, OSError):
        return False
    return True


def _content_key(files: Sequence[Path], sidecars: dict[str, bytes]) -> str:
    digest = hashlib.sha256(_CONVERSION.encode())
    for file in files:
        with file.open("rb") as content:
            digest.update(f"\n{file.name} ".encode() + hashlib.file_digest(content, "sha256").digest())
    for name, text in sidecars.items():
        digest.update(f"\n{name} ".encode() + hashlib.sha256(text).digest())
    return digest.hexdigest()
