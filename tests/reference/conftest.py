"""One small model for all tests against upstream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .flat_gpt2 import FlatGPT2


@pytest.fixture(scope="session")
def _flat_gpt2() -> FlatGPT2:
    from .flat_gpt2 import FlatGPT2

    return FlatGPT2()


@pytest.fixture(scope="module")
def model(_flat_gpt2: FlatGPT2) -> Iterator[FlatGPT2]:
    """The model, on one thread: with more, a forward pass this small waits for them."""
    threads = _flat_gpt2.torch.get_num_threads()
    _flat_gpt2.torch.set_num_threads(1)
    yield _flat_gpt2
    _flat_gpt2.torch.set_num_threads(threads)
