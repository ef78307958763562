"""The ledger in a run: what it makes of tests, and what is said where it does not hold."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from pytest_hfmodels.commands import cli

from .time_limit import time_limit

if TYPE_CHECKING:
    from .project import Project

RAISING = """
def test_forward(hf_models):
    raise TypeError("type_as() missing 1 required positional argument")

def test_other(hf_models):
    pass
"""
BREAK = """
[[break]]
name = "type-as"
when = "pytest>=8"
tests = ["test_it.py::test_forward"]
raises = "TypeError"
match = "type_as"
what = "every forward pass raises"
"""
REMOVAL = """
[[removal]]
name = "removed"
when = "pytest>=8"
tests = ["test_it.py::test_forward"]
symbol = "pytest.Yield"
what = "pytest has it no longer"
"""
CHANGE = """
[[change]]
name = "moved"
when = "pytest>=8"
what = "numbers moved"
reference = "somebody/something#1"
snapshots = "variants/moved"
"""
REPLY = """
from tests.example_records import generation, moved

def test_reply(hf_snapshot):
    assert generation(moved(1, by={by})) == hf_snapshot
"""


def with_ledger(project: Project, *entries: str, tests: str = RAISING) -> Project:
    project.write(tests)
    project.write("\n".join(entries), "snapshots/upstream.toml")
    return project


def with_variant(project: Project, *, by: float, folder: str = "moved") -> Project:
    """A project whose base says 0.0 and whose variant says `by`, and that observes 0.25."""
    project.write(REPLY.format(by=by))
    project.run("--snapshot-update").assert_outcomes(passed=1)
    project.snapshot().rename(project.write("", f"snapshots/variants/{folder}/test_it/test_reply.toml"))
    project.write(REPLY.format(by=0.0))
    project.run("--snapshot-update").assert_outcomes(passed=1)
    project.write(REPLY.format(by=0.25))
    return project


def test_a_break_is_an_expected_failure_of_the_tests_it_names(bare_project: Project) -> None:
    result = with_ledger(bare_project, BREAK).run("-rx")

    result.assert_outcomes(xfailed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "hfmodels ledger: type-as (break): 1 test expected to fail",
            "XFAIL test_it.py::test_forward - type-as: every forward pass raises",
        ]
    )


def test_a_break_that_is_fixed_fails_and_names_its_line(bare_project: Project) -> None:
    result = with_ledger(bare_project, BREAK, tests="def test_forward(hf_models): pass").run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*snapshots/upstream.toml:2: type-as says that this test fails with pytest>=8, but it passes.",
            "*Correct the entry's `when` or `tests`, or remove it.",
        ]
    )


@pytest.mark.parametrize("raised", ["ValueError('type_as')", "TypeError('something else')"])
def test_another_failure_than_the_expected_one_stays_one(bare_project: Project, raised: str) -> None:
    result = with_ledger(bare_project, BREAK, tests=f"def test_forward(hf_models): raise {raised}").run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["snapshots/upstream.toml:2: type-as expects TypeError with 'type_as', but the test failed with another error."]
    )


@pytest.mark.parametrize("raises", ["LookupError", "builtins.KeyError"])
def test_the_class_may_be_a_parent_or_have_its_module(bare_project: Project, raises: str) -> None:
    tests = RAISING.replace("TypeError", "KeyError")

    result = with_ledger(bare_project, BREAK.replace('"TypeError"', f'"{raises}"'), tests=tests).run()

    result.assert_outcomes(xfailed=1, passed=1)


def test_a_break_in_a_fixture_is_expected_too(bare_project: Project) -> None:
    tests = """
import pytest

@pytest.fixture
def broken():
    raise TypeError("type_as")

def test_forward(broken, hf_models):
    pass
