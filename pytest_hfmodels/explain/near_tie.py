"""The proof of a near-tie: its figures, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hfmodels.kinds import ClassificationRecord, GenerationRecord
from pytest_hfmodels.kinds.classification.compare import label_ties
from pytest_hfmodels.kinds.comparison import first_divergence
from pytest_hfmodels.kinds.explanation import Evidence
from pytest_hfmodels.kinds.generation.compare import token_tie

if TYPE_CHECKING:
    from pytest_hfmodels.kinds import Record
    from pytest_hfmodels.kinds.near_ties import Tie


def decision(recorded: Record, observed: Record) -> Tie | None:
    """Return the decision that fell the other way and was the least close; None where its figures are not known."""
    if isinstance(recorded, GenerationRecord) and isinstance(observed, GenerationRecord):
        split = first_divergence(recorded.ids, observed.ids)
        return None if split is None else token_tie(recorded, observed, split)
    if isinstance(recorded, ClassificationRecord) and isinstance(observed, ClassificationRecord):
        return max(label_ties(recorded, observed), key=lambda tie: tie.margin, default=None)
    return None


def proof(tie: Tie) -> Evidence:
    """Return why rounding can, or cannot, have turned a decision."""
    word = "it is a near-tie" if tie.proven else "it is no near-tie"
    return Evidence(
        f"{word}: recorded by a margin of {tie.margin:.2g} and now the other way by {tie.gap:.2g} "
        f"(a near-tie has at most {2 * tie.floor:.2g}); numbers up to it moved by at most {tie.drift:.2g} "
        f"(noise floor {tie.floor:.2g})",
        {"margin": tie.margin, "gap": tie.gap, "drift": tie.drift, "noise_floor": tie.floor},
    )
