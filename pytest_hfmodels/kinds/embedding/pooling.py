"""How one vector is made of a model's output: as the test says, or sentence-transformers' files in the checkpoint.

NumPy is imported inside functions: kinds are read without.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.errors import CheckpointError, EngineError
from pytest_hfmodels.foundation.files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_hfmodels.engines.base import FloatArray, IntArray, Observation

POOLINGS = ("mean", "cls", "last", "max", "pooler")
# The outputs of the part that reads an input; a model that compares texts with images or sounds has two parts.
_POOLED = {name: ("pooler_output", f"{name}_embeds") for name in ("text", "image", "audio")}
_STATES = {
    name: ("encoder_last_hidden_state", "last_hidden_state", f"{part}_model_output.last_hidden_state")
    for name, part in (("text", "text"), ("image", "vision"), ("audio", "audio"))
}
_NAMES = {"cls_token": "cls", "mean_tokens": "mean", "max_tokens": "max", "lasttoken": "last"}
_ACTIVATIONS = ("Identity", "Tanh")
_NOT_COMPUTED = "which this plugin does not compute"
_COMPARE = "Give pooling=…, or compare what SentenceTransformer(…).encode(…) returns with hf_snapshot."
_LARGEST = 8 << 20  # bytes of a JSON file


@dataclass(frozen=True)
class Dense:
    """A layer after the pooling.

    Args:
        weight: (out, in).
        bias: (out,), or None.
        activation: `Identity` or `Tanh`.
    """

    weight: FloatArray
    bias: FloatArray | None
    activation: str

    def of(self, vectors: FloatArray) -> FloatArray:
        """Return the layer's output for vectors (B, in)."""
        import numpy as np

        found = vectors @ self.weight.T + (0.0 if self.bias is None else self.bias)
        return np.tanh(found) if self.activation == "Tanh" else found


@dataclass(frozen=True)
class Recipe:
    """From a model's output to vectors.

    Args:
        pooling: one of `POOLINGS`; empty for what suits the input: `pooler` for images that have it, else `mean`.
        normalize: whether each vector gets the norm 1.
        dense: layers after the pooling.
        longest: tokens that a text is cut to; None if a longer text is an error.
        lower: whether a text is written in lower case.
        prompt: what goes before each text.
        reads: `text`, `image` or `audio`; the vectors are those of the part of the model that reads it.
    """

    pooling: str = ""
    normalize: bool = False
    dense: tuple[Dense, ...] = ()
    longest: int | None = None
    lower: bool = False
    prompt: str = ""
    reads: str = "text"

    @property
    def dense_digest(self) -> str | None:
        """A digest of the layers after the pooling, which no digest of the checkpoint covers; None without any."""
        digest = sha256()
        for layer in self.dense:
            digest.update(layer.weight.tobytes() + (b"" if layer.bias is None else layer.bias.tobytes()))
        return f"sha256:{digest.hexdigest()}" if self.dense else None

    def text(self, text: str) -> str:
        """Return a text as the tokenizer gets it."""
        return f"{self.prompt}{text.lower() if self.lower else text}"

    def vectors(self, seen: Observation, mask: IntArray | None) -> FloatArray:
        """Return one vector a row, (B, D).

        Args:
            seen: what the model returned.
            mask: (B, L), 0 at padding; None without any.

        Raises:
            EngineError: the model returns nothing to pool.
        """
        found = pooled(seen, mask, self.pooling, self.reads)
        for layer in self.dense:
            found = layer.of(found)
        return normalized(found) if self.normalize else found


def pooled(seen: Observation, mask: IntArray | None, pooling: str, reads: str) -> FloatArray:
    """Return the output of a model reduced to one vector a row; see `Recipe.vectors`."""
    import numpy as np

    own = next((seen.outputs[name] for name in _POOLED[reads] if name in seen.outputs), None)
    if pooling == "pooler" and own is not None:
        return np.asarray(own, np.float64).reshape(len(own), -1)
    states = _states(seen, pooling, reads)
    real = np.ones(states.shape[:2]) if mask is None or mask.shape != states.shape[:2] else np.asarray(mask, np.float64)
    rows = np.arange(len(states))
    vectors: FloatArray = (states * real[..., None]).sum(axis=1) / real.sum(axis=1, keepdims=True)
    if pooling == "cls":
        vectors = states[rows, real.argmax(axis=1)]
    elif pooling == "last":
        vectors = states[rows, states.shape[1] - 1 - real[:, ::-1].argmax(axis=1)]
    elif pooling == "max":
        vectors = np.where(real[..., None] > 0, states, -np.inf).max(axis=1)
    return vectors


def _states(seen: Observation, pooling: str, reads: str) -> FloatArray:
    """Return the last hidden states, (B, L, C)."""
    import numpy as np

    states = next((seen.outputs[name] for name in _STATES[reads] if name in seen.outputs), None)
    if states is None and seen.hidden_states:
        states = seen.hidden_states[-1]
    if states is None or pooling == "pooler" or states.ndim < 3:
        raise EngineError(
            f"The model returns nothing for pooling={pooling!r}: {', '.join(seen.outputs) or 'no output'}.",
            hint="Choose another pooling, or record its outputs: hf_model.observe(…).",
        )
    states = np.asarray(states, np.float64)
    if states.ndim == 3:
        return states
    return states.reshape(*states.shape[:2], -1).transpose(0, 2, 1)  # (B, C, H, W) of a convolutional model


