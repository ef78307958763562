"""What a model is given, made from what a test hands in: texts as padded rows of ids, images and sounds as arrays.

A snapshot keeps the text and the ids. Of an image or a sound it keeps shape, dtype and digest, and of the arrays that
the processor makes of it shape, norm and projection.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.errors import EngineError
from pytest_hfmodels.kinds.comparison import Difference
from pytest_hfmodels.kinds.layout import as_table
from pytest_hfmodels.kinds.prompt import listed, require_ids, require_length, require_text, vocabulary_size

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.engines.base import IntArray

# Relative movements of a processed array: rounding alone, and one that is a difference whatever the model makes of it.
ROUNDING, _BEYOND = 1e-6, 1e-4
_FEW = 512
_NAMED = 40  # characters of a text that names itself
_SAID = 150  # characters of either end of upstream's errors


@dataclass(frozen=True)
class Encoded:
    """A text, or a pair of texts, as the tokenizer gives it to the model.

    Args:
        text: the text, or the first of a pair.
        pair: the second of a pair; empty without one.
        ids: its token ids, without padding.
        types: its token types; empty if all are 0.
        encoding: all that the tokenizer said of it.
        starts: of words that the test has split itself, where each begins in the text, and the next one would.
    """

    text: str
    pair: str = ""
    ids: tuple[int, ...] = ()
    types: tuple[int, ...] = ()
    encoding: Any = None
    starts: tuple[int, ...] = ()


@dataclass(frozen=True)
class ModelInput:
    """An array that a processor made, (B, …).

    Args:
        name: of the model's argument, such as `pixel_values`.
        shape: with the batch.
        norm: the Euclidean norm.
        projection: the scalar product with a fixed direction.
        numbers: of an array of whole numbers, such as `input_ids`, if they are few; empty for others.
        digest: of an array of many whole numbers; empty for others.
        given: whether the test gave it, and no processor made it.
    """

    name: str
    shape: tuple[int, ...]
    norm: float
    projection: float
    numbers: tuple[int, ...] = ()
    digest: str = ""
    given: bool = False

    def __str__(self) -> str:
        shape = f"({', '.join(map(str, self.shape))})"
        if self.numbers or self.digest:
            return f"{shape} {self.digest or list(self.numbers)}"
        return f"{shape} of norm {self.norm:.6g} and projection {self.projection:.6g}"

    def moved(self, other: ModelInput) -> float:
        """Return how far another one is away, relative to the size of a number; infinite if it is of another kind."""
        if any(getattr(self, name) != getattr(other, name) for name in ("name", "shape", "numbers", "digest")):
            return math.inf
        size = abs(self.norm) / math.sqrt(max(1, math.prod(self.shape))) or 1.0
        norm = abs(self.norm - other.norm) / (abs(self.norm) or 1.0)
        moved = norm + abs(self.projection - other.projection) / size
        return moved if math.isfinite(moved) else math.inf


def batch_of(values: Any, media: str = "") -> list[Any]:
    """Return the rows that a test gives: a list is a batch, and anything else one row; a tuple is a pair of texts.

    An array is one image or sound, but a list of texts.
    """
    rows = values if media else listed(values)
    return rows if isinstance(rows, list) else [rows]


def encode(tokenizer: Any, row: Any, model: Any, what: str, **settings: Any) -> Encoded:
    """Return a text or a pair as ids.

    Args:
        tokenizer: upstream's.
        row: a text, or a tuple of two.
        model: upstream's.
        what: what a text is, for a sentence (`What is classified`).
        settings: more of the tokenizer's keywords.

    Raises:
        EngineError: it is neither text nor pair, or it is too long.
    """
    texts = row if isinstance(row, tuple) else (row,)
    if len(texts) not in (1, 2):
        raise EngineError(f"A pair has two texts, not {len(texts)}.", hint="A batch is a list, and a tuple a pair.")
    texts = tuple(require_text(text, what) for text in texts)
    encoding = tokenizer(*texts, **settings)
    ids = require_ids(encoding["input_ids"], vocabulary_size(getattr(model, "config", None)))
    require_length(model, len(ids), "A text")
    types = tuple(encoding.get("token_type_ids") or ())
    return Encoded(texts[0], "".join(texts[1:]), ids, types if any(types) else (), encoding)


def padded(rows: Sequence[Encoded], pad: int | None, side: str) -> dict[str, IntArray]:
    """Return a batch by the names of the model's arguments, (B, L); a mask only where rows differ in length.

    Raises:
        EngineError: they do, and there is no pad token.
    """
    columns = {"input_ids": [row.ids for row in rows], "attention_mask": [(1,) * len(row.ids) for row in rows]}
    if any(row.types for row in rows):
        columns["token_type_ids"] = [row.types or (0,) * len(row.ids) for row in rows]
    if len({len(row.ids) for row in rows}) == 1:
        del columns["attention_mask"]
    elif pad is None:
        raise no_pad_token()
    fills = {"input_ids": pad or 0}
    return {name: _filled(column, fills.get(name, 0), side) for name, column in columns.items()}


def from_processor(processor: Any, loaded: LoadedModel, given: Mapping[str, Any], rate: int | None) -> dict[str, Any]:
    """Return what the checkpoint's processor makes of texts, images and sounds, by the names of the model's arguments.

    Args:
        processor: upstream's.
        loaded: the model, for its kind of tensors.
        given: `text`, `images` or `audio`, or several of them; each a single one or a list. Images are PIL's or arrays
            (H, W), (H, W, C) or (C, H, W); sounds are arrays (samples,), or as the datasets library has them.
        rate: samples a second of the sounds; None if they say it themselves.

    Raises:
        EngineError: there is no processor for this, or an input is of another kind, shape or rate.
    """
    parts = {name: _part(processor, name) for name in given}
    wanted_rate = getattr(parts.get("audio"), "sampling_rate", None)
    readers: dict[str, Callable[[Any], Any]] = {
        "text": lambda row: require_text(row, "text="),
        "images": _image,
        "audio": lambda row: _sound(row, rate, wanted_rate),
    }
    rows = {
        name: [readers[name](row) for row in (value if isinstance(value, list) else [value])]
        for name, value in given.items()
    }
    wanted: dict[str, Any] = {"return_tensors": loaded.tensors}
    if len(rows.get("text", ())) > 1 or len({len(one) for one in rows.get("audio", ())}) > 1:
        wanted["padding"] = True
    if "audio" in rows:
        wanted |= {"sampling_rate": wanted_rate, **_window(parts["audio"], rows["audio"])}
    if not all(rows.values()):
        raise EngineError("A batch has no rows.", hint="Give at least one input.")
    start = getattr(parts.get("text"), "bos_token", None)
    if len(rows) > 1 and start and rows["text"][0].startswith(start):  # as apply_chat_template does it
        wanted["add_special_tokens"] = False
    name, values = next(iter(rows.items()))
    try:
        made = processor(**rows, **wanted) if len(rows) > 1 else parts[name](values, **wanted)
    except Exception as error:  # upstream's processors raise any kind
        raise EngineError(
            f"{type(processor).__name__} refuses the {' and '.join(rows)}: {shortened(error)}",
            hint='Give what the model was trained on; images most often in three channels: image.convert("RGB").',
        ) from error
    return _taken(loaded, made)


def _window(extractor: Any, sounds: Sequence[Any]) -> dict[str, Any]:
    """Return what makes Whisper's feature extractor fill a window, and keep what it would cut off behind one."""
    window = getattr(extractor, "n_samples", None)
    if not isinstance(window, int):
        return {}
    if all(len(sound) <= window for sound in sounds):
        return {"padding": "max_length"}
    return {"truncation": False, "padding": "longest", "return_attention_mask": True}


