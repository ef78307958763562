"""The cost of the properties, and what whole batches save: `python -m benchmarks.properties`.

Runs every suite with drawn examples in this process, on torch with the examples of profile `ci`, after torch and
transformers are imported (limit: 60 s). Counts `generate` calls and the prompts in them; an example is one prompt with
its settings. Then runs the prompts of some of those calls one by one, for what a call an example would take.
"""

from __future__ import annotations

import argparse
import io
import time
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.pairs import ROOT, Spread, progress, table, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.engines.base import IntArray

LIMIT = 60.0  # seconds
_SAMPLE = 60  # calls run again, prompt by prompt


@dataclass(frozen=True)
class Call:
    """One `generate` call of a property, so that it can be run again."""

    model: LoadedModel
    ids: IntArray
    mask: IntArray | None
    settings: Mapping[str, Any]
    seconds: float


@dataclass(eq=False)  # pytest keeps its plugins in sets
class Drawn:
    """A pytest plugin that records every `generate` call in tests with drawn examples, and the time of all tests."""

    calls: list[Call] = field(default_factory=list)
    tests: int = 0
    seconds: float = 0.0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Iterator[Any]:
        """Time the tests, after everything that any run imports."""
        _import()
        start = time.perf_counter()
        try:
            return (yield)
        finally:
            self.seconds = time.perf_counter() - start

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Wrap the engine's method while such a test runs."""
        if item.get_closest_marker("hypothesis") is None:
            return (yield)
        from pytest_hfmodels.engines.torch import TorchModel

        self.tests += 1
        original = TorchModel.generate

        def noted(model: TorchModel, ids: IntArray, mask: IntArray | None, settings: Mapping[str, Any]) -> Any:
            start = time.perf_counter()
            generation = original(model, ids, mask, settings)
            self.calls.append(Call(model, ids, mask, dict(settings), time.perf_counter() - start))
            return generation

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TorchModel, "generate", noted)
            return (yield)


def main(arguments: list[str] | None = None) -> int:
    """Print the figures; return 1 if a suite did not pass."""
    argparse.ArgumentParser(prog="python -m benchmarks.properties", description=__doc__).parse_args(arguments)
    files = [
        str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("suites/**/test_*.py")) if _draws(path.read_text())
    ]
    progress(f"running {', '.join(files)}")
    drawn, output = Drawn(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, chdir(ROOT), redirect_stdout(output):
        patch.setenv("HFMODELS_PROFILE", "ci")
        status = pytest.main([*files, "--hfmodels-engines", "torch", "-q", "-p", "no:cacheprovider"], [drawn])
    if status != pytest.ExitCode.OK:
        print(output.getvalue())
    examples = sum(len(call.ids) for call in drawn.calls)
    print(f"{drawn.tests} tests with drawn examples in {len(files)} files, torch, profile ci\n")
    rows = [
        (
            "own time of these files, imports aside",
            f"{drawn.seconds:.1f} s",
            f"{LIMIT:.0f} s",
            verdict(drawn.seconds, LIMIT),
        ),
        ("examples of generation", str(examples), "", ""),
        ("examples a second", f"{examples / drawn.seconds:.0f}", "", ""),
        ("generate calls for 1,000 examples", f"{1000 * len(drawn.calls) / examples:.0f}", "1000 one by one", ""),
        ("time of generate one by one, over batched", one_by_one(drawn.calls).show(), "", ""),
    ]
    print(table(("figure", "", "limit or compared with", ""), rows))
    return int(status)


def one_by_one(calls: Sequence[Call]) -> Spread:
    """Return how much longer calls take prompt by prompt: ratios within a pair, of a sample spread over all calls."""
    several = [call for call in calls if len(call.ids) > 1]
    ratios = []
    for call in several[:: max(1, len(several) // _SAMPLE)]:
        batched = _timed([call.ids], [call.mask], call)
        rows = range(len(call.ids))
        alone = _timed(
            [call.ids[row : row + 1] for row in rows],
            [None if call.mask is None else call.mask[row : row + 1] for row in rows],
            call,
        )
        ratios.append(alone / batched)
    return Spread.of(ratios)


def _timed(ids: Sequence[IntArray], masks: Sequence[IntArray | None], call: Call) -> float:
    from pytest_hfmodels.engines import upstream

    start = time.perf_counter()
    with upstream.quiet():  # it warns about prompts that end with the padding token
        for part, mask in zip(ids, masks, strict=True):
            call.model.generate(part, mask, call.settings)
    return time.perf_counter() - start


def _draws(text: str) -> bool:
    return "@examples(" in text or "= examples(" in text or "@given(" in text


def _import() -> None:
    """Import what every run imports, so that it is not counted."""
    from pytest_hfmodels import engines
    from pytest_hfmodels.engines import upstream

    engines.engine("torch", with_tensorflow=False)
    transformers = upstream.transformers(with_tensorflow=False)
    assert transformers.GPT2LMHeadModel, "it is imported late"
    assert transformers.GPT2ForSequenceClassification, "and this"


if __name__ == "__main__":
    raise SystemExit(main())
