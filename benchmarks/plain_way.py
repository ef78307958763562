"""The time that session-cached models and batched prompts save: `python -m benchmarks.plain_way`.

The tests of `suites/gpt2` that `plain_checks.py` has too, in torch, against that file, copied into a temporary folder:
`from_pretrained` in every test, one `generate` a drawn prompt, as many prompts as the suite draws, the same assertions
and expected values, pytest, library and environment, and `USE_TF=0` for both. Ours compare more than the plain checks
do (margins, beam cutoffs, block fingerprints, digests): the ratio leaves that out.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.generate_calls import count_calls
from benchmarks.pairs import ROOT, Command, Spread, pairs_table, progress, run_pairs
from benchmarks.suites import BARE_IMPORT

CHECKS = Path(__file__).with_name("plain_checks.py")
CHECKPOINT = ROOT / "pytest_hfmodels" / "checkpoints" / "bundled" / "tiny-gpt2"
# Tests of the suite under other names than in the plain file.
RENAMED = {
    "test_one_call_gives_the_same_logits_as_a_batch": "test_upstream_called_directly_gives_the_same_logits",
    "test_a_labelled_call_sets_the_problem_type": "test_a_labelled_call_leaves_the_config_unchanged",
    "test_no_ngram_repeats": "test_no_ngram_repeats_in_torch",
}
FILES = ("test_tokenizer", "test_greedy", "test_beam", "test_classification", "test_no_repeat_ngram")
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
        ours = same_checks()
        measured = run_pairs(ours, plain, options.pairs)
    imports = Spread.of(BARE_IMPORT.run().seconds for _ in range(options.pairs))
    print(f"\n{options.pairs} pairs; median (least-greatest)\n")
    print(pairs_table([measured]))
    print()
    for name, run in zip((ours.name, plain.name), measured.runs[-1], strict=True):
        print(f"{name}: {run.last_line}")
    print(f"\nThe plain way takes {measured.ratio.middle:.2f} times as long.")
    beyond, plainly = (spread.middle - imports.middle for spread in (measured.base_seconds, measured.other_seconds))
    print(f"Importing GPT2LMHeadModel takes {imports.show()} s; beyond it: {beyond:.2f} s and {plainly:.2f} s.")
    return 0


def same_checks() -> Command:
    """Return the command that runs the suite's tests of the same names."""
    plain = re.findall(r"^def (test_\w+)", CHECKS.read_text(encoding="utf-8"), re.MULTILINE)
    wanted = {RENAMED.get(name, name) for name in plain}
    tests = [
        f"suites/gpt2/{file}.py::{name}"
        for file in FILES
        for name in re.findall(r"^def (test_\w+)", (ROOT / f"suites/gpt2/{file}.py").read_text("utf-8"), re.MULTILINE)
        if name in wanted
    ]
    if len(tests) != len(wanted):
        raise SystemExit(f"Not in the suite: {wanted - {test.partition('::')[2] for test in tests}}. Compare others.")
    words = ("--hfmodels-engines", "torch", "-q", "-p", "no:cacheprovider")
    return Command(f"{len(tests)} checks of suites/gpt2", (sys.executable, "-m", "pytest", *tests, *words))


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
