from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .project import GENERATING
from .surroundings import needs_both_engines

if TYPE_CHECKING:
    from .project import Project


def test_markers_are_registered(bare_project: Project) -> None:
    bare_project.write("""
import pytest

@pytest.mark.hf_tolerance(1e-3)
@pytest.mark.hf_engine_xfail("tensorflow", reason="-")
@pytest.mark.hf_model("./model")
def test_nothing():
    pass
""")

    listed = bare_project.run("--markers")
    strict = bare_project.run("--strict-markers")

    listed.stdout.fnmatch_lines_random(
        [
            "@pytest.mark.hf_model(checkpoint, *, task=None, engines=('torch',)*",
            "@pytest.mark.hf_tolerance(same_engine=None, cross_engine=None)*",
            "@pytest.mark.hf_engine_xfail(engine, *, reason, raises=None)*",
        ]
    )
    strict.assert_outcomes(passed=1)


def test_options_and_ini_keys_are_explained(bare_project: Project) -> None:
    lines = bare_project.run("--help").stdout.lines
    group = lines[lines.index("Hugging Face model regression (pytest-hfmodels):") + 1 :]
    group = group[: group.index("")]

    options = [line.split()[0].partition("=")[0] for line in group if line.startswith("  --")]
    assert options == [
        "--hfmodels-engines",
        "--hfmodels-require",
        "--hfmodels-checkpoints",
        "--hfmodels-near-tie",
        "--hfmodels-device",
        "--hfmodels-on-mutation",
        "--hfmodels-transfo-xl",
        "--hfmodels-allow-update",
        "--hfmodels-baseline",
        "--hfmodels-model",
        "--hfmodels-durations",
        "--hfmodels-json",
        "--hfmodels-html",
        "--hfmodels-markdown",
        "--hfmodels-patch",
        "--hfmodels-profile",
    ]
    keys = {line.split()[0] for line in lines if line.startswith("  hfmodels_")}
    assert keys == {
        *("hfmodels_engines", "hfmodels_require", "hfmodels_checkpoints", "hfmodels_near_tie", "hfmodels_on_mutation"),
        "hfmodels_transfo_xl",
        *("hfmodels_device", "hfmodels_snapshots", "hfmodels_tolerance"),
    }


def test_the_header_names_versions_engines_and_source(bare_project: Project) -> None:
    bare_project.write("def test_nothing(): pass")
    bare_project.ini("hfmodels_engines = torch", "hfmodels_checkpoints = hub")

    lines = bare_project.run().stdout.lines

    header = next(line for line in lines if line.startswith("hfmodels: "))
    assert "torch " in header
    assert "transformers " in header
    assert header.endswith("; engines: torch; checkpoints: bundled and local, hub downloads allowed")
    assert lines.index(header) < next(n for n, line in enumerate(lines) if line.startswith("rootdir: "))


def test_the_header_follows_collection_if_only_a_test_uses_the_plugin(bare_project: Project) -> None:
    bare_project.write("""
import pytest

@pytest.mark.hf_model("./model")
def test_model(hf_model):
    pass
""")

    lines = bare_project.run("--collect-only").stdout.lines

    header = next(n for n, line in enumerate(lines) if line.startswith("hfmodels: "))
    assert lines[header].endswith("; engines: torch; checkpoints: bundled, local and cached (no downloads)")
    assert lines[header - 1] == "collected 1 item"


def test_an_unused_plugin_prints_nothing(bare_project: Project) -> None:
    bare_project.write("def test_nothing(): pass")

    bare_project.run().stdout.no_fnmatch_line("hfmodels: *")
    bare_project.run("-v").stdout.no_fnmatch_line("hfmodels: *")


