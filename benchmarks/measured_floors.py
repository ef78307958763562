"""Whether a measured noise floor holds elsewhere: `python -m benchmarks.measured_floors`.

Draws small models with small and large weights, and measures their floors in float32 and bfloat16 as recording does.
Then other processes compute the same log-probabilities as other machines would: with the kernels of older processors
(`ATEN_CPU_CAPABILITY` and its like), and with each interpreter that `--python` names (another release). Shows the
largest movement of a generated token's log-probability over the stated floor; the tolerance is 2.5 floors. Also shows
how long measuring takes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.pairs import ROOT, progress, table, verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMIT = 2.5
BUNDLED = ROOT / "pytest_hfmodels/checkpoints/bundled/tiny-gpt2"  # for its tokenizer
PROMPT = [7, 21, 3, 44, 180, 9, 65, 12]
NEW = 24
# By name: transformers' class, blocks, width, standard deviation of the weights.
MODELS = {
    "GPT-2, small weights": ("GPT2LMHeadModel", 2, 32, 0.02),
    "GPT-2, large weights": ("GPT2LMHeadModel", 2, 32, 0.5),
    "GPT-2, 8 blocks": ("GPT2LMHeadModel", 8, 256, 0.14),
    "Llama, small weights": ("LlamaForCausalLM", 2, 64, 0.02),
    "Llama, large weights": ("LlamaForCausalLM", 6, 128, 0.3),
}
DTYPES = ("float32", "bfloat16")
PROCESSORS = {
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "SSE4": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
}
Found = dict[str, dict[str, Any]]  # by model and dtype


def main(arguments: list[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measured_floors", description=__doc__)
    parser.add_argument("--python", action="append", default=[], help="of another environment; may be repeated")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure is not None:
        measure(options.measure)
        return 0
    os.environ["USE_TF"] = "0"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model, drawn in MODELS.items():
            draw(folder / model, *drawn)
        progress("recording …")
        recorded = in_process(folder, sys.executable, {})
        (folder / "recorded.json").write_text(json.dumps(recorded), encoding="utf-8")
        others = {}
        for what, variables in PROCESSORS.items():
            progress(f"{what} …")
            others[what] = in_process(folder, sys.executable, variables)
        for python in options.python:
            progress(f"{python} …")
            found = in_process(folder, python, {})
            others[next(iter(found.values()))["release"]] = found
    report(recorded, others)
    return 0


def draw(folder: Path, name: str, blocks: int, width: int, deviation: float) -> None:
    """Save a model with fixed random weights."""
    import torch
    import transformers

    sizes = {"num_hidden_layers": blocks, "hidden_size": width, "num_attention_heads": 4, "vocab_size": 1024}
    longest = {"max_position_embeddings": 64, "bos_token_id": 0, "eos_token_id": None, "pad_token_id": 0}
    kind = getattr(transformers, name)
    extra = {"intermediate_size": 3 * width, "num_key_value_heads": 2} if name.startswith("Llama") else {}
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = kind(kind.config_class(**sizes, **longest, **extra))
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, deviation)
    model.save_pretrained(folder)
    for file in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(BUNDLED / file, folder)


def in_process(folder: Path, python: str, variables: dict[str, str]) -> Found:
    """Return what `measure` prints in a process of its own."""
    command = (python, "-m", "benchmarks.measured_floors", "--measure", str(folder))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(folder: Path) -> None:
    """Print each model's floor, the tokens that it generates, and their log-probabilities, as JSON.

    If another process has recorded the models already, only the log-probabilities of its tokens.
    """
    import transformers

    from pytest_hfmodels import ModelCache
    from pytest_hfmodels.kinds.rounding import measured_floor

    file, models, found = folder / "recorded.json", ModelCache(folder), Found()
    earlier: Found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for name in MODELS:
        for dtype in DTYPES:
            key, model = f"{name}, {dtype}", models.load(f"./{name}", dtype=dtype)
            said: dict[str, Any] = {"release": transformers.__version__}
            if key in earlier:
                ids = earlier[key]["ids"]
            else:
                record = model.generate(PROMPT, max_new_tokens=NEW)
                began = time.perf_counter()
                said["floor"] = measured_floor(record)
                said["seconds"] = time.perf_counter() - began
                ids = list(record.ids)
            rows = model.log_probabilities([[*PROMPT, *ids]])[0, len(PROMPT) - 1 : -1]
            found[key] = {**said, "ids": ids, "numbers": [float(row[one]) for row, one in zip(rows, ids, strict=True)]}
    print(json.dumps(found))


def report(recorded: Found, others: dict[str, Found]) -> None:
    """Print every model's floor, and how far its numbers moved elsewhere."""
    lines, worst = [], 0.0
    for key, said in recorded.items():
        moved = {what: movement(said["numbers"], found[key]["numbers"]) for what, found in others.items()}
        worst = max(worst, *(one / said["floor"] for one in moved.values()))
        shown = [f"{one:.1e}" for one in moved.values()]
        lines.append((key, f"{said['floor']:.0e}", f"{said['seconds']:.2f} s", *shown))
    print("Largest movement of a generated token's log-probability, nats\n")
    print(table(("model", "stated floor", "measured in", *others), lines))
    print(f"\nlargest movement: {worst:.2f} floors, limit {LIMIT}: {verdict(worst, LIMIT)}")


def movement(before: Sequence[float], now: Sequence[float]) -> float:
    """Return how far numbers moved at most."""
    return max(abs(one - other) for one, other in zip(before, now, strict=True))


if __name__ == "__main__":
    raise SystemExit(main())
