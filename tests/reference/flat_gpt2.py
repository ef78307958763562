"""A GPT-2 with 30 tokens and fixed NumPy weights whose choices are close, and upstream's `generate` on it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.engines import upstream, usable
from pytest_hfmodels.reference import Rules

from ..surroundings import TRANSFORMERS

if TYPE_CHECKING:
    from pytest_hfmodels.reference.search import FloatArray, IntArray, Settings

RULES = Rules.of(str(TRANSFORMERS)) if TRANSFORMERS else Rules()
VOCABULARY = 30
POSITIONS = 64
_WIDTH = 16


@dataclass(frozen=True)
class Returned:
    """What `generate` returned; `scores` are (B, S) for greedy search and one for each sequence for beam search."""

    ids: IntArray
    scores: FloatArray


class FlatGPT2:
    """The model, as a function from ids to logits and through `generate`."""

    def __init__(self) -> None:
        self.transformers = upstream.transformers(with_tensorflow="tensorflow" in usable())
        import torch

        self.torch = torch
        self._config = self.transformers.GPT2Config(
            vocab_size=VOCABULARY,
            n_positions=POSITIONS,
            n_embd=_WIDTH,
            n_layer=2,
            n_head=2,
            bos_token_id=None,
            eos_token_id=None,
            num_labels=3,
        )
        self.model = self._built("GPT2LMHeadModel")

    def logits(self, ids: IntArray, mask: IntArray) -> FloatArray:
        """Return the next token's logits: one forward pass without a cache."""
        positions = np.maximum(mask.cumsum(axis=1) - 1, 0)
        with self.torch.no_grad():
            output = self.model(
                self.torch.as_tensor(ids),
                attention_mask=self.torch.as_tensor(mask),
                position_ids=self.torch.as_tensor(positions),
                use_cache=False,
            )
        return np.asarray(output.logits[:, -1].double().numpy())

    def generate(self, ids: IntArray, mask: IntArray, settings: Settings) -> Returned:
        """Return what the installed release generates."""
        with self.torch.no_grad(), upstream.quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            output = self.model.generate(
                self.torch.as_tensor(ids),
                attention_mask=self.torch.as_tensor(mask),
                **keywords(settings),
                do_sample=False,
                return_dict_in_generate=True,
                output_scores=True,
            )
        sequences = np.asarray(output.sequences.numpy())
        if settings.num_beams > 1:
            return Returned(sequences, np.asarray(output.sequences_scores.double().numpy()))
        steps = np.stack([step.double().numpy() for step in output.scores], axis=1)  # (B, S, V)
        chosen = sequences[:, ids.shape[1] :, np.newaxis]
        return Returned(sequences, np.take_along_axis(steps, chosen, axis=2)[..., 0])

    def classify(self, row: list[int], *, padding: int) -> tuple[FloatArray, FloatArray]:
        """Return what a classifier says of a row (C,), and what it would say at each of its positions (L, C)."""
        model = self._built("GPT2ForSequenceClassification")
        model.config.pad_token_id = padding
        ids = self.torch.as_tensor([row])
        with self.torch.no_grad():
            states = model.transformer(ids).last_hidden_state
            logits, everywhere = model(ids).logits, model.score(states)
        return np.asarray(logits[0].double().numpy()), np.asarray(everywhere[0].double().numpy())

    def _built(self, name: str) -> Any:
        with warnings.catch_warnings(), upstream.quiet(), upstream.random_state_kept(), self.torch.random.fork_rng():
            warnings.simplefilter("ignore")
            model = getattr(self.transformers, name)(self._config).eval()
        self._fill(model)
        return model

    def _fill(self, model: Any) -> None:
        random = np.random.Generator(np.random.PCG64(5))
        with self.torch.no_grad():
            for name, tensor in model.named_parameters():
                scale = 0.4 if name.endswith(("wte.weight", "wpe.weight")) else 0.3
                values = scale * random.standard_normal(tuple(tensor.shape))
                norm = ".ln_" in name and name.endswith("weight")
                tensor.copy_(self.torch.as_tensor(1 + 0.1 * values if norm else values))


def keywords(settings: Settings) -> dict[str, Any]:
    """Return the settings that differ from the defaults, as `generate` takes them."""
    given = {
        name: getattr(settings, name)
        for name, field in settings.__dataclass_fields__.items()
        if getattr(settings, name) != field.default
    }
    if "bad_words_ids" in given:
        given["bad_words_ids"] = [list(word) for word in given["bad_words_ids"]]
    return given
