"""The logits processors that generation applies without sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutations import observations as observe
from tests.mutations.fault import fault
from tests.mutations.patches import edited

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


@fault(
    "The repetition penalty is applied for each time that a token stands in the text, and not once.",
    reference="huggingface/transformers.js#1062",
    shown_by=lambda: observe.greedy(repetition_penalty=1.3),
)
def repetition_penalty_for_each_occurrence() -> AbstractContextManager[None]:
    return edited(
        "transformers.generation.logits_process:RepetitionPenaltyLogitsProcessor.__call__",
        (
            "score = torch.where(score < 0, score * self.penalty, score / self.penalty)",
            "score = torch.where(score < 0, self.penalty, 1 / self.penalty).to(scores.dtype)",
        ),
        (
            "scores_processed = scores.scatter(1, input_ids, score)",
            'scores_processed = scores * torch.ones_like(scores).scatter_reduce(1, input_ids, score, "prod")',
        ),
    )
