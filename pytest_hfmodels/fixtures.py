"""The fixtures. Short and lazy: what they hand out is imported when a test asks for it."""

from __future__ import annotations

import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.collection import BY_PARAMETER, default_request, engines_in_use, refuse_update_in_ci
from pytest_hfmodels.control_chars import visible_line
from pytest_hfmodels.errors import CheckpointNotCached, EngineUnavailable, OptionError, SnapshotError
from pytest_hfmodels.model_request import ModelRequest, UnavailableModel
from pytest_hfmodels.options import Options
from pytest_hfmodels.session import CACHE, CALL, COMPARED, SNAPSHOT

if TYPE_CHECKING:
    from pytest_hfmodels.models import HFModel, ModelCache
    from pytest_hfmodels.results.model import Compared
    from pytest_hfmodels.snapshots import HFSnapshot


@pytest.fixture(scope="session")
def gpt2(request: pytest.FixtureRequest, hf_models: ModelCache) -> HFModel:
    """The bundled GPT-2, `tiny-gpt2`, once per selected engine: float32, eager attention, no sampling.

    Returns:
        A handle with `generate`, `tokenizer`, `model`, `config`; session scope, so that it works under hypothesis.
    """
    return _serve(request, hf_models, "gpt2")


@pytest.fixture(scope="session")
def transfo_xl(request: pytest.FixtureRequest, hf_models: ModelCache) -> HFModel:
    """The bundled Transformer-XL, `tiny-transfo-xl`: upstream's code where it works, ours elsewhere.

    Returns:
        A handle; see `gpt2`. `--hfmodels-transfo-xl` chooses whose code runs.
    """
    return _serve(request, hf_models, "transfo_xl")


@pytest.fixture(scope="session")
def hf_model(request: pytest.FixtureRequest, hf_models: ModelCache) -> HFModel:
    """The checkpoint that the test's marker names: `@pytest.mark.hf_model("./models/bot", engines=["torch"])`.

    Returns:
        A handle; see `gpt2`.
    """
    return _serve(request, hf_models, "hf_model")


@pytest.fixture(scope="session")
def hf_models(request: pytest.FixtureRequest) -> ModelCache:
    """The session's model cache: `load(checkpoint, task=…, engine=…, **overrides)` and `adopt(model, tokenizer)`."""
    return cache_of(request.config, request.session)


@pytest.fixture
def hf_snapshot(request: pytest.FixtureRequest) -> HFSnapshot:
    """The recorded outcome of this test: `assert gpt2.generate(…) == hf_snapshot`.

    Kept in one TOML file a test under the folder `hfmodels_snapshots`, shared by all engines, written by
    syrupy's `--snapshot-update`. If the record differs and the test passes all the same, the test fails at teardown.
    """
    item = request.node
    refuse_update_in_ci(request.config, [item.nodeid])  # the first check, if a test requests the fixture while it runs
    if not __debug__:  # pytest's rewriting keeps `assert` only in test files
        raise OptionError(
            f"{item.nodeid} cannot compare snapshots: Python runs without assertions (-O or PYTHONOPTIMIZE).",
            hint="Run pytest without -O, and with PYTHONOPTIMIZE unset.",
        )
    try:
        snapshot = request.getfixturevalue("snapshot")
    except pytest.FixtureLookupError:
        snapshot = None
    if not hasattr(snapshot, "use_extension"):
        raise OptionError(
            f"hf_snapshot needs syrupy's fixture `snapshot`, but {item.nodeid} has another one or none.",
            hint="Rename your own fixture `snapshot`, and do not switch syrupy off.",
        )
    from pytest_hfmodels.explain import explain
    from pytest_hfmodels.snapshots.assertion import HFSnapshot  # imports syrupy and the record types

    item.stash[SNAPSHOT] = found = HFSnapshot(item, snapshot, explain)
    return found


def cache_of(config: pytest.Config, session: pytest.Session) -> ModelCache:
    """Return the process's model cache, made on first use."""
    # Only runs with models need them.
    from pytest_hfmodels.engines.availability import need_tensorflow
    from pytest_hfmodels.models import ModelCache

    if CACHE not in config.stash:
        config.stash[CACHE] = ModelCache(
            config.rootpath,
            may_fetch=Options.of(config).checkpoints == "hub",
            with_tensorflow=need_tensorflow(engines_in_use(config, session.items)),
            implementation=Options.of(config).transfo_xl,
        )
    return config.stash[CACHE]


def discard_earlier_run(item: pytest.Item) -> None:
    """Remove what an earlier run of this test left, if a plugin reruns it."""
    if SNAPSHOT in item.stash:
        item.stash[SNAPSHOT].uncount_failures()
    keys: tuple[pytest.StashKey[Any], ...] = (SNAPSHOT, CALL, COMPARED)
    for key in keys:
        if key in item.stash:
            del item.stash[key]


