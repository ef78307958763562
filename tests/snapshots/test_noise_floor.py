from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from packaging.version import Version

from ..explain.asking import RELEASE
from ..pending_project import pending_files, run
from ..tiny_gpt2 import tiny_weights, write_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_hfmodels import HFModel, ModelCache

    from ..project import Project

TEST = """
import pytest
import torch

@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    torch.set_num_threads({threads})
    yield
    torch.set_num_threads(before)

@pytest.mark.hf_model("./model", dtype="{dtype}", attention="{attention}")
def test_reply(hf_model, hf_snapshot):
    assert hf_model.generate("{prompt}", max_new_tokens=8) == hf_snapshot
"""
OWN = {"float32": 2e-5, "bfloat16": 2e-2}
DTYPES = [*OWN]
NAME = "test_it/test_reply.toml"


def source(dtype: str, *, threads: int = 2, attention: str = "eager", prompt: str = "Hi") -> str:
    return TEST.format(dtype=dtype, threads=threads, attention=attention, prompt=prompt)


def floor_in(project: Project) -> float | None:
    found: float | None = project.recorded()["provenance"].get("noise_floor")
    return found


def moved_by(project: Project, amount: float) -> None:
    """Write the first token's log-probability, raw and processed, `amount` away from where it was."""
    file = project.snapshot()
    step = project.recorded()["steps"]["rows"][0]
    text = file.read_text(encoding="utf-8")
    for number in {*step[2:4]}:
        text = text.replace(f"{number!r}", f"{number + amount:.9g}")
    file.write_text(text, encoding="utf-8")


