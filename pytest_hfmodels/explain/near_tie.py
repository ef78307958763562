"""The proof of a near-tie: its figures, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hfmodels.kinds.explanation import Evidence

if TYPE_CHECKING:
    from pytest_hfmodels.kinds.near_ties import Tie


def proof(tie: Tie) -> Evidence:
    """Return why rounding can, or cannot, have turned a decision."""
    word = "it is a near-tie" if tie.proven else "it is no near-tie"
    return Evidence(
        f"{word}: recorded by a margin of {tie.margin:.2g} and now the other way by {tie.gap:.2g} "
        f"(a near-tie has at most {2 * tie.floor:.2g}); numbers up to it moved by at most {tie.drift:.2g} "
        f"(noise floor {tie.floor:.2g})",
        {"margin": tie.margin, "gap": tie.gap, "drift": tie.drift, "noise_floor": tie.floor},
    )