def test_a_mismatch_shows_the_first_token_that_differs(bare_project: Project) -> None:
    source = """
from tests.example_records import STEPS, generation, live, swapped
from pytest_hfmodels.kinds import Step

def test_reply(hf_snapshot):
    steps = {steps}
    assert generation(steps, live=live(steps, drift=-1.0)) == hf_snapshot
"""
    bare_project.write(source.format(steps="STEPS"))
    bare_project.run("--snapshot-update")
    bare_project.write(source.format(steps='swapped(1, Step(14, " but", -0.125, -0.125, 1.25, 13, " and"))'))

    result = bare_project.run("-vv")

    result.stdout.fnmatch_lines(
        [
            "E*changed: generated token 2 differs (snapshots/test_it/test_reply.toml)",
            "E*recorded My name is Ada⟦ and⟧ I",
            "E*now      My name is Ada⟦ but⟧ I",
            "E*' and' had 60.7 %, ' but' 13.5 %; now ' but' has 88.2 %, ' and' 25.3 %",
            "E*' and' (id 13) had -0.5, margin 1.5; now -1.5, moved by 1",
            "E*' but' (id 14) now has -0.125, margin 1.25",
            "E*why: the model that made this output is no longer in memory, *",
            "E*- it is not a near-tie: recorded by a margin of 1.5 and now the other way by 1.4 *",
            "E*numbers up to there moved by at most 0 (tolerance 0.0001)",
            "E*recorded My name is Ada ⟦and⟧ I",
            "E*now      My name is Ada ⟦but⟧ I",
            "E*recorded with torch 2.0.0, transformers 4.57.6 (torch, float32, eager, AVX512)",
            "E*now           torch 2.0.0, transformers 4.57.6 (torch, float32, eager, AVX512)",
            "E*accept it: pytest test_it.py::test_reply --snapshot-update",
        ],
        consecutive=True,
    )
    for raw in ("*GenerationRecord(*", "*Step(*processed=*", "*format = 1*", "*snapshots/assertion.py*"):
        result.stdout.no_fnmatch_line(raw)


def test_what_matters_fits_an_explanation_that_pytest_cuts(bare_project: Project) -> None:
    source = """
from tests.example_records import STEPS, generation, swapped
from pytest_hfmodels.kinds import Step

def test_reply(hf_snapshot):
    assert generation({steps}) == hf_snapshot
"""
    bare_project.write(source.format(steps="STEPS"))
    bare_project.run("--snapshot-update")
    bare_project.write(source.format(steps='swapped(1, Step(14, " but", -0.125, -0.125, 1.25, 13, " and"))'))

    result = bare_project.run()

    result.stdout.fnmatch_lines(
        [
            "E*changed: generated token 2 differs *",
            "E*recorded My name is Ada⟦ and⟧ I",
            "E*now      My name is Ada⟦ but⟧ I",
            "E*why: *",
            "E*one more difference: -vv",
            "E*accept it: pytest *",
        ]
    )
    result.stdout.no_fnmatch_line("*Full output truncated*")