def _taken(loaded: LoadedModel, made: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a processor made as arrays, without what the model does not take."""
    takes = _arguments(loaded.model)
    found = {name: loaded.array(value) for name, value in made.items() if takes is None or name in takes}
    return {name: array for name, array in found.items() if array is not None}


def refused(loaded: LoadedModel, inputs: Mapping[str, Any], error: Exception) -> EngineError:
    """Return that a model refuses its inputs, with the reason that upstream gives."""
    return EngineError(
        f"{type(loaded.model).__name__} refuses its inputs ({shapes_of(inputs)}): {shortened(error)}",
        hint="Give the inputs of its forward by name, in the shapes that it documents: hf_model.observe(…).",
    )


def shapes_of(inputs: Mapping[str, Any]) -> str:
    """Return the names and shapes of arrays, for a message."""
    return ", ".join(
        f"{name} {' x '.join(map(str, value.shape))}" for name, value in inputs.items() if hasattr(value, "shape")
    )


def shortened(error: Exception) -> str:
    """Return an error's class, and both ends of its text: some hold a whole model or array."""
    said = " ".join(str(error).split())
    short = said if len(said) <= 2 * _SAID else f"{said[:_SAID]} … {said[-_SAID:]}"
    return f"{type(error).__name__}: {short}"


def _arguments(model: Any) -> set[str] | None:
    """Return the names that a model's `forward` takes; None if it takes any."""
    parameters = inspect.signature(getattr(model, "forward", model.__call__)).parameters
    anything = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    return None if anything else set(parameters)


def hears(processor: Any) -> bool:
    """Return whether a processor, or its part, reads sounds."""
    part = getattr(processor, "__dict__", {}).get("feature_extractor", processor)  # CLIP's property warns
    return hasattr(part, "sampling_rate")


def takes_argument(model: Any, name: str) -> bool:
    """Return whether a model's `forward` names an argument."""
    return name in inspect.signature(getattr(model, "forward", model.__call__)).parameters


def describe_media(value: Any, media: str) -> str:
    """Return what a snapshot says of an image or a sound: its shape, its dtype and a digest of its content."""
    import numpy as np

    found = np.ascontiguousarray(_content(value))
    mode = f" {value.mode}" if hasattr(value, "mode") else ""
    sizes, name = " x ".join(map(str, found.shape)), found.dtype.name  # str(dtype) also has the order of the bytes
    content = found.astype(found.dtype.newbyteorder("<"), copy=False).tobytes()
    if mode in (" P", " PA"):  # its numbers are indices into a palette
        content += bytes(value.getpalette() or ())
    return f"{media} {sizes} {name}{mode} sha256:{sha256(content).hexdigest()}"


def model_inputs(arrays: Mapping[str, Any], given: Container[str] = ()) -> tuple[ModelInput, ...]:
    """Return what a snapshot keeps of a model's inputs, of which the test gave some itself."""
    import numpy as np

    found = []
    for name, array in arrays.items():
        flat = np.asarray(array, dtype=np.float64).reshape(-1)
        product = float(flat @ np.cos(np.arange(1, flat.size + 1))) * math.sqrt(2 / max(1, flat.size))
        whole = [] if array.dtype.kind == "f" else [int(number) for number in flat]
        found.append(
            ModelInput(
                name=name,
                shape=tuple(array.shape),
                norm=float(np.linalg.norm(flat)),
                projection=product,
                numbers=tuple(whole) if len(whole) <= _FEW else (),
                digest=f"sha256:{sha256(repr(whole).encode()).hexdigest()}" if len(whole) > _FEW else "",
                given=name in given,
            )
        )
    return tuple(found)


def inputs_table(inputs: Sequence[ModelInput]) -> list[dict[str, Any]]:
    """Return model inputs as a snapshot stores them."""
    whole = (as_table(one, "name", "shape", "norm", "projection", "numbers", "digest", "given") for one in inputs)
    return [
        {name: value for name, value in table.items() if value or name in ("norm", "projection")} for table in whole
    ]


def inputs_differ(
    recorded: Sequence[ModelInput], observed: Sequence[ModelInput], beyond: float = _BEYOND
) -> Iterator[Difference]:
    """Yield the inputs of the model that have moved `beyond` what is tolerated, are missing, or have another maker."""
    # By name: releases return them in different orders.
    then, here = ({one.name: one for one in side} for side in (recorded, observed))
    for name in {**then, **here}:
        before, now = then.get(name), here.get(name)
        if before is None or now is None or before.moved(now) > beyond:
            sides = ["nothing" if side is None else str(side) for side in (before, now)]
            yield Difference("inputs", name, sides[0], sides[1])
        elif before.given != now.given:
            sides = ["given by the test" if side.given else "made by the processor" for side in (before, now)]
            yield Difference("inputs", name, sides[0], sides[1])


def no_pad_token() -> EngineError:
    """Return the error for texts of several lengths and a model that cannot pad them."""
    return EngineError(
        "Several texts need padding, and the model has no pad token.",
        hint="Give one at load: pad_token_id=… on the hf_model marker or in hf_models.load.",
    )


def label_names(config: Any, count: int) -> list[str]:
    """Return the names of `count` labels: the configuration's, or as upstream names them by default."""
    known = {int(index): str(name) for index, name in (getattr(config, "id2label", None) or {}).items()}
    return [known.get(index, f"LABEL_{index}") for index in range(count)]


def as_text(row: Any) -> str:
    """Return a recorded text, or both of a pair, for a reader; no two pairs are the same."""
    return f"{row.text!r} and {row.pair!r}" if row.pair else str(row.text)


def short_name(text: str) -> str:
    """Return a text cut to about half a line, as its name."""
    return text if len(text) <= _NAMED else f"{text[: _NAMED - 1]}…"


def _filled(rows: Sequence[Sequence[int]], fill: int, side: str) -> IntArray:
    import numpy as np

    length = max(map(len, rows))
    found = np.full((len(rows), length), fill, dtype=np.int64)
    for number, row in enumerate(rows):
        found[number, slice(length - len(row), length) if side == "left" else slice(0, len(row))] = row
    return found


def _content(value: Any) -> Any:
    import numpy as np

    return np.asarray(value["array"] if isinstance(value, dict) and "array" in value else value)


def _image(value: Any) -> Any:
    array = _content(value)
    if array.dtype.kind not in "uif" or array.ndim not in (2, 3) or not array.size:
        raise EngineError(
            f"An image is a PIL image or an array of numbers (H, W) or (H, W, channels), not {_kind(value, array)}.",
            hint="Open a file: PIL.Image.open(path).",
        )
    return value


def _sound(value: Any, rate: int | None, wanted: int | None) -> Any:
    """Return the samples of a sound."""
    array = _content(value)
    if array.dtype.kind not in "if" or array.ndim != 1 or not array.size:
        raise EngineError(
            f"A sound is an array of numbers (samples,), not {_kind(value, array)}.",
            hint="Give the samples of a file, not its name; mix several channels: sound.mean(axis=-1).",
        )
    own = value.get("sampling_rate") if isinstance(value, dict) else rate
    if own != wanted:
        raise EngineError(
            f"A sound has {'an unknown number of' if own is None else own} samples a second; the model takes {wanted}.",
            hint=f"Resample it, and say so: sampling_rate={wanted}.",
        )
    return array


def _kind(value: Any, array: Any) -> str:
    return f"one of the shape {array.shape}" if array.ndim and array.dtype.kind in "uif" else f"{type(value).__name__}"


_PARTS = {"text": "tokenizer", "images": "image_processor", "audio": "feature_extractor"}
# A method that only such a processor has, where it stands alone.
_OWN = {"text": "get_vocab", "images": "preprocess", "audio": "pad"}


def _part(processor: Any, name: str) -> Any:
    """Return the part of a processor that takes `text`, `images` or `audio`."""
    part = getattr(processor, _PARTS[name], processor)
    if not hasattr(part, _OWN[name]) or (name != "text" and hasattr(part, "get_vocab")):
        raise EngineError(
            f"The checkpoint has no {_PARTS[name].replace('_', ' ')}, so it takes no {name}.",
            hint="Save its processor beside the model: processor.save_pretrained(folder); or give arrays by the names "
            "of the model's forward: hf_model.observe(…).",
        )
    return part