"""
    with_ledger(bare_project, BREAK, tests=tests).run().assert_outcomes(xfailed=1)


def test_runxfail_shows_the_failure_itself(bare_project: Project) -> None:
    with_ledger(bare_project, BREAK).run("--runxfail").assert_outcomes(failed=1, passed=1)


def test_an_entry_about_other_releases_changes_nothing(bare_project: Project) -> None:
    result = with_ledger(bare_project, BREAK.replace(">=8", "<8")).run()

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.no_fnmatch_line("hfmodels ledger*")


def test_a_test_of_something_that_was_removed_is_skipped_with_the_entry(bare_project: Project) -> None:
    result = with_ledger(bare_project, REMOVAL).run("-rs")

    result.assert_outcomes(skipped=1, passed=1)
    result.stdout.fnmatch_lines(["SKIPPED*removed: pytest has it no longer"])


def test_a_removal_of_something_that_is_there_fails_and_names_its_line(bare_project: Project) -> None:
    result = with_ledger(bare_project, REMOVAL.replace("pytest.Yield", "pytest.Item")).run()

    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "*snapshots/upstream.toml:2: removed says that pytest>=8 has no pytest.Item, but it still exists.",
            "*Correct the range of `when`, or remove the entry.",
        ]
    )


@pytest.mark.parametrize("there", ["pytest.Item.listchain", "_pytest.mark.structures"])
def test_a_method_and_a_submodule_are_there(bare_project: Project, there: str) -> None:
    result = with_ledger(bare_project, REMOVAL.replace("pytest.Yield", there)).run()

    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines([f"*removed says that pytest>=8 has no {there}, but it still exists."])


def test_a_package_that_cannot_be_imported_is_not_removed(bare_project: Project) -> None:
    result = with_ledger(bare_project, REMOVAL.replace("pytest.Yield", "pytst.Yield")).run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*snapshots/upstream.toml:2: removed: pytst.Yield does not belong to pytest, *"])


def test_an_exception_that_cannot_be_read_was_not_expected(bare_project: Project) -> None:
    tests = """
class Unreadable(TypeError):
    def __str__(self):
        raise ValueError("no")

def test_forward(hf_models):
    raise Unreadable
"""
    result = with_ledger(bare_project, BREAK, tests=tests).run()

    result.assert_outcomes(failed=1)


def test_a_variant_replaces_the_base(bare_project: Project) -> None:
    with_variant(bare_project, by=0.25)

    without = bare_project.run()
    bare_project.write(CHANGE, "snapshots/upstream.toml")
    result = bare_project.run()

    without.assert_outcomes(failed=1)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["hfmodels ledger: moved (change)"])


def test_a_variant_that_does_not_hold_either_fails_and_names_its_file(bare_project: Project) -> None:
    with_variant(bare_project, by=0.75).write(CHANGE, "snapshots/upstream.toml")

    result = bare_project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*drift: *(snapshots/variants/moved/test_it/test_reply.toml)"])


def test_an_update_writes_the_variant_that_applies(bare_project: Project) -> None:
    with_variant(bare_project, by=0.75).write(CHANGE, "snapshots/upstream.toml")
    base = bare_project.snapshot().read_text()

    bare_project.run("--snapshot-update").assert_outcomes(passed=1)

    bare_project.run().assert_outcomes(passed=1)
    assert bare_project.snapshot().read_text() == base


def test_a_variant_that_equals_the_base_fails(bare_project: Project) -> None:
    with_variant(bare_project, by=0.0).write(CHANGE, "snapshots/upstream.toml")

    result = bare_project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*snapshots/upstream.toml:2: moved says that snapshots/test_it/test_reply.toml changes with pytest>=8, "
            "but its variant snapshots/variants/moved/test_it/test_reply.toml is the same as the base.",
            "*Delete the variant, and the entry with its last one.",
        ]
    )


def test_a_variant_without_a_base_fails(bare_project: Project) -> None:
    with_variant(bare_project, by=0.25).write(CHANGE, "snapshots/upstream.toml")
    bare_project.snapshot().unlink()

    result = bare_project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*moved has a variant of snapshots/test_it/test_reply.toml, but there is no such *"])


MACHINES = """
[[change]]
name = "moved"
when = "cpu==AVX512"
what = "numbers of AVX-512"
snapshots = "variants/moved"

