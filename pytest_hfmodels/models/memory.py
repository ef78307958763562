"""Measures free memory, and finds the objects that a test can reach. Only for the cache."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MEMINFO = Path("/proc/meminfo")
_CGROUPS = (  # limit, usage, statistics, and the field of the statistics for cached files that can be dropped
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
_DEPTH = 3  # a fixture's value, its attributes or entries, and their own
_LARGEST = 100  # entries of a collection
_CLOSED = (ModuleType, type, FunctionType, BuiltinFunctionType, MethodType, str, bytes, int, float, type(None))


def free_memory(*, meminfo: Path = _MEMINFO, cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return how many bytes this process may still use, or None if unknown (not Linux).

    Args:
        meminfo: the kernel's own figures.
        cgroups: the folder with a container's limits.
    """
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


def reachable_ids(holders: Iterable[object]) -> set[int]:
    """Return the ids of objects that can be reached through attributes and small collections, a few steps deep.

    Args:
        holders: a test's fixture values, its class, instance and module.
    """
    layer, found = [*holders], set[int]()
    for step in range(_DEPTH):
        found.update(map(id, layer))
        layer = [one for holder in layer for one in _members(holder, top=step == 0) if id(one) not in found]
    return found | set(map(id, layer))


def _members(holder: Any, *, top: bool) -> Iterator[Any]:
    kind = type(holder)
    if kind in (list, tuple, set, frozenset, dict):
        if len(holder) <= _LARGEST:
            yield from holder.values() if kind is dict else holder
    elif top or not isinstance(holder, _CLOSED):
        with suppress(AttributeError, TypeError):  # not `vars`, because proxy objects override it
            yield from [*object.__getattribute__(holder, "__dict__").values()]
