"""Classes of variants that still end in something else than the four outcomes. Each is a strict expected failure."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

KNOWN: dict[str, str] = {
    "config-field": "A sentence about a configuration prints escape sequences.",
    "config-size": "A model is built before its size is compared with its weights.",
    "config-file": "A config.json that is no readable file, or nested deeply, is a traceback or hangs.",
    "generation-config-field": "A bad value in generation_config.json is upstream's raw error.",
    "generation-config-file": "A generation_config.json that cannot be read is a traceback.",
    "tokenizer-config-field": "A bad value in tokenizer_config.json is upstream's raw error.",
    "tokenizer-config-file": "A tokenizer_config.json that cannot be read is a traceback.",
    "tokenizer-json": "A broken normalizer in tokenizer.json raises a BaseException.",
    "vocabulary-file": "A vocabulary that cannot be read is a traceback.",
    "special-tokens-file": "A special_tokens_map.json that cannot be read is a traceback.",
    "weights-file": "Weights that cannot be read are a traceback.",
    "code": "Code in a checkpoint's folder is executed.",
    "ledger-file": "A ledger that is nested deeply is a traceback or hangs.",
    "ledger-gone": "A ledger imports the project's own modules.",
    "ledger-match": "A ledger's `match` takes exponential time.",
    "ledger-tests": "A ledger's `tests` take exponential time.",
    "ledger-place": "A ledger that is no regular file hangs.",
    "pending-place": "accept writes files that are no snapshots.",
    "pending-file": "A pending file that is no regular file hangs.",
}


def marked(classes: Mapping[str, Any]) -> list[Any]:
    """Return the classes as parameters; those that are known to fail are strict expected failures.

    A class is one test, so that one child process is enough for all its variants.
    """
    skip = [] if sys.platform == "linux" else [pytest.mark.skip(reason="the limits of memory are Linux's")]
    return [
        pytest.param(
            variants,
            id=name,
            marks=[*skip, *([pytest.mark.xfail(strict=True, reason=KNOWN[name])] if name in KNOWN else [])],
        )
        for name, variants in classes.items()
    ]
