"""The lines at the head of a run: what runs where, and whose code an architecture runs with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hfmodels.engines import missing, upstream
from pytest_hfmodels.engines.availability import ENGINES, described, installed, need_tensorflow, usable
from pytest_hfmodels.foundation.architecture import ARCHITECTURES
from pytest_hfmodels.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pytest

    from pytest_hfmodels.engines.base import EngineName


def header(config: pytest.Config, engines: Sequence[EngineName] | None) -> str:
    """Return the run's header line.

    Args:
        config: of the run.
        engines: those that it uses; None for all that are usable.
    """
    packages = ("transformers", *(described(name).package for name in ENGINES.names()))
    versions = ", ".join(f"{package} {found}" for package in packages if (found := installed(package)) is not None)
    names = ", ".join(usable() if engines is None else engines) or "none"
    hub = Session.of(config).options.checkpoints == "hub"
    source = "bundled and local, hub downloads allowed" if hub else "bundled, local and cached (no downloads)"
    return f"hfmodels: {versions}; engines: {names}; checkpoints: {source}"


def implementation_line(config: pytest.Config, engines: Iterable[EngineName]) -> str:
    """Return whose Transformer-XL runs, and why; `engines` are those that the run uses."""
    choice, reason = Session.of(config).options.transfo_xl, missing("torch")
    architecture = ARCHITECTURES.get("transfo-xl")
    if architecture is None or architecture.implementation is None or (choice == "auto" and reason is not None):
        return f"transfo-xl: {reason}"
    if choice == "auto":  # the tests that follow import the same, and with the same choice of TensorFlow
        upstream.transformers(with_tensorflow=need_tensorflow(engines))
    return f"transfo-xl: implementation: {architecture.implementation(choice)}"
