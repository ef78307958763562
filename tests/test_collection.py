from __future__ import annotations

import tomllib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.engines import availability

from .surroundings import needs_both_engines

if TYPE_CHECKING:
    from .project import Project


@pytest.fixture
def both_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both engines look installed; nothing is loaded at collection."""
    monkeypatch.setattr(availability, "missing", lambda _: None)
    monkeypatch.setattr("pytest_hfmodels.engines.missing", lambda _: None)


@pytest.fixture
def only_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow is not installed."""
    specs: dict[str, Any] = {"transformers": object(), "torch": object()}
    monkeypatch.setattr(availability, "find_spec", specs.get)


def collected(project: Project, *arguments: str) -> list[str]:
    """Return the ids that a run collects, without the file."""
    lines = project.run("--collect-only", "-q", *arguments).stdout.lines
    return [line.partition("::")[2] for line in lines if "::" in line]


@pytest.mark.usefixtures("both_engines")
class TestIds:
    def test_a_model_test_runs_once_per_installed_engine(self, bare_project: Project) -> None:
        bare_project.write("def test_a(gpt2): pass")

        assert collected(bare_project) == ["test_a[torch]", "test_a[tensorflow]"]
        assert collected(bare_project, "--hfmodels-engines=tensorflow") == ["test_a[tensorflow]"]

    def test_a_marked_test_runs_on_torch_unless_it_says_otherwise(self, bare_project: Project) -> None:
        bare_project.write("""
import pytest

@pytest.mark.hf_model("./model")
def test_default(hf_model): pass

@pytest.mark.hf_model("./model", engines=["tensorflow", "torch"])
def test_both(hf_model): pass

@pytest.mark.hf_model(checkpoint="./model", engines="tensorflow")
def test_one(hf_model): pass
""")

        assert collected(bare_project) == [
            "test_default[torch]",
            "test_both[torch]",
            "test_both[tensorflow]",
            "test_one[tensorflow]",
        ]
        assert collected(bare_project, "--hfmodels-engines=torch") == [
            "test_default[torch]",
            "test_both[torch]",
            "test_one[unselected]",
        ]

    def test_a_marker_may_narrow_the_engines_of_a_bundled_model(self, bare_project: Project) -> None:
        bare_project.write("""
import pytest

@pytest.mark.hf_model("tiny-gpt2", engines=["tensorflow"])
def test_a(gpt2): pass
""")

        assert collected(bare_project) == ["test_a[tensorflow]"]

    def test_two_model_fixtures_run_on_one_engine_at_a_time(self, bare_project: Project) -> None:
        bare_project.write("""
import pytest

@pytest.mark.hf_model("./model", engines=["torch", "tensorflow"])
def test_pair(gpt2, hf_model): pass
""")

        assert collected(bare_project) == ["test_pair[torch]", "test_pair[tensorflow]"]

    def test_the_engine_comes_first_among_other_parameters(self, bare_project: Project) -> None:
        bare_project.write("""
import pytest

@pytest.fixture(params=["x", "y"])
def letter(request): return request.param

@pytest.mark.parametrize("b", ["p-q"])
@pytest.mark.parametrize("a", [1, 2])
def test_a(a, b, gpt2): pass

class TestOf:
    @pytest.mark.parametrize("a", ["torch"])
    def test_b(self, a, gpt2): pass

def test_c(letter, gpt2): pass

def pytest_generate_tests(metafunc):
    if "own" in metafunc.fixturenames:
        metafunc.parametrize("own", ["first"])

def test_d(own, gpt2): pass
""")

        assert collected(bare_project, "--hfmodels-engines=torch") == [
            "test_a[torch-1-p-q]",
            "test_a[torch-2-p-q]",
            "TestOf::test_b[torch-torch]",
            "test_c[torch-x]",
            "test_c[torch-y]",
            "test_d[torch-first]",
        ]

    def test_an_engine_that_a_marker_invents_fails_its_own_test(self, bare_project: Project) -> None:
        bare_project.write("""
import pytest

@pytest.mark.hf_model("./model", engines=["jax"])
def test_a(hf_model): pass

def test_b(): pass
""")

        result = bare_project.run()

        result.assert_outcomes(errors=1, passed=1)
        result.stdout.fnmatch_lines(["*The hf_model marker names an unknown engine: jax.", "*torch and tensorflow.*"])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "def test_a(hf_model): pass",
            "test_it.py::test_a[[]torch[]] asks for hf_model, but nothing names its checkpoint.",
        ),
        (
            "@pytest.mark.hf_model\ndef test_a(hf_model): pass",
            "The hf_model marker of test_it.py::test_a[[]torch[]] names no checkpoint.",
        ),
        (
            "@pytest.mark.hf_model(engines=['torch'])\ndef test_a(hf_model): pass",
            "The hf_model marker of test_it.py::test_a[[]torch[]] names no checkpoint.",
        ),
        (
            "@pytest.mark.hf_model(3)\ndef test_a(hf_model): pass",
            "The hf_model marker of test_it.py::test_a names no checkpoint.",
        ),
        (
            "@pytest.mark.hf_model('./a', './b')\ndef test_a(hf_model): pass",
            "The hf_model marker of test_it.py::test_a names no checkpoint.",
        ),
    ],
    ids=["no-marker", "bare", "engines-only", "number", "two"],
)
def test_a_marker_without_a_checkpoint_fails_its_own_test_only(bare_project: Project, source: str, said: str) -> None:
    bare_project.write(f"import pytest\n\n{source}\n\ndef test_other(): pass\n")

    result = bare_project.run()

    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines([f"*{said}", "*@pytest.mark.hf_model(*"])
    result.stdout.no_fnmatch_line("*fixtures.py*")


