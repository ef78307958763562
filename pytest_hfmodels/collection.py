"""From fixtures and markers to parametrised tests, and what collection refuses. No engine is imported here."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.errors import OptionError
from pytest_hfmodels.files import read_bytes
from pytest_hfmodels.model_request import (
    BUNDLED_FIXTURES,
    MODEL_FIXTURES,
    TORCH_ONLY,
    ModelRequest,
    UnavailableModel,
    request_of,
    uses_models,
    uses_snapshot,
)
from pytest_hfmodels.options import Options, in_ci, update_requested
from pytest_hfmodels.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pytest_hfmodels.engines.base import EngineName


PROBLEM = pytest.StashKey[OptionError]()
BY_PARAMETER = (
    'To run a test with several models, parametrize a name, @pytest.mark.parametrize("name", ["./models/a", '
    '"./models/b"]), and write hf_model = hf_models.load(name) in the test.'
)


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Give every model fixture of a test one request an engine, all in one parameter set: one id segment an engine."""
    wanted = [name for name in MODEL_FIXTURES if _is_ours(metafunc, name)]
    if not wanted:
        return
    from pytest_hfmodels.engines.availability import missing  # a run without models imports no engine's description

    definition = metafunc.definition
    try:
        marked = _read_marker(definition.get_closest_marker("hf_model"), definition.nodeid)
        engines = _engines(wanted, marked, Session.of(metafunc.config).options)
    except OptionError as error:  # fails its own test, not the collection of the whole file
        parameters = [_unavailable(wanted, UnavailableModel("error", error))]
    else:
        reasons = {name: missing(name) for name in engines}
        runnable = tuple(name for name in engines if reasons[name] is None)
        parameters = [
            pytest.param(
                *(_request(fixture, marked, engine, runnable) for fixture in wanted),
                id=engine,
                marks=() if reason is None else pytest.mark.skip(f"the {engine} engine is not available: {reason}"),
            )
            for engine, reason in reasons.items()
        ] or [_nothing_selected(wanted, marked, metafunc.config)]
    metafunc.parametrize(wanted, parameters, indirect=True, scope="session")


def _is_ours(metafunc: pytest.Metafunc, name: str) -> bool:
    """Return whether a test's `gpt2` is our fixture: a project may have one of its own, or parametrise the name."""
    if name not in metafunc.fixturenames:
        return False
    for marker in metafunc.definition.iter_markers("parametrize"):
        names = marker.args[0] if marker.args else marker.kwargs.get("argnames", ())
        if name in (names.replace(",", " ").split() if isinstance(names, str) else names):
            return False
    if name == "hf_model" and metafunc.definition.get_closest_marker("hf_model") is not None:
        return True
    # pytest has no public way from a test to the definitions that serve it, the nearest last.
    for definition in reversed(getattr(metafunc, "_arg2fixturedefs", {}).get(name, ())):
        if definition.func.__module__ == "pytest_hfmodels.fixtures":
            return True
        if name not in definition.argnames:  # it stands alone; with the name it would build on ours
            return False
    return True


def default_request(fixture: str, config: pytest.Config, item: pytest.Item | None) -> ModelRequest | UnavailableModel:
    """Return the request of a fixture that pytest could not parametrise: `getfixturevalue`, or a unittest.TestCase.

    The test then runs on one engine only: the first that is selected.

    Args:
        fixture: `gpt2`, `transfo_xl` or `hf_model`.
        config: for the options.
        item: the running test; None if pytest does not say which it is.

    Raises:
        OptionError: it is `hf_model`, and the test's marker is missing or invalid.
    """
    nodeid = "a test" if item is None else item.nodeid
    marker = None if item is None or fixture in BUNDLED_FIXTURES else item.get_closest_marker("hf_model")
    if marker is None and fixture not in BUNDLED_FIXTURES:
        raise OptionError(
            f"{nodeid} asked for hf_model, but it has no hf_model marker.",
            hint='Name the checkpoint on the test: @pytest.mark.hf_model("./models/mine").',
        )
    marked = _read_marker(marker, nodeid)
    engines = _engines([fixture], marked, Session.of(config).options)
    return _request(fixture, marked, engines[0], engines[:1]) if engines else UnavailableModel("unselected")


def apply_engine_limits(items: Iterable[pytest.Item]) -> None:
    """Turn `hf_engine_xfail` markers into strict expected failures of the items on that engine.

    A marker that is not understood becomes the problem of its own test (`PROBLEM`).
    """
    for item in items:
        request = request_of(item)
        for marker in item.iter_markers("hf_engine_xfail"):
            try:
                engine, reason, raises = _read_limit(marker, item.nodeid)
            except OptionError as error:
                item.stash[PROBLEM] = error
                continue
            if request is not None and request.engine == engine:
                mark = pytest.mark.xfail(strict=True, reason=f"{engine}: {reason}", raises=raises)
                item.add_marker(mark)


