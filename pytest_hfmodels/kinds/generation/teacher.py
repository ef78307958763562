"""One forward pass over the prompt and the recorded tokens, and how far their numbers moved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.kinds.comparison import abs_diff
from pytest_hfmodels.kinds.evidence import fingerprint, log_softmax

if TYPE_CHECKING:
    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.engines.base import FloatArray
    from pytest_hfmodels.explain.budget import Passes
    from pytest_hfmodels.kinds.evidence import Block
    from pytest_hfmodels.kinds.generation.record import GenerationRecord


@dataclass(frozen=True)
class TeacherForcedPass:
    """One forward pass over the prompt and the recorded tokens.

    Args:
        logits: after the prompt and each recorded token but the last, (S, V).
        blocks: fingerprints, comparable with the recorded ones.
    """

    logits: FloatArray
    blocks: tuple[Block, ...]

    def moved(self, recorded: GenerationRecord) -> list[float]:
        """Return how far the log-probability of each recorded token is from what was recorded."""
        table = log_softmax(self.logits)
        return [
            abs(step.log_probability - float(table[position, step.id])) if step.id < table.shape[1] else math.inf
            for position, step in enumerate(recorded.steps)
        ]


def teacher_forced(passes: Passes, recorded: GenerationRecord, loaded: LoadedModel | None = None) -> TeacherForcedPass:
    """Run the model over the recorded tokens, a batch of one and without a cache."""
    prompt = len(recorded.prompt.ids)
    seen = passes.forward([[*recorded.prompt.ids, *recorded.ids]], loaded)
    return TeacherForcedPass(seen.logits[0, prompt - 1 : -1], fingerprint(seen.hidden_states))


def scores_moved(recorded: GenerationRecord, observed: GenerationRecord, count: int) -> list[float]:
    """Return how far the recorded tokens' processed scores moved in `generate`, for the first `count` steps.

    Both sides must have the same tokens before each of these steps.
    """
    live: Any = observed.live
    table, found = log_softmax(live.scores[:count]), []
    for position, step in enumerate(recorded.steps[:count]):
        if max(step.id, step.runner_up) >= table.shape[1]:
            found.append(math.inf)
            continue
        margin = float(live.scores[position, step.id] - live.scores[position, step.runner_up])
        found.append(max(abs_diff(step.processed, float(table[position, step.id])), abs_diff(step.margin, margin)))
    return found