[[change]]
name = "near"
when = ["cpu==AVX512", "device==cpu"]
what = "nearer"
snapshots = "variants/near"

[[change]]
name = "elsewhere"
when = ["cpu==AVX2"]
what = "numbers of AVX2"
snapshots = "variants/elsewhere"
"""


@pytest.mark.parametrize(("near", "outcome"), [(0.25, {"passed": 1}), (0.5, {"failed": 1})])
def test_of_several_variants_the_one_with_the_most_conditions_that_hold_here_counts(
    bare_project: Project, near: float, outcome: dict[str, int]
) -> None:
    with_variant(bare_project, by=0.75, folder="elsewhere")
    with_variant(bare_project, by=0.75 - near)  # of the capability alone
    with_variant(bare_project, by=near, folder="near")
    bare_project.write(MACHINES, "snapshots/upstream.toml")

    bare_project.run().assert_outcomes(**outcome)


MADE = """
from dataclasses import replace
from tests.example_records import generation, moved, provenance

def test_reply(hf_snapshot):
    made = replace(provenance(), device="{device}", cpu="{cpu}")
    assert replace(generation(moved(1, by={by})), provenance=made) == hf_snapshot
"""


@pytest.mark.parametrize(
    ("machine", "when", "another", "refused"),
    [
        ({"device": "cuda"}, "device==cuda", "device==cpu", "device cuda"),
        ({"cpu": "AVX2"}, "cpu==avx2", "cpu==AVX512", "cpu AVX2"),
    ],
)
def test_an_output_is_accepted_as_the_variant_of_a_device_or_a_cpu(
    bare_project: Project,
    machine: dict[str, str],
    when: str,
    another: str,
    refused: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = {"device": "cpu", "cpu": "AVX512", "by": 0.0}
    there = {**here, **machine, "by": 0.25}
    bare_project.write(MADE.format(**here))
    bare_project.run("--snapshot-update").assert_outcomes(passed=1)
    bare_project.write(MADE.format(**there))
    bare_project.run("-p", "cacheprovider").assert_outcomes(failed=1)

    assert cli.main(["accept", "--as-variant", "own", "--when", another]) == 2
    assert f"These outputs are of {refused}, " in capsys.readouterr().err
    assert cli.main(["accept", "--as-variant", "own", "--when", when]) == 0
    bare_project.run().assert_outcomes(passed=1)
    bare_project.write(MADE.format(**{**here, "by": 0.25}))  # on the other machine only the base counts
    bare_project.run().assert_outcomes(failed=1)
    bare_project.write(MADE.format(**here))
    bare_project.run().assert_outcomes(passed=1)


def test_two_variants_of_one_file_stop_the_run(bare_project: Project) -> None:
    with_variant(bare_project, by=0.25)
    with_variant(bare_project, by=0.5, folder="again")
    again = CHANGE.replace("moved", "again")
    bare_project.write(CHANGE + again, "snapshots/upstream.toml")

    result = bare_project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "*snapshots/upstream.toml:9: again and moved (snapshots/upstream.toml:2) both apply to the installed "
            "versions, and both have a variant of snapshots/test_it/test_reply.toml."
        ]
    )


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (CHANGE, "*upstream.toml:2: moved keeps its snapshots in snapshots/variants/moved, and there are none."),
        (
            CHANGE.replace("pytest>=8", "pytest=>8"),
            "*upstream.toml:4: change.0.when.0: 'pytest=>8' is not a range*",
        ),
        (
            CHANGE.replace("[[change]]", "[[changed]]") + BREAK,
            "*upstream.toml:1: *unknown field `changed`.",
        ),
    ],
)
def test_a_ledger_that_does_not_fit_stops_the_run(bare_project: Project, entry: str, said: str) -> None:
    result = with_ledger(bare_project, entry).run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])


def test_somebody_elses_file_of_that_name_is_left_alone(bare_project: Project) -> None:
    plain = "def test_it(): pass"

    with_ledger(bare_project, '[servers]\nname = "not ours"', tests=plain).run().assert_outcomes(passed=1)


def test_workers_apply_the_ledger_too(bare_project: Project) -> None:
    pytest.importorskip("xdist", reason="install pytest-xdist")

    result = with_ledger(bare_project, BREAK + REMOVAL.replace("test_forward", "test_other")).run_alone("-n2")

    result.assert_outcomes(xfailed=1, skipped=1)
    result.stdout.fnmatch_lines(["hfmodels ledger: 1 test expected to fail, 1 test skipped"])


def test_a_test_that_skips_for_another_reason_is_not_the_ledgers(bare_project: Project) -> None:
    with_ledger(bare_project, BREAK, tests="import pytest\ndef test_forward(hf_models): pytest.skip('no engine')")

    bare_project.run("--junitxml=report.xml").assert_outcomes(skipped=1)

    assert "hfmodels_ledger" not in (bare_project.path / "report.xml").read_text()


@pytest.mark.parametrize("entry", [BREAK, REMOVAL])
def test_junit_xml_names_the_entry_that_decided(bare_project: Project, entry: str) -> None:
    with_ledger(bare_project, entry).run("--junitxml=report.xml")

    found = [element.attrib for element in ElementTree.parse(bare_project.path / "report.xml").iter("property")]
    assert found == [{"name": "hfmodels_ledger", "value": "type-as" if entry == BREAK else "removed"}]


def test_workers_refuse_a_ledger_that_does_not_fit(bare_project: Project) -> None:
    pytest.importorskip("xdist", reason="install pytest-xdist")

    result = with_ledger(bare_project, BREAK.replace("what =", "wat =")).run_alone("-n2")

    result.assert_outcomes(errors=2)


def test_junit_xml_carries_the_verdict_and_the_entry(bare_project: Project) -> None:
    with_variant(bare_project, by=0.25).write(CHANGE, "snapshots/upstream.toml")

    bare_project.run("--junitxml=report.xml").assert_outcomes(passed=1)

    report = ElementTree.parse(bare_project.path / "report.xml")
    found = {element.attrib["name"]: element.attrib["value"] for element in report.iter("property")}
    assert found == {
        "hfmodels_verdict": "same",
        "hfmodels_drift": "0",
        "hfmodels_base": "drift",
        "hfmodels_ledger": "moved",
    }


def test_junit_xml_says_what_differs(bare_project: Project) -> None:
    with_variant(bare_project, by=0.25)

    bare_project.run("--junitxml=report.xml").assert_outcomes(failed=1)

    report = ElementTree.parse(bare_project.path / "report.xml")
    found = {element.attrib["name"]: element.attrib["value"] for element in report.iter("property")}
    assert found["hfmodels_verdict"] == "drift"
    assert found["hfmodels_says"].startswith("drift: the same output, but numbers moved beyond tolerance")


def test_a_baseline_of_ones_own_knows_no_ledger(bare_project: Project) -> None:
    with_variant(bare_project, by=0.25).write(CHANGE, "snapshots/upstream.toml")
    before = bare_project.snapshots

    recorded = bare_project.run("--hfmodels-baseline=record:own")
    same = bare_project.run("--hfmodels-baseline=compare:own")
    bare_project.write(REPLY.format(by=0.0))
    differs = bare_project.run("--hfmodels-baseline=compare:own")

    recorded.assert_outcomes(passed=1)
    same.assert_outcomes(passed=1)
    differs.assert_outcomes(failed=1)
    differs.stdout.fnmatch_lines(["*drift: *(own/test_it/test_reply.toml)"])
    assert bare_project.snapshots == before


@pytest.mark.parametrize("value", ["record", "compare:", "write:own"])
def test_a_baseline_that_is_not_understood_stops_the_run(bare_project: Project, value: str) -> None:
    bare_project.write("def test_nothing(): pass")

    result = bare_project.run(f"--hfmodels-baseline={value}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--hfmodels-baseline is '{value}'.", "*record:FOLDER or compare:FOLDER*"])


def test_many_entries_are_counted_in_the_header(bare_project: Project) -> None:
    bare_project.write("def test_it(hf_snapshot): ...")
    entry = (
        '[[break]]\nname = "e{}"\nwhen = "transformers>=4"\ntests = ["t.py::x"]\nraises = "ValueError"\nwhat = "it"\n'
    )
    bare_project.write("".join(entry.format(number) for number in range(5)), "snapshots/upstream.toml")

    result = bare_project.run()

    result.stdout.fnmatch_lines(["hfmodels ledger: 5 entries apply here (listed by `hfmodels ledger`)"])


PROJECT_S_OWN = """
def test_plain():
    raise ValueError("a fault of the project")

