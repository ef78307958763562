"""How much memory is left for models. For this folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

# Times the size of a checkpoint's files: float16 becomes float32, and some releases hold file and model at once.
ROOM = 3
_MEMINFO = Path("/proc/meminfo")
_CGROUPS = (  # limit, usage, statistics, and the field of the statistics for cached files that can be dropped
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
_WIDTHS = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}  # bytes of a number
_UNMEASURED = 500_000_000  # bytes of weights that are loaded again where nobody knows what is free


def has_room_again(size: int, dtype: str, wanted: str) -> bool:
    """Return whether a model of `size` bytes in `dtype` can be loaded a second time as `wanted`, to explain something.

    A bfloat16 model is four times as large in float64, and its files may be in memory beside it.
    """
    free, wider = free_memory(), _WIDTHS.get(wanted, 4) / _WIDTHS.get(dtype, 4)
    return size * wider <= _UNMEASURED if free is None else size * max(ROOM, 1 + wider) < free


def free_memory(*, meminfo: Path = _MEMINFO, cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return how many bytes this process may still use, or None if unknown (not Linux)."""
    found = []
    with suppress(OSError, ValueError, StopIteration):
        line = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable:"))
        found.append(int(line.split()[1]) * 1024)
    for limit, use, statistics, cached in _CGROUPS:
        with suppress(OSError, ValueError):  # "max" means no limit
            used = int((cgroups / use).read_text())
            lines = (cgroups / statistics).read_text().splitlines()
            used -= next((int(line.split()[1]) for line in lines if line.startswith(f"{cached} ")), 0)
            found.append(int((cgroups / limit).read_text()) - used)
    return max(0, min(found)) if found else None
