from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels import engines
from pytest_hfmodels.engines import EngineName, availability
from pytest_hfmodels.foundation.errors import EngineUnavailable, OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

Environment = dict[str, str]
WHOLE = {"transformers": "4.57.6", "torch": "2.13.0", "tensorflow": "2.19.1", "tf_keras": "2.19.0"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[[Environment], None]:
    """Set what is installed: modules, each with the version that its metadata says."""

    def simulate(packages: Environment) -> None:
        def distribution(name: str) -> object:
            if name not in packages:
                raise PackageNotFoundError(name)
            return SimpleNamespace(read_text=lambda _: f"Name: {name}\nVersion: {packages[name]}\n")

        monkeypatch.setattr(availability, "find_spec", lambda name: object() if name in packages else None)
        monkeypatch.setattr(availability, "distribution", distribution)

    return simulate


@pytest.mark.parametrize(
    ("packages", "usable"),
    [
        (WHOLE, ("torch", "tensorflow")),
        ({**WHOLE, "transformers": "4.30.2", "tensorflow": "2.15.1"}, ("torch", "tensorflow")),
        ({"transformers": "4.57.6", "torch": "2.13.0"}, ("torch",)),
        ({"transformers": "4.30.2", "tensorflow": "2.15.1"}, ("tensorflow",)),
        ({"torch": "2.13.0", "tensorflow": "2.15.1"}, ()),
        ({**WHOLE, "transformers": "5.0.0rc1"}, ("torch",)),
        ({}, ()),
    ],
    ids=["default", "oldest", "torch", "tensorflow", "no-transformers", "transformers-5", "nothing"],
)
def test_which_engines_are_usable(
    environment: Callable[[Environment], None], packages: Environment, usable: tuple[str, ...]
) -> None:
    environment(packages)

    assert availability.usable() == usable


@pytest.mark.parametrize(
    ("without", "changed", "engine", "reason"),
    [
        ("transformers", {}, "torch", "transformers is not installed"),
        ("torch", {}, "torch", "torch is not installed"),
        ("tensorflow", {}, "tensorflow", "tensorflow is not installed"),
        ("tf_keras", {}, "tensorflow", "tensorflow 2.19.1 needs tf-keras for transformers' models"),
        ("tf_keras", {"tensorflow": "2.15.1"}, "tensorflow", None),
        (
            "",
            {"transformers": "5.23.0"},
            "tensorflow",
            "transformers 5.23.0 has no TensorFlow models (removed in 5.0)",
        ),
        ("", {}, "tensorflow", None),
    ],
)
def test_why_an_engine_is_missing(
    environment: Callable[[Environment], None],
    without: str,
    changed: Environment,
    engine: EngineName,
    reason: str | None,
) -> None:
    environment({name: number for name, number in {**WHOLE, **changed}.items() if name != without})

    assert availability.missing(engine) == reason


def test_cpu_builds_count_as_installed(environment: Callable[[Environment], None]) -> None:
    environment({"tensorflow-cpu": "2.15.1"})

    assert availability.installed("tensorflow") == "2.15.1"
    assert availability.installed("torch") is None


def test_a_missing_engine_says_how_to_install_it(environment: Callable[[Environment], None]) -> None:
    environment({"transformers": "4.57.6", "torch": "2.13.0"})

    with pytest.raises(EngineUnavailable, match="not available: tensorflow is not installed") as raised:
        engines.engine("tensorflow", with_tensorflow=True)

    assert "pytest-hfmodels[tensorflow]" in raised.value.hint


@pytest.mark.parametrize(
    "error", [ImportError("no libfoo\nlong story"), OSError("no libfoo"), RuntimeError("no libfoo")]
)
def test_an_engine_that_cannot_be_imported_says_why(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def broken(**_: bool) -> object:
        raise error

    monkeypatch.setattr("pytest_hfmodels.engines.missing", lambda _: None)
    monkeypatch.setattr("pytest_hfmodels.engines.upstream.transformers", broken)

    with pytest.raises(EngineUnavailable) as raised:
        engines.engine("torch", with_tensorflow=False)

    expected = f"The torch engine is installed but cannot be imported: {type(error).__name__}: no libfoo."
    assert raised.value.message == expected


def test_engines_are_named_in_their_own_order() -> None:
    assert availability.require_known(["tensorflow", "torch", "torch"], source="x") == ("torch", "tensorflow")
    with pytest.raises(OptionError, match=r"x names an unknown engine: jax, mlx\."):
        availability.require_known(["torch", "jax", "mlx"], source="x")