def refuse_markers_of_parameters(items: Iterable[pytest.Item]) -> None:
    """Turn an `hf_model` marker on a parameter into the problem of its own test: the model was chosen without it."""
    for item in items:
        marks = getattr(getattr(item, "callspec", None), "marks", ())
        if any(mark.name == "hf_model" for mark in marks) and "hf_model" in getattr(item, "fixturenames", ()):
            item.stash[PROBLEM] = OptionError(
                f"{item.nodeid} has its hf_model marker on a parameter, and it works only on a test, class or module.",
                hint=BY_PARAMETER,
            )


def _read_limit(marker: pytest.Mark, nodeid: str) -> tuple[EngineName, str, Any]:
    from pytest_hfmodels.engines.availability import require_known  # see `parametrize`

    keywords = dict(marker.kwargs)
    engine = marker.args[0] if len(marker.args) == 1 else keywords.pop("engine", None)
    reason, raises = keywords.pop("reason", None), keywords.pop("raises", AssertionError)
    if not isinstance(engine, str) or not isinstance(reason, str) or keywords or len(marker.args) > 1:
        raise OptionError(
            f"The hf_engine_xfail marker of {nodeid} is not understood.",
            hint='It reads like this: hf_engine_xfail("tensorflow", reason="has no multi-label loss").',
        )
    return require_known([engine], source=f"The hf_engine_xfail marker of {nodeid}")[0], reason, raises


def has_ledger(config: pytest.Config, items: Iterable[pytest.Item]) -> bool:
    """Return whether this project keeps a ledger of ours: a file of that name may be somebody else's."""
    from pytest_hfmodels.snapshots.location import ledger_file  # costs every idle run 26 ms

    path = ledger_file(config)
    if not os.path.lexists(path):
        return False
    if Session.of(config).options.explicit or any(map(uses_models, items)):
        return True
    try:
        content = read_bytes(path, largest=1 << 20)
    except OSError:
        return False
    wanted = rb"(?m)^(\xef\xbb\xbf)?[ \t]*(\[\[[ \t]*)?(change|break|removal)[ \t]*(\]\]|=)"
    return re.search(wanted, content) is not None


def refuse_shared_files(items: Iterable[pytest.Item]) -> None:
    """Refuse two tests that would keep their snapshots in one file and differ in more than the engine.

    Raises:
        OptionError: naming both.
    """
    from pytest_hfmodels.snapshots.location import same_file_key, snapshot_file, test_name  # see `has_ledger`

    owners: dict[object, tuple[object, str, Path]] = {}
    for item in items:
        if not uses_snapshot(item):
            continue
        file = snapshot_file(item, 0)
        path, name, other = owners.setdefault(same_file_key(file), (item.path, test_name(item), file))
        if other != file:
            raise OptionError(
                f"Two tests have snapshot files that macOS or Windows treats as one: {other} and {file}.",
                hint="Rename one, or use pytest.param(…, id=…), with names that differ in more than case and accents.",
            )
        if (path, name) != (item.path, test_name(item)):
            raise OptionError(
                f"Two tests share the snapshot file {file}: {name} and {test_name(item)}.",
                hint="Give their parameters ids that differ in letters and digits: pytest.param(…, id=…).",
            )


def refuse_update_in_ci(config: pytest.Config, nodeids: Sequence[str]) -> None:
    """Refuse to write model snapshots where the environment says `CI`: a changed output must not accept itself.

    Args:
        config: for the options.
        nodeids: the tests that use `hf_snapshot`.

    Raises:
        OptionError: saying how to allow it.
    """
    if not nodeids or not (update_requested(config) and in_ci()) or Session.of(config).options.allow_update:
        return
    raise OptionError(
        f"Snapshots are not written in CI, and {len(nodeids)} selected tests use hf_snapshot (first {nodeids[0]}).",
        hint="Update on your machine and commit the diff; or, if this job is there to write them, "
        "add --hfmodels-allow-update.",
    )


def engines_in_use(config: pytest.Config, items: Iterable[pytest.Item]) -> tuple[EngineName, ...]:
    """Return the engines that these tests run on, or that were selected."""
    from pytest_hfmodels.engines.availability import ENGINES  # see `parametrize`

    running = [item for item in items if item.get_closest_marker("skip") is None]
    used = {request.engine for item in running if (request := request_of(item)) is not None}
    used |= set(Session.of(config).options.engines or ())
    return tuple(name for name in ENGINES.names() if name in used)


