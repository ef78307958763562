"""What a person sees of an explanation in a run of pytest."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from ..pending_project import pending_files, run
from ..project import GENERATING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..project import Project

TWO = f"{GENERATING}\n\n{GENERATING.replace('test_reply', 'test_other').replace('Hi', 'Ho')}"
# As a faulty release would: it is not the model in memory that is changed, and not its checkpoint.
FAULTY = """
import pytest

@pytest.fixture(autouse=True)
def fault(monkeypatch):
    from transformers.models.gpt2 import modeling_gpt2 as module
    plain = module.GPT2MLP.forward

    def shifted(self, states):
        output = plain(self, states)
        output[..., ::2] += 0.5
        return output

    monkeypatch.setattr(module.GPT2MLP, "forward", shifted)
"""
BY_HAND = """
import pytest
from dataclasses import replace
from pytest_hfmodels.kinds import Step
from tests.example_records import CHECKPOINT, PROMPT, generation, moved, swapped

@pytest.mark.parametrize("number", range({number}))
def test_reply(hf_snapshot, number):
    assert {now} == hf_snapshot
"""
ASKED = "pytest_hfmodels.kinds.generation.explain.teacher_forced"


@pytest.fixture
def failing(project: Project) -> Project:
    """A project of two tests that fail by one fault of the library's."""
    project.write(TWO)
    project.run("--snapshot-update").assert_outcomes(passed=2)
    project.write(FAULTY, "conftest.py")
    return project


def comparisons(project: Project) -> list[Any]:
    report = json.loads((project.path / "report.json").read_text(encoding="utf-8"))
    return [one for test in report["tests"] for one in test["comparisons"]]


def junit(project: Project) -> list[dict[str, str]]:
    cases = ElementTree.parse(project.path / "junit.xml").iter("testcase")
    return [{one.get("name", ""): one.get("value", "") for one in case.iter("property")} for case in cases]


def test_the_cause_comes_first_and_the_causes_at_the_end(failing: Project) -> None:
    result = run(failing, "--hfmodels-json=report.json", "--junit-xml=junit.xml")

    result.assert_outcomes(failed=2)
    assert [one["cause"] for one in pending_files(failing)] == ["forward", "forward"]
    first, second = comparisons(failing)
    most = float(f"{max(first['drift'], second['drift']):.3g}")
    result.stdout.fnmatch_lines(
        [
            "E*assert changed: forward: generated token 1 differs (snapshots/test_it/test_reply.toml)",
            "E*recorded Hi⟦*⟧*",
            "E*now      Hi⟦*⟧*",
            "E*why: the forward pass differs, starting at block 1",
            "E*accept it: *",
            "forward: the forward pass differs, starting at block 1",
            f"  2 tests, * tokens changed, numbers up to the change moved by at most {most:.2g}",
        ]
    )
    result.stdout.no_fnmatch_line("*Full output truncated*")
    assert "\x1b[" not in result.stdout.str()
    assert first["course"]["divergence"] == 0
    assert first["drift"] == first["course"]["drift"][0] > 0.01  # the recorded token's
    assert [case["hfmodels_cause"] for case in junit(failing)] == ["forward", "forward"]
    assert [case["hfmodels_verdict"] for case in junit(failing)] == ["changed", "drift"]
    assert [float(case["hfmodels_drift"]) for case in junit(failing)] == [
        float(f"{one['drift']:.3g}") for one in (first, second)
    ]


def test_all_stages_are_shown_if_more_is_asked_for(failing: Project) -> None:
    failing.run("-vv").stdout.fnmatch_lines(
        [
            "E*- the recorded tokens' log-probabilities moved by *: beyond the tolerance of 5e-05 and beyond *",
            "E*- the first block whose output differs is block 1, by *",
            "E*- with float64 instead of float32 the movement stays at *",
            "E*recorded with *",
        ]
    )


