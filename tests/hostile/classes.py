"""Classes of variants as parameters of a test."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping


def as_parameters(classes: Mapping[str, Any]) -> list[Any]:
    """Return one parameter per class, so that one child process runs all its variants."""
    skip = [] if sys.platform == "linux" else [pytest.mark.skip(reason="memory limits work on Linux only")]
    return [pytest.param(variants, id=name, marks=skip) for name, variants in classes.items()]