def test_our_errors_are_sentences_below_the_line_of_the_test(project: Project) -> None:
    project.write("""
import pytest

@pytest.mark.hf_model("./model")
def test_sampling(hf_model):
    hf_model.generate("Hi", do_sample=True)

@pytest.mark.hf_model("./no-such-model")
def test_absent(hf_model):
    pass

@pytest.mark.hf_model("./model", head="old")
def test_head(hf_model):
    pass
""")

    result = project.run()

    result.assert_outcomes(failed=1, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of test_absent[[]torch[]]*",
            "*Checkpoint './no-such-model': *no-such-model does not exist.",
            "*A local checkpoint is a folder, looked up from *",
            "*ERROR at setup of test_head[[]torch[]]*",
            "*Unknown head 'old'.",
            "*test_sampling*",
            "test_it.py:6: in test_sampling",
            '    hf_model.generate("Hi", do_sample=True)',
            "E*do_sample=True draws tokens at random*",
            "E*Give a seed: generate(*, do_sample=True, seed=0); or leave do_sample out.",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_hfmodels/*")
    result.stdout.no_fnmatch_line("*fixtures.py*")


def test_errors_of_others_keep_their_traceback(bare_project: Project) -> None:
    bare_project.write("def test_plain(): raise ValueError('mine')")

    bare_project.run().stdout.fnmatch_lines(["E*ValueError: mine", "test_it.py:1: ValueError"])


CHANGES = {
    "config": ("hf_model.config.n_inner = 7", "config.n_inner: null -> 7"),
    "generation-config": (
        "hf_model.model.generation_config.num_beams = 3",
        "generation_config.num_beams: * -> 3",
    ),
    "mode": ("hf_model.model.train()", "training mode of *: False -> True*"),
    "in-place": (
        "import torch\n    with torch.no_grad(): hf_model.model.transformer.ln_f.bias.add_(1)",
        "tensor transformer.ln_f.bias was replaced or written in place",
    ),
    "parameter": (
        "import torch\n    hf_model.model.transformer.ln_f.bias = torch.nn.Parameter(torch.zeros(32))",
        "tensor transformer.ln_f.bias was replaced or written in place",
    ),
    "requires-grad": (
        "hf_model.model.transformer.ln_f.bias.requires_grad_(False)",
        "requires_grad of transformer.ln_f.bias: True -> False",
    ),
    "padding-side": ("hf_model.tokenizer.padding_side = 'left'", "tokenizer.padding_side: right -> left"),
    "decoding": (
        "hf_model.tokenizer.clean_up_tokenization_spaces = 'always'",
        "tokenizer.clean_up_tokenization_spaces: * -> 'always'",
    ),
    "pad-token": ("hf_model.tokenizer.pad_token = '!'", "tokenizer.pad_token: (absent) -> !"),
}
CHANGING = """
import pytest

pytestmark = pytest.mark.hf_model("./model")

def test_before(hf_model):
    pytest.loaded = hf_model.model

def test_changing(hf_model):
    {change}

def test_after(hf_model, hf_models):
    assert hf_model.model is not pytest.loaded
    assert hf_models.loads == 2
    assert not hf_model.model.training
    assert hf_model.config.n_inner is None
    assert hf_model.tokenizer.padding_side == "right"
"""


@pytest.mark.parametrize(("change", "named"), CHANGES.values(), ids=CHANGES)
def test_a_test_that_changes_a_shared_model_is_named_and_the_model_reloaded(
    project: Project, change: str, named: str
) -> None:
    project.write(CHANGING.format(change=change))

    result = project.run()

    result.assert_outcomes(passed=3, warnings=1)
    result.stdout.fnmatch_lines(
        [
            "*DirtyModelWarning: test_it.py::test_changing[[]torch[]] changed a shared model "
            "(loaded again for later tests, unless adopted): "
            ""
            f"./model (text-generation, torch): {named}"
        ]
    )


def test_a_fixture_that_fails_at_its_end_does_not_hide_a_changed_model(project: Project) -> None:
    project.write(
        CHANGING.format(change="hf_model.config.n_inner = 7").replace(
            "def test_changing(", "def test_changing(failing, "
        )
        + "\n@pytest.fixture\ndef failing():\n    yield\n    raise ValueError('at the end')\n"
    )

    result = project.run()

    result.assert_outcomes(passed=3, errors=1, warnings=1)
    result.stdout.fnmatch_lines(["*DirtyModelWarning: test_it.py::test_changing[[]torch[]] changed a shared model *"])


def test_a_fixture_that_overrides_another_also_reaches_what_that_one_uses(bare_project: Project) -> None:
    bare_project.write(
        "import pytest\n\n@pytest.fixture\ndef shared(): pass\n\n@pytest.fixture\ndef bot(shared): pass\n",
        "conftest.py",
    )
    bare_project.write(
        """
import pytest
from pytest_hfmodels.fixtures.collection import named_fixtures

@pytest.fixture
def bot(bot): pass

def test_it(bot, request):
    assert named_fixtures(request.node) == {"bot", "shared", "request"}
"""
    )

    bare_project.run().assert_outcomes(passed=1)


def test_a_project_may_call_it_an_error(project: Project) -> None:
    project.write(CHANGING.format(change="hf_model.config.n_inner = 7"))

    by_option = project.run("--hfmodels-on-mutation", "error")
    project.ini("hfmodels_on_mutation = error")
    by_ini = project.run()
    overruled = project.run("--hfmodels-on-mutation", "warn")

    for result in (by_option, by_ini):
        result.assert_outcomes(passed=3, errors=1)
        result.stdout.fnmatch_lines(
            [
                "*ERROR at teardown of test_changing[[]torch[]]*",
                "test_it.py::test_changing[[]torch[]] changed a shared model*config.n_inner: null -> 7",
            ]
        )
        result.stdout.no_fnmatch_line("*plugin.py*")
    overruled.assert_outcomes(passed=3, warnings=1)


def test_tests_that_only_look_are_not_blamed(project: Project) -> None:
    project.write(
        GENERATING
        + """
@pytest.mark.hf_model("./model", task="text-classification", pad_token_id=256)
def test_class(hf_model):
    hf_model.classify(["Hi", "Hello"], labels=[0, 1])
    hf_model.classify("Hi", labels=[[1.0, 0.0, 1.0]])
    hf_model.classify("Hi", labels=[[1.0, 0.0, 1.0]], problem_type="multi_label_classification")

@pytest.mark.hf_model("./model")
def test_look(hf_model):
    import torch

    hf_model.generate("Hi", num_beams=2, max_new_tokens=3, no_repeat_ngram_size=2)
    hf_model.tokenizer(["a", "b"], return_tensors=hf_model.return_tensors)
    hf_model.model(torch.tensor([[1, 2]])).logits.sum().backward
"""
    )

    result = project.run("--snapshot-update", "--hfmodels-on-mutation", "error")

    result.assert_outcomes(passed=3)
    result.stdout.no_fnmatch_line("*changed a shared model*")


def test_a_write_that_bumps_no_version_is_found_at_the_end_of_the_session(project: Project) -> None:
    project.write("""
import pytest

@pytest.mark.hf_model("./model")
def test_data(hf_model):
    hf_model.model.transformer.ln_f.bias.data.add_(1)
""")

    warned = project.run()
    refused = project.run("--hfmodels-on-mutation", "error")

    for result in (warned, refused):
        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(
            [
                "*- hfmodels -*",
                "A shared model changed in this session, but it is not known which test changed it: "
                "./model (text-generation, torch): weights or buffers were written in place",
            ]
        )
    assert warned.ret == pytest.ExitCode.OK
    assert refused.ret == pytest.ExitCode.TESTS_FAILED


def test_a_write_to_a_bundled_model_is_found_at_once(bundled: Project) -> None:
    bundled.write("""
def test_data(gpt2):
    gpt2.model.transformer.ln_f.bias.data.add_(1)

def test_after(gpt2, hf_models):
    assert gpt2.model and hf_models.loads == 2
""")

    result = bundled.run("--hfmodels-engines", "torch")

    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.fnmatch_lines(
        [
            "*test_it.py::test_data[[]torch[]] changed a shared model*tiny-gpt2 (text-generation, torch): "
            "weights or buffers were written in place"
        ]
    )


@needs_both_engines
def test_a_change_of_a_tensorflow_model_is_found(bundled: Project) -> None:
    bundled.write("""
import pytest

def test_config(gpt2):
    gpt2.config.n_inner = 7

def test_weights(gpt2):
    gpt2.model.weights[0].assign_add(gpt2.model.weights[0])

def test_trainable(gpt2):
    gpt2.model.trainable = False

def test_after(gpt2, hf_models):
    assert gpt2.model and hf_models.loads == 4
""")

    result = bundled.run("--hfmodels-engines", "tensorflow")

    result.assert_outcomes(passed=4, warnings=3)
    result.stdout.fnmatch_lines(
        [
            "*test_config[[]tensorflow[]] changed*config.n_inner: null -> 7",
            "*test_weights[[]tensorflow[]] changed*weights or buffers were written in place",
            "*test_trainable[[]tensorflow[]] changed*trainable: True -> False",
        ]
    )


def test_an_adopted_model_is_reported_once_and_kept(project: Project) -> None:
    project.write("""
import pytest

@pytest.fixture(scope="session")
def own(hf_models):
    handle = hf_models.load("./model")
    return hf_models.adopt(handle.model, handle.tokenizer, name="mine")

def test_changing(own):
    own.config.n_inner = 7

def test_after(own):
    assert own.config.n_inner == 7
""")

    result = project.run("-v")

    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.fnmatch_lines(["*test_it.py::test_changing changed a shared model*mine (text-generation, torch): *"])


@pytest.mark.parametrize("fixture", ["hf_models", "hf_snapshot"])
def test_the_header_names_the_engines_that_can_be_used(bare_project: Project, fixture: str) -> None:
    from pytest_hfmodels.engines import usable

    bare_project.write(f"def test_a({fixture}): pass")

    result = bare_project.run("--setup-plan")

    result.stdout.fnmatch_lines([f"hfmodels: *; engines: {', '.join(usable())}; checkpoints: *"])


def test_a_default_length_gives_no_warning(project: Project) -> None:
    project.ini("filterwarnings = error::UserWarning")
    project.write(GENERATING.replace(", max_new_tokens=4", ""))

    project.run("--snapshot-update").assert_outcomes(passed=1)
