"""What a test holds: a handle on a cached model, never the only reference to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_hfmodels.errors import EngineError
from pytest_hfmodels.records import ClassificationRecord, GenerationRecord, observe_classification, observe_generation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_hfmodels.checkpoints import Checkpoint
    from pytest_hfmodels.engines import EngineName, ForwardPass, Generation, LoadedModel, Task
    from pytest_hfmodels.engines.base import FloatArray
    from pytest_hfmodels.models.entry import Entry


class HFModel:
    """A model as tests see it: upstream's own objects, and records made from them.

    The model behind it is loaded on first use and may be loaded anew when a test has changed it, so that
    `handle.model` is to be asked for again in each test rather than kept.

    Args:
        fetch: returns the cache entry, loading it if need be.
    """

    def __init__(self, fetch: Callable[[], Entry]) -> None:
        self._fetch = fetch

    @property
    def model(self) -> Any:
        """Upstream's model object."""
        return self.loaded.model

    @property
    def tokenizer(self) -> Any:
        """Upstream's tokenizer."""
        return self._fetch().tokenizer

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
        """`torch` or `tensorflow`."""
        return self.loaded.engine

    @property
    def task(self) -> Task:
        """`text-generation` or `text-classification`."""
        return self._fetch().task

    @property
    def loaded(self) -> LoadedModel:
        """The engine's side of the model: NumPy arrays in and out."""
        return self._fetch().loaded

    @property
    def return_tensors(self) -> str:
        """What to pass to the tokenizer's `return_tensors` for this engine: `pt` or `tf`."""
        return self.loaded.tensors

    def generate(
        self, prompt: str | Sequence[int], *, skip_special_tokens: bool = False, **settings: Any
    ) -> GenerationRecord:
        """Generate from one prompt without sampling and return everything a snapshot keeps.

        Args:
            prompt: text, or token ids.
            skip_special_tokens: decode the output without special tokens.
            settings: keywords of the library's own `generate`, such as `max_length` or `num_beams`.

        Raises:
            EngineError: sampling was asked for, the prompt is empty, or the model is no language model.
        """
        self._require_task("text-generation", "generate")
        _refuse_sampling(settings)
        entry = self._fetch()
        return observe_generation(
            entry.checkpoint,
            entry.loaded,
            entry.tokenizer,
            prompt,
            self._with_pad(settings),
            skip_special_tokens=skip_special_tokens,
        )

    def generate_batch(self, prompts: Sequence[Sequence[int]], **settings: Any) -> Generation:
        """Run `generate` once over prompts of one length, given as token ids (B, L): for properties, not for snapshots.

        Raises:
            EngineError: the prompts have different lengths, or sampling was asked for.
        """
        import numpy as np

        self._require_task("text-generation", "generate")
        _refuse_sampling(settings)
        if len({len(prompt) for prompt in prompts}) != 1 or not prompts[0]:
            raise EngineError(
                "generate_batch takes one or more prompts of one length, with at least one token.",
                hint="Group prompts by length: padding would change what n-gram blocking reads.",
            )
        return self.loaded.generate(np.asarray(prompts, dtype=np.int64), None, self._with_pad(settings))

    def forward(self, ids: Sequence[Sequence[int]]) -> ForwardPass:
        """Run the model once over token ids (B, L) and return logits (B, L, V) and hidden states."""
        import numpy as np

        return self.loaded.forward(np.asarray(ids, dtype=np.int64))

    def log_probabilities(self, ids: Sequence[Sequence[int]]) -> FloatArray:
        """Return the log-probability of every vocabulary entry after every token of `ids`, (B, L, V)."""
        from pytest_hfmodels.records.evidence import log_softmax

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
            EngineError: the model is no classifier, or there is nothing to classify.
        """
        self._require_task("text-classification", "classify")
        entry = self._fetch()
        return observe_classification(entry.checkpoint, entry.loaded, entry.tokenizer, texts, labels, problem_type)

    def __repr__(self) -> str:
        return f"<HFModel {self._fetch().describe()}>"

    def _require_task(self, task: Task, method: str) -> None:
        if self.task != task:
            raise EngineError(
                f"{method}() needs a {task} model, and {self.checkpoint.name} was loaded for {self.task}.",
                hint=f'Load it with task="{task}".',
            )

    def _with_pad(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Give eos as pad where the model has none, which is upstream's own rule less its message."""
        config = self.model.generation_config
        if "pad_token_id" in settings or config.pad_token_id is not None or config.eos_token_id is None:
            return dict(settings)
        eos = config.eos_token_id
        return {"pad_token_id": eos[0] if isinstance(eos, list) else eos, **settings}


def _refuse_sampling(settings: Mapping[str, Any]) -> None:
    if settings.get("do_sample"):
        raise EngineError(
            "do_sample=True draws tokens at random, and a record must come out the same every time.",
            hint="Leave do_sample out; use greedy or beam search.",
        )
