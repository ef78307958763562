"""Checks whether an installed package has a name. Imports only that package. For `expectations`."""

from __future__ import annotations

import site
import sysconfig
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Sequence


def has_symbol(dotted: str, distributions: Sequence[str], root: Path) -> bool:
    """Return whether a dotted name can be imported.

    Args:
        dotted: `transformers.TransfoXLModel`; its first part is a package of one of the distributions.
        distributions: names as in requirements, such as `scikit-learn`.
        root: the project's root; its own modules are not imported.

    Raises:
        LedgerError: the name belongs to another package, or the package cannot be imported.
    """
    require_symbol_of(dotted, distributions, root)
    package = dotted.partition(".")[0]
    try:
        import_module(package)
    except Exception as error:  # a broken installation raises anything
        raise LedgerError(
            f"Cannot check whether {dotted} still exists: {package} cannot be imported ({error}).",
            hint="Repair its installation, or correct the entry's `symbol`.",
        ) from error
    try:
        resolve_name(dotted)
    except Exception:  # a package may import a name only now, and fail: transformers, torch.classes
        return False
    return True


def require_symbol_of(dotted: str, distributions: Sequence[str], root: Path) -> None:
    """Refuse a dotted name that belongs to none of the distributions. Imports nothing.

    Raises:
        LedgerError: the name belongs to another package, or the project has a module with the package's name.
    """
    package, named = dotted.partition(".")[0], " and ".join(distributions)
    if not any(_provides(name, package) for name in distributions):
        raise LedgerError(
            f"{dotted} does not belong to {named}, the package in `when`.",
            hint="Correct `symbol` or `when` in the entry: both must be about the same package.",
        )
    for path in _paths(package):
        if path.is_relative_to(root.resolve()) and not _in_libraries(path):
            raise LedgerError(
                f"{dotted} would be imported from {path}, not from the installed {named}.",
                hint="Rename that file or folder, or take it off Python's path.",
            )


def _provides(name: str, package: str) -> bool:
    """Return whether a distribution provides a package: by its own name, a declared one, or its files."""
    for wanted in (name, f"{name}-cpu", f"{name}_cpu"):  # as `engines.availability.installed`
        with suppress(PackageNotFoundError):
            found = distribution(wanted)
            declared = (found.read_text("top_level.txt") or "").split()
            files = (Path(file.parts[0]).stem for file in found.files or ())
            return package in {name.replace("-", "_"), *declared, *files}
    return False


def _paths(package: str) -> list[Path]:
    """Return the file of a top-level module or the folders of a package, without importing anything."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):  # a module without a spec, such as __main__
        return []
    folders = [] if spec is None else spec.submodule_search_locations or [spec.origin or ""]
    return [Path(folder).resolve() for folder in folders]


def _in_libraries(path: Path) -> bool:
    """Return whether a file is installed, perhaps into a virtual environment below the project's root."""
    folders = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), site.getusersitepackages())
    return any(path.is_relative_to(Path(folder).resolve()) for folder in folders)
