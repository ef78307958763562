"""The size of the page of a large run, and how soon it is usable: `python -m benchmarks.html`.

The tests of `benchmarks.explain` run once as they are and once with each of its faults. Their results, with
explanations, are repeated with other words and figures until there are 5,000 tests. One in ten failing tests is
`missing`, one in ten `broken`. The page is usable when Chromium has fired its load event and
shown the result of a first filter; the time counts from the start of the navigation (median of 5 openings).
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.explain import FAULTS, written
from benchmarks.pairs import Command, progress, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.results.model import Compared, Results, TestResult

MEGABYTES, SECONDS = 15.0, 2.0
_USABLE = """new Promise((done) => {
  const find = document.forms.filter.elements.find;
  const began = performance.now();
  find.value = "prompt 1";
  find.dispatchEvent(new Event("input", { bubbles: true }));
  requestAnimationFrame(() => setTimeout(() => done([
    performance.getEntriesByType("navigation")[0].loadEventEnd,
    performance.now() - began,
    document.getElementById("told").value,
  ])));
})"""
_WORDS = re.compile("[a-z]{3,}")
_SPOKEN = {"text", "recorded", "observed"}  # fields with the words of a model
_RAISED = 'TypeError: type_as() missing 1 required positional arguments: "other"'
_TRACEBACK = "\n".join(f"E       {_RAISED} in line {number} of some module" for number in range(40))
_MISSING: dict[str, Any] = {
    "verdict": "missing",
    "headline": "there is no snapshot yet",
    "differences": (),
    "explanation": None,
    "drift": None,
    "recorded": None,
    "course": None,
    "changed": 0,
}
# Where a fault is, pytest's exit code is 1.
_RUNNER = "import sys, pytest; sys.exit(9 if pytest.main(sys.argv[2:]) != int(sys.argv[1]) else 0)"


def main(arguments: list[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.html", description=__doc__)
    parser.add_argument("--tests", type=int, default=5000, help="on the page (default 5000)")
    parser.add_argument("--failing", type=int, default=10, help="percent of them that fail (default 10)")
    parser.add_argument("--times", type=int, default=5, help="how often the page is opened (default 5)")
    parser.add_argument("--keep", type=Path, help="a file to keep the page in")
    options = parser.parse_args(arguments)
    from tests.reports.browser import BROWSER, MISSING

    if BROWSER is None:
        print(f"Nothing was measured: {MISSING}.", file=sys.stderr)
        return 1
    with TemporaryDirectory(prefix="hfmodels-html-") as folder:
        page = (options.keep or Path(folder) / "report.html").absolute()
        page.write_text(rendered(Path(folder), options.tests, options.failing), encoding="utf-8")
        size, times = page.stat().st_size / 1e6, list(openings(page, options.times))
    print(f"\n{options.tests} tests, {options.failing} % of them fail; the filter leaves {times[0][2]}")
    print(f"{size:.1f} MB, limit {MEGABYTES:.0f} MB: {verdict(size, MEGABYTES)}")
    usable = [(load + first) / 1000 for load, first, _ in times]
    print(
        f"{median(usable):.2f} s until it can be used ({min(usable):.2f}-{max(usable):.2f}), of which the first filter "
        f"{median(first for _, first, _ in times) / 1000:.2f} s; limit {SECONDS:.0f} s: "
        f"{verdict(median(usable), SECONDS)}"
    )
    return 0


def rendered(folder: Path, count: int, percent: int) -> str:
    """Return the page of `count` tests, of which a share fails."""
    from pytest_hfmodels.reports.html import render

    green, failing, patch = real_results(folder)
    wanted = count * percent // 100
    progress("rendering")
    return render(large(green, failing, count, wanted), patch=patch * (wanted // len(failing)))


def real_results(folder: Path) -> tuple[Results, list[TestResult], str]:
    """Return the results of a green run, all tests that fail with one of the faults, and their patch."""
    project = written(folder, 4)
    told("recording", project, 0, "--snapshot-update")
    green, _ = told("without a fault", project, 0)
    failing, patches = [], []
    for fault in FAULTS:
        if fault == "weights":
            (project / "model").unlink()
            (project / "model").symlink_to(fault)
        results, patch = told(f"with a fault: {fault}", project, 1, fault=fault)
        failing += [test for test in results.tests if test.failed]
        patches.append(patch)
    return green, failing, "".join(patches)


def told(name: str, project: Path, expected: int, *arguments: str, fault: str = "") -> tuple[Results, str]:
    """Run the project's tests; return the JSON report and the patch."""
    from pytest_hfmodels.results.model import Results, decode

    progress(name)
    report, patch = project / "report.json", project / "report.patch"
    files = (f"--hfmodels-json={report}", f"--hfmodels-patch={patch}")
    command = (sys.executable, "-c", _RUNNER, str(expected), "test_model.py", "-q", "--tb=no", *files, *arguments)
    Command(name, command, project, {"FAULT": fault} if fault else {}).run()
    return decode(report.read_text(encoding="utf-8"), Results), patch.read_text(encoding="utf-8")


