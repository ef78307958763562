"""How far log-probabilities differ between equally correct computations: `python -m benchmarks.noise_floor`.

All on tiny-gpt2 in float32, over a fixed set of token ids: torch with other thread counts, token by token with the
cache, row by row, and with sdpa attention, against one eager pass over the batch on one thread; TensorFlow likewise
among its own; and torch against TensorFlow. The largest movements are compared with
`pytest_hfmodels.snapshots.NOISE_FLOOR`, which should be these figures rounded up.
"""

from __future__ import annotations

import argparse
import os
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.pairs import ROOT, progress, table, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels import HFModel, ModelCache
    from pytest_hfmodels.engines.base import FloatArray

CHECKPOINT = "tiny-gpt2"
LENGTH = 64  # tokens a row
SENTENCES = (
    "My name is Hasnain and I am a software engineer.",
    "I was going with my dog to the park when it began to rain.",
    "She plays the violin in a small band and teaches music at school.",
    "We took the early train to the coast and came back late at night.",
    "The soup needs more salt, and the bread is still in the oven.",
    "Our team lost the first match and won every one after it.",
    "It was a cold morning with wind from the north and a little snow.",
    "Grüße from 世界, 3.14159 times: #!? (unusual text, many bytes a word)",
)
DRAWN_ROWS = 8  # of random ids, for which the model is least certain


@dataclass(frozen=True)
class Computation:
    """One way to compute the same log-probabilities.

    Args:
        name: what the table calls it.
        values: log-probabilities of every vocabulary entry after every token, (B, L, V), nats.
    """

    name: str
    values: FloatArray


