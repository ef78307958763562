"""What a person sees of an explanation in a run of pytest."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

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


@pytest.fixture
def failing(project: Project) -> Project:
    """A project of two tests that fail by one fault of the library's."""
    project.write(TWO)
    project.run("--snapshot-update").assert_outcomes(passed=2)
    project.write(FAULTY, "conftest.py")
    return project


def test_the_verdict_and_the_cause_come_first_and_the_causes_at_the_end(failing: Project) -> None:
    result = failing.run()

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "E*assert changed: forward: generated token 1 differs (snapshots/test_it/test_reply.toml)",
            "E*recorded Hi⟦*⟧*",
            "E*now      Hi⟦*⟧*",
            "E*why: the forward pass differs, starting at block 1",
            "E*accept it: *",
            "2 tests: forward: max drift *, * tokens changed",
            "  the forward pass differs, starting at block 1",
        ]
    )
    result.stdout.no_fnmatch_line("*Full output truncated*")
    assert "\x1b[" not in result.stdout.str()


def test_all_layers_are_told_where_more_is_asked_for(failing: Project) -> None:
    result = failing.run("-vv")

    result.stdout.fnmatch_lines(
        [
            "E*- the recorded tokens' log-probabilities moved by *: beyond the tolerance of 0.0001 and beyond *",
            "E*- the first block whose output differs is block 1, by *",
            "E*- with float64 instead of float32 the movement stays at *",
            "E*recorded with *",
        ]
    )


def test_a_terminal_gets_colours_and_nothing_else_does(failing: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")

    coloured = failing.run("--color=yes", "--junit-xml=junit.xml", "--hfmodels-json=report.json")
    plain = failing.run("--color=no")

    assert "\x1b[1;31mchanged: forward: generated token 1 differs" in coloured.stdout.str()
    assert "\x1b[31;1;4m⟦" in coloured.stdout.str()
    assert "\x1b[" not in plain.stdout.str()
    assert "\x1b[" not in (failing.path / "report.json").read_text(encoding="utf-8").replace("\\u001b", "\x1b")
    assert "#x1B" not in (failing.path / "junit.xml").read_text(encoding="utf-8")
    without = re.sub("\x1b\\[[0-9;]*m", "", coloured.stdout.str())
    assert [line for line in without.splitlines() if line.startswith("E  ")] == [
        line for line in plain.stdout.lines if line.startswith("E  ")
    ]


def test_junit_xml_carries_verdict_and_cause_as_properties(failing: Project) -> None:
    failing.run("--junit-xml=junit.xml")

    case = ElementTree.parse(failing.path / "junit.xml").find(".//testcase")
    assert case is not None
    found = {one.get("name"): one.get("value") for one in case.iter("property")}
    assert (found["hfmodels_verdict"], found["hfmodels_cause"]) == ("changed", "forward")
    assert found["hfmodels_why"] == "the forward pass differs, starting at block 1"


def test_the_drift_of_a_first_token_that_differs_is_the_recorded_one_s(failing: Project) -> None:
    result = failing.run("--hfmodels-json=report.json", "--junit-xml=junit.xml")

    report = json.loads((failing.path / "report.json").read_text(encoding="utf-8"))
    found = [one for test in report["tests"] for one in test["comparisons"]]
    assert found[0]["steps"]["divergence"] == 0
    assert found[0]["drift"] == found[0]["steps"]["drift"][0] > 0.01
    most = max(one["drift"] for one in found)
    result.stdout.fnmatch_lines([f"2 tests: forward: max drift {float(f'{most:.3g}'):.2g}, * tokens changed"])
    cases = ElementTree.parse(failing.path / "junit.xml").iter("property")
    drifts = [float(one.get("value", "")) for one in cases if one.get("name") == "hfmodels_drift"]
    assert drifts == [float(f"{one['drift']:.3g}") for one in found]


@pytest.mark.parametrize(
    ("now", "group"),
    [
        ("generation(swapped(0, Step(40, ' Eve', -0.1, -0.1, 1.0, 11, ' Ada')))", "1 test: cause not known"),
        ("generation(prompt=replace(PROMPT, text='His name is', ids=(4, 6, 7)))", "1 test: the test itself"),
    ],
    ids=["no-model", "another-text"],
)
def test_where_there_is_nothing_to_compare_no_drift_is_told(bare_project: Project, now: str, group: str) -> None:
    source = """
from dataclasses import replace
from pytest_hfmodels.kinds import Step
from tests.example_records import PROMPT, generation, swapped

def test_reply(hf_snapshot):
    assert {now} == hf_snapshot
"""
    bare_project.write(source.format(now="generation()"))
    bare_project.run("--snapshot-update")
    bare_project.write(source.format(now=now))

    result = bare_project.run("--hfmodels-json=report.json", "--junit-xml=junit.xml")

    report = json.loads((bare_project.path / "report.json").read_text(encoding="utf-8"))
    assert report["tests"][0]["comparisons"][0]["drift"] is None
    assert "hfmodels_drift" not in (bare_project.path / "junit.xml").read_text(encoding="utf-8")
    result.stdout.fnmatch_lines([f"{group}: no numbers to compare, * token* changed"])


def test_what_is_pending_knows_its_cause(failing: Project) -> None:
    failing._pytester.runpytest_inprocess("-p", "cacheprovider")  # `run` switches the cache off

    files = (failing.path / ".pytest_cache" / "d" / "hfmodels-pending").glob("*.json")
    found = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    assert [pending["cause"] for pending in found] == ["forward", "forward"]
    assert {pending["why"][0] for pending in found} == {"the forward pass differs, starting at block 1"}


def test_a_run_that_passes_imports_nothing_that_explains(project: Project) -> None:
    project.write(f"""{GENERATING}
def test_imports():
    import sys
    assert "pytest_hfmodels.explain.explaining" not in sys.modules
    assert "pytest_hfmodels.explain.stages" not in sys.modules
    assert "pytest_hfmodels.reference" not in sys.modules
""")
    project.run_alone("--snapshot-update", "-k", "reply")

    project.run_alone().assert_outcomes(passed=2)


@pytest.mark.parametrize("leave", [lambda: pytest.skip("no"), lambda: sys.exit(3)], ids=["skip", "exit"])
def test_a_model_that_skips_or_leaves_while_it_is_asked_leaves_the_test_failed(
    failing: Project, monkeypatch: pytest.MonkeyPatch, leave: Callable[[], None]
) -> None:
    monkeypatch.setattr("pytest_hfmodels.kinds.generation.explain.teacher_forced", lambda *_: leave())

    failing.run().assert_outcomes(failed=2)


def test_explaining_that_fails_is_no_error_of_the_test(failing: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise MemoryError("no more")

    monkeypatch.setattr("pytest_hfmodels.kinds.generation.explain.teacher_forced", broken)

    result = failing.run()

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "E*assert changed: generated token 1 differs *",
            "E*why: it cannot be told: explaining it failed with MemoryError: no more",
            "1 test: cause not known: *",
        ]
    )