def require_asserted(item: pytest.Item) -> None:
    """Check the comparisons of a test that passed, after the teardown of all its fixtures.

    A fixture of a class, a module or the session may have compared with the snapshot of an earlier test, too.

    Raises:
        SnapshotError: a comparison differed, so the test should have failed.
        Exception: what a comparison raised, if the test caught it.
    """
    assertion = sys.modules.get("pytest_hfmodels.snapshots.assertion")  # not imported: no test has used a snapshot
    if assertion is None:
        return
    recent = [snapshot.item for snapshot in item.config.stash.get(assertion.RECENT, [])]
    item.config.stash[assertion.RECENT] = []
    for one in dict.fromkeys([item, *recent]):
        if SNAPSHOT in one.stash and CALL in one.stash and one.stash[CALL].passed:
            _require_asserted(one, one.stash[SNAPSHOT])


def mismatch_lines(config: pytest.Config, found: Compared) -> list[str]:
    """Return the lines that stand in pytest's output for a comparison that differs."""
    from pytest_hfmodels.reports.terminal import mismatch  # imported late: only a failing test needs it

    verbose = config.get_verbosity() > 1
    return mismatch(found, root=config.rootpath, here=config.invocation_params.dir, verbose=verbose)


def _require_asserted(item: pytest.Item, snapshot: HFSnapshot) -> None:
    """Check the comparisons of a test that passed; warn if it made none, or fewer than it has files.

    Raises:
        SnapshotError: one of them differed, so the test should have failed.
        Exception: what one of them raised.
    """
    if snapshot.errors:
        raise snapshot.errors[0]
    differing = [found for found in snapshot.compared if not found.equal]
    if differing:
        lines = mismatch_lines(item.config, differing[0])
        raise SnapshotError(
            f"{item.nodeid} compared a record that differs from its snapshot, and passed: nothing asserted it.",
            hint="\n  ".join(
                [
                    "Write `assert record == hf_snapshot`, or mark the test xfail if you expect a difference.",
                    *lines,
                ]
            ),
        )
    if not snapshot.compared:
        _warn(
            f"{item.nodeid} asked for hf_snapshot and compared nothing with it.",
            hint="Write `assert record == hf_snapshot`, or remove hf_snapshot from the test's arguments.",
        )
    unread = [os.path.relpath(path) for path in snapshot.unread_files()]
    if unread:
        from pytest_hfmodels.shell import command, operand

        number = f"{len(unread)} more file{'' if len(unread) == 1 else 's'}"
        _warn(
            f"{item.nodeid} has {number} of earlier comparisons, which it no longer makes.",
            hint=f"Compare them again, or delete them: {command('rm', *map(operand, unread))}",
        )


def _warn(said: str, *, hint: str) -> None:
    """Warn about a snapshot that guards nothing.

    Raises:
        SnapshotError: the project turns warnings into errors.
    """
    from pytest_hfmodels.snapshots.assertion import UnusedSnapshotWarning

    try:
        warnings.warn(visible_line(f"{said} {hint}"), UnusedSnapshotWarning, stacklevel=2)
    except UnusedSnapshotWarning:
        raise SnapshotError(said, hint=hint) from None


def _unparametrised(request: pytest.FixtureRequest, fixture: str) -> ModelRequest | UnavailableModel:
    """Return the request of a fixture without a parameter; hf_model's follows the marker of the running test."""
    # A fixture of the session sees the session, and pytest has no public way from there to the test that runs.
    item: pytest.Item | None = getattr(request, "_pyfuncitem", None)
    definition: Any = getattr(request, "_fixturedef", None)
    if fixture == "hf_model" and item is not None:
        if definition is None:
            raise OptionError(
                "This release of pytest does not say which test asks for hf_model, so its marker is not found.",
                hint="Name hf_model in the arguments of a test function, or use hf_models.load(…).",
            )
        # pytest keeps the value for the session, and the next test's marker may name another checkpoint.
        item.addfinalizer(lambda: definition.finish(request))
    return default_request(fixture, request.config, item)


def _serve(request: pytest.FixtureRequest, models: ModelCache, fixture: str) -> HFModel:
    wanted: ModelRequest | UnavailableModel = (
        request.param if hasattr(request, "param") else _unparametrised(request, fixture)
    )
    if not isinstance(wanted, ModelRequest | UnavailableModel):  # from `parametrize(…, indirect=True)`
        raise OptionError(
            f"{fixture} was parametrised with {wanted!r:.60}, but its parameters are the plugin's own.",
            hint=BY_PARAMETER,
        )
    if isinstance(wanted, UnavailableModel):
        if wanted.problem is None:
            pytest.skip("no engine of this test's hf_model marker is selected")
        raise wanted.problem
    try:
        return models.load(wanted.checkpoint, engine=wanted.engine, **wanted.keywords)
    except EngineUnavailable as error:
        if wanted.engine in Options.of(request.config).require:
            raise
        pytest.skip(str(error))
    except CheckpointNotCached as error:
        pytest.skip(str(error))
