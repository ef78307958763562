"""For each change in `snapshots/upstream.toml` the cause that an explanation names, and the rule that makes it."""

from __future__ import annotations

CAUSES = {
    "padding-pooled-by-count": ("forward", "pooling"),
    "length-penalty-counts-prompt": ("search", "length_penalty_counts_prompt"),
    "default-length-counts-prompt": ("generation-defaults", "default_length_counts_prompt"),
    "beams-finished-first": ("search", "ended_beams_first"),
}
