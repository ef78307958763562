"""Test ids as people type them: without the engine, escapes and the repetition number that plugins add.

For collection, snapshots and expectations.
"""

from __future__ import annotations

from os.path import relpath
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.model_request import ON

if TYPE_CHECKING:
    import pytest

# The parameter that pytest-repeat adds for the number of a repetition.
_REPEATED = "__pytest_repeat_step_number"


def stable_nodeid(item: pytest.Item) -> str:
    """Return the id of a test without the repetition number that pytest-repeat adds (`--count 2`)."""
    callspec, nodeid = getattr(item, "callspec", None), _without_group(item)
    if callspec is None:
        return nodeid
    identifier = stable_id(item)
    return f"{nodeid.removesuffix(f'[{callspec.id}]')}{f'[{identifier}]' if identifier else ''}"


def _without_group(item: pytest.Item) -> str:
    """Return the id of a test without the `@group` that xdist's `--dist loadgroup` appends."""
    mark = item.get_closest_marker("xdist_group")
    if mark is None:
        return item.nodeid
    return item.nodeid.removesuffix(f"@{mark.args[0] if mark.args else mark.kwargs.get('name', 'default')}")


def stable_id(item: pytest.Item) -> str:
    """Return the part of a parametrised test's id in brackets, without a repetition number."""
    callspec = item.callspec  # type: ignore[attr-defined]  # the caller checked it
    identifier: str = callspec.id
    step = callspec.params.get(_REPEATED)
    if not isinstance(step, int):
        return identifier
    mark = item.get_closest_marker("repeat")
    segment = f"{step + 1}-{getattr(item.config.option, 'count', 0) if mark is None else int(mark.args[0])}"
    # pytest-repeat adds its parameter last.
    return identifier.removesuffix(segment).removesuffix("-") if identifier.endswith(segment) else identifier


def id_to_type(nodeid: str, config: pytest.Config) -> str:
    """Return an id as the folder needs it in which pytest was started; pytest's own start at its root."""
    file, separator, rest = nodeid.partition("::")
    return f"{relpath(config.rootpath / file, config.invocation_params.dir)}{separator}{rest}"


def id_spellings(nodeid: str) -> tuple[str, ...]:
    """Return an id as pytest prints it, and also without the engine that this plugin puts first in the brackets."""
    from pytest_hfmodels.engines.availability import ENGINES  # every pytest run asks where pending changes are

    function, bracket, parameters = nodeid.partition("[")
    engine, _, rest = parameters.removesuffix("]").partition("-")
    if not bracket or engine.partition(ON)[0] not in ENGINES.names():
        return (nodeid,)
    return nodeid, f"{function}[{rest}]" if rest else function


def escape_brackets(typed: str) -> str:
    """Return an id whose text in brackets is escaped the way pytest escapes it."""
    function, bracket, parameters = typed.partition("[")
    return f"{function}{bracket}{parameters.encode('unicode_escape').decode('ascii')}"