def large(green: Results, failing: Sequence[TestResult], count: int, wanted: int) -> Results:
    """Return the results of `count` tests, of which some fail."""
    from pytest_hfmodels.results.model import count_verdicts

    chosen = [*islice(cycle(failing), wanted), *islice(cycle(green.tests), count - wanted)]
    words = sorted({word for test in chosen[:1000] for found in test.comparisons for word in _said(found)})
    tests = tuple(another(test, number, words) for number, test in enumerate(chosen))
    return replace(green, tests=tests, run=replace(green.run, verdicts=count_verdicts(tests)))


def _said(found: Compared) -> list[str]:
    return _WORDS.findall(found.observed.text.text)


def another(test: TestResult, number: int, words: Sequence[str]) -> TestResult:
    """Return a copy of a test with other words and slightly other figures."""
    from pytest_hfmodels.foundation.verdicts import Verdict
    from pytest_hfmodels.results.model import TestResult, decode, encode

    chance = random.Random(number)
    mapping = dict(zip(words, chance.sample(words, len(words)), strict=True))

    def varied(value: Any, spoken: bool = False) -> Any:
        if isinstance(value, dict):
            return {name: varied(one, name in _SPOKEN) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [varied(one, spoken) for one in value]
        if isinstance(value, float):
            return float(f"{value * chance.uniform(0.9, 1.1):.6g}")
        if isinstance(value, str) and spoken:
            return _WORDS.sub(lambda found: mapping.get(found[0], found[0]), value)
        return value

    made = decode(json.dumps(varied(json.loads(encode(test)))), TestResult)
    found = replace(made, id=f"{test.id.rstrip(']')} prompt {number}]")
    if test.failed and number % 10 == 0:
        return replace(found, verdict=Verdict.BROKEN, cause=None, comparisons=(), headline=_RAISED, details=_TRACEBACK)
    if test.failed and number % 10 == 1:
        only = replace(found.comparisons[0], **_MISSING)
        return replace(found, verdict=Verdict.MISSING, cause=None, headline=only.headline, comparisons=(only,))
    return found


def openings(page: Path, times: int) -> Iterator[tuple[float, float, str]]:
    """Yield milliseconds to the load event, those of the first filter, and what it leaves, for each opening."""
    from tests.reports.browser import Browser

    with TemporaryDirectory(prefix="hfmodels-html-") as profile, Browser(Path(profile)) as browser:
        for number in range(times + 1):
            browser.open(page.as_uri())
            load, first, left = browser.evaluate(_USABLE)
            if number:  # the first warms up
                progress(f"opening {number} of {times}: {(load + first) / 1000:.2f} s")
                yield load, first, left


if __name__ == "__main__":
    raise SystemExit(main())
