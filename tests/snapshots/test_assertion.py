from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ..project import GENERATING
from ..surroundings import needs_both_engines

if TYPE_CHECKING:
    from ..project import Project

ON_BOTH = """
import pytest

@pytest.mark.hf_model("./model", engines=["torch", "tensorflow"])
def test_reply(hf_model, hf_snapshot):
    assert hf_model.generate("Hi", max_new_tokens=3) == hf_snapshot
"""

# Runs no model: what is observed stands in the test.
BY_HAND = """
from tests.example_records import generation, moved

def test_reply(hf_snapshot):
    assert generation(moved(1, by={by})) == hf_snapshot
"""


@pytest.fixture
def recorded(bare_project: Project) -> Project:
    """A project with a recorded test that runs no model."""
    bare_project.write(BY_HAND.format(by=0.0))
    bare_project.run("--snapshot-update").assert_outcomes(passed=1)
    return bare_project


@pytest.mark.parametrize("flags", [(), ("--assert=plain",)])
def test_a_missing_snapshot_fails_and_says_how_to_record_it(bare_project: Project, flags: tuple[str, ...]) -> None:
    bare_project.write(BY_HAND.format(by=0.0))

    result = bare_project.run(*flags)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*missing: *snapshots/test_it/test_reply.toml*", "*record it: pytest test_it.py::test_reply --snapshot-update"]
    )
    assert bare_project.snapshots == {}


def test_an_update_writes_what_the_next_run_agrees_with(project: Project) -> None:
    project.write(GENERATING)

    written = project.run("--snapshot-update")
    after = project.run()

    written.assert_outcomes(passed=1)
    written.stdout.fnmatch_lines(["1 snapshot generated."])
    after.assert_outcomes(passed=1)
    after.stdout.fnmatch_lines(["1 snapshot passed."])
    assert list(project.snapshots) == ["test_it/test_reply.toml"]
    assert project.recorded()["prompt"] == {"text": "Hi", "ids": [72, 105]}


def test_a_changed_model_fails_until_the_change_is_accepted(project: Project) -> None:
    project.write(GENERATING)
    project.run("--snapshot-update")
    before = project.snapshots
    project.change_model()

    refused = project.run("-vv")
    kept = project.snapshots
    accepted = project.run("--snapshot-update")
    after = project.run()

    refused.assert_outcomes(failed=1)
    refused.stdout.fnmatch_lines(
        [
            "*changed: checkpoint:weights: generated token 1 differs (snapshots/test_it/test_reply.toml)",
            "*since recording: the checkpoint's weights changed",
            "*accept it: pytest 'test_it.py::test_reply[[]torch[]]' --snapshot-update",
        ]
    )
    assert kept == before
    accepted.assert_outcomes(passed=1)
    accepted.stdout.fnmatch_lines(["1 snapshot updated."])
    assert project.snapshots != before
    after.assert_outcomes(passed=1)


def test_a_number_within_tolerance_leaves_the_file_as_it_is(recorded: Project) -> None:
    before, changed = recorded.snapshots, recorded.snapshot().stat().st_mtime_ns
    recorded.write(BY_HAND.format(by=9e-5))

    compared = recorded.run()
    updated = recorded.run("--snapshot-update")

    compared.assert_outcomes(passed=1)
    updated.assert_outcomes(passed=1)
    updated.stdout.fnmatch_lines(["1 snapshot passed."])
    assert recorded.snapshots == before
    assert recorded.snapshot().stat().st_mtime_ns == changed


def test_a_rewritten_file_keeps_the_digits_that_still_hold(recorded: Project) -> None:
    recorded.write(BY_HAND.format(by=9e-5).replace("moved(1, by=9e-05)", "moved(0, by=0.1, steps=moved(1, by=9e-05))"))

    recorded.run("--snapshot-update").stdout.fnmatch_lines(["1 snapshot updated."])

    first, second, _ = recorded.recorded()["steps"]["rows"]
    assert first[2] == -0.15
    assert second[2] == -0.5


def test_a_number_beyond_tolerance_is_drift(recorded: Project) -> None:
    recorded.write(BY_HAND.format(by=3e-4))

    result = recorded.run("-vv")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*drift: the same output, but numbers moved beyond tolerance, first the log-probability of token 2 *",
            "*log-probability of token 2: recorded -0.5, now -0.4997 (moved by 0.0003)",
        ]
    )


