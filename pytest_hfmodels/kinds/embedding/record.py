"""What one call for embeddings observed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_hfmodels.foundation.durations import Timed
from pytest_hfmodels.foundation.errors import EngineError
from pytest_hfmodels.kinds.arrays import INLINE, Array
from pytest_hfmodels.kinds.base import Record
from pytest_hfmodels.kinds.embedding.pooling import Recipe, normalized, read_recipe, require_pooling
from pytest_hfmodels.kinds.evidence import LivePass, ModelRef, fingerprint, require_finite
from pytest_hfmodels.kinds.inputs import (
    Encoded,
    ModelInput,
    batch_of,
    describe_media,
    encode,
    from_processor,
    hears,
    model_inputs,
    padded,
    refused,
    takes_argument,
)
from pytest_hfmodels.kinds.layout import TokenId  # noqa: TC001 - msgspec reads the annotations
from pytest_hfmodels.kinds.prompt import require_text, require_tokenizer
from pytest_hfmodels.kinds.provenance import CheckpointSeen, Provenance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pytest_hfmodels.checkpoints import Checkpoint
    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.engines.base import FloatArray, Observation
    from pytest_hfmodels.kinds.evidence import LiveModel

VECTORS = "vectors"
DECODER = "decoder_input_ids"
_NAMES = {"image": "images", "audio": "audio"}  # the processor's


@dataclass(frozen=True)
class EmbeddedInput:
    """One text, image or sound.

    Args:
        text: the text; of an image or a sound its shape, dtype and digest.
        ids: the token ids of a text, without padding.
    """

    text: str
    ids: tuple[TokenId, ...] = ()


@dataclass(frozen=True)
class LiveEmbedding(LivePass):
    """The model and its inputs, and how vectors are made of its output."""

    recipe: Recipe = field(default_factory=Recipe)

    def vectors(self, seen: Observation, loaded: LoadedModel) -> FloatArray:
        """Return one vector a row, (B, D), of what the model returned for these inputs."""
        states = seen.outputs.get("last_hidden_state")
        shortened = getattr(loaded.model, "_get_feature_vector_attention_mask", None)
        mask: Any = self.mask
        if mask is not None and shortened is not None and states is not None and mask.shape != states.shape[:2]:
            mask = loaded.array(shortened(states.shape[1], loaded.tensor(mask)))  # of samples, and now of states
        return self.recipe.vectors(seen, mask)


@dataclass(frozen=True, kw_only=True, repr=False)
class EmbeddingRecord(Record):
    """What `HFModel.embed` observed; compare it with `hf_snapshot`. For the other fields see `Record`.

    Args:
        inputs: the texts, images or sounds, in order.
        cosines: of each pair of rows: (1, 2), (1, 3) … (2, 3) …; empty if there are more than a few.
        processed: what the processor made of images or sounds.
    """

    kind: ClassVar[str] = "embedding"
    inputs: tuple[EmbeddedInput, ...]
    cosines: tuple[float, ...]
    processed: tuple[ModelInput, ...] = ()
    live: LiveEmbedding | None = field(default=None, compare=False, repr=False)

    @property
    def vectors(self) -> NDArray[Any]:
        """One vector per row, (B, D)."""
        return self.arrays[VECTORS].values

    def cosine(self, one: int, other: int) -> float:
        """Return the cosine between two rows, counted from 0.

        Raises:
            EngineError: there is no such row.
        """
        count = len(self.inputs)
        for row in (one, other):
            if not hasattr(row, "__index__") or not -count <= row < count:
                raise EngineError(
                    f"There is no row {row!r:.40}: the record has {count}.",
                    hint=f"Rows are 0 to {count - 1}: cosine(0, 1).",
                )
        rows = normalized(self.vectors[[one, other]].astype("f8"))
        return float(rows[0] @ rows[1])

    def __repr__(self) -> str:
        return f"<EmbeddingRecord {self.checkpoint.name} on {self.provenance.engine}: {self.arrays[VECTORS]}>"


@Timed("evidence")
def observe_embedding(
    checkpoint: Checkpoint,
    loaded: LoadedModel,
    processor: Any,
    tokenizer: Any,
    given: Any,
    *,
    pooling: str | None = None,
    normalize: bool | None = None,
    rate: int | None = None,
    recipe: Recipe | None = None,
    origin: LiveModel | None = None,
) -> EmbeddingRecord:
    """Run a model once over texts, images or sounds and return their vectors.

    Args:
        checkpoint: what `loaded` was loaded from.
        loaded: the model.
        processor: upstream's, for images and sounds.
        tokenizer: upstream's, for texts.
        given: one text, image or sound, or a list of them.
        pooling: one of `POOLINGS`; None for what the checkpoint's `modules.json` says, or else `mean`, or of images the
            model's own pooled output.
        normalize: whether each vector gets the norm 1; None for what the checkpoint's `modules.json` says, or else not.
        rate: samples a second of the sounds.
        recipe: of an adopted SentenceTransformer; None for what the checkpoint's files say.
        origin: what a mismatch may ask again, see `ModelRef`.

    Raises:
        EngineError: nothing to embed, an input of another kind or too long, an unknown pooling, texts of several
            lengths without a pad token, or a number that is not finite.
        CheckpointError: sentence-transformers' files in the checkpoint ask for what is not computed here.
    """
    media = "" if _is_text(given) else "audio" if hears(processor) else "image"
    recipe = replace(_recipe(checkpoint, recipe, pooling, normalize), reads=media or "text")
    rows = batch_of(given, media)
    if not rows:
        raise EngineError("There is nothing to embed.", hint="Give at least one text, image or sound.")
    settings: dict[str, Any] = {}
    if media:
        encoded = [Encoded(describe_media(row, media)) for row in rows]
        inputs = from_processor(processor, loaded, {_NAMES[media]: rows}, rate)
    else:
        require_tokenizer(tokenizer, checkpoint.name)
        encoded, inputs, settings = _of_texts(tokenizer, loaded, rows, recipe)
    whole = {**inputs, **_other_half(loaded.model, inputs, len(rows))}
    seen = _seen(loaded, whole, inputs)
    if not recipe.pooling:
        recipe = replace(recipe, pooling="pooler" if media and _has_pooled(seen.outputs, media) else "mean")
    live = LiveEmbedding(whole, ModelRef(origin, {}), recipe=recipe)
    vectors = live.vectors(seen, loaded)
    require_finite(vectors, checkpoint.name, loaded.engine)
    provenance = Provenance.of(loaded)
    return EmbeddingRecord(
        provenance=provenance,
        checkpoint=CheckpointSeen.of(checkpoint),
        effective={"pooling": recipe.pooling, "normalize": recipe.normalize, "dense": recipe.dense_digest, **settings},
        inputs=tuple(EmbeddedInput(row.text, row.ids) for row in encoded),
        cosines=_cosines(vectors),
        processed=model_inputs(inputs) if media else (),
        arrays={VECTORS: Array.of(vectors.astype("f8" if provenance.dtype == "float64" else "f4"), VECTORS)},
        blocks=() if DECODER in whole else fingerprint(seen.hidden_states, inputs.get("attention_mask")),
        live=None if origin is None else replace(live, made_by=ModelRef(origin, _asked(pooling, normalize, recipe))),
    )


def _asked(pooling: str | None, normalize: bool | None, recipe: Recipe) -> dict[str, Any]:
    if pooling is not None:  # then the checkpoint's own way does not count
        return {"pooling": pooling, "normalize": recipe.normalize, "dense": None}
    return {} if normalize is None else {"normalize": normalize}


def _seen(loaded: LoadedModel, whole: Mapping[str, Any], inputs: Mapping[str, Any]) -> Observation:
    try:
        return loaded.observe(whole)
    except EngineError:
        raise
    except Exception as error:  # upstream's models raise any kind
        raise refused(loaded, inputs, error) from error


def _recipe(checkpoint: Checkpoint, own: Recipe | None, pooling: str | None, normalize: bool | None) -> Recipe:
    require_pooling(pooling)
    if own is None:
        own = Recipe() if checkpoint.origin == "adopted" else read_recipe(checkpoint.folder)
    recipe = own if pooling is None else replace(own, pooling=pooling, dense=(), normalize=False)
    return recipe if normalize is None else replace(recipe, normalize=normalize)


def _is_text(given: Any) -> bool:
    first = given[0] if isinstance(given, list | tuple) and given else given
    return isinstance(first, str | list | tuple) or first is None


def _of_texts(
    tokenizer: Any, loaded: LoadedModel, rows: Sequence[Any], recipe: Recipe
) -> tuple[list[Encoded], dict[str, Any], dict[str, Any]]:
    """Return texts as ids, as the model's inputs, and the settings that decide how they are made."""
    cut = {} if recipe.longest is None else {"truncation": True, "max_length": recipe.longest}
    texts = [require_text(row, "What is embedded") for row in rows]
    encoded = [
        replace(encode(tokenizer, recipe.text(text), loaded.model, "What is embedded", **cut), text=text)
        for text in texts
    ]
    if not all(row.ids for row in encoded):
        raise EngineError("There is nothing to embed: a text has no tokens.", hint="Give texts of at least one token.")
    pad, side = getattr(loaded.model.config, "pad_token_id", None), str(tokenizer.padding_side)
    pad = getattr(tokenizer, "pad_token_id", None) if pad is None else pad
    settings = {
        "pad_token_id": pad,
        "padding_side": side,
        "max_length": recipe.longest,
        "prompt": recipe.prompt or None,
    }
    return encoded, padded(encoded, pad, side), settings


