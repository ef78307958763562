"""The device and the threads of a process. Processes that run at once share the machine's threads.

For `engines`, which asks once a process. The number of threads is the same for every model. Another number changes the
last digits of results, by less than the noise floor.
"""

from __future__ import annotations

import os
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DEVICE_VARIABLE = "PYTEST_HFMODELS_DEVICE"  # `cuda`: where torch puts the models that it loads
ROWS_VARIABLE = "PYTEST_HFMODELS_ROWS"  # how many rows of a matrix run at once
_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # microseconds of use and of time, or "max"


def sleeping() -> Mapping[str, str]:
    """Return the environment in which torch is to be imported, so that its threads sleep while they wait for work.

    By default they spin, and take the processors from each other where other processes run: on two busy processors a
    model of 135M parameters then takes six times as long on two threads as on one.
    """
    return {} if "OMP_WAIT_POLICY" in os.environ else {"OMP_WAIT_POLICY": "passive"}


def share(available: int, *, quota: Path = _QUOTA) -> int:
    """Return how many threads this process may use: at least one, and all if the user has set OMP_NUM_THREADS.

    Args:
        available: how many the library would use.
        quota: limits the processors of a container.
    """
    if os.environ.get("OMP_NUM_THREADS"):
        return available
    with suppress(OSError, ValueError):
        used, whole = map(int, quota.read_text(encoding="ascii").split())
        available = min(available, -(-used // whole))
    processes = [int(os.environ.get(name) or 1) for name in ("PYTEST_XDIST_WORKER_COUNT", ROWS_VARIABLE)]
    return max(1, available // prod(processes))