def normalized(vectors: FloatArray) -> FloatArray:
    """Return vectors with the norm 1; one of zeros stays."""
    import numpy as np

    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    result: FloatArray = vectors / np.where(norms == 0, 1.0, norms)
    return result


def read_recipe(folder: Path) -> Recipe:
    """Return what sentence-transformers' files in a checkpoint say; an empty recipe if there are none.

    Raises:
        CheckpointError: they ask for what this plugin does not do, or cannot be read.
    """
    if not (folder / "modules.json").is_file():
        return Recipe()
    found: dict[str, Any] = {"pooling": "mean", "dense": ()}
    for module in _read(folder / "modules.json"):
        kind, place = str(module.get("type")).rpartition(".")[2], _inside(folder, str(module.get("path", "")))
        if kind == "Pooling":
            found["pooling"] = _pooling_of(_read(place / "config.json"), place)
        elif kind == "Dense":
            found["dense"] += (_dense(place),)
        elif kind == "Normalize":
            found["normalize"] = True
        elif kind != "Transformer":
            raise _not_done(folder / "modules.json", f"the module {kind!r}")
    limits = _optional(folder / "sentence_bert_config.json")
    prompts = _optional(folder / "config_sentence_transformers.json")
    chosen = (prompts.get("prompts") or {}).get(prompts.get("default_prompt_name") or "", "")
    return Recipe(
        **found, longest=limits.get("max_seq_length"), lower=bool(limits.get("do_lower_case")), prompt=str(chosen)
    )


def recipe_of(model: Any) -> Recipe:
    """Return what a SentenceTransformer in memory does after its transformer.

    Raises:
        CheckpointError: it has a module that is not computed here.
    """
    import numpy as np

    found: dict[str, Any] = {"pooling": "mean", "dense": ()}
    for module in list(model)[1:]:
        kind = type(module).__name__
        if kind == "Pooling":
            modes = getattr(module, "pooling_mode", None) or module.get_pooling_mode_str()
            found["pooling"] = _pooling_of({"pooling_mode": modes}, Path(type(model).__name__))
        elif kind == "Dense" and type(module.activation_function).__name__ in _ACTIVATIONS:
            weights = [
                None if one is None else one.detach().cpu().numpy()
                for one in (module.linear.weight, module.linear.bias)
            ]
            layer = Dense(np.asarray(weights[0], np.float64), weights[1], type(module.activation_function).__name__)
            found["dense"] += (layer,)
        elif kind == "Normalize":
            found["normalize"] = True
        else:
            raise CheckpointError(f"{type(model).__name__} has the module {kind}, {_NOT_COMPUTED}.", hint=_COMPARE)
    first, prompts = model[0], getattr(model, "prompts", None) or {}
    return Recipe(
        **found,
        longest=getattr(first, "max_seq_length", None),
        lower=bool(getattr(first, "do_lower_case", False)),
        prompt=str(prompts.get(getattr(model, "default_prompt_name", None) or "", "")),
    )


def require_pooling(pooling: object) -> None:
    """Refuse an unknown pooling.

    Raises:
        EngineError: with the known ones.
    """
    if pooling is not None and pooling not in POOLINGS:
        hint = f"It is one of {', '.join(POOLINGS)}, or left out for the checkpoint's own."
        raise EngineError(f"Unknown pooling {pooling!r:.40}.", hint=hint)


def _pooling_of(config: Mapping[str, Any], place: Path) -> str:
    named = config.get("pooling_mode")
    wanted = [named] if isinstance(named, str) else [*named] if isinstance(named, list) else []
    wanted += [name.removeprefix("pooling_mode_") for name, on in config.items() if name[13:] and on is True]
    wanted = [name for name in wanted if not name.startswith(("include_", "word_"))]
    known = [_NAMES.get(name, name) for name in wanted]
    if len(known) != 1 or known[0] not in POOLINGS:
        raise _not_done(place / "config.json", f"the pooling {', '.join(wanted) or 'of nothing'}")
    return known[0]


def _dense(place: Path) -> Dense:
    import numpy as np

    from pytest_hfmodels.checkpoints.weights import read_weights

    config, weights = _read(place / "config.json"), read_weights(place)
    activation = str(config.get("activation_function", "Tanh")).rpartition(".")[2]
    if activation not in _ACTIVATIONS:
        raise _not_done(place / "config.json", f"the activation {activation!r}")
    bias = weights.get("linear.bias")
    return Dense(
        np.asarray(weights["linear.weight"], np.float64), None if bias is None else bias.astype("f8"), activation
    )


def _inside(folder: Path, name: str) -> Path:
    """Return a folder of the checkpoint; one outside is refused."""
    parts = PurePosixPath(name).parts
    if len(parts) > 1 or ".." in parts or name.startswith(("/", "\\")) or ":" in name:
        raise CheckpointError(
            f"{folder / 'modules.json'} names {name!r}, which is not a folder beside it.",
            hint="Do not use this checkpoint unless you know who wrote that file.",
        )
    return folder / name


def _optional(file: Path) -> dict[str, Any]:
    found = _read(file) if file.is_file() else {}
    return found if isinstance(found, dict) else {}


def _read(file: Path) -> Any:
    try:
        return json.loads(read_bytes(file, largest=_LARGEST))
    except (OSError, ValueError, RecursionError) as error:
        what = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{file} cannot be read: {what}.", hint="Copy or download it again.") from error


def _not_done(file: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"{file} asks for {what}, {_NOT_COMPUTED}.",
        hint=_COMPARE,
    )
