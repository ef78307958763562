"""Weights whose shapes are not the configuration's: what each release says of them, made one thing.

For `model`, inside this room.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_hfmodels.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterable

# A tensor's name, the shape in the checkpoint, and the one that the configuration says.
Misfit: TypeAlias = tuple[str, tuple[int, ...], tuple[int, ...]]


def misfits(model: Any, reported: Iterable[Any], source: object) -> list[Misfit]:
    """Return each misfit that loading reported.

    Args:
        model: what was built from the configuration.
        reported: `mismatched_keys` of the loading info: triples, or names alone from 4.50 to 4.57.
        source: what was loaded; a folder of safetensors still knows the shapes that those releases leave out.
    """
    found = []
    for entry in reported:
        if isinstance(entry, str):
            found.append((entry, _stored_shape(source, entry), tuple(model.state_dict()[entry].shape)))
        else:
            found.append((entry[0], tuple(entry[1]), tuple(entry[2])))
    return sorted(found)


def misfit_error(found: Iterable[Misfit], source: object) -> CheckpointError:
    """Return the error that names each misfit, expected and found."""
    shapes = [f"{name} (expected {list(wanted)}, found {list(stored) or 'another'})" for name, stored, wanted in found]
    return CheckpointError(
        f"The weights in {source} do not fit its configuration: {'; '.join(shapes)}.",
        hint="Load it with its own config.json; or pass ignore_mismatched_sizes=True for weights that mean nothing.",
    )


def _stored_shape(source: object, name: str) -> tuple[int, ...]:
    from safetensors import safe_open  # only for a checkpoint that does not fit

    for file in sorted(Path(str(source)).glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for stored in {name, name.removeprefix("transformer."), f"transformer.{name}"}.intersection(tensors.keys()):
                return tuple(tensors.get_slice(stored).get_shape())
    return ()