@pytest.mark.parametrize(
    ("ini", "marker"),
    [("hfmodels_tolerance = same_engine=1e-3", ""), ("", "@pytest.mark.hf_tolerance(same_engine=1e-3)\n")],
    ids=["ini", "marker"],
)
def test_the_tolerance_is_settable(bare_project: Project, ini: str, marker: str) -> None:
    bare_project.ini(ini)
    source = BY_HAND.replace("def ", f"import pytest\n{marker}def ")
    bare_project.write(source.format(by=0.0))
    bare_project.run("--snapshot-update")

    bare_project.write(source.format(by=9e-4))
    within = bare_project.run()
    bare_project.write(source.format(by=1.1e-3))
    beyond = bare_project.run()

    within.assert_outcomes(passed=1)
    beyond.assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("same_engine='loose'", "The hf_tolerance marker of test_it.py::test_reply has a tolerance of 'loose'."),
        ("cross_engine=-1", "The hf_tolerance marker of test_it.py::test_reply has a tolerance of -1."),
        ("1e-3", "The hf_tolerance marker of test_it.py::test_reply is not understood."),
        ("other=1e-3", "The hf_tolerance marker of test_it.py::test_reply is not understood."),
    ],
)
def test_a_wrong_tolerance_is_named_with_its_test(bare_project: Project, arguments: str, said: str) -> None:
    marker = f"@pytest.mark.hf_tolerance({arguments})\n"
    bare_project.write(BY_HAND.replace("def ", f"import pytest\n{marker}def ").format(by=0.0))

    result = bare_project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{said}"])
    result.stdout.no_fnmatch_line("*snapshots/assertion.py*")


def test_only_new_snapshots_are_written_where_that_is_asked(bare_project: Project) -> None:
    bare_project.write(BY_HAND.format(by=0.0))
    bare_project.run("--snapshot-update-new-only")
    before = bare_project.snapshots
    bare_project.write(BY_HAND.format(by=0.1) + BY_HAND.format(by=0.0).replace("test_reply", "test_other"))

    result = bare_project.run("--snapshot-update-new-only")

    result.assert_outcomes(failed=1, passed=1)
    assert list(before) == ["test_it/test_reply.toml"]
    assert list(bare_project.snapshots) == ["test_it/test_other.toml", "test_it/test_reply.toml"]
    assert bare_project.snapshots["test_it/test_reply.toml"] == before["test_it/test_reply.toml"]


def test_each_snapshot_of_a_test_has_its_file(bare_project: Project) -> None:
    bare_project.write("""
from tests.example_records import beams, classification, generation

def test_all(hf_snapshot):
    assert generation() == hf_snapshot
    assert beams() == hf_snapshot
    assert classification() == hf_snapshot(name="a class")
    assert hf_snapshot == generation()
""")

    bare_project.run("--snapshot-update").stdout.fnmatch_lines(["4 snapshots generated."])

    bare_project.run().stdout.fnmatch_lines(["4 snapshots passed."])
    kinds = {name: "beams" in text and "[[beams]]" in text for name, text in bare_project.snapshots.items()}
    assert kinds == {
        "test_it/test_all.toml": False,
        "test_it/test_all.1.toml": True,
        "test_it/test_all.3.toml": False,
        "test_it/test_all[[a class]].toml".replace("[[", "[").replace("]]", "]"): False,
    }


IN_A_CONTAINER = """
def test_all(hf_snapshot):
    one, other = [1], [VALUE]
    assert {"a": one, "b": other, "c": END} == {
        "a": hf_snapshot(name="one"), "b": hf_snapshot(name="other"), "c": 2
    }

def test_numbered(hf_snapshot):
    assert [[3], END] == [hf_snapshot, 2]
"""


def test_snapshots_in_a_container_are_compared_once(bare_project: Project) -> None:
    bare_project.write(IN_A_CONTAINER.replace("VALUE", "5").replace("END", "1"))
    bare_project.run("--snapshot-update", "-vv").assert_outcomes(failed=2)  # the last part differs
    files = {"test_it/test_all[one].toml", "test_it/test_all[other].toml", "test_it/test_numbered.toml"}
    assert {*bare_project.snapshots} == files
    bare_project.write(IN_A_CONTAINER.replace("VALUE", "5").replace("END", "2"))
    bare_project.run().assert_outcomes(passed=2)
    bare_project.write(IN_A_CONTAINER.replace("VALUE", "6").replace("END", "2"))

    result = bare_project.run("-vv")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*Differing items:*", "*{'b': ?6?}*"])
    result.stdout.no_fnmatch_line("*{'a': *} != *")
    assert {*bare_project.snapshots} == files


@pytest.mark.parametrize("name", ['""', '" "', "None", "3"])
def test_a_name_that_is_not_text_or_empty_is_refused(bare_project: Project, name: str) -> None:
    bare_project.write(f"def test_one(hf_snapshot):\n    assert [1] == hf_snapshot(name={name})\n")

    result = bare_project.run("--snapshot-update")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*test_it.py::test_one names a snapshot {name.replace(chr(34), chr(39))}.*"])
    assert not bare_project.snapshots


