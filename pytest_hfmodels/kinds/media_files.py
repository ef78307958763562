"""Reads images and sounds from files of the project. Imports NumPy, and Pillow for images."""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

_WIDTHS = {2: "<i2", 4: "<i4"}  # bytes per sample


def read_image(file: Path) -> Any:
    """Return an image file as an RGB image of PIL.

    Raises:
        EngineError: it cannot be read.
    """
    from PIL import Image  # image processors need it anyway

    try:
        with Image.open(file) as image:
            return image.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:  # Pillow's own is an OSError
        said = getattr(error, "strerror", None) or str(error)
        raise EngineError(f"{file} cannot be read: {said}.", hint="Give an image file, such as a PNG.") from error


def read_wav(file: Path) -> dict[str, Any]:
    """Return the samples of a WAV file as one channel in -1 to 1, and their sampling rate.

    Raises:
        EngineError: it cannot be read, or is compressed.
    """
    import numpy as np

    try:
        with wave.open(str(file)) as sound:
            width, channels, rate = sound.getsampwidth(), sound.getnchannels(), sound.getframerate()
            raw = sound.readframes(sound.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise EngineError(f"{file} cannot be read: {said}.", hint="Give an uncompressed WAV file (PCM).") from error
    if width not in _WIDTHS:
        raise EngineError(f"{file} has {8 * width}-bit samples.", hint="Give a WAV file of 16 or 32 bits per sample.")
    samples = np.frombuffer(raw, _WIDTHS[width]).reshape(-1, channels).mean(axis=1) / 2.0 ** (8 * width - 1)
    return {"array": samples.astype(np.float32), "sampling_rate": rate}
