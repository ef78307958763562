"""Our Transformer-XL against upstream's, on the same weights: `python -m benchmarks.transfo_xl [--quick]`.

Forward pass and greedy generation in one process, in pairs: both one after the other, upstream's first in every other
pair. The ratio is taken within a pair; shown are its median and the median's 95 % bootstrap interval, which should
include 1.0 or lie below it. Then the peak memory of each, in processes of their own: at most upstream's. On
tiny-transfo-xl, and on a randomly filled model of the published one's size. Needs a release in which upstream's works.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import random
import sys
import time
import warnings
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.pairs import ROOT, Command, progress, table, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Whose = Literal["upstream", "ours"]

TINY = ROOT / "pytest_hfmodels" / "checkpoints" / "bundled" / "tiny-transfo-xl"
LIMIT = 1.0
RESAMPLES = 5000
NEAR = 1e-3  # nats between the two, in float32
KIB = 1024.0
MIB = KIB * KIB


@dataclass(frozen=True)
class Work:
    """What is timed: a forward pass over a segment, or the greedy continuation of a prompt.

    Args:
        rows: of the batch.
        words: of each row.
        new: words to generate; 0 for a forward pass. It starts, as both do by default, from `mem_len` words of blank
            memory.
        calls: how often it is done within one time.
    """

    rows: int
    words: int
    new: int = 0
    calls: int = 1

    @property
    def name(self) -> str:
        """What the table calls it."""
        size = f"{self.rows} x {self.words} words"
        return f"generate {self.new} after {size}" if self.new else f"forward {size}"

    def run(self, model: Any, ids: Any) -> Any:
        """Do it once and return log-probabilities, or all ids."""
        import torch

        if self.new:
            return model.generate(ids, max_new_tokens=self.new, min_new_tokens=self.new, do_sample=False)
        with torch.no_grad():
            return model(ids).prediction_scores

    def ids(self, vocabulary: int) -> Any:
        """Return the words to run it on, drawn evenly: all clusters are in use."""
        import torch

        return torch.randint(vocabulary, (self.rows, self.words), generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True)
class Size:
    """A model to compare on.

    Args:
        name: what the table calls it.
        folder: its checkpoint; None for the default configuration, which is the published one's, randomly filled.
        works: what is timed.
        pairs: how many times.
        quick_pairs: likewise with `--quick`.
    """

    name: str
    folder: Path | None
    works: tuple[Work, ...]
    pairs: int
    quick_pairs: int

    def build(self, whose: Whose) -> Any:
        """Return upstream's language model or ours, ready for use."""
        import torch

        config_class, model_class = classes(whose)
        if self.folder is not None:
            return model_class.from_pretrained(self.folder).eval()
        torch.manual_seed(0)
        return model_class(config_class()).eval()

    def ours_with_weights_of(self, upstream: Any) -> Any:
        """Return ours on the very tensors of upstream's."""
        import torch

        config_class, model_class = classes("ours")
        with torch.device("meta"):
            ours = model_class(config_class(**upstream.config.to_dict()))
        ours.load_state_dict(upstream.state_dict(), assign=True)
        return ours.eval()


SIZES = (
    Size(
        "tiny-transfo-xl",
        TINY,
        (Work(1, 64, calls=20), Work(8, 64, calls=5), Work(1, 16, new=32), Work(8, 16, new=32)),
        pairs=60,
        quick_pairs=15,
    ),
    Size("wt103's size", None, (Work(1, 128), Work(1, 32, new=4)), pairs=10, quick_pairs=5),
)


