from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.models.cache import free_memory

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({"meminfo": "MemTotal: 9 kB\nMemAvailable:    2048 kB\n"}, 2 * MIB),
        ({"meminfo": "MemAvailable: 2048 kB", "memory.max": "max", "memory.current": "5", "memory.stat": ""}, 2 * MIB),
        (  # cached files can be dropped
            {
                "meminfo": "MemAvailable: 9999999 kB",
                "memory.max": f"{8 * MIB}\n",
                "memory.current": f"{7 * MIB}\n",
                "memory.stat": f"anon 3\ninactive_file {4 * MIB}\n",
            },
            5 * MIB,
        ),
        (
            {
                "memory/memory.limit_in_bytes": f"{8 * MIB}",
                "memory/memory.usage_in_bytes": f"{9 * MIB}",
                "memory/memory.stat": "total_inactive_file 0",
            },
            0,
        ),
        ({"meminfo": "nothing of the kind"}, None),
        ({}, None),
    ],
)
def test_free_memory_is_what_machine_and_container_leave(
    tmp_path: Path, files: dict[str, str], free: int | None
) -> None:
    folder = write(tmp_path, files)

    assert free_memory(meminfo=folder / "meminfo", cgroups=folder) == free
