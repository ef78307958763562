"""Images and sounds beside a prompt or in its place: what a snapshot says of them, and the arrays for the model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.errors import EngineError, HFModelsError
from pytest_hfmodels.kinds.inputs import (
    describe_media,
    from_processor,
    model_inputs,
    shapes_of,
    shortened,
    takes_argument,
)
from pytest_hfmodels.kinds.prompt import listed, require_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.kinds.inputs import ModelInput

_NAMES = {"images": "image", "audio": "audio"}
_MAIN = {"pixel_values": "images", "input_features": "audio", "input_values": "audio"}
_AS_IN = {"images": "generate(images=image)", "audio": "generate(audio=sound, sampling_rate=16000)"}
_OF_A_TOKENIZER = ("input_ids", "attention_mask", "token_type_ids", "offset_mapping", "special_tokens_mask")
_PLACEHOLDERS = ("image_token_id", "image_token_index", "audio_token_id", "audio_token_index")
_OURS = ("input_ids", "decoder_input_ids", "attention_mask")


@dataclass(frozen=True)
class Media:
    """What a model gets beside token ids.

    Args:
        given: each image and sound in words, with its digest.
        arrays: by the names of the model's arguments; the first axis is that of the rows, or of the images.
        per_token: arrays with a number a token, such as token types, without padding: rows by name.
        direct: the names of the arrays that the test gave itself.
    """

    given: tuple[str, ...] = ()
    arrays: Mapping[str, Any] = field(default_factory=dict)
    per_token: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)
    direct: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.arrays)

    @property
    def processed(self) -> tuple[ModelInput, ...]:
        """What a snapshot keeps of the arrays."""
        return model_inputs(self.arrays, self.direct)

    def of(self, lengths: Sequence[int], *, left: bool = False, copies: int = 1) -> dict[str, Any]:
        """Return the arrays for rows of these lengths in tokens, padded as their ids are.

        Args:
            lengths: of the prompts, with what was generated.
            left: whether padding is on the left.
            copies: of the same prompt, one after another.
        """
        import numpy as np

        found = {name: np.concatenate([array] * copies) for name, array in self.arrays.items()}
        longest = max(lengths, default=0)
        for name, rows in self.per_token.items():
            filled = np.zeros((len(rows) * copies, longest), np.int64)
            for number, row in enumerate([*rows] * copies):
                start = longest - lengths[number] if left else 0
                filled[number, start : start + len(row)] = row
            found[name] = filled
        return found

    def row(self, number: int, prompts: Sequence[Sequence[int]], placeholder: int | None) -> Media | None:
        """Return the images and sounds of one row of a batch; None if it is unknown which belong to it.

        Args:
            number: of the row.
            prompts: the ids of all rows.
            placeholder: the id that stands for an image or a sound in a prompt; None if prompts have none.
        """
        rows = len(prompts)
        one_each = len(self.given) in (0, rows) and all(len(array) == rows for array in self.arrays.values())
        if not one_each or (placeholder is not None and not all(placeholder in ids for ids in prompts)):
            return None  # two images may belong to one row
        own = slice(number, number + 1)
        return Media(
            self.given[own],
            {name: array[own] for name, array in self.arrays.items()},
            {name: array[own] for name, array in self.per_token.items()},
            self.direct,
        )


def placeholder_of(config: Any) -> int | None:
    """Return the id that stands for an image or a sound in a prompt; None for a model without one."""
    found = (getattr(config, name, None) for name in _PLACEHOLDERS)
    return next((one for one in found if isinstance(one, int)), None)


def read_media(
    given: Mapping[str, Any], rate: int | None, direct: Mapping[str, Any], processor: Any, loaded: LoadedModel
) -> tuple[Media, list[Any] | None]:
    """Return images and sounds as a model gets them, and the ids of the texts among them; None without texts.

    Args:
        given: `text`, `images` and `audio` as the test gives them, see `from_processor`; or `encoded`, what a processor
            returned to the test.
        rate: samples a second of the sounds.
        direct: arrays that the test gives by the names of the model's arguments.
        processor: upstream's.
        loaded: the model.

    Raises:
        EngineError: there is no processor for this, or an input is of another kind, shape or rate.
    """
    encoded = {name: _array(loaded, value) for name, value in given.get("encoded", {}).items()}
    made = encoded if encoded or not given else from_processor(processor, loaded, given, rate)
    direct = {**direct, **{name: value for name, value in encoded.items() if name not in _OURS}}
    if "input_ids" not in made and "text" in given:
        raise EngineError(
            f"{type(processor).__name__} makes no prompt of a text with {' and '.join(given.keys() - {'text'})}.",
            hint="Leave the text out.",
        )
    per_token = _per_token(made)
    said = [describe_media(row, kind) for name, kind in _NAMES.items() for row in _rows(given.get(name, []))]
    arrays = {name: value for name, value in made.items() if name not in (*per_token, "input_ids")}
    arrays |= {name: _array(loaded, value) for name, value in direct.items() if name not in per_token}
    if per_token:
        arrays.pop("attention_mask", None)
        per_token.pop("attention_mask", None)
    ids = per_token.pop("input_ids", None)
    return Media(tuple(said), arrays, per_token, tuple(direct)), ids


def _per_token(made: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the arrays with a number a token as rows without padding; none if there are no ids."""
    import numpy as np

    ids = made.get("input_ids")
    if ids is None:
        return {}
    real = np.asarray(made.get("attention_mask", np.ones_like(ids)), bool)
    found = {name: value for name, value in made.items() if value.shape == ids.shape and value.dtype.kind != "f"}
    return {name: [row[own].tolist() for row, own in zip(value, real, strict=True)] for name, value in found.items()}