@dataclass(frozen=True)
class Interval:
    """Median of ratios, and the 95 % bootstrap interval of it."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, ratios: Sequence[float]) -> Interval:
        """Return it for the ratios of all pairs; the resampling is the same in every run."""
        draw = random.Random(0)
        medians = sorted(median(draw.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
        cut = RESAMPLES * 25 // 1000
        return cls(median(ratios), medians[cut], medians[-cut - 1])

    def show(self) -> str:
        """Return it as text: `0.90 [0.85, 0.95]`."""
        return f"{self.middle:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Clock:
    """How long something took: wall seconds, and CPU seconds of all threads."""

    seconds: float
    cpu_seconds: float

    @classmethod
    def time(cls, work: Callable[[], object], calls: int) -> Clock:
        """Do it `calls` times; the seconds are those of one."""
        cpu, start = time.process_time(), time.perf_counter()
        for _ in range(calls):
            work()
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
        return cls(seconds / calls, cpu_seconds / calls)


@dataclass(frozen=True)
class Peak:
    """How much memory something took at most, beside the loaded model, in MiB.

    Args:
        tensors: what torch had allocated; the same in every run.
        process: how far the process rose, everything in it counted; None where it cannot be told.
    """

    tensors: float
    process: float | None


def main(arguments: list[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfo_xl", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer pairs, memory measured once: wider intervals")
    parser.add_argument("--only", choices=("tiny", "wt103"), help="one of the two models")
    parser.add_argument("--threads", type=int, default=0, help="of torch (default: as many as torch takes by itself)")
    parser.add_argument("--peak", nargs=2, metavar=("SIZE", "WHOSE"), help=argparse.SUPPRESS)  # a process of its own
    options = parser.parse_args(arguments)
    prepare(options.threads)
    if options.peak:
        size, whose = options.peak
        print(json.dumps({work: asdict(peak) for work, peak in peaks(SIZES[int(size)], whose).items()}))
        return 0
    chosen = [size for size in SIZES if size.name.startswith(options.only or "")]
    times = [row for size in chosen for row in time_rows(size, size.quick_pairs if options.quick else size.pairs)]
    memory = [row for size in chosen for row in memory_rows(size, 1 if options.quick else 3, options.threads)]
    report(times, memory)
    return 0


def prepare(threads: int) -> None:
    """Import both implementations quietly, and refuse a release in which there is nothing to compare with."""
    import os

    os.environ["USE_TF"] = "0"  # or transformers imports TensorFlow beside torch where it is installed
    import torch
    import transformers

    from pytest_hfmodels.transfo_xl import working_implementation

    transformers.logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    if threads:
        torch.set_num_threads(threads)
    found = working_implementation()
    if found.name != "transformers":
        raise SystemExit(
            f"Nothing to compare with: {found.reason}. Run this where transformers is 4.37.2 "
            "(pip install -c constraints-4.37.2.txt -e .[torch,transfo-xl,properties])."
        )


def classes(whose: Whose) -> tuple[Any, Any]:
    """Return the configuration's class and the language model's."""
    import transformers

    from pytest_hfmodels import transfo_xl

    if whose == "ours":
        return transfo_xl.TransfoXLConfig, transfo_xl.TransfoXLLMHeadModel
    return transformers.TransfoXLConfig, transformers.TransfoXLLMHeadModel


def time_rows(size: Size, pairs: int) -> list[tuple[str, ...]]:
    """Return one model's lines of the table of times."""
    progress(f"building {size.name} …")
    upstream = size.build("upstream")
    ours = size.ours_with_weights_of(upstream)
    return [time_row(size.name, work, upstream, ours, pairs) for work in size.works]


def time_row(name: str, work: Work, upstream: Any, ours: Any, pairs: int) -> tuple[str, ...]:
    """Time one work in pairs."""
    ids = work.ids(upstream.config.vocab_size)
    check_same(work, work.run(upstream, ids), work.run(ours, ids))
    measured = []
    for number in range(pairs):
        order = (upstream, ours) if number % 2 else (ours, upstream)
        clocks = [Clock.time(partial(work.run, model, ids), work.calls) for model in order]
        theirs, own = clocks if number % 2 else reversed(clocks)
        measured.append((theirs, own))
        progress(f"{name}, {work.name}, pair {number + 1} of {pairs}: {theirs.seconds:.4f} s, {own.seconds:.4f} s")
    wall = Interval.of([own.seconds / theirs.seconds for theirs, own in measured])
    cpu = Interval.of([own.cpu_seconds / theirs.cpu_seconds for theirs, own in measured])
    return (
        name,
        work.name,
        f"{median(theirs.seconds for theirs, _ in measured) * 1000:.1f}",
        f"{median(own.seconds for _, own in measured) * 1000:.1f}",
        wall.show(),
        cpu.show(),
        str(pairs),
        verdict(wall.low, LIMIT),
    )


