"""A repo on the Hub at one commit: from the Hub's cache on this machine, or fetched where allowed.

For `checkpoint`, inside this room. huggingface_hub sends the token that its user logged in with,
and no other: gated models need it. No code from a repo is ever fetched, and of its pickles only those that
`conversion` can read.
"""

from __future__ import annotations

import os
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import folders
from pytest_hfmodels.errors import CheckpointError, CheckpointNotCached

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

_LOG_IN = "log in with `hf auth login` or set HF_TOKEN"


def snapshot(repo_id: str, revision: str, *, may_fetch: bool) -> Path:
    """Return the folder with a repo's config, tokenizer files and weights at a commit.

    A complete copy in the Hub's cache is used without asking the Hub anything.

    Args:
        repo_id: `org/name`.
        revision: a full commit.
        may_fetch: whether to download what the cache lacks.

    Raises:
        CheckpointNotCached: it is not cached and may not be fetched.
        CheckpointError: the Hub does not have it, does not give it, or cannot be reached.
    """
    cached = _cached(repo_id, revision)
    if cached is not None:
        return cached
    if not may_fetch:
        raise CheckpointNotCached(
            f"revision {revision} of {repo_id} is not in the Hub's cache ({_cache()}), and may not be downloaded.",
            hint="To download it, run: pytest --hfmodels-checkpoints hub",
        )
    if _is_offline():
        raise _offline(repo_id, revision)
    return _fetch(repo_id, revision)


def _cached(repo_id: str, revision: str) -> Path | None:
    try:
        # The config and tokenizer files only: newer clients know which of these a commit has.
        folder = _download(repo_id, revision, folders.SIDECARS, local_files_only=True)
    # "Not cached" is a ValueError, a FileNotFoundError or both, depending on the client's release.
    except (FileNotFoundError, ValueError) as error:
        if "HFValidationError" not in _kinds(error):
            return None
        raise CheckpointError(
            f"{repo_id} is not the name of a repo: {error}", hint="Write it as on the Hub."
        ) from error
    return folder if folders.is_complete(folder) else None


def _fetch(repo_id: str, revision: str) -> Path:
    try:
        names = _list_files(repo_id, revision)
    # The client lets through the exceptions of three HTTP libraries and of its Rust part.
    except Exception as error:
        raise _explained(error, repo_id, revision, "the Hub cannot be reached") from error
    form = _weight_format(names, repo_id, revision)
    small = names.intersection((*folders.SIDECARS, form.index))
    try:
        folder = _download(repo_id, revision, small)
        if folders.has_pickled_vocabulary(folder, names):
            _download(repo_id, revision, (folders.PICKLED_VOCABULARY,))
        # The weights come last, so that a snapshot with weights has all the rest.
        return _download(repo_id, revision, _weight_names(folder, form, names))
    except CheckpointError:
        raise
    except Exception as error:
        raise _explained(error, repo_id, revision, "the download broke off") from error


def _list_files(repo_id: str, revision: str) -> set[str]:
    # Without a timeout of our own, the client would wait for ever here.
    timeout = int(os.environ.get("HF_HUB_ETAG_TIMEOUT") or 10)
    api = _client().HfApi(endpoint=_endpoint())
    info = api.model_info(repo_id, revision=revision, timeout=timeout)
    return {sibling.rfilename for sibling in info.siblings or ()}


def _weight_format(names: set[str], repo_id: str, revision: str) -> folders.WeightFormat:
    where = f"revision {revision} of {repo_id}"
    if folders.CONFIG not in names:
        raise CheckpointError(f"{where} has no {folders.CONFIG}.", hint="Name a repo that transformers can load.")
    for candidate in folders.FORMATS:
        if names.intersection(candidate.names):
            return candidate
    foreign = ", ".join(folders.foreign_weights(names)) or "no file of it"
    raise CheckpointError(
        f"{where} has its weights in {foreign}, which this plugin does not read.",
        hint="Name a revision that has model.safetensors.",
    )


