"""What a project pays, and what it notices, that has the plugin installed. Fresh interpreters are the point here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .surroundings import needs_both_engines

if TYPE_CHECKING:
    import pytest

    from .project import Project

HEAVY = (
    *("torch", "tensorflow", "transformers", "hypothesis", "numpy", "rich", "tomlkit", "msgspec", "syrupy"),
    "safetensors",
)
LISTING = """
import sys

def pytest_unconfigure():
    heavy = {name.partition(".")[0] for name in sys.modules} & {*HEAVY}
    ours = [name for name in sys.modules if name.startswith("pytest_hfmodels")]
    print("imported:", *sorted(heavy), *sorted(ours))
"""
# An idle run imports these modules of ours, and no others. Each costs every project that has the plugin installed.
OURS = (
    *("pytest_hfmodels", "pytest_hfmodels.fixtures", "pytest_hfmodels.fixtures.definitions"),
    *("pytest_hfmodels.options", "pytest_hfmodels.plugin", "pytest_hfmodels.session"),
)


def imported(project: Project, *arguments: str) -> str:
    result = project.run_alone("-q", *arguments)
    assert result.ret == 0
    return next(line for line in result.stdout.lines if line.startswith("imported:"))


def test_a_project_that_does_not_use_the_plugin_imports_nothing_for_it(bare_project: Project) -> None:
    bare_project.write(f"HEAVY = {HEAVY!r}\n{LISTING}", "conftest.py")
    bare_project.write("def test_nothing(): pass")
    # Plugins of their own, which import what they import.
    others = ["-p", "no:syrupy", "-p", "no:hypothesispytest", "-p", "no:xdist"]

    assert imported(bare_project, *others, "-p", "no:hfmodels") == "imported:"
    assert imported(bare_project, *others) == " ".join(("imported:", *OURS))  # collects and runs the test


def test_a_folder_named_after_the_plugin_imports_nothing_more(
    bare_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare_project.write(f"HEAVY = {HEAVY!r}\n{LISTING}", "hfmodels-demo/conftest.py")
    bare_project.write("def test_nothing(): pass", "hfmodels-demo/test_it.py")
    monkeypatch.chdir(bare_project.path / "hfmodels-demo")
    others = ["-p", "no:syrupy", "-p", "no:hypothesispytest", "-p", "no:xdist"]

    assert imported(bare_project, *others) == " ".join(("imported:", *OURS))


def test_importing_the_package_imports_nothing_heavy(bare_project: Project) -> None:
    source = (
        "import sys, pytest_hfmodels\n"
        "assert pytest_hfmodels.SnapshotError\n"
        f"print(sorted({{name.partition('.')[0] for name in sys.modules}} & {{*{HEAVY!r}}}))\n"
    )

    bare_project.run_python("-c", source).stdout.fnmatch_lines(["[[][]]"])


@needs_both_engines
def test_a_torch_run_imports_no_tensorflow_and_leaves_the_projects_own_working(
    bare_project: Project, project: Project
) -> None:
    project.write("""
import sys

import pytest

@pytest.mark.hf_model("./model")
def test_model(hf_model, hf_snapshot):
    assert "tensorflow" not in sys.modules
    assert hf_model.generate("Hi", max_new_tokens=2) == hf_snapshot
    assert "tensorflow" not in sys.modules
    assert "hypothesis" not in sys.modules

def test_tensorflow_of_the_project():
    import os
    import tensorflow as tf

    assert "USE_TF" not in os.environ
    assert float(tf.reduce_sum(tf.constant([1.0, 2.0]))) == 3.0
""")

    result = bare_project.run_alone("-p", "no:hypothesispytest", "--snapshot-update")

    result.assert_outcomes(passed=2)