NAMES_ITS_MODELS = """
import unittest
from pathlib import Path

import pytest

pytestmark = pytest.mark.hf_model("./base")

@pytest.mark.hf_model(["./a", "./models/b"], dtype="float16")
def test_list(hf_model):
    assert hf_model.keywords == {"dtype": "float16"}

@pytest.mark.hf_model(["./a", "./b"])
def test_late(request):
    assert request.node.name == f"test_late[torch-{request.getfixturevalue('hf_model').name}]"

@pytest.mark.hf_model(dtype="float16")
@pytest.mark.parametrize("hf_model", ["./a", Path("b")], indirect=True)
def test_indirect(hf_model):
    assert (hf_model.name, hf_model.keywords) in [("./a", {"dtype": "float16"}), ("./b", {"dtype": "float16"})]

@pytest.mark.parametrize("text, name", [
    pytest.param("x", "./a", marks=pytest.mark.hf_model("./a", pad_token_id=1)),
    pytest.param("y", "./b", marks=pytest.mark.hf_model("./b")),
    ("z", "./base"),
])
def test_on_parameters(hf_model, text, name):
    assert (hf_model.name, hf_model.keywords) == (name, {"pad_token_id": 1} if text == "x" else {})

@pytest.mark.hf_model(dtype="float16")
@pytest.mark.parametrize("hf_model", [
    pytest.param("./a", marks=pytest.mark.hf_model(dtype="bfloat16")), "./b",
], indirect=True)
def test_one_by_one(hf_model):
    assert hf_model.keywords == {"dtype": "bfloat16" if hf_model.name == "./a" else "float16"}

def test_module(hf_model):
    assert hf_model.name == "./base"

@pytest.mark.hf_model(["./c", "./d"])
class TestClass:
    def test_class(self, hf_model):
        assert hf_model.name in ("./c", "./d")

    @pytest.mark.hf_model("./e")
    def test_method(self, hf_model):
        assert hf_model.name == "./e"

    def test_without(self):
        pass

class TestCase(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def own(self, hf_model):
        self.name = hf_model.name

    def test_case(self):
        self.assertEqual(self.name, "./base")
"""


