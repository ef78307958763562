"""How an array or tensor of any library is recorded and compared. NumPy is imported late, where it computes.

`array_storage` says how it is stored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.kinds.comparison import Detail, Difference, Passage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from pytest_hfmodels.kinds.tolerance import Tolerance

INLINE = 64  # numbers that stand in the snapshot itself
_CHUNK = 1 << 20  # numbers that are compared at once, so that a large array needs little memory more
_ROUNDED = 1e-8  # a figure in a snapshot has nine digits
# By the name of a dtype: its name in a safetensors file, and NumPy's for the bytes there.
STORED = {
    "bool": ("BOOL", "?"),
    **{f"{sign}int{bits}": (f"{sign[:1].upper() or 'I'}{bits}", f"<{sign[:1] or 'i'}{bits // 8}")
       for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": (f"F{bits}", f"<f{bits // 8}") for bits in (16, 32, 64)},
    "bfloat16": ("BF16", "<u2"),
    **dict.fromkeys(("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"), ("F32", "<f4")),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Array:
    """An array of numbers, in the C order.

    Args:
        dtype: of the array that the test had, such as `float32` or `bfloat16`.
        shape: its shape; () for a single number.
        norm: the Euclidean norm.
        projection: the scalar product with a fixed direction; swapped numbers move it.
        read: returns the numbers. `bfloat16` and the dtypes of 8 bits are widened to float32, which is exact.
    """

    dtype: str
    shape: tuple[int, ...]
    norm: float
    projection: float
    read: Callable[[], NDArray[Any]]

    @classmethod
    def of(cls, value: Any, what: str) -> Array:
        """Describe an array or tensor of any library.

        Args:
            value: of NumPy, torch or TensorFlow, or anything with `__array__` or `__array_interface__`. It is copied.
            what: its name, for messages.

        Raises:
            SnapshotError: it holds NaN or something else than real numbers, or it is sparse, quantised or masked.
        """
        import numpy as np

        dtype, values = _as_numpy(value, what)
        if values.dtype.kind == "f" and np.isnan(values).any():
            place = _place(values.shape, int(np.isnan(values).argmax()))
            raise refused(f"{what}{place} is NaN, which equals nothing, so no snapshot can hold it", "Find out why.")
        return cls(dtype, values.shape, *_figures(values), lambda: values)

    @cached_property
    def values(self) -> NDArray[Any]:
        """The numbers, with the array's shape.

        Raises:
            SnapshotError: the file beside the snapshot is not the one that the snapshot describes.
        """
        return self.read()

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def is_exact(self) -> bool:
        """Whether its numbers are integers or truth values."""
        return "float" not in self.dtype

    @cached_property
    def is_inline(self) -> bool:
        """Whether its numbers stand in the snapshot: few, and none beyond TOML's integers."""
        return self.size <= INLINE and not (self.dtype == "uint64" and self.size and int(self.values.max()) >> 63)

    def __eq__(self, other: object) -> bool:
        """Return whether both have the same dtype, shape and bytes."""
        if not isinstance(other, Array) or (self.dtype, self.shape) != (other.dtype, other.shape):
            return False
        return self.values.tobytes() == other.values.tobytes()

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        sizes = " x ".join(map(str, self.shape))
        return f"{self.dtype}{f' {sizes}' if sizes else ''}, norm {self.norm:.6g}, projection {self.projection:.6g}"


def is_array(value: object) -> bool:
    """Return whether a value is an array or a tensor; a NumPy scalar is neither."""
    if isinstance(value, type):
        return False
    return any(hasattr(value, name) for name in ("__array__", "__array_interface__")) and not is_scalar(value)


def differences(
    recorded: Mapping[str, Array], observed: Mapping[str, Array], tolerance: Tolerance
) -> tuple[float, list[Difference], float]:
    """Return the largest movement, a difference for each array that is not as recorded, and the least allowed there."""
    largest, found, least = 0.0, [], math.inf
    for name in {**recorded, **observed}:
        before, now = recorded.get(name), observed.get(name)
        if before is None or now is None:
            sides = [str(side or "nothing") for side in (before, now)]
            found.append(Difference("structure", name, sides[0], sides[1]))
        elif (before.dtype, before.shape) != (now.dtype, now.shape):
            found += [
                Difference("structure", f"{part} of {name}", getattr(before, part), getattr(now, part))
                for part in ("dtype", "shape")
                if getattr(before, part) != getattr(now, part)
            ]
        else:
            allowed = tolerance if before.is_exact else tolerance.at(_size(before))
            moved, difference = _compared(name, before, now, allowed)
            largest = moved if not moved <= largest else largest  # NaN stays
            own = _edited_figures(name, before, tolerance) if difference is None else [difference]
            found += own
            least = min(least, allowed.absolute) if own else least
    return largest, found, least


