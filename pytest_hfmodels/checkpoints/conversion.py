"""Pickles, read without running what they hold, kept as safetensors and text in our cache.

They are PyTorch's `.bin` weights, and the `vocab.pkl` of a published Transformer-XL, which
`transfo_xl.vocabulary` reads: it stands on nothing but the standard library. For `checkpoint`, inside this room.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hfmodels.checkpoints import folders, weights
from pytest_hfmodels.errors import CheckpointError

if TYPE_CHECKING:
    import torch

CACHE_VARIABLE = "PYTEST_HFMODELS_CACHE"
_CONVERSION = "conversion 1"  # raise it when the same files have to be converted differently
# Before 2.6, torch's weights-only reader could be made to run code (CVE-2025-32434).
_SAFE_TORCH = (2, 6)
_CHUNK = 1 << 20


def safe_folder(folder: Path) -> Path:
    """Return the folder itself if nothing that is read from it is a pickle, else our converted copy of it.

    The copy is found by the content of the files it is made from, and made once.

    Raises:
        CheckpointError: weights are missing, weights hold anything but tensors, or a vocabulary
            anything but words; nothing of them ran.
    """
    sources = _Sources.of(folder)
    if sources.form is folders.SAFETENSORS and sources.vocabulary is None:
        return folder
    target = cache_folder() / "converted" / _content_key(sources.all)
    if _is_whole(target):
        return target
    try:
        _convert(sources, target)
    except OSError as error:
        raise CheckpointError(
            f"the converted checkpoint cannot be kept in {target.parent}: {error}.",
            hint=f"Set {CACHE_VARIABLE} to a folder that can be written to.",
        ) from error
    return target


def cache_folder() -> Path:
    """Return the plugin's own cache: `PYTEST_HFMODELS_CACHE`, else the user's cache folder."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    # Needed for a conversion only.
    from platformdirs import user_cache_path

    return user_cache_path("pytest-hfmodels", appauthor=False)


@dataclass(frozen=True)
class _Sources:
    """The files that a copy is made from."""

    form: folders.WeightFormat
    weights: tuple[Path, ...]
    sidecars: tuple[Path, ...]
    vocabulary: Path | None  # a pickle

    @classmethod
    def of(cls, folder: Path) -> _Sources:
        form = folders.weight_format(folder)
        pickled = folders.has_pickled_vocabulary(folder, {path.name for path in folder.iterdir() if path.is_file()})
        return cls(
            form,
            folders.weight_files(folder, form),
            tuple(folders.sidecar_files(folder)),
            folder / folders.PICKLED_VOCABULARY if pickled else None,
        )

    @property
    def all(self) -> tuple[Path, ...]:
        return (*self.weights, *self.sidecars, *([self.vocabulary] if self.vocabulary else []))


def _convert(sources: _Sources, target: Path) -> None:
    # Needed for a conversion only.
    from filelock import FileLock

    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if _is_whole(target):  # another process made it while this one waited
            return
        shutil.rmtree(target, ignore_errors=True)
        building = Path(tempfile.mkdtemp(dir=target.parent, prefix=".building-"))
        try:
            for path in sources.sidecars:
                shutil.copyfile(path, building / path.name)
            if sources.vocabulary is not None:
                _keep_words(sources.vocabulary, building)
            _keep_weights(sources, building)
            building.replace(target)
        finally:
            shutil.rmtree(building, ignore_errors=True)


def _keep_words(pickled: Path, building: Path) -> None:
    """Write a vocabulary as text; where there is text already, the pickle is not even read, as by our tokenizer."""
    # Only a Transformer-XL has one.
    from pytest_hfmodels.transfo_xl.vocabulary import JSON_FILE, TEXT_FILE, read_vocabulary, write_vocabulary

    if not any((building / name).is_file() for name in (TEXT_FILE, JSON_FILE)):
        write_vocabulary(read_vocabulary(pickled), building)


def _keep_weights(sources: _Sources, building: Path) -> None:
    if sources.form is folders.PICKLED:
        _write_safetensors(_read_all(sources.weights), building / folders.SAFETENSORS.single)
        return
    for path in sources.weights:
        shutil.copyfile(path, building / path.name)
    if sources.weights[0].name != folders.SAFETENSORS.single:
        index = sources.weights[0].with_name(folders.SAFETENSORS.index)
        shutil.copyfile(index, building / index.name)


def _read_all(sources: tuple[Path, ...]) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for path in sources:
        _gather(_load_weights_only(path), "", path, tensors)
    if not tensors:
        raise CheckpointError(f"{sources[0]} holds no tensors.", hint=folders.SAVE_AGAIN)
    return tensors


def _load_weights_only(path: Path) -> object:
    _check_torch(path)
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    # The reader fails in as many ways as a damaged or hostile file can be built.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "")
        raise CheckpointError(
            f"{path} was refused, and nothing in it was run: torch's weights-only reader cannot "
            f"read it ({type(error).__name__}: {reason}).",
            hint=f"Get it again from where you trust it. {folders.SAVE_AGAIN}",
        ) from error


def _check_torch(path: Path) -> None:
    try:
        # Seconds to import, and needed for .bin weights only.
        import torch
    except ImportError as error:
        raise CheckpointError(
            f"{path} can only be read with torch, which cannot be imported ({error}).",
            hint=f"Install torch. Or, where it is installed: {folders.SAVE_AGAIN}",
        ) from error
    release = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if release < _SAFE_TORCH:
        raise CheckpointError(
            f"{path} was not read: torch {torch.__version__} has no weights-only reader that is "
            "safe from files that run code.",
            hint=f"Install torch>=2.6. Or: {folders.SAVE_AGAIN}",
        )


def _gather(value: object, prefix: str, path: Path, tensors: dict[str, torch.Tensor]) -> None:
    import torch

    if isinstance(value, torch.Tensor) and prefix:
        if prefix in tensors:
            raise CheckpointError(f"{path} has a second {prefix!r}.", hint=folders.SAVE_AGAIN)
        tensors[prefix] = _plain(value, prefix, path)
    elif isinstance(value, dict) and all(isinstance(key, str) for key in value):
        for key, item in value.items():
            _gather(item, f"{prefix}.{key}" if prefix else key, path, tensors)
    else:
        raise CheckpointError(
            f"{path} was refused: {prefix or 'its content'} is a {type(value).__name__}, and only "
            "named tensors are read.",
            hint=folders.SAVE_AGAIN,
        )


def _plain(tensor: torch.Tensor, name: str, path: Path) -> torch.Tensor:
    import torch

    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
        raise CheckpointError(
            f"{path} was refused: {name!r} is a sparse, quantized or empty tensor.",
            hint="Save the model with dense float weights.",
        )
    # safetensors refuses shared memory, and tied weights share theirs: each name gets its own.
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def _write_safetensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        # transformers reads no safetensors file that does not say which framework wrote it.
        save_file(tensors, path, metadata={"format": "pt"})
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"its weights cannot be kept as safetensors: {error}.", hint=folders.SAVE_AGAIN
        ) from error


def _is_whole(target: Path) -> bool:
    try:
        weights.weight_files(target)
    except (CheckpointError, OSError):
        return False
    return True


def _content_key(paths: tuple[Path, ...]) -> str:
    digest = hashlib.sha256(_CONVERSION.encode())
    for path in paths:
        digest.update(f"\n{path.name} {path.stat().st_size}\n".encode())
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()
