"""Results to report: made from records that are made by hand, with every verdict in them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.explain import Ablation, Evidence, Explanation
from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.kinds import Beam, GenerationRecord, Prompt, Step
from pytest_hfmodels.kinds.comparison import Comparison, Difference, compare
from pytest_hfmodels.kinds.tolerance import Tolerance
from pytest_hfmodels.results.describe import describe
from pytest_hfmodels.results.model import FORMAT, Results, Run, TestResult, count_verdicts
from pytest_hfmodels.results.pending import Pending

from ..example_records import beams, classification, generation, live, moved, provenance, swapped

if TYPE_CHECKING:
    from pytest_hfmodels.kinds import Record
    from pytest_hfmodels.results.model import Compared

TOLERANCE = Tolerance(1e-4)
BUT = Step(14, " but", -0.125, -0.125, 1.25, 13, " and")
HOSTILE = (
    "</noscript></pre><script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">{{ 7 * 7 }}"
)


def told(recorded: Record | None, observed: Record, *, name: str = "test_a", **about: Any) -> Compared:
    comparison = (
        Comparison(Verdict.MISSING, (), 0.0, TOLERANCE) if recorded is None else compare(recorded, observed, TOLERANCE)
    )
    known: dict[str, Any] = {
        "snapshot": f"snapshots/test_it/{name}.toml",
        "writer": f"test_it.py::{name}[torch]",
        "equal": comparison.verdict is Verdict.SAME,
        "entry": None,
        "base": None,
    }
    explanation = about.pop("explanation", None)
    return describe(recorded, observed, comparison, explanation, **{**known, **about})


def pending(name: str = "test_a") -> Pending:
    file = f"snapshots/test_it/{name}.toml"
    return Pending(f"test_it.py::{name}[torch]", "changed", file, file, None, None, "text")


def result(*comparisons: Compared, name: str = "test_a", **about: Any) -> TestResult:
    """Return a test that made these comparisons, as a run would tell it."""
    verdict = next((found.verdict for found in comparisons if found.verdict != "same"), None)
    known: dict[str, Any] = {
        "id": f"tests/test_it.py::{name}[torch]",
        "file": "tests/test_it.py",
        "line": 12,
        "engine": "torch",
        "outcome": "passed" if verdict is None else "failed",
        "verdict": verdict or ("same" if comparisons else None),
        "cause": next((found.cause for found in comparisons if found.cause), None),
        "headline": next((found.headline for found in comparisons if found.headline), ""),
        "details": "",
        "raises": None,
        "failed_in": None,
        "entry": None,
        "seconds": 0.25,
        "comparisons": comparisons,
    }
    return TestResult(**{**known, **about})


def results(*tests: TestResult, **about: Any) -> Results:
    known: dict[str, Any] = {
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": 61.5,
        "exit_status": 1 if any(test.failed for test in tests) else 0,
        "stopped": None,
        "versions": {"python": "3.11.9", "transformers": "4.57.6", "torch": "2.13.0"},
        "verdicts": count_verdicts(tests),
        "others": {"passed": 3},
    }
    return Results(FORMAT, Run(**{**known, **about}), tests)


def changed(**about: Any) -> Compared:
    """A generation whose second token differs, after small drift."""
    steps = swapped(1, BUT)
    now = generation(moved(0, by=3e-6, steps=steps), live=live(steps, drift=-1e-3))
    return told(generation(), replace(now, provenance=newer()), **about)


WHY = Explanation(
    "changed",
    "forward",
    "the forward pass differs, starting at block 2",
    (
        Evidence(
            "the recorded tokens' log-probabilities moved by at most 0.001", {"drift": 1e-3, "noise": float("nan")}
        ),
    ),
    (Ablation("sdpa attention instead of eager", 1e-3, 1e-3, returns=False),),
    "block 2",
    suggests=("hfmodels bisect transformers --good 4.57.6 --bad 5.0.0 -- 'test_it.py::test_a[torch]'",),
)

WEIGHTS = Explanation("changed", "checkpoint:weights", "the weights are others")


def newer() -> Any:
    return replace(provenance(), versions={"transformers": "5.0.0", "torch": "2.0.0"}, attention="sdpa")


def one_of_each() -> Results:
    """A test of every verdict, one of several comparisons, and one without any."""
    first, _ = beams().beams
    other = beams(beams=(first, Beam((11, 13, 17), -0.75, "My name is Ada and we")))
    row = classification().inputs[1]
    labels = classification(inputs=(classification().inputs[0], replace(row, label="calm")))
    waiting = replace(changed(explanation=WHY), pending=pending(), saved=True)
    near = replace(changed(name="test_near"), verdict=Verdict.NEAR_TIE, equal=True)
    return results(
        result(told(generation(), generation()), name="test_same"),
        result(waiting, name="test_changed"),
        result(told(generation(), generation()), told(beams(), other, name="test_beam.1"), name="test_beam"),
        result(told(classification(), labels, explanation=WEIGHTS), name="test_labels"),
        result(told(generation(), generation(moved(1, by=0.25))), name="test_drift", entry="moved"),
        result(told(None, generation()), name="test_missing"),
        result(near, name="test_near", outcome="passed"),
        result(
            name="test_broken",
            outcome="error",
            verdict=Verdict.BROKEN,
            headline="TypeError: type_as() missing 1 required positional argument",
            details="E   TypeError: type_as() missing 1 required positional argument",
        ),
        result(name="test_skipped", outcome="skipped", headline="no TensorFlow here", engine="tensorflow"),
    )


def hostile() -> Results:
    """Prompts, tokens, names and messages that mean something in HTML, Markdown, a terminal or a workflow command."""
    prompt = Prompt(f"{HOSTILE}\x1b[31m\u202e", (5, 6, 7))
    steps = swapped(1, replace(BUT, text=HOSTILE))
    records = [
        generation(one, prompt=prompt, text=f"{prompt.text}{one[1].text}", live=live(one), checkpoint=seen)
        for one in (generation().steps, steps)
        for seen in [replace(generation().checkpoint, name=HOSTILE)]
    ]
    found = told(*records, name="x", writer=f"test_it.py::{HOSTILE}")
    return results(
        result(
            replace(
                found,
                pending=pending(HOSTILE),
                saved=True,
                snapshot=HOSTILE,
                explanation=Explanation(
                    "changed",
                    HOSTILE,
                    f"why: {HOSTILE}",
                    (Evidence(f"the evidence: {HOSTILE}"),),
                    (Ablation(f"a swap: {HOSTILE}", 1.0, None, returns=False),),
                    HOSTILE,
                    suggests=(f"a command: {HOSTILE}",),
                ),
                notes=(f"a note: {HOSTILE}",),
                differences=(Difference("settings", f"a difference: {HOSTILE}", HOSTILE, HOSTILE, 0),),
            ),
            name=f"test_a[{HOSTILE}\n::error::ran,x:y%]",
            headline=f"{HOSTILE} **bold** `x` | \u202e\n::error::ran",
            verdict=Verdict.BROKEN,
            details=f"```\n{HOSTILE}\n````",
            entry=HOSTILE,
        ),
        stopped=HOSTILE,
        versions={"torch": HOSTILE},
    )


def many(count: int, *, steps: int = 45) -> Results:
    """As many tests as a large project has, all of them changed, with outputs of a usual length."""
    words = [Step(number, f" word{number}", -0.5, -0.5, 1.5 + 0.01 * number, 1, " but") for number in range(steps)]
    half = steps // 2
    before = _spoken(tuple(words))
    drifted = [replace(step, log_probability=step.log_probability + 2e-6 * math.sin(n)) for n, step in enumerate(words)]
    now = _spoken(
        (*drifted[:half], *(replace(step, id=step.id + 100, text=f" other{n}") for n, step in enumerate(words[half:])))
    )
    found = told(before, replace(now, provenance=newer()))
    same = told(before, before)
    return results(
        *(
            result(
                replace(found if number % 10 else same, snapshot=f"snapshots/test_it/test_{number}.toml"),
                name=f"test_{number}",
            )
            for number in range(count)
        )
    )


def _spoken(steps: tuple[Step, ...]) -> GenerationRecord:
    return generation(steps)
