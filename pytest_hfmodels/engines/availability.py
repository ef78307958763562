"""The registered engines, and which of them this environment has, from metadata alone: nothing heavy is imported."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from pytest_hfmodels.foundation.errors import OptionError
from pytest_hfmodels.foundation.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from pytest_hfmodels.engines.base import EngineName, LoadOptions, Task
    from pytest_hfmodels.engines.loaded_model import LoadedModel

_VERSION = re.compile(r"^Version: (\S+)$", re.MULTILINE)
PRIMARY = "torch"  # the engine that records snapshots where a test runs on several


class EngineModule(Protocol):
    """The module of an engine."""

    def load(self, folder: Path, task: Task, options: LoadOptions) -> LoadedModel:
        """Load the safetensors checkpoint in `folder`; see `loading.load` for what it raises."""

    def adopt(self, model: Any) -> LoadedModel:
        """Take in a model that the user loaded."""


@dataclass(frozen=True)
class Engine:
    """What runs models, described without importing it.

    Args:
        name: as in `--hfmodels-engines` and in a test's id.
        module: dotted name of its `EngineModule`, imported when a test asks for a model.
        package: the one that it runs on, as pip and Python name it; a record keeps its version.
        models: top-level packages of the classes of its models, for `adopt`.
        install: what to type if it is missing.
        misfit: why it cannot run although its package is installed, or could be; None if it can.
        with_tensorflow: whether transformers is to be imported with TensorFlow.
    """

    name: EngineName
    module: str
    package: str
    models: frozenset[str]
    install: str
    misfit: Callable[[], str | None] = lambda: None
    with_tensorflow: bool = False


ENGINES: Registry[Engine] = Registry(
    "pytest_hfmodels.engines",
    "engine",
    {
        "torch": "pytest_hfmodels.engines.availability:TORCH",
        "tensorflow": "pytest_hfmodels.engines.availability:TENSORFLOW",
    },
)


def register_engine(engine: Engine) -> None:
    """Let tests run on your own engine.

    A project calls this in its `conftest.py`; a package names its `Engine` as an entry point of the group
    `pytest_hfmodels.engines`.

    Raises:
        ValueError: another module has registered its name.
    """
    ENGINES.add(engine.name, engine, source=engine.module)


def described(name: EngineName) -> Engine:
    """Return a registered engine.

    Raises:
        OptionError: no engine has that name.
    """
    found = ENGINES.get(name)
    if found is None:
        raise OptionError(f"Unknown engine {name!r}.", hint=f"The engines are {' and '.join(ENGINES.names())}.")
    return found


def engine_of(model: Any) -> EngineName | None:
    """Return the engine that runs a model of this class; None if no engine does."""
    bases = {base.__module__.split(".")[0] for base in type(model).__mro__}
    return next((name for name in ENGINES.names() if described(name).models & bases), None)


def need_tensorflow(names: Iterable[EngineName]) -> bool:
    """Return whether transformers is to be imported with TensorFlow for these engines."""
    return any(described(name).with_tensorflow for name in names)


def installed_distribution(package: str) -> Distribution | None:
    """Return the installed distribution of a package, or of its build for the CPU."""
    for name in (package, f"{package}-cpu", f"{package}_cpu"):
        try:
            return distribution(name)
        except PackageNotFoundError:
            continue
    return None


def installed(package: str) -> str | None:
    """Return the installed version of a package or of Python, or None."""
    if package == "python":
        return platform.python_version()
    found = installed_distribution(package)
    if found is None:
        return None
    # `version` parses the whole file, which takes ten times as long, and loading a model asks several times.
    line = _VERSION.search(found.read_text("METADATA") or "")
    return found.version if line is None else line[1]


def missing(name: EngineName) -> str | None:
    """Return why the engine `name` cannot run here; None if it can."""
    if find_spec("transformers") is None:
        return "transformers is not installed"
    wanted = described(name)
    absent = None if find_spec(wanted.package) else f"{wanted.package} is not installed"
    return wanted.misfit() or absent


def usable() -> tuple[EngineName, ...]:
    """Return the engines that are installed here and fit together, torch first."""
    return tuple(name for name in ENGINES.names() if missing(name) is None)


def require_engines(required: Sequence[EngineName], selected: Sequence[EngineName] | None) -> None:
    """Check that engines are installed and selected.

    Args:
        required: the engines that must be.
        selected: which tests run on, or None where nobody selected any.

    Raises:
        OptionError: one is missing, or not selected.
    """
    for name in required:
        reason = missing(name)
        if reason is not None:
            raise OptionError(
                f"The {name} engine is required, but {reason}.",
                hint="Install it, or take it out of --hfmodels-require (ini hfmodels_require).",
            )
        if selected is not None and name not in selected:
            raise OptionError(
                f"The {name} engine is required but not selected: engines are {', '.join(selected)}.",
                hint="Add it to --hfmodels-engines (ini hfmodels_engines), or stop requiring it.",
            )


def require_known(names: list[str], *, source: str) -> tuple[EngineName, ...]:
    """Return `names` as engine names, in the engines' own order and each once.

    Raises:
        OptionError: one of them is not an engine.
    """
    known = ENGINES.names()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise OptionError(
            f"{source} names an unknown engine: {', '.join(unknown)}.", hint=f"The engines are {' and '.join(known)}."
        )
    return tuple(name for name in known if name in names)


def _tensorflow_misfit() -> str | None:
    from packaging.version import Version  # 10 ms: only for runs that consider TensorFlow

    transformers = Version(installed("transformers") or "0")
    if transformers.major >= 5:
        return f"transformers {transformers} has no TensorFlow models (removed in 5.0)"
    tensorflow = installed("tensorflow")
    if find_spec("tensorflow") is None or tensorflow is None or Version(tensorflow) < Version("2.16"):
        return None
    if find_spec("tf_keras") is None:
        return f"tensorflow {tensorflow} needs tf-keras for transformers' models"
    return None


TORCH = Engine(
    name="torch",
    module="pytest_hfmodels.engines.torch",
    package="torch",
    models=frozenset({"torch"}),
    install='Install it with `python -m pip install "pytest-hfmodels[torch]"`.',
)
TENSORFLOW = Engine(
    name="tensorflow",
    module="pytest_hfmodels.engines.tensorflow",
    package="tensorflow",
    models=frozenset({"tensorflow", "keras", "tf_keras"}),
    install='Install it with `python -m pip install "pytest-hfmodels[tensorflow]"` (transformers 5 has none).',
    misfit=_tensorflow_misfit,
    with_tensorflow=True,
)