def _weight_names(folder: Path, form: folders.WeightFormat, names: set[str]) -> set[str]:
    if form.single in names:
        return {form.single}
    return set(folders.shard_map(folder / form.index, form).values())


def _download(repo_id: str, revision: str, names: Iterable[str], *, local_files_only: bool = False) -> Path:
    snapshot_download = _client().snapshot_download
    # The client reads its environment when it is imported, which may have been long ago: so both
    # places are given, the endpoint where the release takes it.
    places: dict[str, Any] = {"cache_dir": _cache()}
    if "endpoint" in signature(snapshot_download).parameters:
        places["endpoint"] = _endpoint()
    return Path(
        snapshot_download(
            repo_id,
            revision=revision,
            allow_patterns=sorted(names),
            local_files_only=local_files_only,
            **places,
        )
    )


def _client() -> ModuleType:
    try:
        # Half a second to import, and a session may use no checkpoint of the Hub.
        import huggingface_hub
    except ImportError as error:
        raise CheckpointError(
            f"it is on the Hub, and huggingface_hub cannot be imported ({error}).",
            hint="Run: pip install 'pytest-hfmodels[torch]'",
        ) from error
    return huggingface_hub


def _explained(error: Exception, repo_id: str, revision: str, otherwise: str) -> CheckpointError:
    kinds = _kinds(error)
    # The client's "not found locally" stands for whatever kept it from asking the Hub.
    if "LocalEntryNotFoundError" in kinds and isinstance(error.__cause__, Exception):
        return _explained(error.__cause__, repo_id, revision, otherwise)
    if "OfflineModeIsEnabled" in kinds:
        return _offline(repo_id, revision)
    if "GatedRepoError" in kinds:
        return CheckpointError(
            f"{repo_id} is gated: the Hub gives it to admitted accounts only.",
            hint=f"Ask for access on its page, then {_LOG_IN}.",
        )
    if "RepositoryNotFoundError" in kinds:
        return CheckpointError(
            f"the Hub has no model {repo_id}, or it is private.",
            hint=f"Check the spelling; if it is private, {_LOG_IN}.",
        )
    if "RevisionNotFoundError" in kinds:
        return CheckpointError(
            f"{repo_id} has no revision {revision} on the Hub.",
            hint="Copy the full commit from the repo's history.",
        )
    if "HfHubHTTPError" in kinds:
        otherwise = f"the Hub refused to give {repo_id}"
    elif any("Timeout" in kind for kind in kinds):
        otherwise = "the Hub did not answer in time"
    reason = next(iter(str(error).splitlines()), "")
    return CheckpointError(
        f"{otherwise} ({type(error).__name__}: {reason}).",
        hint=f"Check the network{_endpoint_note()}, then run again: finished files are kept.",
    )


def _kinds(error: Exception) -> set[str]:
    # By name: the client's releases keep them in different modules, and build on different HTTP
    # libraries.
    return {kind.__name__ for kind in type(error).__mro__}


def _offline(repo_id: str, revision: str) -> CheckpointNotCached:
    return CheckpointNotCached(
        f"revision {revision} of {repo_id} is not in the Hub's cache ({_cache()}), and "
        "HF_HUB_OFFLINE forbids downloading it.",
        hint="Unset HF_HUB_OFFLINE (and TRANSFORMERS_OFFLINE) for one run with a network.",
    )


def _is_offline() -> bool:
    switch = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return switch.upper() in {"1", "ON", "YES", "TRUE"}


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def _endpoint_note() -> str:
    return " and HF_ENDPOINT, which is set" if _endpoint() else ""


def _cache() -> Path:
    """Return the cache folder by the client's own rules, from the environment as it is now."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if chosen := os.environ.get(variable):
            return _expanded(chosen)
    home = os.environ.get("HF_HOME")
    if not home:
        home = f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    return _expanded(home) / "hub"


def _expanded(path: str) -> Path:
    return Path(os.path.expandvars(path)).expanduser()
