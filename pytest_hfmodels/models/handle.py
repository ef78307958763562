"""What a test holds: a handle on a cached model, never the only reference to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_hfmodels.engines.settings import wanted_length
from pytest_hfmodels.foundation.errors import EngineError
from pytest_hfmodels.kinds import (
    ClassificationRecord,
    GenerationRecord,
    ScoreRecord,
    observe_classification,
    observe_generation,
    observe_score,
)
from pytest_hfmodels.kinds.evidence import log_softmax
from pytest_hfmodels.kinds.prompt import require_length, require_room, require_rows, require_tokenizer, vocabulary_size
from pytest_hfmodels.models.settings import require_recordable, require_repeatable, unknown_named, with_pad

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_hfmodels.checkpoints import Checkpoint
    from pytest_hfmodels.engines import EngineName, ForwardPass, Generation, LoadedModel, Task
    from pytest_hfmodels.engines.base import FloatArray, IntArray
    from pytest_hfmodels.models.cached_model import CachedModel


class HFModel:
    """A model as tests see it: upstream's own objects, and records made from them.

    `generate` and `classify` return records to compare with `hf_snapshot`; `model`, `tokenizer` and `config` are
    upstream's; `forward` and `log_probabilities` give NumPy arrays. The model behind it is loaded on first use and may
    be loaded anew when a test has changed it, so that `handle.model` is to be asked for again in each test rather than
    kept.
    """

    def __init__(self, fetch: Callable[[], CachedModel]) -> None:
        self._fetch = fetch

    @property
    def model(self) -> Any:
        """Upstream's model object."""
        return self.loaded.model

    @property
    def tokenizer(self) -> Any:
        """Upstream's tokenizer; None without one."""
        return self._hand_out().tokenizer

    @property
    def processor(self) -> Any:
        """Upstream's processor: tokenizer, image processor, feature extractor or a joint one; None without any."""
        return self._hand_out().processor

    @property
    def config(self) -> Any:
        """The model's configuration."""
        return self.loaded.model.config

    @property
    def checkpoint(self) -> Checkpoint:
        """What the model was loaded from, with a digest per part."""
        return self._fetch().checkpoint

    @property
    def engine(self) -> EngineName:
        """`torch`, `tensorflow` or a registered one."""
        return self._fetch().loaded.engine

    @property
    def task(self) -> Task:
        """By the Hub's name, such as `text-generation`."""
        return self._fetch().task

    @property
    def loaded(self) -> LoadedModel:
        """The engine's side of the model: NumPy arrays in and out."""
        return self._hand_out().loaded

    @property
    def return_tensors(self) -> str:
        """What to pass to the tokenizer's `return_tensors` for this engine: `pt` or `tf`."""
        return self._fetch().loaded.tensors

    def generate(
        self, prompt: str | Sequence[int], *, skip_special_tokens: bool = False, **settings: Any
    ) -> GenerationRecord:
        """Generate from one prompt without sampling and return everything a snapshot keeps.

        Args:
            prompt: text, or token ids.
            skip_special_tokens: decode the output without special tokens.
            settings: keywords of the library's own `generate`, such as `max_length` or `num_beams`.

        Raises:
            EngineError: the prompt or a setting is none that a record can hold, the installed release does not know a
                setting, or the model is no language model.
        """
        entry = self._generator(settings)
        require_tokenizer(entry.tokenizer, entry.checkpoint.name)
        require_recordable(settings)
        with unknown_named(entry.loaded.model, settings):
            return observe_generation(
                entry.checkpoint,
                entry.loaded,
                entry.tokenizer,
                prompt,
                with_pad(entry.loaded.model.generation_config, settings),
                skip_special_tokens=skip_special_tokens,
                origin=entry,
            )

    def generate_batch(self, prompts: Sequence[Sequence[int]], **settings: Any) -> Generation:
        """Run `generate` once over prompts of one length, given as token ids (B, L): for properties, not for snapshots.

        Raises:
            EngineError: the prompts have different lengths or do not fit the model, or sampling was asked for.
        """
        loaded = self._generator(settings).loaded
        ids = _one_length(
            loaded,
            prompts,
            "generate_batch takes one or more prompts",
            hint="Group prompts by length: padding would change what n-gram blocking reads.",
        )
        require_room(loaded.model, ids.shape[1], wanted_length(settings, ids.shape[1]))
        with unknown_named(loaded.model, settings):
            return loaded.generate(ids, None, with_pad(loaded.model.generation_config, settings))

    def forward(self, ids: Sequence[Sequence[int]]) -> ForwardPass:
        """Run the model once over token ids (B, L) and return logits (B, L, V) and hidden states.

        Raises:
            EngineError: the rows have different lengths, or more tokens than the model has positions.
        """
        loaded = self._fetch().loaded
        rows = _one_length(
            loaded,
            ids,
            "forward takes one or more rows of token ids",
            hint="Write them as in forward([[72, 105], [66, 121]]).",
        )
        require_length(loaded.model, rows.shape[1], "A row")
        return loaded.forward(rows)

    def log_probabilities(self, ids: Sequence[Sequence[int]]) -> FloatArray:
        """Return the log-probability of every vocabulary entry after every token of `ids`, (B, L, V)."""
        return log_softmax(self.forward(ids).logits)

    def classify(
        self, texts: str | Sequence[str], *, labels: Sequence[Any] | None = None, problem_type: str | None = None
    ) -> ClassificationRecord:
        """Classify one text or a batch and return logits, both readings of them, and the loss where labels are given.

        Args:
            texts: one text or several.
            labels: class indices, one a text; or rows of floats, one number a label (multi-label).
            problem_type: as in the configuration; None leaves it to upstream to infer it from the labels.

        Raises:
            EngineError: the model is no classifier, or the texts or labels do not fit it.
        """
        self._require_task("text-classification", "classify")
        entry = self._fetch()
        require_tokenizer(entry.tokenizer, entry.checkpoint.name)
        return observe_classification(
            entry.checkpoint, entry.loaded, entry.tokenizer, texts, labels, problem_type, origin=entry
        )

    def score(self, texts: Any) -> ScoreRecord:
        """Return the log-probability of each token of given texts, without a search.

        Args:
            texts: a text; a (prompt, continuation), of which the continuation is scored; or a list of either. Token ids
                may stand for a text. The first token of a text has nothing before it and is not scored.

        Raises:
            EngineError: the model is no language model, or there is nothing to score.
        """
        self._require_task("text-generation", "score")
        entry = self._fetch()
        return observe_score(entry.checkpoint, entry.loaded, entry.tokenizer, texts, origin=entry)

    def __repr__(self) -> str:
        return f"<HFModel {self._fetch().describe()}>"

    def _hand_out(self) -> CachedModel:
        entry = self._fetch()
        entry.handed_out = True
        return entry

    def _generator(self, settings: dict[str, Any]) -> CachedModel:
        self._require_task("text-generation", "generate")
        entry = self._fetch()
        require_repeatable(settings, getattr(entry.loaded.model, "generation_config", None))
        return entry

    def _require_task(self, task: Task, method: str) -> None:
        if self.task == task:
            return
        model = self._fetch().loaded.model
        name = type(model).__name__
        # A base in its files may get another head, but a classifier has no language model's.
        if task == "text-generation" and name in (getattr(model.config, "architectures", None) or [name]):
            raise EngineError(
                f"{method}() needs a language model, but {self.checkpoint.name} is a classifier ({name}).",
                hint="Use classify().",
            )
        own = {"text-generation": "Use generate(), or load", "text-classification": "Use classify(), or load"}
        raise EngineError(
            f"{method}() needs a {task} model, but {self.checkpoint.name} was loaded for {self.task}.",
            hint=f'{own.get(self.task, "Load")} it with task="{task}".',
        )


def _one_length(loaded: LoadedModel, rows: Sequence[Sequence[int]], what: str, *, hint: str) -> IntArray:
    ids = require_rows(rows, vocabulary_size(loaded.model.config))
    if len({len(row) for row in ids}) != 1 or not ids[0]:
        raise EngineError(f"{what} of one length, with at least one token.", hint=hint)
    import numpy as np  # hf_models is served without an engine too, to say which is missing

    return np.asarray(ids, dtype=np.int64)
