"""The cost of the main job beyond the import of transformers: `python -m benchmarks.suites`.

`pytest suites/gpt2 --hfmodels-engines torch` against `python -c "from transformers import GPT2LMHeadModel"` with
`USE_TF=0`, in pairs, in this environment (limit: a median ratio of 1.5).
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.pairs import Command, pairs_table, run_pairs, verdict

LIMIT = 1.5
SUITES = Command(
    "pytest suites/gpt2, torch",
    (sys.executable, "-m", "pytest", "suites/gpt2", "--hfmodels-engines", "torch", "-q", "-p", "no:cacheprovider"),
)
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
    ratio = measured.ratio.middle
    print(f"\n{options.pairs} pairs; median (least-greatest)\n")
    print(pairs_table([measured]))
    print(f"\nThe suites over the bare import: {ratio:.2f}, limit {LIMIT}: {verdict(ratio, LIMIT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
