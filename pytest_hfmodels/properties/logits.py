"""A model's own logits for the reference: separate forward passes, without padding and without a cache.

Only for `decoding`. NumPy and torch are imported inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_hfmodels.engines.base import FloatArray, IntArray
    from pytest_hfmodels.models import HFModel

    Text = tuple[int, ...]


def own_logits(model: HFModel, prompt_length: int) -> OwnLogits:
    """Return a model as the function that the reference takes: from ids and mask to the next token's logits.

    Args:
        model: a language model.
        prompt_length: how many tokens a model that carries a memory from step to step reads at once.
    """
    if getattr(model.config, "mem_len", None) is not None:
        return CarriedLogits(model, prompt_length)
    return OwnLogits(model)


class OwnLogits:
    """The next token's logits after each row, without its padding on the left. Logits are computed once.

    Rows are filled up on the right to one length, which a causal model does not see. So one pass also gives the
    logits after every beginning of its rows.
    """

    def __init__(self, model: HFModel) -> None:
        self._model = model
        self._known: dict[Text, FloatArray] = {}

    def __call__(self, ids: IntArray, mask: IntArray) -> FloatArray:
        """Return logits (B, V) for ids (B, L) and mask (B, L)."""
        import numpy as np

        texts = [tuple(row[int(ones.argmax()) :].tolist()) for row, ones in zip(ids, mask, strict=True)]
        self.read(texts)
        return np.stack([self._known[text] for text in texts])

    def read(self, texts: Iterable[Text]) -> None:
        """Read texts and all their beginnings in one pass."""
        unknown = list(dict.fromkeys(text for text in texts if text not in self._known))
        if unknown:
            self._read(unknown)

    def _read(self, texts: Sequence[Text]) -> None:
        import numpy as np

        width = max(map(len, texts))
        ids = np.array([[*text, *[0] * (width - len(text))] for text in texts], np.int64)
        logits = self._model.loaded.forward(ids).logits
        for text, row in zip(texts, logits, strict=True):
            for end in range(1, len(text) + 1):
                self._known.setdefault(text[:end], row[end - 1])


class CarriedLogits(OwnLogits):
    """The same for Transformer-XL (torch), which reads its prompt at once, and then word by word with a memory.

    Its memory may be shorter than a text, so it matters how a text is divided.
    """

    def __init__(self, model: HFModel, prompt_length: int) -> None:
        super().__init__(model)
        self._prompt_length = prompt_length
        self._memories: dict[Text, list[Any]] = {}

    def _read(self, texts: Sequence[Text]) -> None:
        for length in range(self._prompt_length, max(map(len, texts)) + 1):
            beginnings = dict.fromkeys(text[:length] for text in texts if len(text) >= length)
            unknown = [text for text in beginnings if text not in self._known]
            if unknown:
                self._step(unknown, length)

    def _step(self, texts: Sequence[Text], length: int) -> None:
        import torch

        from pytest_hfmodels.properties.calls import evaluating  # imports NumPy

        model = self._model.model
        first = length == self._prompt_length
        carried = None if first else [self._memories[text[:-1]] for text in texts]
        memory = None if carried is None else [torch.cat(layer, dim=1) for layer in zip(*carried, strict=True)]
        words = torch.as_tensor([text if first else text[-1:] for text in texts])
        with evaluating(model):
            output = model(words, mems=memory)
        for row, text in enumerate(texts):
            self._known[text] = output.logits[row, -1].double().numpy()
            self._memories[text] = [layer[:, row : row + 1] for layer in output.mems]
