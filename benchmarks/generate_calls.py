"""How many `generate` calls the n-gram property takes for its prompts: `python -m benchmarks.generate_calls`.

Runs the property suite in this process and counts the calls of `HFModel.generate_batch` (one `generate` each) and the
prompts in them, against the limits for 200 drawn prompts: 40 calls on torch, 10 on TensorFlow.
"""

from __future__ import annotations

import argparse
import io
import time
from collections import defaultdict
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.pairs import ROOT, Spread, table, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PROMPTS = 200
LIMITS = {"torch": 40, "tensorflow": 10}  # calls for so many prompts
SUITE = "suites/gpt2/test_no_repeat_ngram.py"


@dataclass(frozen=True)
class Call:
    """One `generate` call: how many prompts it ran, and its wall seconds."""

    prompts: int
    seconds: float


class CallCounter:
    """A pytest plugin that records every `generate_batch` call by engine."""

    def __init__(self) -> None:
        self.calls: dict[str, list[Call]] = defaultdict(list)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Iterator[Any]:
        """Wrap the method while tests run."""
        from pytest_hfmodels import HFModel

        original = HFModel.generate_batch

        def counted(model: HFModel, prompts: Sequence[Sequence[int]], **settings: Any) -> Any:
            start = time.perf_counter()
            generation = original(model, prompts, **settings)
            self.calls[model.engine].append(Call(len(prompts), time.perf_counter() - start))
            return generation

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(HFModel, "generate_batch", counted)
            return (yield)


@dataclass(frozen=True)
class Counted:
    """The result of a run of the property suite.

    Args:
        calls: its `generate` calls by engine.
        failed: whether it did not pass.
        output: what pytest printed.
    """

    calls: Mapping[str, list[Call]]
    failed: bool
    output: str


def main(arguments: list[str] | None = None) -> int:
    """Print the figures; return 1 if the suite did not pass."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generate_calls", description=__doc__)
    parser.add_argument("--engines", default="torch,tensorflow", help="comma-separated (default: both)")
    engines: str = parser.parse_args(arguments).engines
    counted = count_calls(engines)
    if counted.failed:
        print(counted.output)
    print(f"Calls of generate in {SUITE}; seconds: median (least-greatest)\n")
    header = ("engine", "drawn prompts", "calls", f"calls per {PROMPTS} prompts", "limit", "", "s per call")
    print(table(header, [row(engine, counted.calls.get(engine, [])) for engine in engines.split(",")]))
    return int(counted.failed)


def count_calls(engines: str) -> Counted:
    """Run the property suite in this process on `engines` (comma-separated) and count."""
    counter, output = CallCounter(), io.StringIO()
    with chdir(ROOT), redirect_stdout(output):
        status = pytest.main([SUITE, "--hfmodels-engines", engines, "-q", "-p", "no:cacheprovider"], [counter])
    return Counted(counter.calls, status != pytest.ExitCode.OK, output.getvalue())


def row(engine: str, calls: list[Call]) -> tuple[str, ...]:
    """Return one engine's line of the table."""
    limit = LIMITS[engine]
    if not calls:
        return engine, "0", "0", "-", str(limit), "not run", "-"
    prompts = sum(call.prompts for call in calls)
    rate = PROMPTS * len(calls) / prompts
    seconds = Spread.of(call.seconds for call in calls)
    return (
        engine,
        str(prompts),
        str(len(calls)),
        f"{rate:.1f}",
        str(limit),
        verdict(rate, limit),
        seconds.show(),
    )


if __name__ == "__main__":
    raise SystemExit(main())
