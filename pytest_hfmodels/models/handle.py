"""What a test holds: a handle on a cached model, never the only reference to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from pytest_hfmodels.foundation.errors import EngineError
from pytest_hfmodels.kinds import (
    AccuracyRecord,
    BatchRecord,
    ChatRecord,
    ClassificationRecord,
    EmbeddingRecord,
    GenerationRecord,
    ScoreRecord,
    TensorsRecord,
    TokensRecord,
    observe_classification,
    observe_embedding,
    observe_score,
    observe_tensors,
    observe_tokens,
)
from pytest_hfmodels.kinds.accuracy.record import read_rows
from pytest_hfmodels.kinds.chat.template import Conversation
from pytest_hfmodels.kinds.evidence import log_softmax
from pytest_hfmodels.kinds.prompt import require_length, require_rows, require_tokenizer, vocabulary_size
from pytest_hfmodels.models.accuracy import media_of_rows, observe_accuracy
from pytest_hfmodels.models.generating import chatted, generated, generated_batch
from pytest_hfmodels.models.settings import require_generating, require_repeatable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Unpack

    from transformers.configuration_utils import PretrainedConfig

    from pytest_hfmodels.checkpoints import Checkpoint
    from pytest_hfmodels.engines import EngineName, ForwardPass, Generation, LoadedModel, Task
    from pytest_hfmodels.engines.base import FloatArray, IntArray
    from pytest_hfmodels.models.cached_model import CachedModel
    from pytest_hfmodels.models.keywords import GenerateSettings, UpstreamModel, UpstreamTokenizer


_MEDIA = {"image-classification": "image", "audio-classification": "audio"}
_METHODS = {
    **dict.fromkeys(("text-classification", *_MEDIA), "classify()"),
    "text-generation": "generate()",
    "token-classification": "tag()",
}


class HFModel:
    """A model as tests see it: upstream's own objects, and records made from them.

    `generate` and `classify` return records to compare with `hf_snapshot`; `model`, `tokenizer` and `config` are
    upstream's; `forward` and `log_probabilities` give NumPy arrays. The model behind it is loaded on first use, and
    again after a test has changed it. So use `handle.model` in each test instead of keeping the model.
    """

    def __init__(self, fetch: Callable[[], CachedModel], root: Path) -> None:
        self._fetch = fetch
        self._root = root

    @property
    def model(self) -> UpstreamModel:
        """Upstream's model object."""
        model: UpstreamModel = self.loaded.model
        return model

    @property
    def tokenizer(self) -> UpstreamTokenizer | Any:
        """Upstream's tokenizer; None without one."""
        return self._hand_out().tokenizer

    @property
    def processor(self) -> Any:
        """Upstream's processor: tokenizer, image processor, feature extractor or a joint one; None without any."""
        return self._hand_out().processor

    @property
    def config(self) -> PretrainedConfig | Any:
        """The model's configuration; None for a module without one."""
        return getattr(self.loaded.model, "config", None)

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

    @overload
    def generate(
        self,
        prompt: str | list[int] | tuple[int, ...] | Mapping[str, Any] | None = ...,
        *,
        images: Any = ...,
        audio: Any = ...,
        sampling_rate: int | None = ...,
        skip_special_tokens: bool = ...,
        add_special_tokens: bool | None = ...,
        **settings: Unpack[GenerateSettings],
    ) -> GenerationRecord: ...

    @overload
    def generate(
        self,
        prompt: list[str] | tuple[str, ...] | list[list[int]],
        *,
        images: Any = ...,
        audio: Any = ...,
        sampling_rate: int | None = ...,
        skip_special_tokens: bool = ...,
        add_special_tokens: bool | None = ...,
        **settings: Unpack[GenerateSettings],
    ) -> BatchRecord: ...

    def generate(
        self,
        prompt: Any = None,
        *,
        images: Any = None,
        audio: Any = None,
        sampling_rate: int | None = None,
        skip_special_tokens: bool = False,
        add_special_tokens: bool | None = None,
        **settings: Unpack[GenerateSettings],
    ) -> GenerationRecord | BatchRecord:
        """Generate from one prompt, or from a batch, and return everything a snapshot keeps.

        Args:
            prompt: text; token ids as a sequence, an array or a tensor, (L,) or (1, L); what the tokenizer or the
                processor returned; or a list of texts or of rows of ids: a batch, padded on the left. None where a
                model reads none, as Whisper.
            images: a PIL image, an array (H, W, C), or a list of them, for the checkpoint's processor.
            audio: an array (samples,), or a list of them. A sound that is longer than the model's window gives a batch
                with one row per window.
            sampling_rate: samples a second of the sounds.
            skip_special_tokens: decode the output without special tokens.
            add_special_tokens: as the tokenizer takes it; None leaves it to the tokenizer.
            settings: keywords of the library's own `generate`, such as `max_length`, `num_beams` or `language`; arrays
                by the names of the model's arguments, such as `input_features`; and `seed`, with which `do_sample=True`
                draws the same tokens every time.

        Raises:
            EngineError: a record cannot hold the prompt or a setting, the installed release does not know a setting, or
                the model is not a language model.
        """
        special = {"skip_special_tokens": skip_special_tokens, "add_special_tokens": add_special_tokens}
        given = {"prompt": prompt, "images": images, "audio": audio}
        return generated(self._generator(settings), given, sampling_rate, special, settings)

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Any] = (),
        chat_template: str | None = None,
        template_variables: Mapping[str, Any] | None = None,
        sampling_rate: int | None = None,
        skip_special_tokens: bool = False,
        **settings: Unpack[GenerateSettings],
    ) -> ChatRecord:
        """Render a conversation with the checkpoint's chat template, generate the reply, and return both.

        Args:
            messages: dicts with a role and content: a text, or a list of parts, `{"type": "text", "text": …}`,
                `{"type": "image", "image": …}` and `{"type": "audio", "audio": …}` with an image or a sound as for
                `generate`.
            tools: functions or JSON schemas that the template describes to the model.
            chat_template: a template instead of the checkpoint's.
            template_variables: of the template, such as `{"enable_thinking": False}`.
            sampling_rate: samples a second of the sounds.
            skip_special_tokens: decode the reply without special tokens.
            settings: keywords of the library's own `generate`.

        Raises:
            EngineError: there is no template, it cannot render the messages, or as for `generate`.
        """
        conversation = Conversation(messages, tools or (), template_variables or {}, chat_template)
        return chatted(self._generator(settings), conversation, sampling_rate, skip_special_tokens, settings)

    def generate_batch(self, prompts: Sequence[Sequence[int]], **settings: Unpack[GenerateSettings]) -> Generation:
        """Run `generate` once over prompts of one length, given as token ids (B, L): for properties, not for snapshots.

        Raises:
            EngineError: the prompts have different lengths or do not fit the model, or sampling was asked for.
        """
        entry = self._generator(settings)
        ids = _one_length(
            entry.loaded,
            prompts,
            "generate_batch takes one or more prompts",
            hint="Group prompts by length: padding would change what n-gram blocking reads.",
        )
        return generated_batch(entry, ids, settings)

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
        self,
        given: Any,
        *,
        labels: Sequence[Any] | None = None,
        problem_type: str | None = None,
        sampling_rate: int | None = None,
    ) -> ClassificationRecord:
        """Classify one input or a batch; return logits, both readings of them, and the loss if there are labels.

        Args:
            given: a text, or a (text, text) pair for a model that reads two; for a model of images a PIL image or an
                array (H, W, C), for one of sounds an array (samples,); or a list of these.
            labels: class indices or names of labels, one per input; or rows of names or
                of floats, one number per label (multi-label).
            problem_type: as in the configuration; None leaves it to upstream to infer it from the labels.
            sampling_rate: samples a second of the sounds.

        Raises:
            EngineError: the model is not a classifier, or the inputs or labels do not fit it.
        """
        entry = self._fetch()
        media = _MEDIA.get(entry.task, "")
        if not media:
            self._require_task("text-classification", "classify")
            require_tokenizer(entry.tokenizer, entry.checkpoint.name)
        return observe_classification(
            entry.checkpoint,
            entry.loaded,
            entry.processor if media else entry.tokenizer,
            given,
            labels,
            problem_type,
            media=media,
            rate=sampling_rate,
            origin=entry,
        )

    def embed(
        self,
        given: Any,
        *,
        pooling: str | None = None,
        normalize: bool | None = None,
        sampling_rate: int | None = None,
    ) -> EmbeddingRecord:
        """Return one vector for each text, image or sound, with the cosines between them.

        Args:
            given: a text, or for a model of images a PIL image or an array (H, W, C), for one of sounds an array
                (samples,); or a list of these. An encoder-decoder gives its encoder's states. A model that compares
                texts with images or sounds gives the vectors of the part that reads what is given.
            pooling: `mean` (weighted by the mask), `cls`, `last`, `max`, or `pooler`, the model's own pooled output.
                None follows the checkpoint's `modules.json`; without one it is `mean`, and for images and sounds
                `pooler` if the model has it.
            normalize: whether each vector gets the norm 1; None follows `modules.json`, without one it does not.
            sampling_rate: samples a second of the sounds.

        Raises:
            EngineError: the inputs do not fit the model, or it has nothing to pool.
            CheckpointError: `modules.json` asks for something that `embed` does not compute.
        """
        entry = self._fetch()
        return observe_embedding(
            entry.checkpoint,
            entry.loaded,
            entry.processor,
            entry.tokenizer,
            given,
            pooling=pooling,
            normalize=normalize,
            rate=sampling_rate,
            recipe=entry.recipe,
            origin=entry,
        )

    def tag(self, texts: Any, *, words: bool = False, is_split_into_words: bool = False) -> TokensRecord:
        """Label the tokens of a text or of several, with scores and the characters that each token covers.

        Args:
            texts: one text or a list of them.
            words: give each word the label of its first token.
            is_split_into_words: a text is a list of its words, as the tokenizer takes it.

        Raises:
            EngineError: the model labels no tokens, or the texts do not fit it.
        """
        self._require_task("token-classification", "tag")
        entry = self._fetch()
        require_tokenizer(entry.tokenizer, entry.checkpoint.name)
        split = {"words": words, "is_split_into_words": is_split_into_words}
        return observe_tokens(entry.checkpoint, entry.loaded, entry.tokenizer, texts, **split, origin=entry)

    def score(self, texts: Any) -> ScoreRecord:
        """Return the log-probability of each token of given texts, without a search.

        Args:
            texts: a text; a (prompt, continuation) pair, whose continuation is scored; or a list of either. You may
                give token ids instead of a text. The first token of a text has nothing before it and is not scored. An
                encoder-decoder takes pairs.

        Raises:
            EngineError: the model is not a language model, or there is nothing to score.
        """
        if self.task != "text2text-generation":
            self._require_task("text-generation", "score")
        entry = self._fetch()
        return observe_score(entry.checkpoint, entry.loaded, entry.tokenizer, texts, origin=entry)

    def accuracy(
        self,
        rows: Any,
        *,
        may_fall: float = 0.0,
        text: str | None = None,
        label: str = "label",
        **settings: Unpack[GenerateSettings],
    ) -> AccuracyRecord:
        """Return the share of rows that the model answers correctly; it may rise, and fall by at most `may_fall`.

        Args:
            rows: a JSONL file, relative to pytest's root, or dicts: `{"text": "It crashed.", "label": "bug"}`. A
                classifier's label is a name or an index. A language model picks the likeliest of `choices`, or, without
                them, its output must begin with the label. For images and sounds a row has an array or a file, relative
                to the root: `{"image": "data/cat.png", "label": "cat"}`, `{"audio": "data/hello.wav", …}`.
            may_fall: as a part of the rows, 0 to 1.
            text: the key of what the model is given: `text`, `image` or `audio` unless another is named.
            label: the key of the right answer.
            settings: of `generate`.

        Raises:
            EngineError: the rows cannot be read or do not fit the model.
        """
        found = read_rows(rows, self._root, text, label, media_of_rows(self))
        return observe_accuracy(self, found, may_fall, settings)

    def observe(self, *, gradients: bool = False, sampling_rate: int | None = None, **inputs: Any) -> TensorsRecord:
        """Run the model once, whatever its task, and return every named output.

        Args:
            gradients: also record the norm of the loss's gradient for each parameter; the inputs then hold `labels`.
            sampling_rate: samples a second of `audio`.
            inputs: by the names of the model's `forward`: arrays, tensors, lists or plain values. `text`, `images` and
                `audio` go through the checkpoint's processor.

        Raises:
            EngineError: there is no processor for an input, or the model refuses one.
        """
        entry = self._fetch()
        return observe_tensors(
            entry.checkpoint,
            entry.loaded,
            entry.processor,
            inputs,
            gradients=gradients,
            rate=sampling_rate,
            origin=entry,
        )

    def __repr__(self) -> str:
        return f"<HFModel {self._fetch().describe()}>"

    def _hand_out(self) -> CachedModel:
        entry = self._fetch()
        entry.handed_out = True
        return entry

    def _generator(self, settings: Mapping[str, Any]) -> CachedModel:
        if self.task not in _GENERATING:
            self._require_task("text-generation", "generate")
        entry = self._fetch()
        if self.task not in _OF_TEXT:
            require_generating(entry.loaded.model, entry.checkpoint.name)
        require_repeatable(settings, getattr(entry.loaded.model, "generation_config", None))
        return entry

    def _require_task(self, task: Task, method: str) -> None:
        if self.task == task:
            return
        model = self._fetch().loaded.model
        name = type(model).__name__
        own = _METHODS.get(self.task, "observe()")
        # A base in its files may get another head, but a classifier has no language model's.
        names = getattr(getattr(model, "config", None), "architectures", None) or [name]
        if task == "text-generation" and name in names:
            what = "classifier" if own == "classify()" else f"{self.task} model"
            raise EngineError(
                f"{method}() needs a language model, but {self.checkpoint.name} is a {what} ({name}).",
                hint=f"Use {own}.",
            )
        raise EngineError(
            f"{method}() needs a {task} model, but {self.checkpoint.name} was loaded for {self.task}.",
            hint=f'Use {own}, or load it with task="{task}".',
        )


# Tasks whose models generate texts.
_OF_TEXT = ("text-generation", "text2text-generation")
_GENERATING = (*_OF_TEXT, "image-text-to-text", "automatic-speech-recognition")


def _one_length(loaded: LoadedModel, rows: Sequence[Sequence[int]], what: str, *, hint: str) -> IntArray:
    ids = require_rows(rows, vocabulary_size(loaded.model.config))
    if len({len(row) for row in ids}) != 1 or not ids[0]:
        raise EngineError(f"{what} of one length, with at least one token.", hint=hint)
    import numpy as np  # hf_models is served without an engine too, to say which is missing

    return np.asarray(ids, dtype=np.int64)