def _array(loaded: LoadedModel, value: Any) -> Any:
    import numpy as np

    return loaded.array(np.asarray(value) if isinstance(value, list) else value)


def require_plain_text(given: Mapping[str, Any], add_special_tokens: bool | None) -> None:
    """Refuse token ids, and a choice about special tokens, beside images and sounds.

    Raises:
        EngineError: the processor writes a text's tokens itself.
    """
    if add_special_tokens is not None:
        raise EngineError(
            "add_special_tokens= has no effect beside images and sounds: the processor decides.", hint="Leave it out."
        )
    for row in _rows(given.get("text", [])):
        require_text(row, "A prompt beside images or sounds")


@contextmanager
def media_refused(loaded: LoadedModel, media: Media) -> Iterator[None]:
    """Say in one sentence that a model refuses images or sounds, with upstream's reason.

    Raises:
        EngineError: in place of upstream's exception.
    """
    try:
        yield
    except HFModelsError:
        raise
    except Exception as error:  # upstream's models raise any kind
        if not media:
            raise
        raise EngineError(
            f"{type(loaded.model).__name__} cannot generate from {shapes_of(media.arrays)}: {shortened(error)}",
            hint="Check the inputs and the settings of generate; the reason is transformers'.",
        ) from error


def require_main_input(model: Any, name: str) -> None:
    """Refuse a text alone for a model that generates from images or sounds.

    Raises:
        EngineError: naming the checkpoint.
    """
    main = getattr(model, "main_input_name", "input_ids")
    if main in _MAIN:
        raise EngineError(
            f"{name} generates from {_MAIN[main]}, and the test gives text alone.",
            hint=f"Give {_MAIN[main]}: {_AS_IN[_MAIN[main]]}.",
        )


def of_a_processor(prompt: Any) -> bool:
    """Return whether a prompt is what a processor returned for images or sounds, and not a tokenizer's."""
    return isinstance(prompt, Mapping) and any(
        name in _MAIN or (getattr(value, "ndim", 0) > 1 and name not in _OF_A_TOKENIZER)
        for name, value in prompt.items()
    )


def separate(settings: Mapping[str, Any], model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of `generate`, and the arrays among them that go to the model."""
    direct = {
        name: value
        for name, value in settings.items()
        if name not in _OURS and getattr(value, "ndim", 0) > 1 and takes_argument(model, name)
    }
    return {name: value for name, value in settings.items() if name not in direct}, direct


def media_without_text(media: Media, count: int) -> list[str]:
    """Return what stands for the text of each prompt where a model reads none.

    Raises:
        EngineError: there is nothing to generate from, or not one image or sound a row.
    """
    if not media:
        raise EngineError(
            "There is nothing to generate from.",
            hint="Give a text, images=… or audio=…: generate('Hello'), generate(audio=sound, sampling_rate=16000).",
        )
    if len(media.given) == count:
        return list(media.given)
    return [f"row {number + 1} of {', '.join(media.arrays)}" for number in range(count)]


def _rows(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def is_one(given: Mapping[str, Any], direct: Mapping[str, Any]) -> bool:
    """Return whether a test gives a single prompt: its text decides, and without one its image or sound."""
    if "encoded" in given:
        return len(next(iter(given["encoded"].values()))) == 1
    if "text" in given:
        return not isinstance(listed(given["text"]), list | tuple)
    if given:
        return not any(isinstance(value, list) for value in given.values())
    return all(len(value) == 1 for value in direct.values())