def test_a_terminal_gets_colours_and_nothing_else_does(failing: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")

    coloured = failing.run("--color=yes", "--junit-xml=junit.xml", "--hfmodels-json=report.json").stdout.str()
    plain = failing.run("--color=no").stdout.str()

    assert "\x1b[1;31mchanged: forward: generated token 1 differs" in coloured
    assert "\x1b[1;31m⟦" in coloured
    assert "\x1b[" not in plain
    assert "\\u001b" not in (failing.path / "report.json").read_text(encoding="utf-8")
    assert "#x1B" not in (failing.path / "junit.xml").read_text(encoding="utf-8")
    without = re.sub("\x1b\\[[0-9;]*m", "", coloured)
    shown = [[line for line in text.splitlines() if line.startswith("E  ")] for text in (without, plain)]
    assert shown[0] == shown[1]


@pytest.mark.parametrize(
    ("now", "group"),
    [
        ("generation(swapped(0, Step(40, ' Eve', -0.1, -0.1, 1.0, 11, ' Ada')))", "cause not known: *"),
        ("generation(prompt=replace(PROMPT, text='His name is', ids=(4, 6, 7)))", "the test itself: *"),
    ],
    ids=["no-model", "another-text"],
)
def test_if_there_is_nothing_to_compare_no_drift_is_shown(bare_project: Project, now: str, group: str) -> None:
    bare_project.write(BY_HAND.format(number=1, now="generation()"))
    bare_project.run("--snapshot-update")
    bare_project.write(BY_HAND.format(number=1, now=now))

    result = bare_project.run("--hfmodels-json=report.json", "--junit-xml=junit.xml")

    assert comparisons(bare_project)[0]["drift"] is None
    assert "hfmodels_drift" not in junit(bare_project)[0]
    result.stdout.fnmatch_lines([group, "  1 test*"])


def test_under_xdist_the_controller_shows_the_causes(bare_project: Project) -> None:
    now = 'generation(moved(1, by={}), checkpoint=replace(CHECKPOINT, weights="sha256:{}"))'
    bare_project.write(BY_HAND.format(number=3, now=now.format(0.0, "one")))
    bare_project.run("--snapshot-update")
    bare_project.write(BY_HAND.format(number=3, now=now.format(0.25, "two")))

    result = bare_project.run_alone("-n", "2", "-p", "no:hypothesispytest")

    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "E*assert drift: checkpoint:weights: the same output, but numbers moved beyond tolerance*",
            "checkpoint:weights: the checkpoint's weights differ from the recorded ones (different digest)",
            "  3 tests, numbers moved by at most 0.25",
        ]
    )


def test_a_run_that_passes_imports_nothing_that_explains(project: Project) -> None:
    project.write(f"""{GENERATING}
def test_imports():
    import sys
    assert "pytest_hfmodels.explain.explaining" not in sys.modules
    assert "pytest_hfmodels.explain.case" not in sys.modules
    assert "pytest_hfmodels.reference" not in sys.modules
""")
    project.run("--snapshot-update", "-k", "reply")

    project.run_alone().assert_outcomes(passed=2)


def out_of_memory() -> None:
    raise MemoryError("no more")


@pytest.mark.parametrize(
    ("leave", "said"),
    [
        (lambda: pytest.skip("no"), "Skipped"),
        (lambda: sys.exit(3), "SystemExit: 3"),
        (out_of_memory, "MemoryError: no more"),
    ],
    ids=["skip", "exit", "error"],
)
def test_explaining_that_fails_leaves_the_test_failed(
    failing: Project, monkeypatch: pytest.MonkeyPatch, leave: Callable[[], None], said: str
) -> None:
    monkeypatch.setattr(ASKED, lambda *_: leave())

    result = failing.run()

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "E*assert changed: generated token 1 differs *",
            f"E*why: explaining it failed with {said}*",
            f"cause not known: explaining it failed with {said}*",
        ]
    )


def test_a_failure_that_the_ledger_expects_is_not_explained(failing: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    failing.write(
        '[[break]]\nname = "bent"\nwhen = "transformers>=4"\ntests = ["test_it.py::*"]\nraises = "AssertionError"\n'
        'match = "recorded"\nwhat = "it is bent"\n',
        "snapshots/upstream.toml",
    )

    def asked(*_: object, **__: object) -> None:
        raise AssertionError("a green run has asked why")

    monkeypatch.setattr("pytest_hfmodels.explain.explaining.explain", asked)

    failing.run().assert_outcomes(xfailed=2)


def test_another_cpu_s_rounding_is_the_backend_s(project: Project) -> None:
    import torch

    if torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("torch has one kind of kernel on this CPU: use one with AVX2 or another extension")
    project.ini("hfmodels_tolerance =", "    same_engine=1e-8")
    changes = {"./model": "tiny-gpt2", "Hi": "My name is", "max_new_tokens=4": "max_new_tokens=30"}
    source = GENERATING
    for before, now in changes.items():
        source = source.replace(before, now)
    project.write(source)
    project.run("--snapshot-update").assert_outcomes(passed=1)

    elsewhere = project.run_alone(environment={"ATEN_CPU_CAPABILITY": "default"})

    elsewhere.assert_outcomes(failed=1)
    elsewhere.stdout.fnmatch_lines(
        [
            "E*assert drift: backend: the same output, but numbers moved beyond tolerance, *",
            "E*why: rounding: the backend differs from the recorded one: cpu * -> DEFAULT",
        ]
    )
