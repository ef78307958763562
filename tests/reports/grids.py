"""Grids to show: made by hand, with every state in them."""

from __future__ import annotations

from dataclasses import replace

from pytest_hfmodels.versions.environments import ChangedPackage
from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.results import INTERRUPTED, Cell, RowResult, State, cells_of, differing_of

from ..example_records import generation, moved
from . import example_results as examples

SAME = Cell(State.SAME)
OLD = ("4.30.2", "4.36.2", "4.37.2")
NEW = ("4.38.2", "4.44.2", "4.49.0", "4.50.3", "4.51.3", "4.52.4", "4.53.3", "4.57.6", "5.0.0", "5.10.4", "5.23.0")


def row(version: str, cells: dict[str, Cell], **about: object) -> RowResult:
    known = {"exit_code": 0, "seconds": 12.0, "versions": {"transformers": version}}
    return RowResult(f"transformers=={version}", cells=cells, **{**known, **about})  # type: ignore[arg-type]


def of(state: State, reason: str = "", known: str | None = None) -> Cell:
    return Cell(state, reason, known, details=f"E   {reason}" if reason and known is None else "")


def one_of_each() -> Grid:
    """Four rows in which something of every kind happens."""
    names = ("beam.py::test_beam", "greedy.py::test_greedy", "loss.py::test_loss")
    beam, greedy, loss = (f"suites/gpt2/test_{name}[torch]" for name in names)
    old = {
        beam: of(State.CHANGED, "beam scores count the prompt", "length-penalty-counts-prompt"),
        greedy: SAME,
        loss: of(State.DRIFT, "the loss moved by 0.02"),
        "suites/xl.py::test_near": of(State.NEAR_TIE, "token 7 flips at a margin of 2e-6"),
        "suites/xl.py::test_new": of(State.MISSING, "there is no snapshot yet"),
        "suites/xl.py::test_gone": of(State.REMOVED, "upstream removed it", "transfo-xl-removed"),
    }
    middle = dict.fromkeys(old, SAME) | {
        greedy: of(State.CRASHED, "crashed with SIGSEGV"),
        loss: of(State.NOT_RUN, "did not run: crashed with SIGSEGV"),
        "suites/xl.py::test_near": of(State.SKIPPED, "no TensorFlow here"),
    }
    late = dict.fromkeys(old, SAME) | {
        greedy: of(State.TIMEOUT, "timed out after 60 s"),
        "suites/xl.py::test_new": of(State.BROKEN, "TypeError: 'builtins.safe_open' object is not iterable"),
    }
    moved = (ChangedPackage("tokenizers", "0.22.2", "0.13.3"), ChangedPackage("requests", "2.34.2", None))
    return Grid(
        (
            row("4.30.2", old, moved=moved, exit_code=1),
            row("4.49.0", middle, problem="crashed with SIGSEGV", exit_code=-11),
            row("4.57.6", late, problem="timed out after 60 s", exit_code=-9),
            RowResult("transformers==9.9", problem="uv cannot build transformers==9.9: there is no such version"),
        ),
        ("suites",),
    )


def fourteen_rows() -> Grid:
    """As many rows as the project has itself."""
    tests = [
        f"suites/gpt2/test_beam.py::test_beam_{name}[torch]" for name in ("of_five", "of_three_with_early_stopping")
    ]
    return Grid(
        tuple(
            row(version, {test: of(State.CHANGED, "token 7 differs") if version in OLD else SAME for test in tests})
            for version in (*OLD, *NEW)
        )
    )


def with_texts() -> Grid:
    """A bump: a text changed, and a number drifted; beside it a release on which a third test changed as well."""
    now = generation(moved(1, by=0.25), provenance=examples.newer())
    drift = examples.told(generation(), now, explanation=examples.WHY)
    compared = {"test_a": examples.changed(explanation=examples.WHY), "test_b": drift, "test_c": examples.changed()}
    results = [examples.result(one, name=name, failed_in="call") for name, one in compared.items()]
    same = dict.fromkeys((result.id for result in results), SAME)
    late, old = results[:2], results
    return Grid(
        (
            replace(row("5.0.0", same | cells_of(late), differing=differing_of(late)), name="current"),
            row("4.57.6", same),
            row("4.38.2", cells_of(old), differing=differing_of(old)),
        )
    )


def hostile() -> Grid:
    """Names and reasons that mean something in Markdown or HTML."""
    test = "tests/test_it.py::test_a[<script>alert(1)</script>|`x`]"
    reason = "\u202e</pre><img src=x onerror=alert(1)> | **bold** [link](javascript:x) {{ 7 * 7 }}"
    moved = (ChangedPackage("evil", '"><script>', None),)
    return Grid((row('1"><script>', {test: of(State.BROKEN, reason)}, moved=moved, note="<b>note</b>"),))


def interrupted() -> Grid:
    """A run that was stopped after its first row."""
    done = row("4.57.6", {"test_it.py::test_a": SAME})
    return Grid((done, RowResult("transformers==5.23.0", problem=INTERRUPTED)), interrupted=True)


def mostly_the_same() -> Grid:
    """Files in which nothing happens, one whose TensorFlow tests are skipped from some row on, and one that changes."""
    names = [f"test_{name}[{engine}]" for engine in ("torch", "tensorflow") for name in ("a", "b", "c")]
    skipped = of(State.SKIPPED, "upstream has no TensorFlow models (removed in 5.0)")
    old = {
        **{f"suites/test_tokenizer.py::{name}": SAME for name in names},
        **{f"suites/test_greedy.py::{name}": SAME for name in names},
        "suites/test_published.py::test_hub": of(State.SKIPPED, "not cached"),
        "suites/test_beam.py::test_still": SAME,
        "suites/test_beam.py::test_moves": of(State.CHANGED, "token 7 differs", "beams"),
    }
    new = {test: skipped if "greedy" in test and "tensorflow" in test else cell for test, cell in old.items()}
    return Grid(
        (row("4.57.6", old), row("5.23.0", {**new, "suites/test_beam.py::test_moves": SAME})), ("-k", "not slow")
    )
