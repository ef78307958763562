"""A repo on the Hub at one commit: from the Hub's cache on this machine, or fetched where allowed.

For `checkpoint`. huggingface_hub sends the token that its user logged in with, and no other: gated models need it.
It fetches no code, and only those pickles that `conversion` reads without running them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import adapters, folders
from pytest_hfmodels.foundation.errors import CheckpointError, CheckpointNotCached
from pytest_hfmodels.foundation.progress import long_work

if TYPE_CHECKING:
    from collections.abc import Iterable


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
    # Half a second to import, and a session may use no checkpoint of the Hub.
    from huggingface_hub import constants
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    lacking = f"revision {revision} of {repo_id} is not in the Hub's cache ({constants.HF_HUB_CACHE}), and "
    try:
        cached = _download(repo_id, revision, (folders.CONFIG,), local_files_only=True)
        if folders.is_complete(cached) or _is_whole_adapter(cached):
            return cached
    except HFValidationError as error:
        raise CheckpointError(
            f"{repo_id} is not the name of a repo: {error}", hint="Write it as on the Hub."
        ) from error
    except LocalEntryNotFoundError:
        pass
    if not may_fetch:
        raise CheckpointNotCached(
            f"{lacking}may not be downloaded.", hint="To download it, run: pytest --hfmodels-checkpoints hub"
        )
    if constants.HF_HUB_OFFLINE:
        raise CheckpointNotCached(
            f"{lacking}HF_HUB_OFFLINE forbids downloading it.",
            hint="Unset HF_HUB_OFFLINE (and TRANSFORMERS_OFFLINE) for one run with a network.",
        )
    try:
        with long_work(f"downloading {repo_id}"):
            return _fetch(repo_id, revision)
    except CheckpointError:
        raise
    # The client lets through the exceptions of several HTTP libraries and of its Rust part.
    except Exception as error:
        cause: BaseException = error
        # The client's "not found locally" replaces the reason why it could not reach the Hub.
        while isinstance(cause, LocalEntryNotFoundError) and cause.__cause__ is not None:
            cause = cause.__cause__
        raise CheckpointError(
            f"revision {revision} of {repo_id} was not downloaded "
            f"({type(cause).__name__}: {' '.join(str(cause).split()):.300}).",
            hint="Check the spelling, the commit and the network, and HF_ENDPOINT if it is set. For a gated or private "
            "repo, log in with `hf auth login` or set HF_TOKEN. Then run again: finished files are kept.",
        ) from cause


def _fetch(repo_id: str, revision: str) -> Path:
    from huggingface_hub import HfApi, constants

    where = f"revision {revision} of {repo_id}"
    # Without a timeout of our own, the client would wait for ever here.
    info = HfApi().model_info(repo_id, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    names = {sibling.rfilename for sibling in info.siblings or ()}
    if adapters.ADAPTER in names:
        files = {adapters.ADAPTER, adapters.FORMAT.single}
        return _download(repo_id, revision, {name for name in names if folders.is_sidecar(name) or name in files})
    if folders.CONFIG not in names:
        raise CheckpointError(f"{where} has no {folders.CONFIG}.", hint="Name a repo that transformers can load.")
    form = folders.weight_format(names, where)
    folder = _download(repo_id, revision, {name for name in names if folders.is_sidecar(name) or name == form.index})
    # The weights come last, so that a snapshot with weights has all the rest.
    wanted = {form.single} if form.single in names else {*folders.shard_map(folder, form).values()}
    if folders.has_pickled_words(folder, names):
        wanted.add(folders.PICKLED_WORDS)
    return _download(repo_id, revision, wanted)


def _is_whole_adapter(folder: Path) -> bool:
    return folders.file_names(folder) >= {adapters.ADAPTER, adapters.FORMAT.single}


def _download(repo_id: str, revision: str, names: Iterable[str], **how: Any) -> Path:
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(repo_id, revision=revision, allow_patterns=sorted(names), **how))
