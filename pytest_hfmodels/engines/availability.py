"""Which engines this environment has, told from metadata alone: nothing heavy is imported here."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import get_args

from pytest_hfmodels.engines.base import ENGINE_NAMES, EngineName
from pytest_hfmodels.errors import OptionError


def installed(package: str) -> str | None:
    """Return the installed version of `package` as its metadata says it, or None."""
    for name in (package, f"{package}-cpu", f"{package}_cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def missing(name: EngineName) -> str | None:
    """Say why the engine `name` cannot run here, or return None where it can."""
    if find_spec("transformers") is None:
        return "transformers is not installed"
    if name == "tensorflow" and (reason := _removed()) is not None:  # nothing that could be installed would help
        return reason
    if find_spec(name) is None:
        return f"{name} is not installed"
    return _tensorflow_misfit() if name == "tensorflow" else None


def usable() -> tuple[EngineName, ...]:
    """Return the engines that are installed here and fit together, torch first."""
    return tuple(name for name in ENGINE_NAMES if missing(name) is None)


def require_known(names: list[str], *, source: str) -> tuple[EngineName, ...]:
    """Return `names` as engine names, in the engines' own order and each once.

    Args:
        names: what a person wrote.
        source: where, for the message.

    Raises:
        OptionError: one of them is no engine.
    """
    unknown = [name for name in names if name not in get_args(EngineName)]
    if unknown:
        raise OptionError(
            f"{source} names an unknown engine: {', '.join(unknown)}.",
            hint=f"The engines are {' and '.join(ENGINE_NAMES)}.",
        )
    return tuple(name for name in ENGINE_NAMES if name in names)


def _removed() -> str | None:
    from packaging.version import Version  # 10 ms: only for runs that consider TensorFlow

    transformers = Version(installed("transformers") or "0")
    return f"transformers {transformers} has no TensorFlow models (removed in 5.0)" if transformers.major >= 5 else None


def _tensorflow_misfit() -> str | None:
    from packaging.version import Version  # see above

    tensorflow = installed("tensorflow")
    if tensorflow is not None and Version(tensorflow) >= Version("2.16") and find_spec("tf_keras") is None:
        return f"tensorflow {tensorflow} needs tf-keras for transformers' models"
    return None