def noisy(project: Project, *, scale: float = 6.0) -> None:
    """Give the project weights that amplify rounding: attention that is nearly a choice, and large logits."""
    weights = tiny_weights()
    write_weights(
        project.path / "model",
        {
            name: value * scale if name.endswith(("wte.weight", "c_attn.weight")) else value
            for name, value in weights.items()
        },
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("is_noisy", [False, True], ids=["quiet", "noisy"])
def test_a_file_holds_in_other_right_computations_and_fails_beyond_three_floors(
    project: Project, dtype: str, is_noisy: bool
) -> None:
    if is_noisy:
        noisy(project)
    project.write(source(dtype))
    project.run("--snapshot-update").assert_outcomes(passed=1)
    floor = floor_in(project)

    assert floor is not None
    assert floor > OWN[dtype] if is_noisy else floor >= OWN[dtype]
    kernels = ("eager", "sdpa") if Version("4.48") <= RELEASE else ("eager",)
    for kernel in kernels:
        project.write(source(dtype, threads=1, attention=kernel))
        project.run().assert_outcomes(passed=1)
    moved_by(project, 3 * floor)
    project.write(source(dtype))
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*drift: *", "*moved by at most*3 times this model's noise floor*"])


def test_recording_again_without_a_change_leaves_the_file(project: Project) -> None:
    project.write(source("bfloat16"))
    project.run("--snapshot-update").assert_outcomes(passed=1)
    written = project.snapshots[NAME]

    project.run("--snapshot-update").assert_outcomes(passed=1)

    assert project.snapshots[NAME] == written


def test_an_update_of_the_same_model_keeps_the_floor_that_another_machine_measured(project: Project) -> None:
    project.write(source("float32"))
    project.run("--snapshot-update").assert_outcomes(passed=1)
    project.snapshot().write_text(project.snapshots[NAME].replace("noise_floor = 2e-05", "noise_floor = 3e-05"))

    project.write(source("float32", prompt="Hello"))
    project.run("--snapshot-update").assert_outcomes(passed=1)

    assert project.recorded()["prompt"]["text"] == "Hello"
    assert floor_in(project) == 3e-5


def test_weights_that_a_test_has_written_are_no_rounding(project: Project) -> None:
    project.write(
        "import pytest\n\n@pytest.mark.hf_model('./model')\n"
        "def test_reply(hf_model, hf_snapshot):\n"
        "    hf_model.model.transformer.wte.weight.data.mul_(1.5)\n"
        "    assert hf_model.generate('Hi', max_new_tokens=8) == hf_snapshot\n"
    )

    project.run("--snapshot-update")

    assert floor_in(project) in (None, OWN["float32"])


def test_a_hook_that_was_removed_before_the_comparison_is_no_rounding(project: Project) -> None:
    project.write(
        "import pytest\n\n@pytest.mark.hf_model('./model')\n"
        "def test_reply(hf_model, hf_snapshot):\n"
        "    layer = hf_model.model.transformer.h[0].mlp\n"
        "    hook = layer.register_forward_hook(lambda module, given, output: output * 1.2)\n"
        "    record = hf_model.generate('Hi', max_new_tokens=8)\n"
        "    hook.remove()\n"
        "    assert record == hf_snapshot\n"
    )

    project.run("--snapshot-update").assert_outcomes(passed=1)

    assert floor_in(project) is None


def test_other_weights_are_measured_again(project: Project) -> None:
    project.write(source("float32"))
    project.run("--snapshot-update").assert_outcomes(passed=1)
    before = floor_in(project)

    noisy(project)
    project.run("--snapshot-update").assert_outcomes(passed=1)

    after = floor_in(project)
    assert before is not None
    assert after is not None
    assert after > before


def test_a_file_of_an_earlier_version_keeps_the_tolerance_of_its_dtype(project: Project) -> None:
    project.write(source("float32"))
    project.run("--snapshot-update").assert_outcomes(passed=1)
    project.snapshot().write_text(project.snapshots[NAME].replace("noise_floor = 2e-05\n", ""))

    moved_by(project, 9e-5)
    project.run().assert_outcomes(passed=1)
    moved_by(project, 9e-5)
    project.run("--snapshot-update").assert_outcomes(passed=1)

    assert floor_in(project) is None


@pytest.mark.parametrize("stated", ["2e-3", "0.0", "-2e-5", "inf", "nan", '"much"'])
def test_a_file_must_not_state_a_floor_that_rounding_cannot_reach(project: Project, stated: str) -> None:
    project.write(source("float32"))
    project.run("--snapshot-update").assert_outcomes(passed=1)
    project.snapshot().write_text(project.snapshots[NAME].replace("noise_floor = 2e-05", f"noise_floor = {stated}"))

    result = project.run()

    result.assert_outcomes(failed=1)
    assert re.search(r"test_reply\.toml:\d+: provenance\.noise_floor: ", result.stdout.str())


def test_a_passing_comparison_measures_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(source("float32"))
    project.run("--snapshot-update").assert_outcomes(passed=1)

    monkeypatch.setattr("pytest_hfmodels.kinds.rounding.measured_floor", None)

    project.run().assert_outcomes(passed=1)


def test_a_missing_file_saves_what_an_update_writes(project: Project) -> None:
    project.write(source("float32"))

    run(project)

    (pending,) = pending_files(project)
    assert "noise_floor = 2e-05" in pending["text"]


def observed(models: ModelCache, what: str) -> Any:
    bot: HFModel = models.load("./model")
    if what == "classify":
        return models.load("./model", task="text-classification", pad_token_id=0).classify(["Hello", "Good dog"])
    if what == "embed":
        return models.load("./model", task="feature-extraction", pad_token_id=0).embed(["Hello", "Good dog"])
    made: dict[str, Callable[[], Any]] = {
        "generate": lambda: bot.generate("Hi", max_new_tokens=4),
        "beams": lambda: bot.generate("Hi", max_new_tokens=4, num_beams=2),
        "blocking": lambda: bot.generate("Hi", max_new_tokens=4, no_repeat_ngram_size=1),
        "batch": lambda: bot.generate(["Hi", "Hello"], max_new_tokens=4),
        "score": lambda: bot.score(["Hello", "Good dog"]),
        "observe": lambda: bot.observe(input_ids=[[72, 105]]),
    }
    return made[what]()


@pytest.mark.parametrize(
    ("what", "ways"),
    [
        ("generate", 3),
        ("beams", 3),
        ("blocking", 2),
        ("batch", 3),
        ("score", 3),
        ("classify", 3),
        ("embed", 3),
        ("observe", 2),
    ],
)
def test_every_kind_is_computed_in_other_ways(
    models: ModelCache, monkeypatch: pytest.MonkeyPatch, what: str, ways: int
) -> None:
    import torch

    from pytest_hfmodels.kinds import rounding

    found: list[float] = []

    def state(moved: list[float], dtype: str, exact: list[float]) -> float:
        found.extend((*moved, *exact))
        return float(dtype == "float32")

    monkeypatch.setattr(rounding, "stated_floor", state)
    before = torch.get_num_threads()

    assert rounding.measured_floor(observed(models, what)) == 1.0
    assert torch.get_num_threads() == before
    assert len(found) == ways
    assert 0 < max(found) < 2e-5


def test_a_record_is_measured_even_if_its_kind_cannot_name_other_ways(
    models: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_hfmodels.kinds import rounding
    from pytest_hfmodels.kinds.registry import kind_of

    record = observed(models, "observe")

    def fail(*_: object) -> None:
        raise ValueError("no ways")

    monkeypatch.setattr(type(kind_of(record).explainer()), "other_ways", fail)

    assert rounding.measured_floor(record) == 2e-5


def test_a_kernel_that_is_wrong_is_no_rounding(models: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_hfmodels.kinds import rounding

    record = observed(models, "generate")
    origin = record.live.made_by.origin
    wrong = models.load("./model", layer_norm_epsilon=1e-3).loaded
    right = origin.again

    def again(**changes: Any) -> Any:
        return wrong if "attention" in changes else right(**changes)

    monkeypatch.setattr(origin, "again", again)

    assert rounding.measured_floor(record) == 2e-5


def test_a_model_that_the_test_has_changed_is_not_compared_with_its_checkpoint(
    models: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from pytest_hfmodels.kinds import rounding

    found: list[float] = []
    monkeypatch.setattr(rounding, "stated_floor", lambda moved, *_: found.extend(moved))
    model = models.load("./model", layer_norm_epsilon=2e-5)
    with torch.no_grad():
        model.model.transformer.h[0].attn.c_proj.bias += 1e-4

    rounding.measured_floor(model.generate("Hi", max_new_tokens=4))

    assert len(found) == 2
    assert max(found) < 2e-5