def settled(recorded: Mapping[str, Array], observed: Mapping[str, Array], tolerance: Tolerance) -> dict[str, Array]:
    """Return the observed arrays; each that is kept in a file and within the tolerance is the recorded one."""
    return {
        name: recorded[name]
        if name in recorded
        and not array.is_inline
        and not differences({name: recorded[name]}, {name: array}, tolerance)[1]
        else array
        for name, array in observed.items()
    }


def is_recordable(dtype: str) -> bool:
    """Return whether arrays of a dtype can be recorded."""
    return dtype in STORED


def _as_numpy(value: Any, what: str) -> tuple[str, NDArray[Any]]:
    """Return the dtype of an array, and a copy of its numbers."""
    import numpy as np

    if hasattr(value, "detach"):
        dtype, found = _of_torch(value, what)
    else:
        if type(value).__name__ in ("SparseTensor", "RaggedTensor", "MaskedArray"):
            raise refused(f"{what} is a {type(value).__name__}", "Record an ordinary array made from it.")
        try:
            found = np.asarray(value)
        except Exception as error:  # whatever a library raises
            raise refused(f"{what} ({type(value).__name__}) gives no array: {error}", "Convert it to NumPy.") from error
        dtype = found.dtype.name
    if not is_recordable(dtype):
        raise _not_real(what, dtype)
    copied = np.array(found, in_memory(dtype), order="C")
    copied.flags.writeable = False
    return dtype, copied


def _of_torch(tensor: Any, what: str) -> tuple[str, NDArray[Any]]:
    dtype, layout = str(tensor.dtype).removeprefix("torch."), str(tensor.layout).removeprefix("torch.")
    if layout != "strided" or tensor.is_quantized or tensor.is_meta:
        word = "quantised" if tensor.is_quantized else "without numbers (meta)" if tensor.is_meta else layout
        raise refused(f"{what} is a tensor that is {word}", "Record .dequantize() or .to_dense() of it.")
    if not is_recordable(dtype):
        raise _not_real(what, dtype)
    plain = tensor.detach().cpu().resolve_neg()
    return dtype, (plain.float() if "float" in dtype and in_memory(dtype) == "<f4" else plain).numpy()


def is_scalar(value: object) -> bool:
    """Return whether a value is one of NumPy's scalars, without importing NumPy."""
    return any(base.__module__ == "numpy" and base.__name__ == "generic" for base in type(value).__mro__)


def in_memory(dtype: str) -> str:
    """Return NumPy's code of the dtype that the numbers of an array have in memory."""
    return "<f4" if dtype == "bfloat16" else STORED[dtype][1]


def _figures(values: NDArray[Any]) -> tuple[float, float]:
    """Return the norm, and the scalar product with sqrt(2 / n) cos k for k from 1 to n."""
    import numpy as np

    flat, squares, product = values.reshape(-1), 0.0, 0.0
    with np.errstate(all="ignore"):  # infinities give infinity or NaN, which is what they are
        for start in range(0, flat.size, _CHUNK):
            part = flat[start : start + _CHUNK].astype(np.float64)
            squares += float(part @ part)
            product += float(part @ np.cos(np.arange(start + 1, start + 1 + part.size)))
    return math.sqrt(squares), product * math.sqrt(2 / max(1, flat.size))


def _size(array: Array) -> float:
    """Return the size of the largest finite number."""
    import numpy as np

    flat = np.abs(array.values.reshape(-1))
    return float(flat.max(where=np.isfinite(flat), initial=0.0))


def _compared(name: str, before: Array, now: Array, tolerance: Tolerance) -> tuple[float, Difference | None]:
    """Return how far the numbers of two arrays of one shape moved, and where the first is that is not as recorded."""
    import numpy as np

    then, here = before.values.reshape(-1), now.values.reshape(-1)
    largest, at, first, count = 0.0, 0, None, 0
    for start in range(0, then.size, _CHUNK):
        sides = then[start : start + _CHUNK], here[start : start + _CHUNK]
        if before.is_exact:
            moved, beyond = np.zeros(1), sides[0] != sides[1]
        else:
            moved, beyond = _moved(*sides, tolerance)
        if not moved.max() <= largest:
            largest, at = float(moved.max()), start + int(moved.argmax())
        count += int(beyond.sum())
        if first is None and beyond.any():
            first = start + int(beyond.argmax())
    if first is None:
        return largest, None
    figure = f"{count:,} of {then.size:,} numbers differ" + ("" if before.is_exact else " by more than the tolerance")
    if not before.is_exact:
        figure += f"; the largest movement is {largest:.3g}, at {name}{_place(before.shape, at)}"
    what, values = f"{name}{_place(before.shape, first)}", (then[first].item(), here[first].item())
    shown = [Passage("", f"{value:.9g}" if isinstance(value, float) else str(value)) for value in values]
    detail = Detail(shown[0], shown[1], title=what, figures=(figure,))
    return largest, Difference("labels" if before.is_exact else "numbers", what, *values, detail=detail)


