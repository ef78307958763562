from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.foundation.errors import EngineUnavailable
from pytest_hfmodels.models.cached_model import CachedModel

from .surroundings import needs_both_engines

if TYPE_CHECKING:
    from .project import Project


def test_a_model_is_loaded_once_for_the_same_arguments(bundled: Project) -> None:
    bundled.write("""
import pytest

def test_bundled(gpt2, hf_models):
    assert hf_models.loads == 1

@pytest.mark.hf_model("tiny-gpt2")
def test_marked(hf_model, gpt2, hf_models):
    assert hf_model.model is gpt2.model
    assert hf_models.loads == 1

def test_by_hand(gpt2, hf_models):
    assert hf_models.load("tiny-gpt2").model is gpt2.model
    assert hf_models.load("tiny-gpt2", task="text-generation", engine="torch", dtype="float32").model is gpt2.model
    assert hf_models.loads == 1

def test_others(gpt2, hf_models):
    others = [
        hf_models.load("./model"),
        hf_models.load("tiny-gpt2", task="text-classification"),
        hf_models.load("tiny-gpt2", pad_token_id=3),
        hf_models.load("tiny-gpt2", dtype="float64"),
    ]
    assert len({id(handle.model) for handle in (gpt2, *others)}) == 5
    assert hf_models.loads == 5
    assert len(hf_models.checkpoints()) == 2
""")

    bundled.run("--hfmodels-engines=torch").assert_outcomes(passed=4)


@needs_both_engines
def test_each_engine_has_its_own_model(bundled: Project) -> None:
    bundled.write("""
import pytest

@pytest.mark.parametrize("time", [1, 2])
def test_twice(gpt2, hf_models, time, request):
    assert f"[{gpt2.engine}-" in request.node.nodeid
    assert type(gpt2.model).__name__ == {"torch": "GPT2LMHeadModel", "tensorflow": "TFGPT2LMHeadModel"}[gpt2.engine]

def test_count(hf_models):
    assert hf_models.loads == 2
""")

    bundled.run().assert_outcomes(passed=5)


def test_model_fixtures_work_under_hypothesis(bundled: Project) -> None:
    pytest.importorskip("hypothesis")
    bundled.write("""
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

few = settings(max_examples=5, deadline=None, derandomize=True, database=None)

@few
@given(prompt=st.lists(st.integers(32, 126), min_size=1, max_size=3))
def test_bundled(gpt2, prompt):
    assert gpt2.generate(prompt, max_new_tokens=1).prompt.ids == tuple(prompt)

@pytest.mark.hf_model("./model")
@few
@given(prompt=st.lists(st.integers(32, 126), min_size=1, max_size=3))
def test_marked(hf_model, hf_models, prompt):
    assert hf_model.forward([prompt]).logits.shape == (1, len(prompt), 257)
    assert hf_models.loads == 2
""")

    bundled.run("--hfmodels-engines=torch").assert_outcomes(passed=2)


def test_a_project_builds_its_own_fixtures_on_ours(bundled: Project) -> None:
    bundled.write("""
import pytest

@pytest.fixture(scope="session")
def bot(gpt2):
    return lambda text: gpt2.generate(text, max_new_tokens=2).text

@pytest.fixture
def marked(hf_model):
    return hf_model.checkpoint.name

def test_bot(bot, hf_snapshot):
    assert bot("Hi").startswith("Hi")

@pytest.mark.hf_model("./model")
def test_marked(marked):
    assert marked == "./model"

def test_late(request):
    assert request.getfixturevalue("gpt2").engine == "torch"

def test_late_without_marker(request):
    request.getfixturevalue("hf_model")
""")

    result = bundled.run("--hfmodels-engines=torch", "-v")

    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*::test_bot[[]torch[]] PASSED*",
            "*::test_late_without_marker asks for hf_model, but nothing names its checkpoint.",
            "*Name the checkpoint on the test: @pytest.mark.hf_model(*",
        ]
    )


def test_a_test_that_pytest_does_not_parametrise_gets_the_model_of_its_marker(project: Project) -> None:
    project.write("""
import unittest

import pytest

@pytest.mark.hf_model("./model")
def test_first(request):
    assert request.getfixturevalue("hf_model").config.pad_token_id is None
    assert request.getfixturevalue("hf_model") is request.getfixturevalue("hf_model")

@pytest.mark.hf_model("./model", pad_token_id=3)
def test_other(request):
    assert request.getfixturevalue("hf_model").config.pad_token_id == 3

@pytest.mark.hf_model("./model", pad_token_id=5)
def test_parametrised(hf_model):
    assert hf_model.config.pad_token_id == 5

@pytest.mark.hf_model("./model", engines=["tensorflow"])
def test_unselected(request):
    request.getfixturevalue("hf_model")

@pytest.mark.hf_model("./model", pad_token_id=7)
class TestBot(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def own(self, hf_model):
        self.bot = hf_model

    def test_class(self):
        self.assertEqual(self.bot.config.pad_token_id, 7)

    @pytest.mark.hf_model("./model", pad_token_id=9)
    def test_method(self):
        self.assertEqual(self.bot.config.pad_token_id, 9)

def test_without(request):
    request.getfixturevalue("hf_model")
""")

    result = project.run("--hfmodels-engines=torch")

    result.assert_outcomes(passed=5, skipped=1, failed=1)
    result.stdout.fnmatch_lines(["*test_it.py::test_without asks for hf_model, but nothing names its checkpoint."])


