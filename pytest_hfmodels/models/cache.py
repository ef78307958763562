"""The session cache: one load per checkpoint, task, engine and overrides in a process."""

from __future__ import annotations

import gc
import json
from dataclasses import astuple, dataclass, field, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from pytest_hfmodels import engines
from pytest_hfmodels.checkpoints import Checkpoint, file_stamp, is_gguf, overrides_text, resolve
from pytest_hfmodels.engines import EngineName, LoadOptions, Task
from pytest_hfmodels.engines.availability import described
from pytest_hfmodels.engines.base import PROCESS_LOCK
from pytest_hfmodels.engines.tasks import canonical
from pytest_hfmodels.foundation.durations import Timed
from pytest_hfmodels.kinds.evidence import IN_PLACE
from pytest_hfmodels.models import adopted, arguments
from pytest_hfmodels.models.cached_model import CachedModel
from pytest_hfmodels.models.fingerprint import Fingerprint
from pytest_hfmodels.models.handle import HFModel
from pytest_hfmodels.models.memory import ROOM, free_memory

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pytest_hfmodels.engines.availability import EngineModule

_Changes = tuple[str, list[str]]  # a model in words, and what has changed


class ModelCache:
    """Loads each model once per process and returns handles; the value of the `hf_models` fixture.

    A model stays in memory while it has a handle, and longer while memory is free. Threads may share a cache.

    Args:
        rootdir: local checkpoints are relative to it.
        may_fetch: whether hub checkpoints may be downloaded.
        with_tensorflow: whether TensorFlow is used in this run at all (see `engines.upstream.transformers`).
        implementation: whose code runs an architecture that is registered (see `architecture`).
        device: where torch runs models for which `load` names no device.
    """

    def __init__(
        self,
        rootdir: Path,
        *,
        may_fetch: bool = False,
        with_tensorflow: bool = False,
        implementation: str = "auto",
        device: str | None = None,
    ) -> None:
        self._rootdir = rootdir
        self._may_fetch = may_fetch
        self.with_tensorflow = with_tensorflow
        self._implementation = implementation
        self._device = device
        self._entries: dict[str, CachedModel] = {}
        self._checkpoints: dict[tuple[str, str | None, str | None], tuple[object, Checkpoint]] = {}  # with a stamp
        self._requests: WeakSet[_Request | _Adoption] = WeakSet()  # of the handles that are still in use
        self._found: list[_Changes] = []  # while a test is running
        self._unattributed: list[_Changes] = []  # by an unknown test
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
        device: str | None = None,
        head: str = "trained",
        unused: Sequence[str] = (),
        **overrides: Any,
    ) -> HFModel:
        """Return a handle on `checkpoint`; the first request with these arguments loads it.

        Args:
            checkpoint: a bundled name (`tiny-gpt2`), a folder or GGUF file (`./models/bot`, any path), or a hub id.
            task: by the Hub's name, such as `text-classification` (see `engines.tasks`); None takes what the class that
                the configuration names says, or else the model card's `pipeline_tag`.
            engine: `torch`, `tensorflow` or a registered one.
            revision: the full commit of a hub checkpoint.
            digest: the expected digest of the weights.
            pin: pin float32 and eager attention, so that releases differ in what they compute and not in their
                defaults; False leaves the release's own choice.
            dtype: pin this dtype instead.
            attention: pin this attention implementation instead.
            device: where torch runs the model, such as `cuda`.
            head: "fixed" fills a classification head that the checkpoint lacks with fixed numbers.
            unused: names of weights in the files that the model may leave out (`["v_head.*"]`); `*` matches any
                text. Other unused weights are an error.
            overrides: configuration fields, such as `num_labels` or `pad_token_id`.

        Raises:
            CheckpointError: it cannot be found, read or trusted, or does not fit.
            EngineError: the engine or the device is missing, or the engine lacks the architecture.
            OptionError: an argument has the wrong type or value.
        """
        name = arguments.checkpoint_name(checkpoint, self._rootdir, revision)
        described(engine)
        task = None if task is None else canonical(task)
        arguments.require_known(dtype=dtype, head=head)
        arguments.require_options(
            pin, unused, overrides, revision=revision, digest=digest, attention=attention, device=device
        )
        if is_gguf(name):  # transformers reads it
            self._engine(engine)
        found = self._resolve((name, revision, digest))
        options = LoadOptions(
            dtype=dtype or ("float32" if pin else None),
            attention=attention or ("eager" if pin else None),
            head="fixed" if head == "fixed" else "trained",
            unused=tuple(unused),
            overrides=overrides,
            implementation=self._implementation,
            device=device or (self._device if engine == "torch" else None),
        )
        request = _Request((name, revision, digest), task, engine, options, found)
        with PROCESS_LOCK:
            self._requests.add(request)
            self._requested(request)
        return HFModel(lambda: self._requested(request), self._rootdir)

    def adopt(self, model: Any, tokenizer: Any = None, *, name: str | None = None, task: Task | None = None) -> HFModel:
        """Adopt a model that was loaded in another way (PEFT, custom code) and return a handle on it.

        Args:
            model: a torch or Keras model, or a SentenceTransformer, whose transformer and pooling are
                adopted. Without upstream's interface a model can only be observed.
            tokenizer: its tokenizer or its processor; None if it has none.
            name: what snapshots call it; the class name by default.
            task: None takes what its class says.

        Raises:
            EngineError: it is neither a torch nor a Keras model, or lacks weights.
            OptionError: the task or the name is not valid.
        """
        own = type(model).__name__
        model, tokenizer, recipe = arguments.separated(model, tokenizer)
        kind: Task = arguments.task_of(model) if task is None else canonical(task)
        engine = arguments.require_adoptable(model, tokenizer, name)
        with PROCESS_LOCK:
            loaded = self._engine(engine).adopt(model)
            self._make_room(sum(raw.nbytes for *_, raw in loaded.weights()))  # in case each test adopts its own
            digests = adopted.digests(loaded, tokenizer)
            checkpoint = Checkpoint(
                name=name or own, origin="adopted", folder=self._rootdir, revision=None, digests=digests
            )
            before = Fingerprint.of(loaded, tokenizer, with_weights=True, with_vocabulary=True)
            entry = CachedModel(checkpoint, kind, loaded, tokenizer, before, recipe=recipe, held=True)
            adoption = _Adoption(f"adopted {id(model)}")
            self._entries[adoption.key] = entry
            self._requests.add(adoption)
        return HFModel(lambda: self._mark(adoption.key, entry), self._rootdir)

    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Return the checkpoints that this process has resolved."""
        return tuple(found for _, found in self._checkpoints.values())

    def dirty(self, *, weights: bool = False, test: str = "", handed_out: bool = False) -> Iterator[_Changes]:
        """Evict every model that has changed since it was last looked at; yield its description and the changes.

        Inspects only models that the test requested or may hold, because each takes milliseconds. What a test's body
        got in an earlier test it can hold only beside its fixtures: a change is found at the next request or the end.
        """
        with PROCESS_LOCK:
            for key, entry in list(self._entries.items()):
                if weights or entry.requested or (handed_out and entry.held):
                    self._look_after(key, entry, test, weights=weights)
                    entry.requested = entry.handed_out = False
            if weights:
                self._found += self._unattributed
                self._unattributed = []
            found, self._found = self._found, []
        yield from found

    def fixtures_are_set_up(self) -> None:
        """Note which models were handed out to the fixtures of a test: those of a module keep them for other tests."""
        with PROCESS_LOCK:
            for entry in self._entries.values():
                entry.held, entry.handed_out = entry.held or entry.handed_out, False

    def _look_after(self, key: str, entry: CachedModel, test: str, *, weights: bool) -> None:
        """Inspect a model after a test; evict a distrusted one, whose weights any test may have written."""
        known = not entry.distrusted or entry.checkpoint.origin == "bundled"
        self._look(key, entry, test if known else "", self._found if known else self._unattributed, weights=weights)
        if entry.distrusted and not entry.adopted:
            self._entries.pop(key, None)
        entry.distrusted = False

    def _look(self, key: str, entry: CachedModel, test: str, found: list[_Changes], *, weights: bool = False) -> None:
        """Add a model's changes to `found`; evict it if there are any, or report an adopted one once."""
        changes = entry.new_changes(test, weights=weights)
        since = entry.last_test if changes != [IN_PLACE] and not test else ""
        entry.last_test = test or entry.last_test
        if changes:
            found.append((f"{entry.describe()}{f', after {since}' if since else ''}", changes))
            if not entry.adopted:
                del self._entries[key]

    def _mark(self, key: str, entry: CachedModel) -> CachedModel:
        """Note that a test requests a model; do not blame it for changes that other tests made before."""
        with PROCESS_LOCK:
            if not entry.requested and self._entries.get(key) is entry:
                self._look(key, entry, "", self._unattributed)
            entry.requested = True
        return entry

    def _requested(self, request: _Request) -> CachedModel:
        with PROCESS_LOCK:
            entry = self._entries.get(request.key)
            if entry is None or not entry.requested:  # once a test: a model does not change while a test runs
                self._follow_files(request)
            key = request.key
            if key in self._entries:
                self._mark(key, self._entries[key])
            if key not in self._entries:  # or it has changed and was removed just now
                self._entries[key] = self._loaded(request, request.found)
            return self._entries[key]

    def _loaded(self, request: _Request, found: Checkpoint) -> CachedModel:
        self._make_room(ROOM * sum(path.stat().st_size for path in found.folder.glob("*.safetensors")))
        task, engine = request.task, self._engine(request.engine)
        options = replace(request.options, adapter=found.adapter)
        from pytest_hfmodels.models.processor import load_processor  # uses transformers as the engine has imported it

        named = request.named  # not the request: a model must not keep its handle
        with Timed("load"):
            loaded = engine.load(found.folder, task, options)
            processor = load_processor(found, options.implementation)
        before = Fingerprint.of(loaded, processor, with_weights=True, with_vocabulary=True)

        def load(**changes: Any) -> engines.LoadedModel | None:
            own = changes.pop("fields", options.overrides)
            changes["overrides"] = {**own, **changes.get("overrides", {})}
            with PROCESS_LOCK:
                same = self._resolve(named) is found
                return engine.load(found.folder, task, replace(options, **changes)) if same else None

        def again() -> Any | None:
            with PROCESS_LOCK:
                return load_processor(found, options.implementation) if self._resolve(named) is found else None

        self.loads += 1
        recorded = replace(found, overrides=overrides_text(options.overrides))
        return CachedModel(recorded, task, loaded, processor, before, load=load, load_processor=again)

    def _engine(self, name: EngineName) -> EngineModule:
        with Timed("import"):
            return engines.engine(name, with_tensorflow=self.with_tensorflow)

    def _make_room(self, needed: int) -> None:
        """Release every model without a handle if fewer than `needed` bytes are free."""
        free = free_memory()
        if free is None or free > needed:
            return
        held = {request.key for request in self._requests}
        for key, entry in list(self._entries.items()):
            entry.release_others()
            if key not in held:
                self._look(key, entry, "", self._found if entry.requested else self._unattributed)
                self._entries.pop(key, None)
        gc.collect()  # upstream's models contain reference cycles

    def _resolve(self, named: tuple[str, str | None, str | None]) -> Checkpoint:
        """Find a checkpoint, once a session and again if its files were rewritten."""
        name, revision, digest = named
        with PROCESS_LOCK:
            before, stamp = self._checkpoints.get(named), file_stamp(name, self._rootdir)
            if before is not None and stamp == before[0]:
                return before[1]
            with Timed("resolve"):
                found = resolve(
                    name, rootdir=self._rootdir, revision=revision, digest=digest, may_fetch=self._may_fetch
                )
            if before is not None and before[1] == found:
                found = before[1]
            elif before is not None:
                self._evict(before[1])
            self._checkpoints[named] = stamp, found
            return found

    def _evict(self, checkpoint: Checkpoint) -> None:
        """Remove a checkpoint's models that the running test does not use."""
        for key, entry in list(self._entries.items()):
            own = replace(entry.checkpoint, overrides=checkpoint.overrides)  # an entry's has those of its test
            if own == checkpoint and not entry.requested:
                self._look(key, entry, "", self._unattributed)
                self._entries.pop(key, None)

    def _follow_files(self, request: _Request) -> None:
        """Point a request at the files of its checkpoint as they are now; if the folder is gone, change nothing."""
        if request.key not in self._entries or file_stamp(request.named[0], self._rootdir) is not None:
            request.follow(self._resolve(request.named))


@dataclass(eq=False)
class _Request:
    """What a handle asks for: the arguments of `ModelCache.load`, and the checkpoint as its files were."""

    named: tuple[str, str | None, str | None]
    asked_task: Task | None
    engine: EngineName
    options: LoadOptions
    found: Checkpoint
    task: Task = field(init=False)

    def __post_init__(self) -> None:
        """Read the task."""
        self.follow(self.found)

    def follow(self, found: Checkpoint) -> None:
        """Ask for the checkpoint as its files are now; its task is what the test asked for, or what they say."""
        self.found = found
        self.task = arguments.infer_task(found) if self.asked_task is None else self.asked_task

    @property
    def key(self) -> str:
        """The same for all requests of one model."""
        found = self.found
        return json.dumps(
            [str(found.folder), str(found.adapter), astuple(found.digests), self.task, self.engine, repr(self.options)]
        )


@dataclass(eq=False)
class _Adoption:
    """What the handle of an adopted model holds."""

    key: str