def _other_half(model: Any, inputs: dict[str, Any], rows: int) -> dict[str, Any]:
    """Return what a model also takes, and what its vectors do not depend on.

    A model of texts and of images or sounds gets zeros for the other half, and an encoder-decoder the token that its
    decoder starts with: its vectors are the encoder's.
    """
    import numpy as np

    config = model.config
    if getattr(config, "is_encoder_decoder", False) and takes_argument(model, DECODER):
        start = getattr(config, "decoder_start_token_id", None)
        return {DECODER: np.full((rows, 1), start or 0, np.int64)}
    vision, audio = getattr(config, "vision_config", None), getattr(config, "audio_config", None)
    if getattr(config, "text_config", None) is None or (vision is None and not hasattr(audio, "spec_size")):
        return {}
    if "input_ids" not in inputs:
        return {"input_ids": np.zeros((rows, 2), np.int64)}
    if {"pixel_values", "input_features"} & inputs.keys():
        return {}
    return _no_sound(audio, rows) if vision is None else _no_image(vision, rows)


def _no_image(vision: Any, rows: int) -> dict[str, Any]:
    import numpy as np

    size = vision.image_size
    return {"pixel_values": np.zeros((rows, getattr(vision, "num_channels", 3), size, size), np.float32)}


def _no_sound(audio: Any, rows: int) -> dict[str, Any]:
    """Return a silent spectrogram as CLAP takes it: one of the whole sound, or with fusion three of its parts, too."""
    import numpy as np

    moments = audio.spec_size * (audio.spec_size // audio.num_mel_bins)
    shape = rows, 4 if audio.enable_fusion else 1, moments, audio.num_mel_bins
    return {"input_features": np.zeros(shape, np.float32), "is_longer": np.zeros((rows, 1), bool)}


def _has_pooled(outputs: Any, media: str) -> bool:
    return f"{media}_embeds" in outputs or (media == "image" and "pooler_output" in outputs)


def _cosines(vectors: FloatArray) -> tuple[float, ...]:
    import numpy as np

    count = len(vectors)
    if count * (count - 1) // 2 > INLINE:
        return ()
    rows = normalized(vectors)
    return tuple(float(value) for value in (rows @ rows.T)[np.triu_indices(count, 1)])