def test_a_marker_passes_the_arguments_of_load(project: Project) -> None:
    project.write("""
import pytest

@pytest.mark.hf_model("./model", task="text-classification", num_labels=5, head="fixed", pad_token_id=7)
def test_head(hf_model):
    assert hf_model.task == "text-classification"
    assert hf_model.classify(["a", "bc"]).effective["num_labels"] == 5
    assert hf_model.config.pad_token_id == 7

@pytest.mark.hf_model("./model", revision="main")
def test_revision(hf_model):
    pass

@pytest.mark.hf_model("./model", digest="sha256:" + 64 * "0")
def test_digest(hf_model):
    pass
""")

    result = project.run()

    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*revision 'main' was given, but it is a local folder and has no revisions.*",
            "*its weights are not the expected ones: expected sha256:0000*",
        ]
    )


def test_a_model_of_the_project_is_adopted(project: Project) -> None:
    project.write("""
import pytest

@pytest.fixture(scope="session")
def own(hf_models):
    from transformers import AutoTokenizer, GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained("./model").eval()
    return hf_models.adopt(model, AutoTokenizer.from_pretrained("./model"), name="own bot")

def test_own(own, hf_models, hf_snapshot):
    record = own.generate("Hi", max_new_tokens=4)
    assert record.checkpoint.name == "own bot"
    assert record.checkpoint.origin == "adopted"
    assert record.ids == hf_models.load("./model").generate("Hi", max_new_tokens=4).ids
    assert record == hf_snapshot

def test_no_model(hf_models):
    hf_models.adopt(object(), None)
""")

    result = project.run("--snapshot-update")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*adopt() takes a torch or a Keras model, not object.*"])
    assert project.recorded("test_it/test_own.toml")["checkpoint"]["origin"] == "adopted"


def test_an_engine_that_cannot_be_imported_skips_unless_it_is_required(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str, *, with_tensorflow: bool) -> object:
        del with_tensorflow
        raise EngineUnavailable(f"The {name} engine is installed but cannot be imported: no libfoo.", hint="Mend it.")

    monkeypatch.setattr("pytest_hfmodels.engines.engine", broken)
    project.write("""
import pytest

@pytest.mark.hf_model("./model")
def test_a(hf_model): pass
""")

    skipped = project.run("-rs")
    refused = project.run("--hfmodels-require=torch")

    skipped.assert_outcomes(skipped=1)
    skipped.stdout.fnmatch_lines(["SKIPPED*The torch engine is installed but cannot be imported: no libfoo.*"])
    refused.assert_outcomes(errors=1)
    refused.stdout.fnmatch_lines(["*The torch engine is installed but cannot be imported: no libfoo."])
    refused.stdout.no_fnmatch_line("*Traceback*")


@needs_both_engines
def test_a_broken_tensorflow_package_is_a_reason_to_skip_and_spares_torch(project: Project) -> None:
    project.write(
        "raise ImportError('libtensorflow_framework.so.2: cannot open shared object file')",
        "broken/tensorflow/__init__.py",
    )
    project.write("""
import pytest

@pytest.mark.hf_model("./model", engines=["torch", "tensorflow"])
def test_a(hf_model):
    assert hf_model.engine == "torch"
""")
    environment = {"PYTHONPATH": str(project.path / "broken")}

    result = project.run_alone("-rs", environment=environment)

    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*The tensorflow engine is installed but cannot be imported: *"])


def test_a_hub_checkpoint_that_is_not_on_this_machine_skips_with_the_hint(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    project.write("""
import pytest

@pytest.mark.hf_model("openai-community/gpt2")
def test_published(hf_model): pass

def test_by_hand(hf_models):
    hf_models.load("openai-community/gpt2")
""")

    result = project.run("-rs")

    result.assert_outcomes(skipped=1, failed=1)
    result.stdout.fnmatch_lines(["*--hfmodels-checkpoints*hub*"])
    result.stdout.fnmatch_lines(["SKIPPED*openai-community/gpt2*is not in the Hub's cache*"])


HELD = """
import pytest

@pytest.fixture(scope="session", autouse=True)
def held(hf_models):
    return hf_models.load("./model").model

@pytest.fixture
def through(held):
    return None

def test_loads(): pass
def test_empty(): pass
def test_names_it(held): pass
def test_reaches_it(through): pass
"""


def test_a_session_fixture_that_no_test_names_costs_them_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []

    def look(self: CachedModel, test: str, *, weights: bool) -> list[str]:
        del self, weights
        looks.append(test)
        return []

    monkeypatch.setattr(CachedModel, "new_changes", look)
    project.write(HELD)

    project.run().assert_outcomes(passed=4)

    assert [test.rpartition("::")[2] for test in looks] == ["test_loads", "test_names_it", "test_reaches_it", ""]