def test_forward(hf_models):
    raise TypeError("type_as")
"""


@pytest.mark.parametrize(("entry", "outcome"), [(BREAK, "xfailed"), (REMOVAL, "skipped")])
def test_an_entry_leaves_tests_without_our_fixtures_alone(bare_project: Project, entry: str, outcome: str) -> None:
    ledger = entry.replace('["test_it.py::test_forward"]', '"test_it.py::*"')

    with_ledger(bare_project, ledger, tests=PROJECT_S_OWN).run().assert_outcomes(**{"failed": 1, outcome: 1})


def test_a_break_expects_an_exception_class(bare_project: Project) -> None:
    tests = "class Mixin: ...\nclass Mixed(Mixin, ValueError): ...\ndef test_forward(hf_models): raise Mixed\n"

    with_ledger(bare_project, BREAK.replace('"TypeError"', '"Mixin"'), tests=tests).run().assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("symbol", "when", "file"),
    [
        ("os.nonexistent", "pytest>=8", None),
        ("xml.dom.nonexistent", "pytest>=8", None),
        ("pytest_hfmodels.nonexistent", "pytest>=8", None),
        ("publish.nothing", "pytest>=8", "publish.py"),
        ("publish.nothing", "publish>=1", "publish.py"),
        ("test_it.nothing", "pytest>=8", "test_it.py"),
    ],
)
def test_a_symbol_must_belong_to_its_package_and_nothing_of_the_project_is_imported(
    bare_project: Project, monkeypatch: pytest.MonkeyPatch, symbol: str, when: str, file: str | None
) -> None:
    canary = bare_project.path / "canary"
    with_ledger(bare_project, REMOVAL.replace("pytest.Yield", symbol).replace("pytest>=8", when))
    if file is not None:
        bare_project.write(f"open({str(canary)!r}, 'a').write('imported;')\ndef test_forward(hf_models): ...\n", file)
    for name, text in {
        "METADATA": "Metadata-Version: 2.1\nName: publish\nVersion: 1.0\n",
        "RECORD": "publish.py,,\n",
    }.items():
        bare_project.write(text, f"publish-1.0.dist-info/{name}")
    monkeypatch.syspath_prepend(bare_project.path)

    result = bare_project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*snapshots/upstream.toml:2: *{symbol}*"])
    assert canary.exists() is (file == "test_it.py")  # pytest collects it


@pytest.mark.parametrize("kind", ["fifo", "folder", "dangling link"])
def test_a_ledger_that_is_not_a_regular_file_stops_the_run(bare_project: Project, kind: str) -> None:
    bare_project.write(RAISING)
    path = bare_project.path / "snapshots" / "upstream.toml"
    path.parent.mkdir()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")

    with time_limit(20):
        result = bare_project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*upstream.toml*"])