def test_a_snapshot_that_differs_is_not_equal_either_way_round(recorded: Project) -> None:
    recorded.write("""
import pytest
from tests.example_records import generation, moved

def test_reply(hf_snapshot):
    if generation(moved(1, by=0.5)) != hf_snapshot:
        pytest.xfail("it differs")
""")

    recorded.run().assert_outcomes(xfailed=1)


def test_what_cannot_be_recorded_is_named(bare_project: Project) -> None:
    bare_project.write("""
def test_text(hf_snapshot):
    assert {"made by": [print]} == hf_snapshot
""")

    result = bare_project.run("--snapshot-update")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*test_it.py::test_text compares what cannot be recorded: *'made by'*0* is a builtin_function_or_method*",
            "*Compare what it holds: *",
        ]
    )
    result.stdout.no_fnmatch_line("*assertion.py*")
    assert bare_project.snapshots == {}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (b"format = 1", b"format = 2", "*test_reply.toml:2: format: the file has format 2, but this version reads 1.*"),
        (b"# ", b"\xff\xfe\x00", "*test_reply.toml cannot be read: *"),
        (b"# ", b"# caf\xe9 ", "*test_reply.toml cannot be read: *"),
    ],
)
def test_an_unreadable_snapshot_is_named_and_not_overwritten(
    recorded: Project, before: bytes, after: bytes, said: str
) -> None:
    file = recorded.snapshot()
    file.write_bytes(file.read_bytes().replace(before, after, 1))
    content = file.read_bytes()

    for flags in ([], ["--snapshot-update"]):
        result = recorded.run(*flags)

        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines([said])
        result.stdout.no_fnmatch_line("*snapshots/format.py*")
        assert file.read_bytes() == content


NEAR_TIE = """
import numpy as np
from dataclasses import replace
from tests.example_records import STEPS, generation, live, swapped
from pytest_hfmodels.kinds import Step

CLOSE = (*STEPS[:2], Step(15, " I", -0.75, -0.75, 0.000001, 16, " you"))
OTHER = (*STEPS[:2], Step(16, " you", -0.75, -0.75, 0.000001, 15, " I"))

def test_reply(hf_snapshot):
    steps = {steps}
    assert generation(steps, live=live(steps, told=CLOSE)) == hf_snapshot
"""


def test_a_near_tie_fails_unless_the_project_lets_it_warn(bare_project: Project) -> None:
    bare_project.write(NEAR_TIE.format(steps="CLOSE"))
    bare_project.run("--snapshot-update")
    before = bare_project.snapshots
    bare_project.write(NEAR_TIE.format(steps="OTHER"))

    failing = bare_project.run()
    warning = bare_project.run("--hfmodels-near-tie", "warn")
    bare_project.ini("hfmodels_near_tie = warn")
    by_ini = bare_project.run()
    overruled = bare_project.run("--hfmodels-near-tie", "fail")

    failing.assert_outcomes(failed=1)
    failing.stdout.fnmatch_lines(["*near-tie: generated token 3 differs*"])
    for result in (warning, by_ini):
        result.assert_outcomes(passed=1, warnings=1)
        result.stdout.fnmatch_lines(["*NearTieWarning: test_it.py::test_reply: near-tie in test_reply.toml*"])
    overruled.assert_outcomes(failed=1)
    assert bare_project.snapshots == before


@needs_both_engines
def test_torch_writes_and_tensorflow_compares_with_the_same_file(project: Project) -> None:
    project.write(ON_BOTH)

    written = project.run("--snapshot-update", "-v")
    after = project.run("-v")

    for result in (written, after):
        result.assert_outcomes(passed=2)
        result.stdout.fnmatch_lines(["*test_reply[[]torch[]] PASSED*", "*test_reply[[]tensorflow[]] PASSED*"])
    written.stdout.fnmatch_lines(["1 snapshot passed. 1 snapshot generated."])
    assert list(project.snapshots) == ["test_it/test_reply.toml"]
    assert project.recorded()["provenance"]["recorded_with"]["engine"] == "torch"


@needs_both_engines
def test_tensorflow_never_overwrites_what_torch_wrote(project: Project) -> None:
    project.write(ON_BOTH)
    project.run("--snapshot-update", "--hfmodels-engines", "torch")
    before = project.snapshots
    project.write(ON_BOTH.replace("max_new_tokens=3", "max_new_tokens=2 if hf_model.engine == 'tensorflow' else 3"))

    together = project.run("--snapshot-update", "-v", "-vv")
    alone = project.run("--snapshot-update", "--hfmodels-engines", "tensorflow")

    together.assert_outcomes(passed=1, failed=1)
    together.stdout.fnmatch_lines(
        [
            "*test_reply[[]tensorflow[]] FAILED*",
            "*not updated: torch recorded this file, and every engine must match it*",
        ]
    )
    alone.assert_outcomes(failed=1)
    assert project.snapshots == before


