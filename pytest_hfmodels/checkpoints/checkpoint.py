"""The class `Checkpoint`, which all other folders use, and `resolve`, which turns a name into one.

For `engines` and above, through the package.
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pytest_hfmodels.checkpoints import adapters, folders, hub
from pytest_hfmodels.checkpoints.bundled_files import bundled_checkpoint, bundled_names
from pytest_hfmodels.checkpoints.conversion import gguf_folder, safe_folder
from pytest_hfmodels.checkpoints.digests import Digests, folder_digests, is_digest
from pytest_hfmodels.foundation.errors import CheckpointError, EngineUnavailable

if TYPE_CHECKING:
    from pathlib import Path

Origin = Literal["bundled", "local", "hub", "adopted"]

# Repos on the Hub that need no revision: their commit, and their short name.
PUBLISHED = {
    "openai-community/gpt2": "607a30d783dfa663caf39e06633721c8d4cfcd7e",
    "transfo-xl/transfo-xl-wt103": "40a186da79458c9f9de846edfaea79c412137f97",
}
ALIASES = {repo_id.partition("/")[2]: repo_id for repo_id in PUBLISHED}
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class Checkpoint:
    """Weights, config and tokenizer files in one folder, and what they are.

    Args:
        name: as the user asked for it.
        origin: where it came from.
        folder: holds config.json, the tokenizer files and the weights as safetensors, in one file
            or in shards with an index. Other formats may lie beside them: read none of those.
        revision: the Hub's commit; None for a checkpoint that is not from the Hub.
        digests: of the files in the folder.
        overrides: the configuration fields that the test sets at load, see `overrides_text`.
        adapter: the folder of the adapter that changes the weights in `folder`; None without one.
    """

    name: str
    origin: Origin
    folder: Path
    revision: str | None
    digests: Digests
    overrides: str = ""
    adapter: Path | None = None

    @property
    def processor_folder(self) -> Path:
        """Holds the files of the processor: beside the adapter if a tokenizer was saved there."""
        return self.adapter if self.adapter is not None and adapters.has_tokenizer(self.adapter) else self.folder


def resolve(
    name: str,
    *,
    rootdir: Path,
    revision: str | None = None,
    digest: str | None = None,
    may_fetch: bool = False,
) -> Checkpoint:
    """Turn a name into a checkpoint on this machine.

    Args:
        name: a folder or a GGUF file if it starts with `.`, `/` or `~`; else a bundled or published name; else a
            repo id on the Hub. transformers reads a GGUF file: import it before, with the engines that are wanted.
        rootdir: what a relative folder is relative to.
        revision: the commit of a repo on the Hub, in full; a published name has one already.
        digest: the weights digest that the checkpoint has to have, `sha256:<hex>`.
        may_fetch: whether to download what is not on this machine.

    Raises:
        CheckpointNotCached: it is on the Hub only, and may not be fetched.
        CheckpointError: it cannot be found, read or trusted.
        EngineUnavailable: no engine is installed, or one that its weights need.
    """
    try:
        if digest is not None and not is_digest(digest):
            raise CheckpointError(
                f"digest={digest!r} is not a weights digest.",
                hint="Write it as 'sha256:' and 64 hexadecimal digits, all lower case.",
            )
        checkpoint = _find(name, rootdir, revision, may_fetch)
        if digest not in (None, checkpoint.digests.weights):
            raise CheckpointError(
                f"its weights are not the expected ones: expected {digest}, "
                f"found {checkpoint.digests.weights} in {checkpoint.folder}.",
                hint="If the new weights are right, write the digest that was found.",
            )
    except CheckpointError as error:
        # Named here once, because only here the reader's own spelling is known.
        message = f"Checkpoint {name!r}: {error.message}"
        raise type(error)(message, hint=error.hint) from error.__cause__
    except ImportError as error:
        raise EngineUnavailable(
            f"Checkpoint {name!r} cannot be read without an engine: {error}.",
            hint="Run: pip install 'pytest-hfmodels[torch]'",
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"Checkpoint {name!r} has a file that cannot be read: {error}.",
            hint="Make it readable for the user who runs pytest, or copy the checkpoint again.",
        ) from error
    return checkpoint


def file_stamp(name: str, rootdir: Path) -> tuple[tuple[str, int, int, int, int], ...] | None:
    """Return name, size, inode and times of a local checkpoint's files, which differ once a file is rewritten.

    Args:
        name: as for `resolve`.
        rootdir: what a relative folder is relative to.

    Returns:
        None for a checkpoint that is no local folder, and for a folder that cannot be read.
    """
    if not _is_local(name):
        return None
    try:
        if is_gguf(name):
            at = folders.local_path(name, rootdir).stat()
            return ((name, at.st_size, at.st_ino, at.st_mtime_ns, at.st_ctime_ns),)
        folder = folders.local_folder(name, rootdir)
        with os.scandir(folder) as files:
            found = [(file.name, file.stat()) for file in files if file.is_file()]
        found += [(template, (folder / template).stat()) for template in folders.templates(folder)]
    except (CheckpointError, OSError):
        return None
    # A copy may keep size and modification time, and a file system may use an inode again.
    return tuple(sorted((name, at.st_size, at.st_ino, at.st_mtime_ns, at.st_ctime_ns) for name, at in found))


def is_gguf(name: str) -> bool:
    """Return whether a name stands for a GGUF file."""
    return _is_local(name) and name.endswith(".gguf")


def is_known(name: str) -> bool:
    """Return whether a name is that of a bundled or a published checkpoint."""
    return name in (*bundled_names(), *PUBLISHED, *ALIASES)


def _is_local(name: str) -> bool:
    return name.startswith((".", "/", "~"))


def _find(name: str, rootdir: Path, revision: str | None, may_fetch: bool) -> Checkpoint:
    if _is_local(name):
        _refuse_revision(revision, "a local folder")
        if is_gguf(name):
            file = folders.local_file(name, rootdir)
            made, digest = gguf_folder(file)
            return Checkpoint(name, "local", made, None, Digests(digest, digest, digest, chat_template=digest))
        found = folders.local_folder(name, rootdir)
        if adapters.is_adapter(found):
            return _adapted(name, "local", found, None, rootdir, may_fetch=may_fetch)
        folders.read_configuration(found)
        return _converted(name, "local", found, None)
    if name in bundled_names():
        _refuse_revision(revision, "bundled with the plugin")
        folder, digests = bundled_checkpoint(name)
        return Checkpoint(name, "bundled", folder, None, digests)
    repo_id = ALIASES.get(name, name)
    if not _REPO_ID.fullmatch(repo_id):
        nearest = difflib.get_close_matches(name, [*bundled_names(), *PUBLISHED, *ALIASES])
        hint = f"Did you mean {' or '.join(map(repr, nearest))}? " if nearest else ""
        hint += "A folder must start with './'; a repo on the Hub is written 'org/name'."
        raise _not_found(name, rootdir, "no bundled or published checkpoint has that name.", hint)
    commit = "Give revision= its full commit, 40 hexadecimal digits, from the repo's history."
    revision = PUBLISHED.get(repo_id) if revision is None else revision
    if revision is None:
        raise _not_found(name, rootdir, "it is a repo on the Hub, and nothing pins its revision.", commit)
    if not _COMMIT.fullmatch(revision):
        raise CheckpointError(f"revision {revision!r} does not pin it: a branch or a tag can move.", hint=commit)
    found = hub.snapshot(repo_id, revision, may_fetch=may_fetch)
    if adapters.is_adapter(found):
        return _adapted(name, "hub", found, revision, rootdir, may_fetch=may_fetch)
    return _converted(name, "hub", found, revision)


def _converted(name: str, origin: Origin, folder: Path, revision: str | None) -> Checkpoint:
    safe = safe_folder(folder)
    return Checkpoint(name, origin, safe, revision, folder_digests(safe))


def _adapted(
    name: str, origin: Origin, folder: Path, revision: str | None, rootdir: Path, *, may_fetch: bool
) -> Checkpoint:
    """Return an adapter over its base."""
    base, pinned = adapters.base_name(folder, rootdir)
    file = folder / adapters.ADAPTER
    try:
        found = _find(base, rootdir, pinned, may_fetch)
    except CheckpointError as error:
        pin = ' and its commit, "revision": "…"' if _REPO_ID.fullmatch(base) else ""
        raise type(error)(
            f"it is an adapter, and its base {base!r} cannot be found: {error.message}",
            hint=f"Write where the base is into {file}: base_model_name_or_path{pin}. {error.hint}",
        ) from error
    if found.adapter is not None:
        raise CheckpointError(f"{file} names another adapter as its base.", hint="Name the model beneath both.")
    digests = adapters.with_adapter(found.digests, folder)
    return replace(found, name=name, origin=origin, revision=revision, digests=digests, adapter=folder)


def _refuse_revision(revision: str | None, what: str) -> None:
    if revision is not None:
        raise CheckpointError(
            f"revision {revision!r} was given, but it is {what} and has no revisions.",
            hint="Leave the revision out; digest='sha256:…' pins the weights.",
        )


def _not_found(name: str, rootdir: Path, what: str, hint: str) -> CheckpointError:
    if (rootdir / name).is_dir():
        hint = f"For the folder of that name, write './{name}'. {hint}"
    return CheckpointError(what, hint=hint)
