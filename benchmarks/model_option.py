"""What `pytest --hfmodels-model` costs for a tiny checkpoint: `python -m benchmarks.model_option`.

In pairs: a process that imports torch and transformers' GPT-2 and does nothing, against a pytest that checks a tiny
GPT-2 with recorded snapshots (limit 1.3 times the import).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.pairs import ROOT, Command, pairs_table, run_pairs, verdict

LIMIT = 1.3
_IMPORT = "import torch, transformers; from transformers import AutoTokenizer, GPT2LMHeadModel"
_TORCH = {"USE_TF": "0", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def main(arguments: list[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model_option", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="timed pairs (default 5)")
    options = parser.parse_args(arguments)
    with TemporaryDirectory(prefix="hfmodels-model-") as folder:
        project = Path(folder)
        write_project(project)
        # hypothesis's own plugin imports hypothesis at the end of every run, whether anything uses it or not.
        pytest = (sys.executable, "-m", "pytest", "-p", "no:hypothesispytest")
        checks = (*pytest, "--hfmodels-model=./model", "--hfmodels-engines=torch")
        Command("recording", (*checks, "--snapshot-update"), project, _TORCH).run()
        bare = Command("import torch, transformers", (sys.executable, "-c", _IMPORT), project, _TORCH)
        measured = run_pairs(bare, Command("--hfmodels-model", checks, project, _TORCH), options.pairs)
    print(pairs_table([measured]))
    ratio = measured.ratio.middle
    print(f"\n{ratio:.2f} times the bare import, limit {LIMIT}: {verdict(ratio, LIMIT)}")
    cpu = [(other.cpu_seconds, base.cpu_seconds) for base, other in measured.runs]
    print(f"CPU seconds: {sum(one for one, _ in cpu) / sum(one for _, one in cpu):.2f} times those of the import")
    return 0


def write_project(folder: Path) -> None:
    """Write a tiny GPT-2 into `model`, and nothing else but a root."""
    from tests.tiny_gpt2 import write_checkpoint

    write_checkpoint(folder / "model")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
