"""The fixtures. Short and lazy: what they hand out is imported when a test asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.collection import default_request, engines_in_use, refuse_update_in_ci
from pytest_hfmodels.errors import CheckpointNotCached, EngineUnavailable, OptionError
from pytest_hfmodels.options import Options
from pytest_hfmodels.requests import Unserved

if TYPE_CHECKING:
    from pytest_hfmodels.models import HFModel, ModelCache
    from pytest_hfmodels.requests import ModelRequest
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
    syrupy's `--snapshot-update`.
    """
    refuse_update_in_ci(request.config, [request.node.nodeid])  # a test that asks for it while running was not seen
    try:
        snapshot = request.getfixturevalue("snapshot")
    except pytest.FixtureLookupError:
        snapshot = None
    if not hasattr(snapshot, "use_extension"):
        raise OptionError(
            f"hf_snapshot needs syrupy's fixture `snapshot`, and {request.node.nodeid} has another one or none.",
            hint="Rename your own fixture `snapshot`, and do not switch syrupy off.",
        )
    from pytest_hfmodels.explain import explain
    from pytest_hfmodels.snapshots.assertion import HFSnapshot  # imports syrupy and the record types

    return HFSnapshot(request.node, snapshot, explain)


def cache_of(config: pytest.Config, session: pytest.Session) -> ModelCache:
    """Return the process's model cache, made on first use."""
    from pytest_hfmodels.models import ModelCache  # light itself, but only runs with models need it

    if CACHE not in config.stash:
        config.stash[CACHE] = ModelCache(
            config.rootpath,
            may_fetch=Options.of(config).checkpoints == "hub",
            with_tensorflow="tensorflow" in engines_in_use(config, session.items),
            transfo_xl=Options.of(config).transfo_xl,
        )
    return config.stash[CACHE]


CACHE: pytest.StashKey[ModelCache] = pytest.StashKey()


def _serve(request: pytest.FixtureRequest, models: ModelCache, fixture: str) -> HFModel:
    wanted: ModelRequest | Unserved = getattr(request, "param", None) or default_request(fixture, request.config)
    if isinstance(wanted, Unserved):
        raise wanted.problem or OptionError("No engine of this test is selected.", hint="Select one.")
    try:
        return models.load(wanted.checkpoint, engine=wanted.engine, **wanted.keywords)
    except EngineUnavailable as error:
        if wanted.engine in Options.of(request.config).require:
            raise
        pytest.skip(str(error))
    except CheckpointNotCached as error:
        pytest.skip(str(error))