def test_under_xdist_the_controller_tells_the_causes(bare_project: Project) -> None:
    source = """
import pytest
from dataclasses import replace
from tests.example_records import CHECKPOINT, generation, moved

@pytest.mark.parametrize("number", range(3))
def test_reply(hf_snapshot, number):
    assert generation(moved(1, by={by}), checkpoint=replace(CHECKPOINT, weights="sha256:{weights}")) == hf_snapshot
"""
    bare_project.write(source.format(by=0.0, weights="one"))
    bare_project.run("--snapshot-update")
    bare_project.write(source.format(by=0.25, weights="two"))

    result = bare_project.run_alone("-n", "2", "-p", "no:hypothesispytest")

    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "E*assert drift: checkpoint:weights: the same output, but numbers moved beyond tolerance*",
            "3 tests: checkpoint:weights: max drift 0.25, 0 tokens changed",
            "  the checkpoint's weights differ from the recorded ones (another digest)",
        ]
    )


def test_a_failure_that_the_ledger_foretells_is_not_explained(
    failing: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    project.write(
        "import pytest\n\n"
        '@pytest.mark.hf_model("tiny-gpt2")\n'
        "def test_reply(hf_model, hf_snapshot):\n"
        '    assert hf_model.generate("My name is", max_new_tokens=30) == hf_snapshot\n'
    )
    project.run("--snapshot-update").assert_outcomes(passed=1)

    elsewhere = project.run_alone(environment={"ATEN_CPU_CAPABILITY": "default"})

    elsewhere.assert_outcomes(failed=1)
    elsewhere.stdout.fnmatch_lines(
        [
            "E*assert drift: backend: the same output, but numbers moved beyond tolerance, *",
            "E*why: rounding: the backend differs from the recorded one: cpu * -> DEFAULT",
        ]
    )