@pytest.fixture
def named(bare_project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose models are the requests for them, so that no engine is needed."""
    monkeypatch.setattr("pytest_hfmodels.fixtures.serving._serve", _named)
    return bare_project


def _named(request: object, models: object, wanted: Any) -> Any:
    del request, models
    if getattr(wanted, "problem", None) is not None:
        raise wanted.problem
    return SimpleNamespace(name=wanted.checkpoint, engine=wanted.engine, keywords=wanted.keywords)


def test_a_test_runs_once_for_each_model_that_it_names(named: Project) -> None:
    named.write(NAMES_ITS_MODELS)

    expected = [
        "test_list[torch-./a]",
        "test_list[torch-./models/b]",
        "test_late[torch-./a]",
        "test_late[torch-./b]",
        "test_indirect[torch-./a]",
        "test_indirect[torch-hf_model1]",
        "test_on_parameters[torch-x-./a]",
        "test_on_parameters[torch-y-./b]",
        "test_on_parameters[torch-z-./base]",
        "test_one_by_one[torch-./a]",
        "test_one_by_one[torch-./b]",
        "test_module[torch]",
        "TestClass::test_class[torch-./c]",
        "TestClass::test_class[torch-./d]",
        "TestClass::test_method[torch]",
        "TestClass::test_without",
        "TestCase::test_case",
    ]
    assert sorted(collected(named)) == sorted(expected)  # pytest groups them by model
    named.run().assert_outcomes(passed=17)


def test_each_model_has_a_snapshot_of_its_own(project: Project) -> None:
    project.copy_model("other")
    project.write("""
import pytest

@pytest.mark.hf_model(["./model", "./other"])
def test_list(hf_model, hf_snapshot):
    assert hf_model.generate("Hi", max_new_tokens=1) == hf_snapshot

@pytest.mark.parametrize("hf_model", ["./model", "./other"], indirect=True)
def test_indirect(hf_model, hf_snapshot):
    assert hf_model.generate("Hi", max_new_tokens=1) == hf_snapshot
""")

    project.run("--snapshot-update", "--hfmodels-engines=torch").assert_outcomes(passed=4)

    assert list(project.snapshots) == [
        f"test_it/test_{test}[._{model}].toml" for test in ("indirect", "list") for model in ("model", "other")
    ]
    names = {tomllib.loads(text)["checkpoint"]["name"] for text in project.snapshots.values()}
    assert names == {"./model", "./other"}


def test_two_models_never_share_a_file(bare_project: Project) -> None:
    bare_project.write("""
import pytest

@pytest.mark.hf_model(["./a/b", "./a_b"])
def test_a(hf_model, hf_snapshot): pass
""")

    assert bare_project.run().ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize(
    ("above", "arguments", "said"),
    [
        (
            '@pytest.mark.hf_model("./a")\n@pytest.mark.parametrize("hf_model", ["./b"], indirect=True)',
            "hf_model",
            "*test_a[[]torch-./b[]] names more than one model: ./a, ./b.",
        ),
        (
            '@pytest.mark.hf_model("./a")\n'
            '@pytest.mark.parametrize("p", [pytest.param(1, marks=pytest.mark.hf_model("./b"))])',
            "hf_model, p",
            "*test_a[[]torch-1[]] names more than one model: ./a, ./b.",
        ),
        (
            '@pytest.mark.parametrize("hf_model", [pytest.param("./a", marks=pytest.mark.hf_model("./b"))], '
            "indirect=True)",
            "hf_model",
            "*test_a[[]torch-./a[]] names more than one model: ./b, ./a.",
        ),
        (
            '@pytest.mark.parametrize("p", [pytest.param(1, marks=pytest.mark.hf_model("./b", engines=["torch"]))])',
            "hf_model, p",
            "*The hf_model marker on a parameter of *test_a[[]torch-1[]] names engines*",
        ),
        (
            '@pytest.mark.parametrize("p", [pytest.param(1, marks=pytest.mark.hf_model("./b", device="cuda"))])',
            "hf_model, p",
            "*The hf_model marker on a parameter of *test_a[[]torch-1[]] names devices*",
        ),
        (
            '@pytest.mark.parametrize("hf_model", [3], indirect=True)',
            "hf_model",
            "*The parameter of *test_a[[]torch-3[]] for hf_model names no checkpoint.",
        ),
        (
            '@pytest.mark.parametrize("gpt2", ["./model"], indirect=True)',
            "gpt2",
            "*gpt2 was parametrised with './model', but it is always tiny-gpt2.",
        ),
        ('@pytest.mark.hf_model(["./a", ""])', "hf_model", "*The hf_model marker of *test_a names no checkpoint."),
        (
            '@pytest.mark.hf_model("./a")\n@pytest.mark.hf_model("./b")',
            "hf_model",
            "*test_it.py::test_a has several hf_model markers, and only one counts.",
        ),
        (
            '@pytest.mark.hf_model(dtype="bfloat16")\n@pytest.mark.hf_model("./b")',
            "hf_model",
            "*test_it.py::test_a has several hf_model markers, and only one counts.",
        ),
    ],
    ids=["indirect", "parameter", "both", "engines", "devices", "number", "bundled", "empty", "two", "dtype"],
)
def test_a_model_that_is_named_badly_fails_its_own_test(
    bare_project: Project, above: str, arguments: str, said: str
) -> None:
    bare_project.write(f"import pytest\n\n{above}\ndef test_a({arguments}): pass\n\ndef test_other(): pass\n")

    result = bare_project.run("--hfmodels-engines=torch")

    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines([said])


def test_stacked_markers_of_a_unittest_test_are_refused(bare_project: Project) -> None:
    bare_project.write("""
import unittest

import pytest

class TestBot(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def own(self, hf_model):
        self.bot = hf_model

    @pytest.mark.hf_model("./a")
    @pytest.mark.hf_model("./b")
    def test_a(self): pass
""")

    result = bare_project.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*TestBot::test_a has several hf_model markers, and only one counts."])


def test_a_unittest_test_takes_one_model(bare_project: Project) -> None:
    bare_project.write("""
import unittest

import pytest

@pytest.mark.hf_model(["./a", "./b"])
class TestBot(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def own(self, hf_model):
        self.bot = hf_model

    def test_a(self): pass
""")

    result = bare_project.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*TestBot::test_a names more than one model: ./a, ./b.", "*unittest.TestCase*"])


@pytest.mark.usefixtures("both_engines")
def test_a_test_that_no_selected_engine_runs_is_skipped_with_the_reason(bare_project: Project) -> None:
    bare_project.write("""
import pytest

@pytest.mark.hf_model("./model", engines=["tensorflow"])
def test_a(hf_model): pass
""")

    result = bare_project.run("--hfmodels-engines=torch", "-rs")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*runs on tensorflow only, and the selected engines are torch*"])


@pytest.mark.usefixtures("only_torch")
def test_an_engine_that_is_not_there_is_skipped_with_the_reason(bare_project: Project) -> None:
    bare_project.write("""
import pytest

@pytest.mark.hf_model("./model", engines=["tensorflow"])
def test_marked(hf_model): pass

def test_selected(gpt2): pass
""")

    by_marker = bare_project.run("-rs", "-k", "marked")
    by_option = bare_project.run("-rs", "-k", "selected", "--hfmodels-engines=tensorflow")

    for result in (by_marker, by_option):
        result.assert_outcomes(skipped=1, deselected=1)
        result.stdout.fnmatch_lines(["SKIPPED*the tensorflow engine is not available: tensorflow is not installed"])
    assert collected(bare_project, "-k", "selected") == ["test_selected[torch]"]


@pytest.fixture
def limited(both_engines: None, named: Project) -> Project:
    """A project whose models are names only, so that engine limits show without an engine."""
    del both_engines
    return named


LIMIT = """
import pytest

@pytest.mark.hf_model("./model", engines=["torch", "tensorflow"])
@pytest.mark.hf_engine_xfail("tensorflow", reason="knows no multi-label loss"{raises})
def test_loss(hf_model):
    {body}
"""


def test_a_known_limit_is_an_expected_failure_on_its_engine(limited: Project) -> None:
    limited.write(LIMIT.format(raises="", body="assert hf_model.engine == 'torch'"))

    result = limited.run("-rx")

    result.assert_outcomes(passed=1, xfailed=1)
    result.stdout.fnmatch_lines(["XFAIL*test_loss[[]tensorflow[]] - tensorflow: knows no multi-label loss*"])


def test_a_limit_that_no_longer_exists_fails(limited: Project) -> None:
    limited.write(LIMIT.format(raises="", body="pass"))

    result = limited.run()

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["[[]XPASS(strict)[]] tensorflow: knows no multi-label loss"])


def test_a_limit_is_of_one_exception(limited: Project) -> None:
    body = "raise KeyError('other')"
    limited.write(LIMIT.format(raises="", body=f"if hf_model.engine == 'tensorflow': {body}"))
    other = limited.run()
    limited.write(LIMIT.format(raises=", raises=KeyError", body=f"if hf_model.engine == 'tensorflow': {body}"))
    named = limited.run()

    other.assert_outcomes(passed=1, failed=1)
    named.assert_outcomes(passed=1, xfailed=1)


@pytest.mark.usefixtures("both_engines")
class TestSnapshotFiles:
    def test_engines_share_a_file(self, bare_project: Project) -> None:
        bare_project.write("def test_a(gpt2, hf_snapshot): pass")

        assert collected(bare_project) == ["test_a[torch]", "test_a[tensorflow]"]

    def test_two_tests_never_share_a_file(self, bare_project: Project) -> None:
        bare_project.write("""
import pytest

@pytest.mark.parametrize("text", ["a/b", "a:b"])
def test_a(gpt2, hf_snapshot, text): pass
""")

        result = bare_project.run()

        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(
            [
                "ERROR: Two tests share the snapshot file *test_it/test_a[[]a_b[]].toml: "
                "test_a[[]a/b[]] and test_a[[]a:b[]].",
                "*Give their parameters ids that differ in letters and digits: pytest.param(*",
            ]
        )

    def test_tests_without_snapshots_may_be_called_anything(self, bare_project: Project) -> None:
        bare_project.write("""
import pytest

@pytest.mark.parametrize("text", ["a/b", "a:b"])
def test_a(gpt2, text): pass
""")

        assert len(collected(bare_project)) == 4


RECORDING = """
from tests.example_records import generation

def test_model(hf_snapshot):
    assert generation() == hf_snapshot

def test_plain(snapshot):
    assert "text" == snapshot
"""


@pytest.mark.parametrize("flag", ["--snapshot-update", "--snapshot-update-new-only"])
def test_snapshots_are_not_written_in_ci(bare_project: Project, monkeypatch: pytest.MonkeyPatch, flag: str) -> None:
    bare_project.write(RECORDING)
    monkeypatch.setenv("CI", "true")

    result = bare_project.run(flag)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: Snapshots are not written in CI, and 1 selected tests use hf_snapshot "
            "(first test_it.py::test_model).",
            "*add --hfmodels-allow-update.",
        ]
    )
    assert bare_project.snapshots == {}


def test_an_update_in_ci_is_refused_only_if_it_would_write_ours(
    bare_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare_project.write(RECORDING)
    monkeypatch.setenv("CI", "true")

    plain = bare_project.run("--snapshot-update", "-k", "plain")
    without_update = bare_project.run("-k", "plain")
    allowed = bare_project.run("--snapshot-update", "--hfmodels-allow-update")
    monkeypatch.setenv("CI", "false")
    elsewhere = bare_project.run("--snapshot-update")

    plain.assert_outcomes(passed=1, deselected=1)
    plain.stdout.fnmatch_lines(["1 snapshot generated."])
    without_update.assert_outcomes(passed=1, deselected=1)
    allowed.assert_outcomes(passed=2)
    elsewhere.assert_outcomes(passed=2)


@pytest.mark.parametrize(("first", "second"), [("Hello", "hello"), ("STRASSE", "straße"), ("caf\u00e9", "cafe\u0301")])
def test_files_that_differ_in_case_or_unicode_form_alone_are_refused(
    bare_project: Project, first: str, second: str
) -> None:
    bare_project.ini("disable_test_id_escaping_and_forfeit_all_rights_to_community_support = true")
    bare_project.write(f"""
import pytest

@pytest.mark.parametrize("text", [{first!r}, {second!r}])
def test_a(hf_snapshot, text): pass
""")

    result = bare_project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: Two tests have snapshot files that macOS or Windows treats as one: "
            f"*test_a[[]{first}[]].toml and *test_a[[]{second}[]].toml.",
            "*Rename one, or use pytest.param(…, id=…), with names that differ in more than case and accents.",
        ]
    )


def test_folders_that_differ_in_case_alone_are_refused(bare_project: Project) -> None:
    bare_project.write("def test_a(hf_snapshot): pass", "test_bot.py")
    bare_project.write("def test_a(hf_snapshot): pass", "test_Bot.py")

    assert bare_project.run().ret == pytest.ExitCode.USAGE_ERROR


def test_a_refusal_reads_the_same_under_xdist(bare_project: Project) -> None:
    pytest.importorskip("xdist")
    bare_project.write(
        RECORDING
        + """
import pytest

@pytest.mark.parametrize("text", ["a/b", "a:b"])
def test_shared(hf_snapshot, text): pass
"""
    )

    shared = bare_project.run_alone("-n1")
    in_ci = bare_project.run_alone("-n1", "--snapshot-update", "-k", "not shared", environment={"CI": "true"})

    shared.assert_outcomes(passed=0, failed=1, errors=3)
    shared.stdout.fnmatch_lines(["Two tests share the snapshot file *"])
    in_ci.assert_outcomes(passed=1, errors=1)
    in_ci.stdout.fnmatch_lines(["Snapshots are not written in CI, and 1 selected tests use hf_snapshot *"])
    for result in (shared, in_ci):
        result.stdout.no_fnmatch_line("*INTERNALERROR*")
    assert bare_project.snapshots == {}


@needs_both_engines
def test_engines_share_a_file_under_xdist(project: Project) -> None:
    pytest.importorskip("xdist")
    project.write("""
import pytest

@pytest.mark.hf_model("./model", engines=["torch", "tensorflow"])
def test_reply(hf_model, hf_snapshot):
    assert hf_model.generate("Hi", max_new_tokens=2) == hf_snapshot
""")
    project.ini("hfmodels_engines = torch tensorflow")

    result = project.run_alone("-n1", "--snapshot-update")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["hfmodels: *; engines: torch, tensorflow; *", "1 snapshot passed. 1 snapshot generated."]
    )
    assert list(project.snapshots) == ["test_it/test_reply.toml"]


OWN = """
import pytest

@pytest.fixture
def gpt2():
    return "mine"

def test_own_fixture(gpt2):
    assert gpt2 == "mine"

@pytest.mark.parametrize("hf_model", ["a", "b"])
def test_own_parameter(hf_model):
    assert hf_model in "ab"

@pytest.fixture(params=[1, 2])
def transfo_xl(request):
    return request.param

def test_own_parametrised_fixture(transfo_xl):
    assert transfo_xl in (1, 2)
"""


def test_a_projects_own_names_are_not_touched(bare_project: Project) -> None:
    bare_project.write(OWN)

    result = bare_project.run("-v")

    result.assert_outcomes(passed=5)
    result.stdout.no_fnmatch_line("*hfmodels: *")
    result.stdout.fnmatch_lines(["*::test_own_fixture PASSED*", "*::test_own_parameter[[]a[]] PASSED*"])


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ('hf_model("./m", engines=5)', "names its engines in a form that cannot be read"),
        ('hf_model("./m", engines=[])', "names its engines in a form that cannot be read"),
        ('hf_model("./m", engine="torch")', "names its engines in a form that cannot be read"),
        ('hf_model("./m"), pytest.mark.hf_engine_xfail("torch")', "hf_engine_xfail marker * is not understood"),
        ('hf_model("./m"), pytest.mark.hf_engine_xfail("torhc", reason="x")', "names an unknown engine: torhc"),
    ],
)
def test_a_marker_that_is_not_understood_fails_its_own_test(bare_project: Project, marker: str, said: str) -> None:
    bare_project.write(
        f"import pytest\nMARKS = [pytest.mark.{marker}]\n"
        "@pytest.mark.parametrize('x', [pytest.param(1)])\n"
        "def test_other(x): pass\n"
        "def test_marked(hf_model): pass\n"
        "for mark in MARKS[0] if isinstance(MARKS[0], tuple) else MARKS: test_marked = mark(test_marked)\n"
    )

    result = bare_project.run()

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([f"*{said}*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_snapshot_requested_late_is_also_refused_in_ci(
    bare_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare_project.write(
        "from tests.example_records import generation\n"
        "def test_late(request):\n    assert generation() == request.getfixturevalue('hf_snapshot')\n"
    )
    monkeypatch.setenv("CI", "true")

    result = bare_project.run("--snapshot-update")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Snapshots are not written in CI*"])
    assert bare_project.snapshots == {}
