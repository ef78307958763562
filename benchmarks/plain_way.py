"""The time that session-cached models and batched prompts save: `python -m benchmarks.plain_way`.

`pytest suites/gpt2 --hfmodels-engines torch` against the same checks written the plain way (`plain_checks.py`, copied
into a temporary folder): `from_pretrained` in every test, one `generate` a drawn prompt, as many prompts as the suite
draws, the same assertions and expected values, pytest, library and environment, and `USE_TF=0` for both. The suite
compares more than the plain checks do (margins, beam cutoffs, block fingerprints, digests): the ratio leaves that out.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.generate_calls import count_calls
from benchmarks.pairs import ROOT, Command, Spread, pairs_table, progress, run_pairs
from benchmarks.suites import BARE_IMPORT, SUITES

CHECKS = Path(__file__).with_name("plain_checks.py")
CHECKPOINT = ROOT / "pytest_hfmodels" / "checkpoints" / "bundled" / "tiny-gpt2"
SNAPSHOTS = ROOT / "snapshots" / "suites" / "gpt2"


def main(arguments: list[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plain_way", description=__doc__)
    parser.add_argument("--pairs", type=int, default=3, help="timed pairs (default 3)")
    options = parser.parse_args(arguments)
    progress("counting the prompts that the suite draws …")
    counted = count_calls("torch")
    if counted.failed:
        raise SystemExit(f"{counted.output}\nThe property suite failed: nothing was measured.")
    with TemporaryDirectory(prefix="hfmodels-plain-") as folder:
        plain = plain_command(Path(folder), sum(call.prompts for call in counted.calls["torch"]))
        measured = run_pairs(SUITES, plain, options.pairs)
    imports = Spread.of(BARE_IMPORT.run().seconds for _ in range(options.pairs))
    print(f"\n{options.pairs} pairs; median (least-greatest)\n")
    print(pairs_table([measured]))
    print()
    for name, run in zip((SUITES.name, plain.name), measured.runs[-1], strict=True):
        print(f"{name}: {run.last_line}")
    print(f"\nThe plain way takes {measured.ratio.middle:.2f} times as long.")
    ours, plainly = (spread.middle - imports.middle for spread in (measured.base_seconds, measured.other_seconds))
    print(
        f"Of both, importing GPT2LMHeadModel alone takes {imports.show()} s; beyond it: {ours:.2f} s, {plainly:.2f} s."
    )
    return 0


def plain_command(folder: Path, prompts: int) -> Command:
    """Copy the plain checks into `folder` and return the command that runs them on that many drawn prompts."""
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    shutil.copyfile(CHECKS, folder / "test_plain.py")
    return Command(
        f"the plain way, {prompts} drawn prompts",
        (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hfmodels"),
        folder,
        {
            "PLAIN_CHECKPOINT": str(CHECKPOINT),
            "PLAIN_DRAWN_PROMPTS": str(prompts),
            "PLAIN_SNAPSHOTS": str(SNAPSHOTS),
            "PYTHONPATH": str(ROOT),
            "USE_TF": "0",
        },
    )


if __name__ == "__main__":
    raise SystemExit(main())
