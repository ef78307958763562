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
    model_inputs,
    padded,
    refused,
)
from pytest_hfmodels.kinds.layout import TokenId  # noqa: TC001 - msgspec reads the annotations
from pytest_hfmodels.kinds.prompt import require_text
from pytest_hfmodels.kinds.provenance import CheckpointSeen, Provenance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytest_hfmodels.checkpoints import Checkpoint
    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.engines.base import FloatArray
    from pytest_hfmodels.kinds.evidence import LiveModel

VECTORS = "vectors"


@dataclass(frozen=True)
class EmbeddedInput:
    """One text or image.

    Args:
        text: the text; of an image its shape, dtype and digest.
        ids: the token ids of a text, without padding.
    """

    text: str
    ids: tuple[TokenId, ...] = ()


@dataclass(frozen=True)
class LiveEmbedding(LivePass):
    """The model and its inputs, and how vectors are made of its output."""

    recipe: Recipe = field(default_factory=Recipe)


@dataclass(frozen=True, kw_only=True, repr=False)
class EmbeddingRecord(Record):
    """What `HFModel.embed` observed; compare it with `hf_snapshot`. For the other fields see `Record`.

    Args:
        inputs: the texts or images, in order.
        cosines: of each two rows: (1, 2), (1, 3) … (2, 3) …; empty if there are more than a few.
        processed: what the processor made of images.
    """

    kind: ClassVar[str] = "embedding"
    inputs: tuple[EmbeddedInput, ...]
    cosines: tuple[float, ...]
    processed: tuple[ModelInput, ...] = ()
    live: LiveEmbedding | None = field(default=None, compare=False, repr=False)

    @property
    def vectors(self) -> NDArray[Any]:
        """One vector a row, (B, D)."""
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
    origin: LiveModel | None = None,
) -> EmbeddingRecord:
    """Run a model once over texts or images and return their vectors.

    Args:
        checkpoint: what `loaded` was loaded from.
        loaded: the model.
        processor: upstream's, for images.
        tokenizer: upstream's, for texts.
        given: one text or image, or a list of them.
        pooling: one of `POOLINGS`; None for what the checkpoint's `modules.json` says, or else `mean`, or of images the
            model's own pooled output.
        normalize: whether each vector gets the norm 1; None for what the checkpoint's `modules.json` says, or else not.
        origin: what a mismatch may ask again, see `ModelRef`.

    Raises:
        EngineError: nothing to embed, an input of another kind or too long, an unknown pooling, texts of several
            lengths without a pad token, or a number that is not finite.
        CheckpointError: sentence-transformers' files in the checkpoint ask for what is not computed here.
    """
    recipe = _recipe(checkpoint, pooling, normalize)
    images = not _is_text(given)
    rows = batch_of(given, "image" if images else "")
    if not rows:
        raise EngineError("There is nothing to embed.", hint="Give at least one text or image.")
    if images:
        encoded = [Encoded(describe_media(row, "image")) for row in rows]
        inputs, settings = from_processor(processor, loaded, {"images": rows}, None), dict[str, Any]()
    else:
        encoded, inputs, settings = _of_texts(tokenizer, loaded, rows, recipe)
    try:
        seen = loaded.observe({**inputs, **_other_half(loaded.model.config, inputs)})
    except EngineError:
        raise
    except Exception as error:  # an encoder-decoder, which needs the decoder's inputs too
        raise refused(loaded, inputs, error) from error
    if not recipe.pooling:
        recipe = replace(recipe, pooling="pooler" if images and _has_pooled(seen.outputs) else "mean")
    vectors = recipe.vectors(seen, inputs.get("attention_mask"))
    require_finite(vectors, checkpoint.name, loaded.engine)
    provenance = Provenance.of(loaded)
    asked: dict[str, Any] = {} if normalize is None else {"normalize": normalize}
    if pooling is not None:  # then the checkpoint's own way does not count
        asked = {"pooling": pooling, "normalize": recipe.normalize, "dense": None}
    return EmbeddingRecord(
        provenance=provenance,
        checkpoint=CheckpointSeen.of(checkpoint),
        effective={"pooling": recipe.pooling, "normalize": recipe.normalize, "dense": recipe.dense_digest, **settings},
        inputs=tuple(EmbeddedInput(row.text, row.ids) for row in encoded),
        cosines=_cosines(vectors),
        processed=model_inputs(inputs) if images else (),
        arrays={VECTORS: Array.of(vectors.astype("f8" if provenance.dtype == "float64" else "f4"), VECTORS)},
        blocks=fingerprint(seen.hidden_states, inputs.get("attention_mask")),
        live=None if origin is None else LiveEmbedding(inputs, ModelRef(origin, asked), recipe=recipe),
    )


def _recipe(checkpoint: Checkpoint, pooling: str | None, normalize: bool | None) -> Recipe:
    require_pooling(pooling)
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


def _other_half(config: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return zeros for what a model of texts and images also takes: each half ignores the other."""
    import numpy as np

    vision, text = getattr(config, "vision_config", None), getattr(config, "text_config", None)
    if vision is None or text is None or {"pixel_values", "input_ids"} <= inputs.keys():
        return {}
    if "input_ids" in inputs:
        size = vision.image_size
        return {"pixel_values": np.zeros((1, getattr(vision, "num_channels", 3), size, size), np.float32)}
    return {"input_ids": np.zeros((1, 2), np.int64)}


def _has_pooled(outputs: Any) -> bool:
    return any(name in outputs for name in ("pooler_output", "image_embeds"))


def _cosines(vectors: FloatArray) -> tuple[float, ...]:
    import numpy as np

    count = len(vectors)
    if count * (count - 1) // 2 > INLINE:
        return ()
    rows = normalized(vectors)
    return tuple(float(value) for value in (rows @ rows.T)[np.triu_indices(count, 1)])
