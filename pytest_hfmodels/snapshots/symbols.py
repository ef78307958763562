"""Checks whether an installed package has a name. Imports only that package. For `expectations`."""

from __future__ import annotations

import json
import site
import sysconfig
from importlib import import_module
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pytest_hfmodels.errors import LedgerError

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
    owners = [found for name in distributions if (found := _distribution(name)) and _provides(found, package)]
    if not owners:
        raise LedgerError(
            f"{dotted} does not belong to {named}, the package in `when`.",
            hint="Correct `symbol` or `when` in the entry: both must be about the same package.",
        )
    paths = _paths(package)
    if not paths:
        raise LedgerError(
            f"Cannot check whether {dotted} still exists: {package} cannot be imported.",
            hint=f"Install it: pip install {owners[0].name}; or correct the entry's `symbol`.",
        )
    for path in paths:
        if not _in_libraries(path) and (path.is_relative_to(root.resolve()) or not _in_folder_of(owners, path)):
            raise LedgerError(
                f"{dotted} would be imported from {path}, not from the installed {named}.",
                hint="Rename that file or folder, or take it off Python's path.",
            )


def _distribution(name: str) -> Distribution | None:
    for wanted in (name, f"{name}-cpu", f"{name}_cpu"):  # as `engines.availability.installed`
        try:
            return distribution(wanted)
        except PackageNotFoundError:
            continue
    return None


def _provides(found: Distribution, package: str) -> bool:
    """Return whether a distribution provides a package: by its own name, a declared one, or its files."""
    if package == found.name.replace("-", "_").replace(".", "_"):
        return True
    if package in (found.read_text("top_level.txt") or "").split():
        return True
    return any(package in (file.parts[0], Path(file.parts[0]).stem) for file in found.files or ())


def _paths(package: str) -> list[Path]:
    """Return the file of a top-level module or the folders of a package, without importing anything."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):  # a module without a spec, such as __main__
        spec = None
    return (
        []
        if spec is None
        else [Path(path).resolve() for path in spec.submodule_search_locations or [spec.origin or ""]]
    )


def _in_libraries(path: Path) -> bool:
    """Return whether a file is installed, perhaps into a virtual environment below the project's root."""
    folders = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), site.getusersitepackages())
    return any(path.is_relative_to(Path(folder).resolve()) for folder in folders)


def _in_folder_of(owners: Sequence[Distribution], path: Path) -> bool:
    """Return whether a file lies where a distribution does, or in the source of an editable one."""
    for owner in owners:
        folders = [str(owner.locate_file(""))]
        source = json.loads(owner.read_text("direct_url.json") or "{}")
        url = urlsplit(source.get("url", ""))
        if source.get("dir_info", {}).get("editable") and url.scheme == "file":
            folders.append(url2pathname(url.path))
        if any(path.is_relative_to(Path(folder).resolve()) for folder in folders):
            return True
    return False
