"""How arrays are stored: a few numbers in the snapshot itself, more in one safetensors file beside it.

The snapshot describes that file completely, so that reading takes nothing from it but numbers. NumPy is imported late.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.kinds.arrays import STORED, Array, in_memory, refused
from pytest_hfmodels.kinds.layout import rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

MADE_BY = b'{"__metadata__":{"made_by":"pytest-hfmodels"}'  # what our files begin with, after the length


def array_tables(arrays: Mapping[str, Array]) -> list[dict[str, Any]]:
    """Return what a snapshot says of its arrays."""
    return [
        {
            "name": name,
            "dtype": array.dtype,
            "shape": list(array.shape),
            "norm": rounded(array.norm),
            "projection": rounded(array.projection),
            **({"values": _rows(array)} if array.is_inline else {}),
        }
        for name, array in arrays.items()
    ]


def array_file(arrays: Mapping[str, Array]) -> bytes | None:
    """Return the content of the file beside a snapshot, or None where every array is in the snapshot."""
    beside = {name: array for name, array in arrays.items() if not array.is_inline}
    if not beside:
        return None
    raw = (_narrowed(array).tobytes() for array in beside.values())
    return b"".join((_header([(name, array.dtype, array.shape) for name, array in beside.items()]), *raw))


def inline_array(dtype: str, shape: tuple[int, ...], norm: float, projection: float, values: Sequence[Any]) -> Array:
    """Return an array whose numbers stand in the snapshot.

    Raises:
        ValueError: they do not have the shape or the dtype.
    """
    flat = [number for row in values for number in (row if isinstance(row, list) else [row])]
    if len(flat) != math.prod(shape):
        raise ValueError(f"there are {len(flat)} numbers, but the shape has {math.prod(shape)}")
    wanted: tuple[type, ...] = (bool,) if dtype == "bool" else (int,) if "int" in dtype else (int, float)
    if not all(isinstance(one, wanted) and isinstance(one, bool) == (dtype == "bool") for one in flat):
        raise ValueError(f"they are not all of the dtype {dtype}")
    if "int" in dtype and not all(_fits(one, dtype) for one in flat):
        raise ValueError(f"a number is beyond the dtype {dtype}")

    def read() -> NDArray[Any]:
        import numpy as np

        return np.asarray(flat, in_memory(dtype)).reshape(shape)

    return Array(dtype, shape, norm, projection, read)


def _fits(number: int, dtype: str) -> bool:
    bits = int(dtype.removeprefix("u").removeprefix("int"))
    return 0 <= number < 1 << bits if dtype.startswith("u") else -(1 << bits - 1) <= number < 1 << bits - 1


def beside_arrays(
    described: Sequence[tuple[str, str, tuple[int, ...], float, float]], content: Callable[[], bytes]
) -> Iterator[tuple[str, Array]]:
    """Yield the arrays of the file beside a snapshot by their names.

    Args:
        described: what the snapshot says of each in the file's order: name, dtype, shape, norm, projection.
        content: returns the file, once its numbers are wanted.
    """
    header = _header([(name, dtype, shape) for name, dtype, shape, _, _ in described])
    total = len(header) + sum(_bytes_of(dtype, shape) for _, dtype, shape, _, _ in described)
    start = len(header)
    for name, dtype, shape, norm, projection in described:
        yield name, Array(dtype, shape, norm, projection, _reader(content, header, total, start, dtype, shape))
        start += _bytes_of(dtype, shape)


def _reader(
    content: Callable[[], bytes], header: bytes, total: int, start: int, dtype: str, shape: tuple[int, ...]
) -> Callable[[], NDArray[Any]]:
    def read() -> NDArray[Any]:
        import numpy as np

        raw = content()
        if len(raw) != total or not raw.startswith(header):
            raise refused("The array file does not hold the arrays that its snapshot lists", "Restore both from git.")
        found: NDArray[Any] = np.frombuffer(raw, STORED[dtype][1], math.prod(shape), start)
        if dtype == "bfloat16":
            found = (found.astype("<u4") << 16).view("<f4")
        return found.reshape(shape)

    return read


def _narrowed(array: Array) -> NDArray[Any]:
    if array.dtype != "bfloat16":
        return array.values
    return (array.values.view("<u4") >> 16).astype("<u2")


def _bytes_of(dtype: str, shape: tuple[int, ...]) -> int:
    code = STORED[dtype][1]
    return math.prod(shape) * (1 if code == "?" else int(code[-1]))


def _header(described: Sequence[tuple[str, str, tuple[int, ...]]]) -> bytes:
    """Return the start of a safetensors file: the length of the JSON after it, and the JSON, filled up to 8 bytes."""
    entries, start = {}, 0
    for name, dtype, shape in described:
        stop = start + _bytes_of(dtype, shape)
        entries[name] = {"dtype": STORED[dtype][0], "shape": list(shape), "data_offsets": [start, stop]}
        start = stop
    text = b"%s,%s" % (MADE_BY, json.dumps(entries, separators=(",", ":"))[1:].encode())
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _rows(array: Array) -> list[Any]:
    """Return the numbers of a small array for a snapshot: a row of the last axis in a line."""
    flat = array.values.astype("f8") if array.dtype in ("float16", "bfloat16") else array.values
    numbers = [rounded(one) if "float64" not in array.dtype else one for one in flat.reshape(-1).tolist()]
    if len(array.shape) < 2 or not numbers:
        return numbers
    width = array.shape[-1]
    return [numbers[start : start + width] for start in range(0, len(numbers), width)]
