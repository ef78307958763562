"""The cost of the suites, beside the import of transformers: `python -m benchmarks.suites`.

`pytest suites/gpt2 --hfmodels-engines torch` (limit 15 s) against `python -c "from transformers import
GPT2LMHeadModel"` with `USE_TF=0`, in pairs, in this environment; then `pytest suites`, with all engines and
architectures (limit 90 s).
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.pairs import Command, pairs_table, run_pairs, verdict

TORCH, ALL = 15.0, 90.0
SUITES = Command(
    "pytest suites/gpt2, torch",
    (sys.executable, "-m", "pytest", "suites/gpt2", "--hfmodels-engines", "torch", "-q", "-p", "no:cacheprovider"),
)
EVERYTHING = Command("pytest suites", (sys.executable, "-m", "pytest", "suites", "-q", "-p", "no:cacheprovider"))
BARE_IMPORT = Command(
    "import of GPT2LMHeadModel",
    (sys.executable, "-c", "from transformers import GPT2LMHeadModel"),
    variables={"USE_TF": "0"},
)


def main(arguments: list[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suites", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="timed pairs (default 5)")
    options = parser.parse_args(arguments)
    measured = run_pairs(BARE_IMPORT, SUITES, options.pairs)
    everything = EVERYTHING.run()
    print(f"\n{options.pairs} pairs; median (least-greatest)\n")
    print(pairs_table([measured]))
    torch = measured.other_seconds.middle
    print(f"\nsuites/gpt2 in torch: {torch:.1f} s, limit {TORCH:.0f} s: {verdict(torch, TORCH)}")
    taken = f"{everything.seconds:.1f} s ({everything.cpu_seconds:.1f} s of CPU)"
    print(f"All suites: {taken}, limit {ALL:.0f} s: {verdict(everything.seconds, ALL)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
