"""Checks whether an installed package has a name. Imports only that package. For `expectations`."""

from __future__ import annotations

import json
import site
import sysconfig
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pytest_hfmodels.engines.availability import installed_distribution
from pytest_hfmodels.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.metadata import Distribution


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
    package, *names = dotted.split(".")
    found: Any = _imported(package, dotted)
    trail = package
    for name in names:
        trail = f"{trail}.{name}"
        if not _has(found, name) and not _is_submodule(trail, dotted):
            return False
        found = getattr(found, name)
    return True


def require_symbol_of(dotted: str, distributions: Sequence[str], root: Path) -> None:
    """Refuse a dotted name that belongs to none of the distributions. Imports nothing.

    Raises:
        LedgerError: the name belongs to another package, or the project has a module with the package's name.
    """
    package = dotted.partition(".")[0]
    named = " and ".join(distributions)
    owners = [found for name in distributions if (found := installed_distribution(name)) and _provides(found, package)]
    if not owners:
        raise LedgerError(
            f"{dotted} does not belong to {named}, the package in `when`.",
            hint="Correct `gone` or `when` in the entry: both must be about the same package.",
        )
    places = list(_places(package))
    if not places:
        raise LedgerError(
            f"Cannot check whether {dotted} is gone: {package} cannot be imported.",
            hint=f"Install it: pip install {owners[0].name}; or correct the entry's `gone`.",
        )
    for place in places:
        if not any(_installed_there(owner, place) for owner in owners) or _is_project_file(root, place):
            raise LedgerError(
                f"{dotted} would be imported from {place}, not from the installed {named}.",
                hint="Rename that file or folder, or take it off Python's path.",
            )


def _provides(found: Distribution, package: str) -> bool:
    """Return whether a distribution provides a package: by its own name, a declared one, or its files."""
    if package == found.name.replace("-", "_").replace(".", "_"):
        return True
    if package in (found.read_text("top_level.txt") or "").split():
        return True
    return any(package in (file.parts[0], Path(file.parts[0]).stem) for file in found.files or ())


def _places(package: str) -> Iterator[Path]:
    """Yield the file of a top-level module or the folders of a package, without importing anything."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):  # a module without a spec, such as __main__
        return
    for place in () if spec is None else spec.submodule_search_locations or [spec.origin or ""]:
        yield Path(place).resolve()


def _installed_there(found: Distribution, place: Path) -> bool:
    if place.is_relative_to(Path(str(found.locate_file(""))).resolve()):
        return True
    try:
        source = json.loads(found.read_text("direct_url.json") or "{}")
        editable, url = source.get("dir_info", {}).get("editable"), urlsplit(source.get("url", ""))
    except (ValueError, AttributeError):
        return False
    return bool(editable) and url.scheme == "file" and place.is_relative_to(Path(url2pathname(url.path)).resolve())


def _is_project_file(root: Path, place: Path) -> bool:
    """Return whether a file belongs to the project itself, not to a virtual environment in its folder."""
    libraries = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), site.getusersitepackages()]
    if any(place.is_relative_to(Path(library).resolve()) for library in libraries):
        return False
    return place.is_relative_to(root.resolve())


def _imported(module: str, dotted: str) -> Any:
    try:
        return import_module(module)
    except Exception as error:  # a broken installation raises anything
        raise LedgerError(
            f"Cannot check whether {dotted} is gone: {module} cannot be imported ({error}).",
            hint="Repair its installation, or correct the entry's `gone`.",
        ) from error


def _has(owner: Any, name: str) -> bool:
    try:
        return hasattr(owner, name)
    except Exception:  # a package may import a name only now, and fail: transformers, torch.classes
        return False


def _is_submodule(module: str, dotted: str) -> bool:
    try:
        _imported(module, dotted)
    except LedgerError as error:
        missing = error.__cause__
        if isinstance(missing, ModuleNotFoundError) and missing.name is not None and module.startswith(missing.name):
            return False
        raise
    return True
