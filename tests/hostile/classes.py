"""Classes of variants as parameters of a test."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping


def as_parameters(classes: Mapping[str, Any]) -> list[Any]:
    """Return one parameter a class, so that one child process is enough for all its variants."""
    skip = [] if sys.platform == "linux" else [pytest.mark.skip(reason="the limits of memory are Linux's")]
    return [pytest.param(variants, id=name, marks=skip) for name, variants in classes.items()]
