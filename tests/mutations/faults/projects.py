"""The faults of tests/projects: those of each project's `faults.py`, and those written separately."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mutations.fault import Fault
from tests.projects import later

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.projects.fault import ProjectFault

_FOLDER = Path(later.__file__).parent


def _given() -> Iterator[tuple[str, ProjectFault]]:
    for file in sorted(_FOLDER.glob("*/faults.py")):
        name = file.parent.name
        yield from ((name, fault) for fault in importlib.import_module(f"tests.projects.{name}.faults").FAULTS)
    yield from later.FAULTS


FAULTS = tuple(
    Fault(
        f"{name.replace('_', '-')}-{fault.name}",
        fault.says,
        reference=fault.reference,
        patch=fault.patch,
        releases=fault.releases,
        later=fault.later,
        project=name,
    )
    for name, fault in _given()
)
