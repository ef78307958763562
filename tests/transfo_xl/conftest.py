"""The classes are imported once, before the first test: old releases warn while they are."""

from __future__ import annotations

import warnings

import pytest

pytest.importorskip("torch")
pytest.importorskip("sacremoses")


@pytest.fixture(scope="session", autouse=True)
def _classes_imported() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pytest_hfmodels.transfo_xl.heads
        import pytest_hfmodels.transfo_xl.tokenizer  # noqa: F401
