from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.engines import availability
from pytest_hfmodels.options import Options, in_ci
from pytest_hfmodels.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from .project import Project

NOTHING = "def test_nothing(): pass"


def refused(project: Project, *arguments: str) -> list[str]:
    """Return what a run says that refuses to start."""
    result = project.run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    return [line for line in (*result.stderr.lines, *result.stdout.lines) if line.strip()]


@pytest.fixture
def read(pytester: pytest.Pytester) -> Callable[..., Options]:
    """Read the options of a run with these ini lines and arguments."""

    def options(ini: str = "", *arguments: str) -> Options:
        pytester.makeini(f"[pytest]\n{ini}")
        return Session.of(pytester.parseconfig(*arguments)).options

    return options


def test_nothing_is_set_by_default(read: Callable[..., Options]) -> None:
    assert tuple(read()) == (
        None,
        (),
        "bundled",
        "snapshots",
        None,
        None,
        (),
        "fail",
        "warn",
        "auto",
        False,
        False,
        False,
        (),
        False,
        None,
        None,
        None,
        None,
        None,
        False,
    )


@pytest.mark.parametrize(
    ("ini", "argument", "name", "by_ini", "by_argument"),
    [
        ("hfmodels_engines = tensorflow", "--hfmodels-engines=torch", "engines", ("tensorflow",), ("torch",)),
        ("hfmodels_checkpoints = hub", "--hfmodels-checkpoints=bundled", "checkpoints", "hub", "bundled"),
        ("hfmodels_device = cuda", "--hfmodels-device=cpu,cuda:1", "device", ("cuda",), ("cpu", "cuda:1")),
        ("hfmodels_near_tie = warn", "--hfmodels-near-tie=fail", "near_tie", "warn", "fail"),
        ("hfmodels_on_mutation = error", "--hfmodels-on-mutation=warn", "on_mutation", "error", "warn"),
        (
            "hfmodels_transfo_xl = transformers",
            "--hfmodels-transfo-xl=pytest-hfmodels",
            "transfo_xl",
            "transformers",
            "pytest-hfmodels",
        ),
    ],
)
def test_the_command_line_wins_over_ini(
    read: Callable[..., Options], ini: str, argument: str, name: str, by_ini: object, by_argument: object
) -> None:
    assert getattr(read(ini), name) == by_ini
    assert getattr(read("", argument), name) == by_argument
    assert getattr(read(ini, argument), name) == by_argument
    assert read(ini).explicit
    assert read("", argument).explicit


def test_the_command_line_wins_over_ini_for_required_engines(
    read: Callable[..., Options], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability, "missing", lambda _: None)

    assert read("hfmodels_require = tensorflow").require == ("tensorflow",)
    assert read("hfmodels_require = tensorflow", "--hfmodels-require=torch").require == ("torch",)


@pytest.mark.parametrize("written", ["tensorflow,torch", "torch, tensorflow", "torch,torch tensorflow"])
def test_engines_are_read_in_any_order_and_spelling(read: Callable[..., Options], written: str) -> None:
    assert read(f"hfmodels_engines = {written}").engines == ("torch", "tensorflow")


def test_keys_that_only_an_ini_file_has(read: Callable[..., Options]) -> None:
    options = read("hfmodels_snapshots = golden/models\nhfmodels_tolerance = same_engine=1e-3 cross_engine=2e-3")

    assert (options.snapshots, options.same_engine, options.cross_engine) == ("golden/models", 1e-3, 2e-3)
    assert options.explicit
    assert read("hfmodels_tolerance = cross_engine=0").cross_engine == 0.0


def test_updates_in_ci_are_allowed_by_a_flag_alone(read: Callable[..., Options]) -> None:
    assert not read().allow_update
    assert read("", "--hfmodels-allow-update").allow_update


def test_snapshots_go_into_the_projects_folder(bare_project: Project) -> None:
    bare_project.ini("hfmodels_snapshots = golden/models")
    bare_project.write(
        "from tests.example_records import generation\ndef test_a(hf_snapshot):\n"
        "    assert generation() == hf_snapshot\n",
        "checks/test_it.py",
    )

    bare_project.run("--snapshot-update")

    assert (bare_project.path / "golden/models/checks/test_it/test_a.toml").is_file()
    assert bare_project.snapshots == {}


@pytest.mark.parametrize(
    ("ini", "arguments", "said"),
    [
        ("", ["--hfmodels-engines=torch,jax"], "--hfmodels-engines names an unknown engine: jax."),
        ("hfmodels_engines = flax", [], "the ini key hfmodels_engines names an unknown engine: flax."),
        ("", ["--hfmodels-require=jax"], "--hfmodels-require names an unknown engine: jax."),
        ("hfmodels_require = jax", [], "the ini key hfmodels_require names an unknown engine: jax."),
    ],
)
def test_an_unknown_engine_is_refused(bare_project: Project, ini: str, arguments: list[str], said: str) -> None:
    bare_project.write(NOTHING)
    bare_project.ini(ini)

    lines = refused(bare_project, *arguments)

    assert [line.strip() for line in lines] == [f"ERROR: {said}", "The engines are torch and tensorflow."]