def check_same(work: Work, upstream: Any, ours: Any) -> None:
    """Refuse to time two models that do not do the same."""
    far = not upstream.equal(ours) if work.new else float((upstream - ours).abs().max()) > NEAR
    if far:
        raise SystemExit(f"{work.name}: the two do not give the same. Nothing was measured; see tests/transfo_xl.")


def memory_rows(size: Size, times: int, threads: int) -> list[tuple[str, ...]]:
    """Return one model's lines of the table of peaks, each from `times` processes of either."""
    found: dict[str, list[dict[str, Peak]]] = {"upstream": [], "ours": []}
    for number in range(times):
        for whose, runs in found.items():
            progress(f"{size.name}, peak memory of {whose}, {number + 1} of {times} …")
            arguments = ("--threads", str(threads), "--peak", str(SIZES.index(size)), whose)
            command = Command(f"peak of {whose}", (sys.executable, "-m", "benchmarks.transfo_xl", *arguments))
            printed = json.loads(command.run().last_line)
            runs.append({work: Peak(**peak) for work, peak in printed.items()})
    return [
        memory_row(size.name, work, *([run[work.name] for run in runs] for runs in found.values()))
        for work in size.works
    ]


def memory_row(name: str, work: Work, upstream: Sequence[Peak], ours: Sequence[Peak]) -> tuple[str, ...]:
    """Return one line: the peaks of either's processes. Those of tensors are the same in every process."""
    theirs, own = (max(peak.tensors for peak in peaks) for peaks in (upstream, ours))
    rises = [[peak.process for peak in peaks if peak.process is not None] for peaks in (upstream, ours)]
    process = [f"{median(rise):.1f} ({min(rise):.1f}-{max(rise):.1f})" if rise else "-" for rise in rises]
    return name, work.name, f"{theirs:.2f}", f"{own:.2f}", f"{own / theirs:.2f}", verdict(own, theirs), *process


def peaks(size: Size, whose: Whose) -> dict[str, Peak]:
    """Return the peak of each work in this process."""
    model = size.build(whose)
    vocabulary = model.config.vocab_size
    Work(1, 1).run(model, Work(1, 1).ids(vocabulary))  # what a first call loads is no one's
    rises = {work.name: rise(partial(work.run, model, work.ids(vocabulary))) for work in size.works}
    return {
        work.name: Peak(allocated(partial(work.run, model, work.ids(vocabulary))), rises[work.name])
        for work in size.works
    }


def allocated(work: Callable[[], object]) -> float:
    """Return the most that tensors made by `work` take together, in MiB, as torch's profiler counts it."""
    from torch.profiler import ProfilerActivity, profile

    with TemporaryDirectory(prefix="hfmodels-peak-") as folder:
        trace = Path(folder, "trace.json")
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            work()
        profiled.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    counts = [event["args"] for event in events if event["name"] == "[memory]"]
    before = counts[0]["Total Allocated"] - counts[0]["Bytes"]
    return float(max(count["Total Allocated"] for count in counts) - before) / MIB


def rise(work: Callable[[], object]) -> float | None:
    """Return how far this process's memory rises while `work` is done, in MiB; None where Linux does not tell."""
    gc.collect()
    trim_heap()
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is from now on
    except OSError:
        return None
    before = kernel_says("VmRSS")
    work()
    return (kernel_says("VmHWM") - before) / KIB


def trim_heap() -> None:
    """Give back what was freed but is still this process's, or its next use would not show; glibc only."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def kernel_says(field: str) -> float:
    """Return a line of what the kernel says of this process's memory, in kB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{field}:")))


def report(times: Sequence[Sequence[str]], memory: Sequence[Sequence[str]]) -> None:
    """Print both tables."""
    import torch
    import transformers

    threads = torch.get_num_threads()
    print(f"\ntransformers {transformers.__version__}, torch {torch.__version__}, float32, {threads} threads\n")
    print("Milliseconds, medians; ours over upstream's, median of pairs with its 95 % interval; limit: includes 1.0\n")
    print(table(("model", "work", "upstream", "ours", "ratio", "ratio of CPU time", "pairs", ""), times))
    print(
        "\nPeak memory beside the loaded model, MiB; limit for tensors: upstream's; process: median (least-greatest)\n"
    )
    header = ("model", "work", "tensors, upstream", "ours", "ratio", "", "process, upstream", "ours")
    print(table(header, memory))


if __name__ == "__main__":
    raise SystemExit(main())