def main(arguments: list[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.noise_floor", description=__doc__)
    parser.add_argument("--threads", type=int, default=max(4, os.cpu_count() or 1), help="largest thread count")
    options = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # hide TensorFlow's messages about devices and factories
    from pytest_hfmodels import ModelCache
    from pytest_hfmodels.engines import missing

    absent = missing("tensorflow")
    models = ModelCache(ROOT, with_tensorflow=absent is None)
    progress("torch …")
    ids = rows_of_ids(models.load(CHECKPOINT))
    torch = list(torch_computations(models, ids, options.threads))
    progress("tensorflow …")
    tensorflow = [] if absent else list(tensorflow_computations(models, ids))
    report(torch, tensorflow, f"{len(ids)} rows of {LENGTH} tokens, {CHECKPOINT}, float32", absent)
    return 0


def rows_of_ids(model: HFModel) -> list[list[int]]:
    """Return the fixed token ids, (B, L): running text from each sentence on, and ids drawn at random."""
    texts = [" ".join((*SENTENCES[start:], *SENTENCES[:start])) for start in range(len(SENTENCES))]
    draw = random.Random(0)
    size = model.config.vocab_size
    return [
        *(
            [int(token) for token in model.tokenizer(text, truncation=True, max_length=LENGTH)["input_ids"]]
            for text in texts
        ),
        *([draw.randrange(size) for _ in range(LENGTH)] for _ in range(DRAWN_ROWS)),
    ]


def torch_computations(models: ModelCache, ids: list[list[int]], threads: int) -> Iterator[Computation]:
    """Yield torch's ways; the first is the base."""
    import torch

    model = models.load(CHECKPOINT)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        yield Computation("torch: one pass, whole batch, eager, 1 thread", model.log_probabilities(ids))
        yield Computation("row by row", row_by_row(model, ids))
        with torch.no_grad():
            yield Computation("token by token with the cache", token_by_token(model, ids))
            yield Computation("the same row by row, as generate does", token_by_token_and_row(model, ids))
        yield Computation("sdpa", models.load(CHECKPOINT, attention="sdpa").log_probabilities(ids))
        for count in range(2, threads + 1):
            torch.set_num_threads(count)
            with torch.no_grad():
                yield Computation(f"{count} threads", in_one_pass(model, ids))
    finally:
        torch.set_num_threads(before)


def tensorflow_computations(models: ModelCache, ids: list[list[int]]) -> Iterator[Computation]:
    """Yield TensorFlow's ways; the first is the base."""
    model = models.load(CHECKPOINT, engine="tensorflow")
    yield Computation("tensorflow: one pass, whole batch", model.log_probabilities(ids))
    yield Computation("row by row", row_by_row(model, ids))
    yield Computation("token by token with the cache", token_by_token(model, ids))


def in_one_pass(model: HFModel, ids: list[list[int]]) -> FloatArray:
    """Return log-probabilities from one pass of upstream's model, on the current number of threads; ours uses one."""
    import numpy as np

    from pytest_hfmodels.kinds.evidence import log_softmax

    return log_softmax(np.asarray(model.model(model.loaded.tensor(ids)).logits, dtype=np.float64))


def row_by_row(model: HFModel, ids: list[list[int]]) -> FloatArray:
    """Return log-probabilities from one pass per row."""
    import numpy as np

    return np.concatenate([model.log_probabilities([row]) for row in ids])


def token_by_token(model: HFModel, ids: list[list[int]]) -> FloatArray:
    """Return log-probabilities from one pass per position, with the cache of the positions before it."""
    import numpy as np

    from pytest_hfmodels.kinds.evidence import log_softmax

    logits, past = [], None
    for column in np.asarray(ids).T:
        output: Any = model.model(model.loaded.tensor(column[:, None]), past_key_values=past, use_cache=True)
        past = output.past_key_values
        logits.append(np.asarray(output.logits, dtype=np.float64))
    return log_softmax(np.concatenate(logits, axis=1))


def token_by_token_and_row(model: HFModel, ids: list[list[int]]) -> FloatArray:
    """Return log-probabilities from one pass per token."""
    import numpy as np

    return np.concatenate([token_by_token(model, [row]) for row in ids])


def report(torch: Sequence[Computation], tensorflow: Sequence[Computation], what: str, absent: str | None) -> None:
    """Print every way's movement, and the largest of each kind against the floor."""
    from pytest_hfmodels.snapshots import NOISE_FLOOR

    print(f"Largest movement of a log-probability, nats; {what}\n")
    rows = [*movements(torch), *movements(tensorflow)]
    if tensorflow:
        rows += movements((torch[0], Computation("tensorflow, the same", tensorflow[0].values)))
    print(table(("from", "to", "whole vocabulary", "likeliest two"), rows))
    same = max(widest(torch), widest(tensorflow))
    figures = [("same_engine", "any two of one engine", same)]
    if tensorflow:
        figures.append(("cross_engine", "any two of all", widest([*torch, *tensorflow])))
    else:
        print(f"\ncross_engine was not measured: {absent}.")
    lines = [
        (name, between, f"{found:.2e}", f"{NOISE_FLOOR[name]:.2e}", verdict(found, NOISE_FLOOR[name]))
        for name, between, found in figures
    ]
    print(f"\n{table(('NOISE_FLOOR', 'largest between', 'measured', 'stated', ''), lines)}")


def movements(computations: Sequence[Computation]) -> list[tuple[str, str, str, str]]:
    """Return a line for every way after the first, with its distance from the first."""
    import numpy as np

    lines = []
    for other in computations[1:]:
        first = computations[0]
        moved = np.abs(other.values - first.values)
        likeliest = np.take_along_axis(moved, np.argpartition(first.values, -2)[..., -2:], axis=-1)
        lines.append((first.name, other.name, f"{moved.max():.2e}", f"{likeliest.max():.2e}"))
    return lines


def widest(computations: Sequence[Computation]) -> float:
    """Return the largest distance between any two of them, 0 without a pair."""
    import numpy as np

    if not computations:
        return 0.0
    return float(np.ptp(np.stack([computation.values for computation in computations]), axis=0).max())


if __name__ == "__main__":
    raise SystemExit(main())
