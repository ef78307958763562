"""What explaining costs: `python -m benchmarks.explain`.

One project with six tests per prompt on tiny-gpt2 (greedy and beam search, blocked bigrams, classification), in pairs:
a green run against one in which a fault makes every test fail and be explained. Three faults: in the forward pass (the
model is loaded in other ways), in the search (the reference decodes again; of the tests that generate), and other
weights. The limit is a median ratio of 2. A green run must import nothing of what explains. With few prompts the
imports weigh as much as the tests; --prompts 40 shows what a large project pays.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.pairs import Command, Pairs, pairs_table, run_pairs, verdict

LIMIT = 2.0
FAULTS = ("forward", "search", "weights")
_TESTS = """\
import pytest

PROMPTS = ["My name is Hasnain", "It is not easy to learn the trumpet.", "I was going with my dog", "Every morning I"]
PROMPTS += [f"I saw {number} of the" for number in range(len(PROMPTS), MOST)]

@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("settings", [{}, {"no_repeat_ngram_size": 2}, {"num_beams": 4}, {"num_beams": 3,
    "num_return_sequences": 3, "no_repeat_ngram_size": 2, "length_penalty": 2.0, "early_stopping": True}],
    ids=["greedy", "bigrams", "beams", "all-beams"])
@pytest.mark.hf_model("./model", task="text-generation")
def test_generation(hf_model, hf_snapshot, prompt, settings):
    assert hf_model.generate(prompt, max_new_tokens=40, **settings) == hf_snapshot

@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("labels", [None, [0]], ids=["logits", "loss"])
@pytest.mark.hf_model("./model", task="text-classification", pad_token_id=0)
def test_classification(hf_model, hf_snapshot, prompt, labels):
    assert hf_model.classify(prompt, labels=labels) == hf_snapshot
"""
_CONFTEST = """\
import os, sys

FAULT = os.environ.get("FAULT")

def pytest_collection_finish(session):
    if FAULT not in ("forward", "search"):
        return
    import torch
    os.environ.setdefault("USE_TF", "0")
    from transformers.models.gpt2 import modeling_gpt2 as module
    plain = module.GPT2MLP.forward
    def shifted(self, states):
        signs = torch.ones(states.shape[-1])
        signs[::2] = -1
        return plain(self, states) + 0.05 * signs.to(states.dtype)
    module.GPT2MLP.forward = shifted if FAULT == "forward" else plain
    if FAULT == "search":
        topk, argmax = torch.topk, torch.argmax
        def worse(values, k, *arguments, **keywords):
            found = topk(values, k, *arguments, **keywords)
            return found if values.shape[-1] < 1000 else (found.values.flip(-1), found.indices.flip(-1))
        def second(values, *arguments, **keywords):
            if values.ndim != 2 or values.shape[-1] < 1000:
                return argmax(values, *arguments, **keywords)
            return topk(values, 2, dim=-1).indices[..., 1]
        torch.topk, torch.argmax = worse, second

def pytest_sessionfinish():
    if "pytest_hfmodels.explain.explaining" in sys.modules and FAULT is None:
        raise SystemExit("a green run has imported what explains")
"""
# Where a fault is, pytest's exit code is 1, and no test may pass.
_RUNNER = """\
import sys, pytest

class Count:
    passed = 0

    def pytest_runtest_logreport(self, report):
        self.passed += report.when == "call" and report.passed

count, wanted = Count(), int(sys.argv[1])
code = pytest.main(sys.argv[2:], plugins=[count])
sys.exit(9 if code != wanted or (wanted and count.passed) else 0)
"""


def main(arguments: list[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.explain", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="timed pairs of each fault (default 5)")
    parser.add_argument("--prompts", type=int, default=4, help="prompts, of six tests each (default 4, the least)")
    options = parser.parse_args(arguments)
    tests = {fault: (4 if fault == "search" else 6) * max(options.prompts, 4) for fault in FAULTS}
    with TemporaryDirectory(prefix="hfmodels-explain-") as folder:
        project = written(Path(folder), options.prompts)
        run("record", project, 0, "--snapshot-update").run()
        measured = [measure(project, fault, options.pairs) for fault in FAULTS]
    print(f"\n{options.pairs} pairs of each, {tests['forward']} tests; whole processes, their imports included")
    print("median (least-greatest)\n")
    print(pairs_table(measured))
    for fault, pairs in zip(FAULTS, measured, strict=True):
        ratio, each = pairs.ratio.middle, pairs.difference.middle / tests[fault]
        print(
            f"{fault}: {ratio:.2f} x a green run, limit {LIMIT}: {verdict(ratio, LIMIT)}; {each:.2f} s a failing test"
        )
    print("A green run imports nothing of what explains.")
    return 0


def written(folder: Path, prompts: int) -> Path:
    """Write the project of some prompts with a copy of tiny-gpt2, and another with other weights beside it."""
    import shutil

    import numpy as np
    from safetensors.numpy import load_file, save_file

    from pytest_hfmodels.checkpoints import bundled_files

    shutil.copytree(bundled_files.BUNDLED / "tiny-gpt2", folder / "right")
    shutil.copytree(folder / "right", folder / "weights")
    weights = load_file(folder / "weights" / "model.safetensors")
    name = next(name for name in weights if name.endswith("h.0.mlp.c_fc.weight"))
    weights[name] = (weights[name] * 1.5).astype(np.float32)
    save_file(weights, folder / "weights" / "model.safetensors", metadata={"format": "pt"})
    (folder / "model").symlink_to("right")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "conftest.py").write_text(_CONFTEST, encoding="utf-8")
    (folder / "test_model.py").write_text(f"MOST = {prompts}\n{_TESTS}", encoding="utf-8")
    return folder


def run(name: str, project: Path, expected: int, *arguments: str, fault: str = "") -> Command:
    """Return a run of the project's tests that must end with an exit code."""
    variables = {"FAULT": fault} if fault else {}
    pytest = ("test_model.py", "-q", "-p", "no:cacheprovider", "--tb=line", *arguments)
    return Command(name, (sys.executable, "-c", _RUNNER, str(expected), *pytest), project, variables)


def measure(project: Path, fault: str, pairs: int) -> Pairs:
    """Time a green run against one in which a fault makes every test fail."""
    if fault == "weights":
        return run_pairs(run("green", project, 0), _with_other_weights(project), pairs)
    chosen = ("-k", "generation") if fault == "search" else ()
    return run_pairs(
        run("green", project, 0, *chosen), run(f"all fail: {fault}", project, 1, *chosen, fault=fault), pairs
    )


def _with_other_weights(project: Path) -> Command:
    """Return a run on a copy of the project whose model is another."""
    import shutil

    other = project / "other"
    other.mkdir()
    for name in ("conftest.py", "test_model.py", "pytest.ini"):
        shutil.copy(project / name, other / name)
    shutil.copytree(project / "snapshots", other / "snapshots")
    (other / "model").symlink_to(project / "weights")
    return run("all fail: weights", other, 1, fault="weights")


if __name__ == "__main__":
    raise SystemExit(main())
