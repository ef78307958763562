from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.models.memory import free_memory, reachable_ids

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


class Holder:
    def __init__(self, held: Any) -> None:
        self.held = held

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked for")


def test_objects_are_found_a_few_steps_away() -> None:
    wanted = object()

    for holder in (wanted, [wanted], (0, wanted), {"a": wanted}, Holder(wanted), [Holder({"a": wanted})]):
        assert id(wanted) in reachable_ids([holder])
    for holder in ([[[[wanted]]]], [*range(200), wanted], lambda found=wanted: found):
        assert id(wanted) not in reachable_ids([holder])


def test_an_object_that_refers_to_itself_does_not_loop() -> None:
    circle: list[Any] = []
    circle.append(circle)

    assert reachable_ids([circle]) == {id(circle)}
