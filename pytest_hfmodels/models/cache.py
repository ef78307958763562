"""The session cache: one load per checkpoint, task, engine and overrides in a process."""

from __future__ import annotations

import gc
import json
import warnings
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, finalize

from pytest_hfmodels import engines
from pytest_hfmodels.checkpoints import (
    Checkpoint,
    file_stamp,
    fill_private_copy,
    overrides_text,
    read_configuration,
    resolve,
    tokenizer_digest,
)
from pytest_hfmodels.engines import EngineName, LoadOptions, Task, TransfoXLChoice, architectures, upstream
from pytest_hfmodels.engines.base import PROCESS_LOCK
from pytest_hfmodels.errors import CheckpointError, EngineError, HFModelsError
from pytest_hfmodels.kinds.evidence import IN_PLACE
from pytest_hfmodels.models import adopted, arguments
from pytest_hfmodels.models.cached_model import Entry
from pytest_hfmodels.models.fingerprint import Fingerprint, digest_of
from pytest_hfmodels.models.handle import HFModel
from pytest_hfmodels.models.memory import free_memory, reachable_ids

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence

# Times the size of a checkpoint's files: float16 becomes float32, and some releases hold file and model at once.
_ROOM = 3


class ModelCache:
    """Loads models once a process and hands out handles; the value of the `hf_models` fixture.

    A model stays in memory while it has a handle, and longer while memory is free. Threads may share a cache.

    Args:
        rootdir: local checkpoints are relative to it.
        may_fetch: whether hub checkpoints may be downloaded.
        with_tensorflow: whether TensorFlow is used in this run at all (see `engines.upstream.transformers`).
        transfo_xl: whose Transformer-XL to run (see `engines.architectures`).
    """

    def __init__(
        self,
        rootdir: Path,
        *,
        may_fetch: bool = False,
        with_tensorflow: bool = False,
        transfo_xl: TransfoXLChoice = "auto",
    ) -> None:
        self._rootdir = rootdir
        self._may_fetch = may_fetch
        self._with_tensorflow = with_tensorflow
        self._transfo_xl = transfo_xl
        self._entries: dict[str, Entry] = {}
        self._checkpoints: dict[tuple[str, str | None, str | None], Checkpoint] = {}
        self._stamps: dict[tuple[str, str | None, str | None], object] = {}  # of their files
        self._handles: dict[str, WeakSet[Any]] = {}  # by the model's key: handles, or the requests that they hold
        self._found: list[tuple[str, list[str]]] = []  # changes found while a test is running
        self._unattributed: list[tuple[str, list[str]]] = []  # changes whose test is unknown
        self._tests = 0
        self._lock = PROCESS_LOCK  # loading changes warning filters, random states and log levels temporarily
        self.loads = 0

    def load(
        self,
        checkpoint: str | os.PathLike[str],
        *,
        task: Task | None = None,
        engine: EngineName = "torch",
        revision: str | None = None,
        digest: str | None = None,
        pin: bool = True,
        dtype: str | None = None,
        attention: str | None = None,
        head: str = "trained",
        unused: Sequence[str] = (),
        **overrides: Any,
    ) -> HFModel:
        """Return a handle on `checkpoint`, loading it on the first request of these very arguments.

        Args:
            checkpoint: a bundled name (`tiny-gpt2`), a folder (`./models/bot`, or any path object), or a hub id.
            task: `text-generation` or `text-classification`; None takes what the configuration says.
            engine: `torch` or `tensorflow`.
            revision: the full commit of a hub checkpoint.
            digest: the expected digest of the weights.
            pin: pin float32 and eager attention, so that releases differ in what they compute and not in their
                defaults; False leaves the release's own choice.
            dtype: pin this dtype instead.
            attention: pin this attention implementation instead.
            head: "fixed" fills a classification head that the checkpoint lacks with fixed numbers.
            unused: names of weights in the files that the model may leave out (`["v_head.*"]`); `*` matches any
                text. Other unused weights are an error.
            overrides: configuration fields, such as `num_labels` or `pad_token_id`.

        Raises:
            CheckpointError: it cannot be found, read or trusted, or does not fit.
            EngineError: the engine is not there or lacks the architecture.
            OptionError: an argument is of another kind.
        """
        name = arguments.checkpoint_name(checkpoint)
        arguments.require_texts(revision=revision, digest=digest, attention=attention)
        arguments.require_pinning(pin, dtype)
        arguments.require_patterns(unused)
        arguments.require_fields(overrides)
        found = self._resolve(name, revision, digest)
        arguments.require_known(infer_task(found) if task is None else task, engine, head)
        options = LoadOptions(
            dtype=dtype or ("float32" if pin else None),
            attention=attention or ("eager" if pin else None),
            head="fixed" if head == "fixed" else "trained",
            unused=tuple(unused),
            overrides=overrides,
            transfo_xl=self._transfo_xl,
        )
        request = _Request(name, revision, digest, task, engine, options, found)
        handle = HFModel(lambda: self._entry(request))
        with self._lock:
            self._handles.setdefault(request.key, WeakSet()).add(request)
            self._entry(request)
        return handle

    def adopt(self, model: Any, tokenizer: Any, *, name: str | None = None, task: Task | None = None) -> HFModel:
        """Adopt a model that was loaded in another way (PEFT, custom code) and return a handle on it.

        Args:
            model: a torch or Keras model with upstream's interface.
            tokenizer: its tokenizer.
            name: what snapshots call it; the class name by default.
            task: None takes `text-classification` for a class that says so, else `text-generation`.

        Raises:
            EngineError: it is neither a torch nor a Keras model, or lacks a configuration, weights or a tokenizer.
            OptionError: the task or the name is none.
        """
        own = type(model).__name__
        kind: Task = _task_of(own) if task is None else task
        engine = _engine_of(model)
        arguments.require_known(kind)
        arguments.require_adoptable(model, tokenizer, name)
        key = f"adopted {id(model)}"
        with self._lock:
            loaded = self._engine(engine).adopt(model)
            self._make_room(sum(raw.nbytes for *_, raw in loaded.weights()))  # in case each test adopts its own
            self._share_lock(loaded)
            digests, weights = adopted.digests(loaded, tokenizer)
            checkpoint = Checkpoint(
                name=name or own, origin="adopted", folder=self._rootdir, revision=None, digests=digests
            )
            before = Fingerprint.of(loaded, tokenizer, with_weights=False, with_vocabulary=True)
            before = replace(before, weights=weights, buffers=digest_of(loaded.unsaved_buffers()))
            entry = Entry(checkpoint, kind, loaded, tokenizer, before, True)
            entry.requested = True
            self._entries[key] = entry
            handle = HFModel(lambda: self._mark_requested(key, entry))
            self._handles[key] = WeakSet([handle])
        return handle

    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Return the checkpoints that this process has resolved."""
        return tuple(self._checkpoints.values())

    def dirty(
        self, *, weights: bool = False, test: str = "", holders: Iterable[object] = ()
    ) -> Iterator[tuple[str, list[str]]]:
        """Evict every model that has changed since it was last looked at; yield its description and the changes.

        Inspects only models that the test requested or can reach, because each takes milliseconds.

        Args:
            weights: inspect every model with its weights and tokenizer (at the session's end), and also yield changes
                whose test is unknown.
            test: the id of the test that has just run.
            holders: its fixtures' values, its class and its module.
        """
        with self._lock:
            self._tests += 1
            untouched = any(not entry.requested for entry in self._entries.values())
            reach = reachable_ids(holders) if untouched else set()
            for key, entry in list(self._entries.items()):
                if weights or entry.requested or entry.has_part_in(reach):
                    self._look_after(key, entry, test, weights=weights)
                    entry.requested = False
            if weights:
                self._found += self._unattributed
                self._unattributed = []
            found, self._found = self._found, []
        yield from found

    def _look_after(self, key: str, entry: Entry, test: str, *, weights: bool) -> None:
        """Inspect a model after a test; evict a distrusted one, whose weights any test may have written."""
        known = not entry.distrusted or entry.checkpoint.origin == "bundled"
        found = self._found if known else self._unattributed
        found += self._look(key, entry, test if known else "", weights=weights)
        if entry.distrusted and not entry.adopted:
            self._entries.pop(key, None)
        entry.distrusted = False

    def _look(self, key: str, entry: Entry, test: str, *, weights: bool = False) -> Iterator[tuple[str, list[str]]]:
        changes = entry.new_changes(test, weights=weights)
        if changes and not entry.adopted:  # the plugin cannot reload an adopted one: report it once
            del self._entries[key]
        since = entry.last_test if changes not in ([], [IN_PLACE]) and not test else ""
        entry.seen, entry.last_test = self._tests, test or entry.last_test
        if changes:
            yield f"{entry.describe()}{f', after {since}' if since else ''}", changes

    def _mark_requested(self, key: str, entry: Entry) -> Entry:
        """Note that a test requests a model; do not blame it for changes that other tests made before."""
        with self._lock:
            if not entry.requested and entry.seen != self._tests and self._entries.get(key) is entry:
                self._unattributed += self._look(key, entry, "")
            entry.requested = True
        return entry

    def _make_room(self, needed: int) -> None:
        """Release every model without a handle if fewer than `needed` bytes are free."""
        free = free_memory()
        if free is None or free > needed:
            return
        for key, entry in list(self._entries.items()):
            entry.release_others()
            if self._handles.get(key):
                continue
            found = self._found if entry.requested else self._unattributed
            found += self._look(key, entry, "")
            self._entries.pop(key, None)
        gc.collect()  # upstream's models contain reference cycles

    def _share_lock(self, loaded: engines.LoadedModel) -> None:
        """Give models that share a module one lock: the same model, one that wraps another, two that wrap a third."""
        modules = _module_ids(loaded.model)
        others = [entry.loaded for entry in self._entries.values()]
        linked = [other for other in others if not modules.isdisjoint(_module_ids(other.model))]
        shared = {id(other.lock) for other in linked}
        for other in others:  # a model may already share its lock with a linked one
            if id(other.lock) in shared:
                other.lock = linked[0].lock
        if linked:
            loaded.lock = linked[0].lock

    def _resolve(self, name: str, revision: str | None, digest: str | None) -> Checkpoint:
        """Find a checkpoint, once a session and again if its files were rewritten."""
        key = (name, revision, digest)
        with self._lock:
            before, stamp = self._checkpoints.get(key), file_stamp(name, self._rootdir)
            if before is not None and stamp == self._stamps[key]:
                return before
            found = resolve(name, rootdir=self._rootdir, revision=revision, digest=digest, may_fetch=self._may_fetch)
            self._stamps[key] = stamp
            if before is not None and before != found:
                self._evict(before)
            if before != found:
                self._checkpoints[key] = found
            return self._checkpoints[key]

    def _evict(self, checkpoint: Checkpoint) -> None:
        """Remove a checkpoint's models that the running test does not use."""
        for key, entry in list(self._entries.items()):
            own = replace(entry.checkpoint, overrides=checkpoint.overrides)  # an entry's has those of its test
            if own == checkpoint and not entry.requested:
                self._unattributed += self._look(key, entry, "")
                self._entries.pop(key, None)

    def _follow_files(self, request: _Request) -> None:
        """Point a request at the files of its checkpoint as they are now; if the folder is gone, change nothing."""
        if request.key in self._entries and file_stamp(request.name, self._rootdir) is None:
            return
        found = self._resolve(request.name, request.revision, request.digest)
        if found is not request.found:
            self._handles[request.key].discard(request)
            request.follow(found)
            self._handles.setdefault(request.key, WeakSet()).add(request)

    def _engine(self, name: EngineName) -> engines.Engine:
        return engines.engine(name, with_tensorflow=self._with_tensorflow or name == "tensorflow")

    def _entry(self, request: _Request) -> Entry:
        with self._lock:
            entry = self._entries.get(request.key)
            if entry is None or not entry.requested:  # once a test: a model does not change while a test runs
                self._follow_files(request)
            key = request.key
            if key in self._entries:
                self._mark_requested(key, self._entries[key])
            if key not in self._entries:  # or it has changed and was removed just now
                self._entries[key] = self._loaded(request, request.found)
                self._entries[key].requested = True
            return self._entries[key]

    def _loaded(self, request: _Request, found: Checkpoint) -> Entry:
        self._make_room(_ROOM * sum(path.stat().st_size for path in found.folder.glob("*.safetensors")))
        task, options, engine = request.task, request.options, self._engine(request.engine)
        named = (request.name, request.revision, request.digest)  # not the request: a model must not keep its handle
        loaded = engine.load(found.folder, task, options)
        tokenizer = _tokenizer(found, options)
        before = Fingerprint.of(loaded, tokenizer, with_weights=True, with_vocabulary=True)

        def load(**changes: Any) -> engines.LoadedModel | None:
            own = changes.pop("fields", options.overrides)
            changes["overrides"] = {**own, **changes.get("overrides", {})}
            with self._lock:
                if self._resolve(*named) is not found:
                    return None
                return engine.load(found.folder, task, replace(options, **changes))

        def load_tokenizer() -> Any | None:
            with self._lock:
                return _tokenizer(found, options) if self._resolve(*named) is found else None

        self.loads += 1
        recorded = replace(found, overrides=overrides_text(options.overrides))
        return Entry(recorded, task, loaded, tokenizer, before, load=load, load_tokenizer=load_tokenizer)


@dataclass(eq=False)
class _Request:
    """What a handle asks for.

    Args:
        name: of the checkpoint.
        revision: as for `ModelCache.load`.
        digest: as for `ModelCache.load`.
        asked_task: None for what the configuration says.
        engine: as for `ModelCache.load`.
        options: how to load it.
        found: the checkpoint as its files were when the model was loaded.
    """

    name: str
    revision: str | None
    digest: str | None
    asked_task: Task | None
    engine: EngineName
    options: LoadOptions
    found: Checkpoint

    task: Task = field(init=False)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        """Work out the task and the key, which is the same for all requests of one model."""
        self.task = infer_task(self.found) if self.asked_task is None else self.asked_task
        said = [str(self.found.folder), astuple(self.found.digests), self.task, self.engine, repr(self.options)]
        self.key = json.dumps(said)

    def follow(self, found: Checkpoint) -> None:
        """Request the same model of a checkpoint whose files were rewritten."""
        self.found = found
        self.__post_init__()


def infer_task(checkpoint: Checkpoint) -> Task:
    """Return what the checkpoint's configuration says it was made for (`architectures`).

    Raises:
        CheckpointError: it says so in no list of names.
    """
    config = json.loads((checkpoint.folder / "config.json").read_text(encoding="utf-8"))
    names = config.get("architectures") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CheckpointError(
            f"Checkpoint {checkpoint.name!r}: architectures in its config.json "
            f"is no list of class names: {names!r:.60}.",
            hint='Write it as in ["GPT2LMHeadModel"], or name the task: task="text-generation".',
        )
    return _task_of(" ".join(names))


def _task_of(names: str) -> Task:
    return "text-classification" if "SequenceClassification" in names else "text-generation"


def _module_ids(model: Any) -> set[int]:
    """Return the ids of a model and its parts: torch calls them modules, TensorFlow submodules."""
    parts = model.modules() if hasattr(model, "modules") else getattr(model, "submodules", ())
    return {id(model), *map(id, parts)}


def _engine_of(model: Any) -> EngineName:
    bases = {base.__module__.split(".")[0] for base in type(model).__mro__}
    if "torch" in bases:
        return "torch"
    if bases & {"tensorflow", "keras", "tf_keras"}:
        return "tensorflow"
    raise EngineError(
        f"adopt() takes a torch or a Keras model, not {type(model).__name__}.",
        hint="Pass the model object that has .generate or the classifier's forward.",
    )


def _tokenizer(checkpoint: Checkpoint, options: LoadOptions) -> Any:
    import transformers

    if checkpoint.digests.tokenizer == tokenizer_digest({}):  # transformers 5 would make up an empty one
        raise CheckpointError(
            f"The tokenizer of {checkpoint.name} cannot be loaded from {checkpoint.folder}: it has no tokenizer files.",
            hint="Save it beside the model: tokenizer.save_pretrained(folder).",
        )
    # The folder is kept as long as the tokenizer, which may copy its files when it is saved.
    private_copy = TemporaryDirectory(prefix="hfmodels-")
    try:
        loader = architectures.tokenizer_class(transformers, checkpoint.folder, options.transfo_xl)
        fill_private_copy(checkpoint.folder, Path(private_copy.name))
        with upstream.quiet(), warnings.catch_warnings():
            # Some releases (4.44 for one) announce a coming default: advice on a call that is ours, not the test's.
            warnings.simplefilter("ignore", FutureWarning)
            tokenizer = loader.from_pretrained(private_copy.name, local_files_only=True, trust_remote_code=False)
            tokenizer("A word, 1 ä.")  # a broken normalizer fails only when it is used
    except BaseException as error:
        private_copy.cleanup()
        # Our own errors are clear already, and Ctrl-C is not the tokenizer's fault; a panic of its Rust code is.
        if isinstance(error, HFModelsError) or not (isinstance(error, Exception) or _is_panic(error)):
            raise
        # tokenizers raises a bare Exception for a file that it cannot parse
        raise CheckpointError(
            f"The tokenizer of {checkpoint.name} cannot be loaded from {checkpoint.folder}: "
            f"{upstream.error_text(error)}",
            hint=_saved_by_newer(checkpoint.folder) or "Save it beside the model: tokenizer.save_pretrained(folder).",
        ) from error
    finalize(tokenizer, private_copy.cleanup)
    upstream.set_checkpoint_name(tokenizer, checkpoint.folder)
    return tokenizer


def _saved_by_newer(folder: Path) -> str | None:
    """Return a hint for files that a later release saved; None if the installed release is not older."""
    import transformers
    from packaging.version import InvalidVersion, Version  # only for a tokenizer that cannot be loaded

    saved, installed = read_configuration(folder).get("transformers_version"), transformers.__version__
    try:
        if not isinstance(saved, str) or Version(saved) <= Version(installed):
            return None
    except InvalidVersion:
        return None
    return f"transformers {saved} saved it, but {installed} is installed. Upgrade, or save it again with {installed}."


def _is_panic(error: BaseException) -> bool:
    """Return whether an error is a Rust panic: its class is not an Exception and cannot be imported."""
    return type(error).__name__ == "PanicException"