@pytest.mark.parametrize(
    ("ini", "arguments", "said", "choices"),
    [
        ("", ["--hfmodels-checkpoints=all"], "--hfmodels-checkpoints is 'all'.", "bundled, hub"),
        ("hfmodels_checkpoints = all", [], "the ini key hfmodels_checkpoints is 'all'.", "bundled, hub"),
        ("", ["--hfmodels-near-tie=pass"], "--hfmodels-near-tie is 'pass'.", "fail, warn"),
        ("hfmodels_near_tie = pass", [], "the ini key hfmodels_near_tie is 'pass'.", "fail, warn"),
        ("", ["--hfmodels-on-mutation=fatal"], "--hfmodels-on-mutation is 'fatal'.", "warn, error"),
        ("hfmodels_on_mutation = fatal", [], "the ini key hfmodels_on_mutation is 'fatal'.", "warn, error"),
    ],
)
def test_an_unknown_choice_is_refused(
    bare_project: Project, ini: str, arguments: list[str], said: str, choices: str
) -> None:
    bare_project.write(NOTHING)
    bare_project.ini(ini)

    lines = refused(bare_project, *arguments)

    assert [line.strip() for line in lines] == [f"ERROR: {said}", f"It is one of: {choices}."]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("same_engine=close", "has a tolerance of 'close'."),
        ("same_engine=-1", "has a tolerance of '-1'."),
        ("same_engine=nan", "has a tolerance of 'nan'."),
        ("cross_engine=inf", "has a tolerance of 'inf'."),
        ("1e-3", "has '1e-3'."),
        ("other=1e-3", "has 'other=1e-3'."),
    ],
)
def test_a_wrong_tolerance_is_refused(bare_project: Project, value: str, said: str) -> None:
    bare_project.write(NOTHING)
    bare_project.ini(f"hfmodels_tolerance = {value}")

    first, hint = refused(bare_project)

    assert first.lower() == f"error: the ini key hfmodels_tolerance {said}"
    assert hint.strip()


class TestRequire:
    @pytest.fixture(autouse=True)
    def _without(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only torch is installed."""
        specs: dict[str, Any] = {"transformers": object(), "torch": object()}
        monkeypatch.setattr(availability, "find_spec", specs.get)

    @pytest.mark.parametrize("by", ["option", "ini"])
    def test_an_absent_engine_that_is_required_is_refused(self, bare_project: Project, by: str) -> None:
        bare_project.write(NOTHING)
        bare_project.ini("hfmodels_require = torch tensorflow" if by == "ini" else "")

        lines = refused(bare_project, *([] if by == "ini" else ["--hfmodels-require", "torch,tensorflow"]))

        assert [line.strip() for line in lines] == [
            "ERROR: The tensorflow engine is required, but tensorflow is not installed.",
            "Install it, or take it out of --hfmodels-require (ini hfmodels_require).",
        ]

    def test_a_required_engine_that_is_not_selected_is_refused(self, bare_project: Project) -> None:
        bare_project.write(NOTHING)

        first, hint = refused(bare_project, "--hfmodels-require=torch", "--hfmodels-engines=tensorflow")

        assert first == "ERROR: The torch engine is required but not selected: engines are tensorflow."
        assert "--hfmodels-engines" in hint

    def test_a_required_engine_that_is_there_is_fine(self, bare_project: Project) -> None:
        bare_project.write(NOTHING)

        bare_project.run("--hfmodels-require=torch").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("packages", "versions", "said"),
    [
        (("torch",), {}, "transformers is not installed"),
        (("torch", "transformers", "tensorflow"), {"transformers": "5.0.0rc1"}, "transformers 5.0.0rc1 has no"),
        (
            ("torch", "transformers", "tensorflow"),
            {"transformers": "4.57.6", "tensorflow": "2.19.1"},
            "tensorflow 2.19.1 needs tf-keras",
        ),
    ],
    ids=["transformers", "transformers-5", "tf-keras"],
)
def test_a_required_engine_that_does_not_fit_is_refused_with_the_reason(
    bare_project: Project,
    monkeypatch: pytest.MonkeyPatch,
    packages: tuple[str, ...],
    versions: dict[str, str],
    said: str,
) -> None:
    monkeypatch.setattr(availability, "find_spec", lambda name: object() if name in packages else None)
    monkeypatch.setattr(availability, "installed", versions.get)
    bare_project.write(NOTHING)

    first, _ = refused(bare_project, "--hfmodels-require=tensorflow")

    assert first.startswith(f"ERROR: The tensorflow engine is required, but {said}")


@pytest.mark.parametrize(
    ("value", "is_ci"),
    [(None, False), ("", False), ("0", False), ("false", False), ("False", False), ("true", True), ("1", True)],
)
def test_what_counts_as_ci(monkeypatch: pytest.MonkeyPatch, value: str | None, is_ci: bool) -> None:
    monkeypatch.delenv("CI", raising=False)
    if value is not None:
        monkeypatch.setenv("CI", value)

    assert in_ci() is is_ci


def test_options_need_nothing_heavy(bare_project: Project) -> None:
    heavy = ("torch", "transformers", "numpy", "syrupy", "packaging.version")
    source = f"import sys, pytest_hfmodels.options; print(sorted({{*{heavy!r}}} & {{*sys.modules}}))"

    bare_project.run_python("-c", source).stdout.fnmatch_lines(["[[][]]"])


@pytest.mark.parametrize("value", ["", ",", " "])
def test_an_empty_choice_of_engines_is_refused(bare_project: Project, value: str) -> None:
    bare_project.write("def test_it(): pass")

    result = bare_project.run(f"--hfmodels-engines={value}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--hfmodels-engines names no engine.*"])


def test_a_tolerance_without_a_name_in_a_pyproject_is_refused(bare_project: Project) -> None:
    (bare_project.path / "tox.ini").unlink()
    bare_project.write("[tool.pytest.ini_options]\nhfmodels_tolerance = [1e-5]\n", "pyproject.toml")
    bare_project.write("def test_it(): pass")

    result = bare_project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*hfmodels_tolerance has '1e-05'*"])


def test_the_documentation_lists_every_option() -> None:
    page = (Path(__file__).parents[1] / "docs" / "options.md").read_text(encoding="utf-8")
    script = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "write_options.py"))

    assert script["written"](page) == page
