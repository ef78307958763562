"""The fixtures. Short and lazy: what they hand out is imported when a test asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.collection import BY_PARAMETER, default_request, engines_in_use, refuse_update_in_ci
from pytest_hfmodels.errors import CheckpointNotCached, EngineUnavailable, OptionError
from pytest_hfmodels.model_request import ModelRequest, UnavailableModel
from pytest_hfmodels.session import SNAPSHOT, Session

if TYPE_CHECKING:
    from pytest_hfmodels.models import HFModel, ModelCache
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

    own = Session.of(config)
    if own.models is None:
        own.models = ModelCache(
            config.rootpath,
            may_fetch=Session.of(config).options.checkpoints == "hub",
            with_tensorflow=need_tensorflow(engines_in_use(config, session.items)),
            implementation=Session.of(config).options.transfo_xl,
        )
    return own.models


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
        if wanted.engine in Session.of(request.config).options.require:
            raise
        pytest.skip(str(error))
    except CheckpointNotCached as error:
        pytest.skip(str(error))
