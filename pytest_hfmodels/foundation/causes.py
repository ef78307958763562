"""The names of causes, for all code that lists or picks them."""

from __future__ import annotations

# In causal order; docs/explain.md says what each means.
CAUSES = (
    *("test", "checkpoint:chat-template", "chat-template", "checkpoint:tokenizer", "tokenizer"),
    *("checkpoint:preprocessor", "preprocessor", "checkpoint:config", "generation-defaults", "settings"),
    *("checkpoint:weights", "dtype", "attention", "backend", "forward", "search", "decoding"),
)
UNDETERMINED = "undetermined"  # how options name the cause of a change that has none
