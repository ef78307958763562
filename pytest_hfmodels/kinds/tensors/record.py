"""Every named output of one forward pass of any model, and on request the norm of each parameter's gradient."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_hfmodels.foundation.durations import Timed
from pytest_hfmodels.foundation.errors import EngineError
from pytest_hfmodels.kinds.arrays import Array
from pytest_hfmodels.kinds.base import Record
from pytest_hfmodels.kinds.evidence import LivePass, ModelRef, fingerprint
from pytest_hfmodels.kinds.inputs import ModelInput, describe_media, from_processor, model_inputs, refused
from pytest_hfmodels.kinds.prompt import listed, require_text
from pytest_hfmodels.kinds.provenance import CheckpointSeen, Provenance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_hfmodels.checkpoints import Checkpoint
    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.engines.base import FloatArray, IntArray
    from pytest_hfmodels.kinds.evidence import LiveModel

_FOR_THE_PROCESSOR = {"text": "text", "images": "image", "audio": "audio"}


@dataclass(frozen=True, kw_only=True, repr=False)
class TensorsRecord(Record):
    """What `HFModel.observe` observed; compare it with `hf_snapshot`. For the other fields see `Record`.

    Its `arrays` are the outputs, by their dotted path in upstream's output object.

    Args:
        given: the texts, images and sounds that the test gives; of the latter two shape, dtype and digest.
        inputs: the arrays that the model gets.
        types: what is at each path of the output object: `tensor`, or the name of the class that holds others.
        gradients: the norm of the loss's gradient, by the parameter's name; empty unless they were asked for.
    """

    kind: ClassVar[str] = "tensors"
    given: tuple[str, ...]
    inputs: tuple[ModelInput, ...]
    types: dict[str, str]
    gradients: dict[str, float]
    live: LivePass | None = field(default=None, compare=False, repr=False)

    def __repr__(self) -> str:
        return f"<TensorsRecord {self.checkpoint.name} on {self.provenance.engine}: {', '.join(self.arrays)}>"


@Timed("evidence")
def observe_tensors(
    checkpoint: Checkpoint,
    loaded: LoadedModel,
    processor: Any,
    inputs: Mapping[str, Any],
    *,
    gradients: bool = False,
    rate: int | None = None,
    origin: LiveModel | None = None,
) -> TensorsRecord:
    """Run a model once and return all that it returns.

    Args:
        checkpoint: what `loaded` was loaded from.
        loaded: the model.
        processor: upstream's; None without any.
        inputs: by the names of the model's `forward`: arrays, lists or tensors, and plain values that are handed on as
            they are. `text`, `images` and `audio` go through the processor.
        gradients: also run backwards from the loss, which the model returns for `labels`.
        rate: samples a second of `audio`.
        origin: what a mismatch may ask again, see `ModelRef`.

    Raises:
        EngineError: there is no processor for an input, the model refuses one, or it returns no loss for gradients.
        SnapshotError: an output is not a number.
    """
    raw = {name: value for name, value in inputs.items() if name in _FOR_THE_PROCESSOR and processor is not None}
    plain = {name: value for name, value in inputs.items() if isinstance(value, bool | int | float | str)}
    plain = {name: value for name, value in plain.items() if name not in _FOR_THE_PROCESSOR}
    direct = {name: _array(loaded, name, value) for name, value in inputs.items() if name not in {*raw, *plain}}
    arrays = {**(from_processor(processor, loaded, raw, rate) if raw else {}), **direct}
    try:
        seen = loaded.observe({**arrays, **plain})
        norms = loaded.gradient_norms({**arrays, **plain}) if gradients else {}
    except EngineError:
        raise
    except Exception as error:  # upstream's models raise any kind
        raise refused(loaded, arrays, error) from error
    return TensorsRecord(
        provenance=Provenance.of(loaded),
        checkpoint=CheckpointSeen.of(checkpoint),
        effective=plain,
        given=tuple(_described(raw)),
        inputs=model_inputs(arrays, direct),
        types=dict(seen.types),
        gradients=dict(norms),
        arrays=output_arrays(seen.outputs, loaded.environment()["dtype"]),
        blocks=fingerprint(seen.hidden_states, None if seen.encoder else arrays.get("attention_mask"), seen.encoder),
        live=None if origin is None else LivePass({**arrays, **plain}, ModelRef(origin, plain)),
    )


def output_arrays(outputs: Mapping[str, FloatArray | IntArray], dtype: str) -> dict[str, Array]:
    """Return outputs as a record holds them: floats in float32, but of a model in float64 as they are."""
    import numpy as np

    wide = np.float64 if dtype == "float64" else np.float32
    with np.errstate(over="ignore"):
        found = {path: one.astype(wide) if one.dtype.kind == "f" else one for path, one in outputs.items()}
    return {path: Array.of(values, path) for path, values in found.items()}


def _array(loaded: LoadedModel, name: str, value: Any) -> Any:
    """Return an input that the test gives as an array."""
    import numpy as np

    if name in _FOR_THE_PROCESSOR and isinstance(value, str):
        raise EngineError(
            "The checkpoint has no processor, so it takes no text.",
            hint="Give what its forward takes, such as input_ids=[[1, 2]].",
        )
    try:
        found = np.asarray(value) if isinstance(value, list | tuple) else loaded.array(value)
    except ValueError:  # rows of several lengths
        found = None
    if found is None or found.dtype.kind not in "biuf":
        raise EngineError(
            f"{name}= is not an array of numbers, but {type(value).__name__}.", hint="Give an array, a tensor or lists."
        )
    return found


def _described(raw: Mapping[str, Any]) -> Iterator[str]:
    for name, value in raw.items():
        rows = listed(value) if name == "text" else value
        for row in rows if isinstance(rows, list) else [rows]:
            yield require_text(row, "text=") if name == "text" else describe_media(row, _FOR_THE_PROCESSOR[name])
