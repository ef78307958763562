"""The session cache: one load per checkpoint, task, engine and overrides in a process."""

from __future__ import annotations

import json
import warnings
import weakref
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pytest_hfmodels import engines
from pytest_hfmodels.checkpoints import (
    Checkpoint,
    Digests,
    fill_private_copy,
    resolve,
    tokenizer_digest,
    weights_digest,
)
from pytest_hfmodels.engines import EngineName, LoadOptions, Task, TransfoXLChoice, architectures, upstream
from pytest_hfmodels.errors import CheckpointError, EngineError, HFModelsError
from pytest_hfmodels.models import arguments
from pytest_hfmodels.models.entry import Entry
from pytest_hfmodels.models.handle import HFModel
from pytest_hfmodels.models.watch import Fingerprint

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator


class ModelCache:
    """Loads models once a process and hands out handles; the value of the `hf_models` fixture.

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
            head: "new" fills a classification head that the checkpoint lacks with fixed numbers.
            overrides: configuration fields, such as `num_labels` or `pad_token_id`.

        Raises:
            CheckpointError: it cannot be found, read or trusted, or does not fit.
            EngineError: the engine is not there or lacks the architecture.
            OptionError: an argument is of another kind.
        """
        name = arguments.checkpoint_name(checkpoint)
        arguments.require_texts(revision=revision, digest=digest, attention=attention)
        arguments.require_pinning(pin, dtype)
        arguments.require_fields(overrides)
        found = self._resolve(name, revision, digest)
        wanted = infer_task(found) if task is None else task
        arguments.require_known(wanted, engine, head)
        options = LoadOptions(
            dtype=dtype or ("float32" if pin else None),
            attention=attention or ("eager" if pin else None),
            head="new" if head == "new" else "trained",
            overrides=overrides,
            transfo_xl=self._transfo_xl,
        )
        key = json.dumps([str(found.folder), found.digests.weights, wanted, engine, repr(options)])
        self._entry(key, found, wanted, engine, options)
        return HFModel(lambda: self._entry(key, found, wanted, engine, options))

    def adopt(self, model: Any, tokenizer: Any, *, name: str | None = None, task: Task | None = None) -> HFModel:
        """Take in a model that was loaded another way (PEFT, custom code) and return a handle on it.

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
        loaded = self._engine(engine).adopt(model)
        digests = Digests(
            weights=weights_digest(loaded.weights()),
            config=_text_digest(_stable_config(model)),
            tokenizer=_text_digest(sorted(tokenizer.get_vocab().items())),
        )
        checkpoint = Checkpoint(
            name=name or own, origin="adopted", folder=self._rootdir, revision=None, digests=digests
        )
        entry = Entry(checkpoint, kind, loaded, tokenizer, Fingerprint.of(loaded, tokenizer, with_weights=False), True)
        self._entries[f"adopted {id(model)}"] = entry
        return HFModel(lambda: entry)

    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Return the checkpoints that this process has resolved."""
        return tuple(self._checkpoints.values())

    def dirty(self, *, weights: bool = False) -> Iterator[tuple[str, list[str]]]:
        """Evict every model that has changed since it was last looked at; yield its description and the changes.

        Args:
            weights: read the weights of models that are not bundled too (at the session's end).
        """
        for key, entry in list(self._entries.items()):
            thorough = entry.before.weights is not None and (weights or (entry.touched and entry.always_digested))
            entry.touched = False
            now = Fingerprint.of(entry.loaded, entry.tokenizer, with_weights=thorough)
            changes = entry.before.changes(now)
            if not changes:
                continue
            if entry.adopted:
                entry.before = now  # not ours to reload: say it once
            else:
                del self._entries[key]
            yield entry.describe(), changes

    def _resolve(self, name: str, revision: str | None, digest: str | None) -> Checkpoint:
        key = (name, revision, digest)
        if key not in self._checkpoints:
            self._checkpoints[key] = resolve(
                name, rootdir=self._rootdir, revision=revision, digest=digest, may_fetch=self._may_fetch
            )
        return self._checkpoints[key]

    def _engine(self, name: EngineName) -> engines.Engine:
        return engines.engine(name, with_tensorflow=self._with_tensorflow or name == "tensorflow")

    def _entry(self, key: str, found: Checkpoint, task: Task, name: EngineName, options: LoadOptions) -> Entry:
        if key not in self._entries:
            loaded = self._engine(name).load(found.folder, task, options)
            tokenizer = _tokenizer(found, options)
            before = Fingerprint.of(loaded, tokenizer, with_weights=True)

            def load(**changes: Any) -> engines.LoadedModel:
                changes["overrides"] = {**options.overrides, **changes.get("overrides", {})}
                return self._engine(name).load(found.folder, task, replace(options, **changes))

            self._entries[key] = Entry(found, task, loaded, tokenizer, before, load=load)
            self.loads += 1
        self._entries[key].touched = True
        return self._entries[key]


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
            f"The tokenizer of {checkpoint.name} cannot be loaded from {checkpoint.folder}: there are no files of it.",
            hint="Save it beside the model: tokenizer.save_pretrained(folder).",
        )
    # It lives as long as the tokenizer, which may copy its files when it is saved.
    handed = TemporaryDirectory(prefix="hfmodels-")
    try:
        loader = architectures.tokenizer_class(transformers, checkpoint.folder, options.transfo_xl)
        fill_private_copy(checkpoint.folder, Path(handed.name))
        with upstream.quiet(), warnings.catch_warnings():
            # Some releases (4.44 for one) announce a coming default: advice on a call that is ours, not the test's.
            warnings.simplefilter("ignore", FutureWarning)
            tokenizer = loader.from_pretrained(handed.name, local_files_only=True, trust_remote_code=False)
            tokenizer("A word, 1 ä.")  # a broken normalizer is only found when it is used
    except BaseException as error:
        handed.cleanup()
        # Ours says it better already; and Ctrl-C is no fault of the tokenizer, but a panic of its Rust code is.
        if isinstance(error, HFModelsError) or not (isinstance(error, Exception) or _is_panic(error)):
            raise
        # tokenizers raises a bare Exception for a file that it cannot parse
        raise CheckpointError(
            f"The tokenizer of {checkpoint.name} cannot be loaded from {checkpoint.folder}: "
            f"{upstream.described(error)}",
            hint="Save it beside the model: tokenizer.save_pretrained(folder).",
        ) from error
    weakref.finalize(tokenizer, handed.cleanup)
    upstream.give_name(tokenizer, checkpoint.folder)
    return tokenizer


def _is_panic(error: BaseException) -> bool:
    """Tell whether an error is Rust's way to give up; it is no Exception, and its class cannot be imported."""
    return type(error).__name__ == "PanicException"


def _stable_config(model: Any) -> dict[str, Any]:
    values = dict(model.config.to_dict())
    for name in ("transformers_version", "_name_or_path", "dtype", "torch_dtype"):
        values.pop(name, None)
    return values


def _text_digest(value: object) -> str:
    from hashlib import sha256

    return f"sha256:{sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()}"
