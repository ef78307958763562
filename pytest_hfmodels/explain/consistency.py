"""Evidence that one of two records contradicts itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hfmodels.kinds import GenerationRecord
from pytest_hfmodels.kinds.explanation import Evidence
from pytest_hfmodels.kinds.generation.consistency import contradiction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.kinds import Record


def contradictions(recorded: Record, observed: Record) -> Iterator[Evidence]:
    """Yield evidence for each side whose scores from generating differ from its own forward pass.

    `observed` knows whether a logits processor was on. If the settings are the same, that holds for both records.
    """
    if not isinstance(recorded, GenerationRecord) or not isinstance(observed, GenerationRecord):
        return
    live = observed.live if recorded.effective == observed.effective else None
    sides = [("this run", contradiction(observed))]
    if live is not None:
        sides.insert(0, ("the recorded side", contradiction(recorded, live=live)))
    for side, found in sides:
        if found is not None:
            yield Evidence(
                f"{side} contradicts itself at token {found.position + 1}: {found.sentence}",
                {"forward": found.forward, "generating": found.generating},
            )