def engines_for_header(config: pytest.Config, items: Iterable[pytest.Item]) -> tuple[EngineName, ...]:
    """Return the engines for the run's header: all usable ones if a test chooses its engine while it runs."""
    from pytest_hfmodels.engines.availability import usable  # see `parametrize`

    items = list(items)
    chosen_late = any(uses_models(item) and request_of(item) is None for item in items)
    return usable() if chosen_late else engines_in_use(config, items)


def may_hold_models(item: pytest.Item) -> bool:
    """Return whether a test can reach a model of the cache without our handle, through its own fixtures.

    An autouse fixture of the session is in every test's list, even if nothing in the test names it.
    """
    return not {*MODEL_FIXTURES, "hf_models"}.isdisjoint(named_fixtures(item))


def named_fixtures(item: pytest.Item) -> set[str]:
    """Return the fixtures that a test can reach: named by it, by its own fixtures, or by fixtures that those name."""
    info: Any = getattr(item, "_fixtureinfo", None)  # pytest has no public way to it
    if info is None:  # a doctest, or another plugin's item
        return set(getattr(item, "fixturenames", ()))
    definitions = {name: found for name, found in info.name2fixturedefs.items() if found}
    waiting = [*info.argnames, *(name for name, found in definitions.items() if found[-1].scope not in _WIDE)]
    named: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in named:
            named.add(name)
            # A fixture may use the one of the same name that it overrides.
            waiting += [argument for one in definitions.get(name, ()) for argument in one.argnames]
    return named


_WIDE = ("session", "package")


@dataclass(frozen=True)
class _Marked:
    """What an `hf_model` marker says: the arguments of `ModelCache.load`, and its engines; None without a marker."""

    checkpoint: str = ""
    keywords: dict[str, Any] = field(default_factory=dict)
    engines: list[str] | None = None


def _read_marker(marker: pytest.Mark | None, nodeid: str) -> _Marked:
    if marker is None:
        return _Marked()
    keywords = dict(marker.kwargs)
    engines = keywords.pop("engines", ("torch",))
    engines = [engines] if isinstance(engines, str) else engines
    checkpoint = marker.args[0] if marker.args else keywords.pop("checkpoint", None)
    if isinstance(checkpoint, os.PathLike):
        checkpoint = os.path.join(".", os.fspath(checkpoint))  # noqa: PTH118 - pathlib would drop the leading "./"
    if not isinstance(checkpoint, str) or not checkpoint or len(marker.args) > 1:
        raise OptionError(
            f"The hf_model marker of {nodeid} names no checkpoint.",
            hint='It reads like this: @pytest.mark.hf_model("./models/mine") or ("org/name", revision="<commit>").',
        )
    listed = isinstance(engines, list | tuple) and engines and all(isinstance(name, str) for name in engines)
    if not listed or "engine" in keywords:
        raise OptionError(
            f"The hf_model marker of {nodeid} names its engines in a way that is not understood.",
            hint='It reads like this: engines=["torch"], or ["torch", "tensorflow"].',
        )
    return _Marked(checkpoint, keywords, list(engines))


def _engines(wanted: Sequence[str], marked: _Marked, options: Options) -> tuple[EngineName, ...]:
    """Return the engines that a test runs on: those its marker names, or else those selected or installed."""
    from pytest_hfmodels.engines.availability import require_known, usable  # see `parametrize`

    if "hf_model" in wanted and marked.engines is None:
        raise OptionError(
            "hf_model needs a marker that names its checkpoint.",
            hint='Write it above the test: @pytest.mark.hf_model("./models/mine").',
        )
    if marked.engines is None and not {*wanted} & {*TORCH_ONLY}:
        return options.engines or usable() or ("torch",)
    named = require_known(marked.engines or ["torch"], source="The hf_model marker")
    return named if options.engines is None else tuple(name for name in named if name in options.engines)


def _request(fixture: str, marked: _Marked, engine: EngineName, runnable: tuple[EngineName, ...]) -> ModelRequest:
    if fixture in BUNDLED_FIXTURES:
        return ModelRequest(fixture, BUNDLED_FIXTURES[fixture], engine, runnable)
    return ModelRequest(fixture, marked.checkpoint, engine, runnable, marked.keywords)


def _nothing_selected(wanted: Sequence[str], marked: _Marked, config: pytest.Config) -> Any:
    selected = ", ".join(Session.of(config).options.engines or ())
    reason = f"runs on {', '.join(marked.engines or ['torch'])} only, and the selected engines are {selected}"
    return _unavailable(wanted, UnavailableModel("unselected"), pytest.mark.skip(reason=reason))


def _unavailable(wanted: Sequence[str], model: UnavailableModel, *marks: pytest.MarkDecorator) -> Any:
    return pytest.param(*(model for _ in wanted), id=model.engine_id, marks=marks)