def largest(recorded: Mapping[str, Array], observed: Mapping[str, Array]) -> Difference | None:
    """Return the number that moved most, of arrays whose shape is unchanged; None if no number moved."""
    found: list[tuple[float, Difference]] = []
    for name, before in recorded.items():
        now = observed.get(name)
        if now is None or before.is_exact or before.shape != now.shape or not before.size:
            continue
        then, here = before.values.reshape(-1), now.values.reshape(-1)
        moved, at = _furthest(then, here)
        sides = then[at].item(), here[at].item()
        found.append((moved, Difference("numbers", f"{name}{_place(before.shape, at)}", *sides)))
    return max(found, key=lambda one: math.inf if math.isnan(one[0]) else one[0], default=(0.0, None))[1]


def _furthest(then: NDArray[Any], here: NDArray[Any]) -> tuple[float, int]:
    """Return the largest movement, where NaN counts as the largest, and its place."""
    most, place = 0.0, 0
    for start in range(0, then.size, _CHUNK):
        moved = _movement(then[start : start + _CHUNK], here[start : start + _CHUNK])
        at = int(moved.argmax())  # the first NaN, if there is one
        if not (math.isnan(most) or moved[at] <= most):
            most, place = float(moved[at]), start + at
    return most, place


def _edited_figures(name: str, recorded: Array, tolerance: Tolerance) -> list[Difference]:
    """Return the figures in a snapshot that do not follow from its numbers: somebody edited them.

    A rewritten snapshot may keep the earlier digits of its own numbers, each within the tolerance, beside new figures.
    """
    moved = tolerance.absolute * math.sqrt(recorded.size) + tolerance.relative * abs(recorded.norm)
    kept = (tolerance.absolute if recorded.is_exact else moved) if recorded.is_inline else 0.0
    allowed = _ROUNDED * abs(recorded.norm) + kept
    found = []
    for figure, here in zip(("norm", "projection"), _figures(recorded.values), strict=True):
        then = getattr(recorded, figure)
        same = then == here or (math.isnan(then) and math.isnan(here))
        if not same and not abs(then - here) <= allowed:
            found.append(Difference("numbers", f"recorded {figure} of {name}", then, here))
    return found


def _moved(then: NDArray[Any], here: NDArray[Any], tolerance: Tolerance) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return how far floats moved, and which by more than allowed: NaN always, an infinity if it is not the same."""
    import numpy as np

    before, moved = then.astype(np.float64), _movement(then, here)
    with np.errstate(invalid="ignore"):
        allowed = tolerance.absolute + tolerance.relative * np.abs(np.where(np.isinf(before), 0.0, before))
        return moved, ~(moved <= allowed)


def _movement(then: NDArray[Any], here: NDArray[Any]) -> NDArray[Any]:
    """Return how far each number moved: equal infinities by 0."""
    import numpy as np

    before, now = then.astype(np.float64), here.astype(np.float64)
    with np.errstate(invalid="ignore"):
        moved: NDArray[Any] = np.where(before == now, 0.0, np.abs(before - now))
    return moved


def _place(shape: tuple[int, ...], flat: int) -> str:
    """Return an index as it is written behind a name; nothing for a single number."""
    index = []
    for size in reversed(shape):
        flat, here = divmod(flat, size)
        index.append(here)
    return f"[{', '.join(map(str, reversed(index)))}]" if index else ""


def _not_real(what: str, dtype: str) -> SnapshotError:
    hint = "Record real numbers, such as .real and .imag, or the .tolist() of texts."
    return refused(f"{what} has the dtype {dtype}, and a snapshot keeps real numbers", hint)


def refused(what: str, hint: str) -> SnapshotError:
    """Return the error for an array that no snapshot can hold."""
    return SnapshotError(f"{what}.", hint=hint)