@needs_both_engines
def test_tensorflow_records_where_it_is_the_only_engine(project: Project) -> None:
    project.write(ON_BOTH)
    project.run("--snapshot-update", "--hfmodels-engines", "tensorflow").assert_outcomes(passed=1)
    by_tensorflow = project.recorded()["provenance"]["recorded_with"]["engine"]
    project.write(ON_BOTH.replace("max_new_tokens=3", "max_new_tokens=2"))

    updated = project.run("--snapshot-update", "--hfmodels-engines", "tensorflow")
    taken_over = project.run("--snapshot-update", "--hfmodels-engines", "torch")

    assert by_tensorflow == "tensorflow"
    updated.assert_outcomes(passed=1)
    assert project.recorded()["effective"]["max_length"] == 4
    taken_over.assert_outcomes(passed=1)


@needs_both_engines
def test_tensorflow_waits_for_torch_to_record_first(project: Project) -> None:
    source = ON_BOTH.replace("    assert", "    if hf_model.engine == 'torch': pytest.skip('not today')\n    assert")
    project.write(source)

    result = project.run("--snapshot-update")

    result.assert_outcomes(skipped=1, failed=1)
    result.stdout.fnmatch_lines(["*torch must record this file first: run the test on torch *test_reply[[]torch[]]*"])
    assert project.snapshots == {}


def test_another_snapshot_fixture_is_told(bare_project: Project) -> None:
    bare_project.write(
        "import pytest\n@pytest.fixture\ndef snapshot(): return 'mine'\ndef test_it(hf_snapshot): pass\n"
    )

    result = bare_project.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*hf_snapshot needs syrupy's fixture `snapshot`*"])


def test_another_dtype_than_recorded_is_measured_by_the_finer_one(bare_project: Project) -> None:
    source = """
from dataclasses import replace
from tests.example_records import generation, moved, provenance

def test_reply(hf_snapshot):
    assert replace(generation(moved(1, by={by})), provenance=provenance(dtype="{dtype}")) == hf_snapshot
"""
    bare_project.write(source.format(by=0.0, dtype="float32"))
    bare_project.run("--snapshot-update")
    bare_project.write(source.format(by=0.01, dtype="float16"))

    result = bare_project.run("-vv")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*drift: *", "*since recording: dtype float32 -> float16*"])


@pytest.mark.parametrize("also", ["", "versions"])
def test_a_file_does_not_widen_its_own_tolerance(recorded: Project, also: str) -> None:
    file = recorded.snapshot()
    text = file.read_text().replace('engine = "torch"', 'engine = "tensorflow"')
    file.write_text(text.replace("torch =", "tensorflow =") if also else text)
    recorded.write(BY_HAND.format(by=1.5e-4))

    recorded.run().assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('text = "My name is"', 'text = "My names"', "prompt text"),
        ('" and"', '" und"', "text of token 2"),
    ],
)
def test_texts_of_a_file_agree_with_its_ids(recorded: Project, before: str, after: str, said: str) -> None:
    file = recorded.snapshot()
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after, 1))

    result = recorded.run("-vv")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{said}*"])


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_snapshot_may_begin_with_a_byte_order_mark(recorded: Project, ends: str) -> None:
    file = recorded.snapshot()
    file.write_bytes(file.read_text().replace("\n", ends).encode("utf-8-sig"))
    before = file.read_bytes()

    recorded.run().assert_outcomes(passed=1)
    recorded.run("--snapshot-update").assert_outcomes(passed=1)

    assert file.read_bytes() == before


def test_a_record_with_suppressed_tokens_equals_itself(project: Project) -> None:
    project.write(
        GENERATING.replace(
            "max_new_tokens=4", "max_new_tokens=2, suppress_tokens=list(range(hf_model.config.vocab_size))"
        )
    )

    project.run("--snapshot-update").assert_outcomes(passed=1)

    project.run().assert_outcomes(passed=1)


def test_a_failure_beside_a_near_tie_that_was_let_through_is_broken(bare_project: Project) -> None:
    bare_project.write(NEAR_TIE.format(steps="CLOSE"))
    bare_project.run("--snapshot-update")
    bare_project.write(f"{NEAR_TIE.format(steps='OTHER')}    raise ValueError('later')\n")

    verdicts = []
    for near_tie in ("fail", "warn"):
        bare_project.run("--hfmodels-near-tie", near_tie, "--hfmodels-json=report.json").assert_outcomes(
            failed=1, warnings=1 if near_tie == "warn" else 0
        )
        report = json.loads((bare_project.path / "report.json").read_text(encoding="utf-8"))
        verdicts.append(report["tests"][0]["verdict"])

    assert verdicts == ["near-tie", "broken"]
