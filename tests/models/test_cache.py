from __future__ import annotations

import json
import os
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError
from typing import TYPE_CHECKING, Any
from weakref import ref

import pytest

from pytest_hfmodels import CheckpointError, EngineError, ModelCache
from pytest_hfmodels.models.arguments import infer_task
from pytest_hfmodels.models.memory import free_memory, has_room_again

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_hfmodels import HFModel

    from ..project import Project


@pytest.fixture
def cache(models: ModelCache, tiny_gpt2: Path, tmp_path: Path) -> ModelCache:
    """An empty cache over a folder of its own, with a checkpoint in `./model`."""
    del models
    shutil.copytree(tiny_gpt2, tmp_path / "model")
    return ModelCache(tmp_path)


@pytest.mark.parametrize(
    ("architectures", "task"),
    [
        (["GPT2LMHeadModel"], "text-generation"),
        (["GPT2ForSequenceClassification"], "text-classification"),
        (None, "text-generation"),
    ],
)
def test_the_task_is_what_the_configuration_says(
    cache: ModelCache, tmp_path: Path, architectures: list[str] | None, task: str
) -> None:
    file = tmp_path / "model" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "architectures": architectures}))

    handle = cache.load("./model")

    assert handle.task == task
    assert infer_task(handle.checkpoint) == task


def test_two_folders_with_the_same_weights_are_two_models(cache: ModelCache, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "model", tmp_path / "other")

    assert cache.load("./model").model is not cache.load("./other").model
    assert cache.loads == 2


def test_a_changed_model_is_evicted_and_its_handles_stay_good(cache: ModelCache) -> None:
    handle, same = cache.load("./model"), cache.load("./model")
    handle.config.n_inner = 7

    found = list(cache.dirty())
    again = list(cache.dirty())

    assert found == [("./model (text-generation, torch)", ["config.n_inner: null -> 7"])]
    assert again == []
    assert handle.config.n_inner is None
    assert handle.model is same.model
    assert cache.loads == 2


def test_a_data_write_shows_when_weights_are_read(cache: ModelCache) -> None:
    cache.load("./model").model.transformer.ln_f.bias.data.add_(1)

    assert list(cache.dirty()) == []
    assert list(cache.dirty(weights=True)) == [
        ("./model (text-generation, torch)", ["weights or buffers were written in place"])
    ]


def test_a_checkpoint_without_a_tokenizer_takes_no_text(cache: ModelCache, tmp_path: Path) -> None:
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"):
        (tmp_path / "model" / name).unlink()
    handle = cache.load("./model")

    assert (handle.tokenizer, handle.processor) == (None, None)
    assert handle.forward([[1, 2]]).logits.shape == (1, 2, 257)
    for call in (handle.generate, handle.embed, cache.load("./model", task="text-classification").classify):
        with pytest.raises(EngineError, match=r"./model has no tokenizer, so it takes no text.") as raised:
            call("Hi")
        assert "tokenizer.save_pretrained(folder)" in raised.value.hint


def test_an_adopted_model_is_described(cache: ModelCache) -> None:
    handle = cache.load("./model", task="text-classification")

    adopted = cache.adopt(handle.model, handle.tokenizer)

    assert adopted.task == "text-classification"
    assert adopted.checkpoint.name == "GPT2ForSequenceClassification"
    assert adopted.checkpoint.digests.weights.startswith("sha256:")
    with pytest.raises(EngineError, match="not dict"):
        cache.adopt({}, handle.tokenizer)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that were inspected, in order."""
    from pytest_hfmodels.models.fingerprint import Fingerprint

    found: list[str] = []
    original = Fingerprint.of

    def of(loaded: Any, *arguments: Any, **keywords: Any) -> Fingerprint:
        found.append(type(loaded.model).__name__)
        return original(loaded, *arguments, **keywords)

    monkeypatch.setattr(Fingerprint, "of", of)
    return found


def test_only_models_that_a_test_requested_or_may_hold_are_inspected(cache: ModelCache, seen: list[str]) -> None:
    handle = cache.load("./model")
    handle.generate("Hi", max_new_tokens=1)
    list(cache.dirty())
    seen.clear()

    list(cache.dirty(handed_out=True))
    assert seen == []
    model = handle.model  # in the test's own body
    list(cache.dirty())
    seen.clear()
    list(cache.dirty(handed_out=True))
    assert seen == []
    model = handle.model  # in a fixture
    cache.fixtures_are_set_up()
    list(cache.dirty())
    seen.clear()
    list(cache.dirty())
    assert seen == []
    model.config.n_inner = 7

    assert list(cache.dirty(handed_out=True)) == [("./model (text-generation, torch)", ["config.n_inner: null -> 7"])]


def test_tests_without_a_model_inspect_nothing(project: Project, seen: list[str]) -> None:
    project.write("""
import pytest

@pytest.mark.hf_model("./model")
def test_model(hf_model):
    hf_model.generate("Hi", max_new_tokens=1)

@pytest.mark.parametrize("number", range(20))
def test_nothing(number):
    pass
""")

    project.run().assert_outcomes(passed=21)

    assert len(seen) <= 3  # when it was loaded, after its test, and at the session's end


def test_a_tokenizer_is_serialised_only_at_the_end_of_the_session(
    cache: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = cache.load("./model")
    kind = type(handle.tokenizer)
    written: list[int] = []
    backend = handle.tokenizer.backend_tokenizer

    class Counting:
        def __getattr__(self, name: str) -> Any:
            if name == "to_str":
                written.append(1)
            return getattr(backend, name)

    monkeypatch.setattr(kind, "backend_tokenizer", property(lambda _: Counting()))

    list(cache.dirty())
    assert written == []
    list(cache.dirty(weights=True))
    assert written == [1]


KEEPING = """
def kept(models=[]):
    return models

def test_keeping(hf_models):
    kept().append(hf_models.load("./model").model)

def test_changing():
    kept().pop().config.n_inner = 7

def test_after(hf_models):
    assert hf_models.load("./model").config.n_inner is None
    assert hf_models.loads == 2
"""


def test_a_change_through_a_kept_reference_is_reported_at_the_end(project: Project) -> None:
    """A function's closure is not searched. No test is blamed, not even the next one that requests the model."""
    project.write(KEEPING)

    result = project.run()
    refused = project.run("--hfmodels-on-mutation", "error")

    result.assert_outcomes(passed=3, warnings=0)
    result.stdout.fnmatch_lines(
        [
            "*- hfmodels -*",
            "*./model (text-generation, torch), after test_it.py::test_keeping: config.n_inner: null -> 7*",
        ]
    )
    assert refused.ret == pytest.ExitCode.TESTS_FAILED


HOLDING = """
import pytest

@pytest.fixture(scope="session")
def model(hf_models):
    return {value}

def test_before(model):
    pass

def test_changing(model):
    {change}.config.n_inner = 7

def test_after(hf_models):
    hf_models.load("./model")
"""


@pytest.mark.parametrize(
    ("value", "change"),
    [
        ('hf_models.load("./model").model', "model"),
        ('(hf_models.load("./model").model, 1)', "model[0]"),
        ('{"model": hf_models.load("./model").model}', 'model["model"]'),
        ('type("Bot", (), {"m": hf_models.load("./model").model})()', "model.m"),
        ('hf_models.load("./model").loaded', "model.model"),
    ],
)
def test_a_model_in_a_fixture_is_inspected_after_the_tests_of_the_fixture(
    project: Project, value: str, change: str
) -> None:
    project.write(HOLDING.format(value=value, change=change))

    result = project.run()

    result.assert_outcomes(passed=3, warnings=1)
    result.stdout.fnmatch_lines(["*DirtyModelWarning: test_it.py::test_changing changed a shared model*"])


def test_low_memory_releases_models_without_a_handle(
    cache: ModelCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("second", "third"):
        shutil.copytree(tmp_path / "model", tmp_path / name)
    held = cache.load("./model")
    lost = ref(cache.load("./second").model)
    list(cache.dirty())
    monkeypatch.setattr("pytest_hfmodels.models.cache.free_memory", lambda: 1000)

    cache.load("./third")

    assert lost() is None
    assert held.model is cache.load("./model").model
    assert cache.loads == 3


def test_calls_from_several_threads_do_not_mix(cache: ModelCache) -> None:
    handle = cache.load("./model")
    settings: list[dict[str, Any]] = [
        {"max_new_tokens": 1 + number % 4, "num_beams": 1 + number % 3} for number in range(32)
    ]

    def call(given: dict[str, Any]) -> Any:
        return handle.generate("Hello", **given)

    with ThreadPoolExecutor(8) as threads:
        records = list(threads.map(call, settings))

    assert [{name: record.effective[name] for name in ("num_beams",)} for record in records] == [
        {"num_beams": given["num_beams"]} for given in settings
    ]
    assert records == [call(given) for given in settings]
    assert list(cache.dirty(weights=True)) == []


def test_threads_that_ask_together_load_once(cache: ModelCache) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: cache.load("./model").model, range(8)))

    assert len({id(model) for model in found}) == 1
    assert cache.loads == 1


def test_two_models_in_two_threads_leave_the_warning_filters_as_they_were(
    cache: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    handles = [cache.load("./model"), cache.load("./model", pad_token_id=3)]
    inside, overlap = Barrier(2), []

    def slow(original: Any) -> Any:
        def generate(*arguments: Any, **keywords: Any) -> Any:
            with suppress(BrokenBarrierError):  # it breaks if only one thread at a time gets here
                inside.wait(timeout=0.2)
                overlap.append(True)
            return original(*arguments, **keywords)

        return generate

    for handle in handles:
        monkeypatch.setattr(handle.model, "generate", slow(handle.model.generate))
    before = list(warnings.filters)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda handle: handle.generate("Hi", max_new_tokens=2), handles))

    assert warnings.filters == before
    assert overlap == []


def test_memory_is_freed_for_an_adopted_model_too(cache: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    import copy

    handle = cache.load("./model")
    lost = ref(cache.adopt(copy.deepcopy(handle.model), handle.tokenizer).model)
    monkeypatch.setattr("pytest_hfmodels.models.cache.free_memory", lambda: 0)

    cache.adopt(handle.model, handle.tokenizer)

    assert lost() is None


def test_a_change_is_named_even_if_its_model_was_released(
    cache: ModelCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tmp_path / "model", tmp_path / "second")
    cache.load("./model").model.config.n_inner = 7
    monkeypatch.setattr("pytest_hfmodels.models.cache.free_memory", lambda: 0)
    cache.load("./second")

    assert list(cache.dirty()) == [("./model (text-generation, torch)", ["config.n_inner: null -> 7"])]
    assert list(cache.dirty(weights=True)) == []


def rewrite(folder: Path, *, scale: float = 2.0) -> None:
    """Write other weights of the same size, with the times of the old file."""
    from safetensors.numpy import load_file, save_file

    file = folder / "model.safetensors"
    said = file.stat()
    weights = {
        name: values * scale if name.endswith("ln_f.bias") else values for name, values in load_file(file).items()
    }
    save_file(weights, file, metadata={"format": "pt"})
    os.utime(file, ns=(said.st_atime_ns, said.st_mtime_ns))


def bias(handle: HFModel) -> float:
    return float(handle.model.transformer.ln_f.bias[0].detach())


def test_a_rewritten_folder_is_loaded_again(cache: ModelCache, tmp_path: Path) -> None:
    before = cache.load("./model")
    old, digests = bias(before), before.checkpoint.digests
    list(cache.dirty())
    rewrite(tmp_path / "model")

    now = cache.load("./model")

    assert bias(now) == pytest.approx(2 * old)
    assert now.checkpoint.digests.weights != digests.weights
    assert before.model is now.model  # a handle of the session follows
    assert (cache.loads, len(cache._entries)) == (2, 1)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_other_files_that_were_rewritten_are_noticed_too(cache: ModelCache, tmp_path: Path, name: str) -> None:
    handle = cache.load("./model")
    list(cache.dirty())
    file = tmp_path / "model" / name
    file.write_text(json.dumps({**json.loads(file.read_text()), "layer_norm_epsilon": 0.5, "model_max_length": 64}))

    assert (handle.config.layer_norm_epsilon, handle.tokenizer.model_max_length) in ((0.5, 128), (1e-5, 64))


def test_a_model_stays_the_same_while_a_test_runs(cache: ModelCache, tmp_path: Path) -> None:
    before = cache.load("./model")
    old = before.model
    rewrite(tmp_path / "model")

    now = cache.load("./model")

    assert before.model is old
    assert bias(now) == pytest.approx(2 * bias(before))
    assert before._fetch().again() is None  # the old files are gone
    assert now._fetch().again() is not None


def test_files_that_were_only_copied_again_load_nothing(cache: ModelCache, tmp_path: Path) -> None:
    handle = cache.load("./model")
    list(cache.dirty())
    shutil.copytree(tmp_path / "model", tmp_path / "copy")
    shutil.rmtree(tmp_path / "model")
    assert handle.model is not None  # the folder is gone, the model is not
    (tmp_path / "copy").rename(tmp_path / "model")
    list(cache.dirty())

    assert cache.load("./model").model is handle.model
    assert cache.loads == 1


def test_a_digest_that_no_longer_fits_is_refused(cache: ModelCache, tmp_path: Path) -> None:
    digest = cache.load("./model").checkpoint.digests.weights
    cache.load("./model", digest=digest)
    list(cache.dirty())
    rewrite(tmp_path / "model")

    with pytest.raises(CheckpointError, match="its weights are not the expected ones"):
        cache.load("./model", digest=digest)


TRAINING = """
import pytest
from pathlib import Path
from safetensors.numpy import load_file, save_file

@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_trained(hf_models, hf_snapshot, scale):
    file = Path("model/model.safetensors")
    weights = load_file(file)
    weights["transformer.ln_f.bias"] *= scale
    save_file(weights, file, metadata={"format": "pt"})
    assert hf_models.load("./model").generate("Hi", max_new_tokens=2) == hf_snapshot
"""


def test_each_test_records_the_weights_that_it_wrote(project: Project) -> None:
    project.write(TRAINING)

    project.run("--snapshot-update").assert_outcomes(passed=2)

    digests = {text.split('weights = "')[1].split('"')[0] for text in project.snapshots.values()}
    assert len(digests) == 2


MIB = 1024 * 1024


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({"meminfo": "MemTotal: 9 kB\nMemAvailable:    2048 kB\n"}, 2 * MIB),
        ({"meminfo": "MemAvailable: 2048 kB", "memory.max": "max", "memory.current": "5", "memory.stat": ""}, 2 * MIB),
        (  # cached files can be dropped
            {
                "meminfo": "MemAvailable: 9999999 kB",
                "memory.max": f"{8 * MIB}\n",
                "memory.current": f"{7 * MIB}\n",
                "memory.stat": f"anon 3\ninactive_file {4 * MIB}\n",
            },
            5 * MIB,
        ),
        (
            {
                "memory/memory.limit_in_bytes": f"{8 * MIB}",
                "memory/memory.usage_in_bytes": f"{9 * MIB}",
                "memory/memory.stat": "total_inactive_file 0",
            },
            0,
        ),
        ({"meminfo": "nothing of the kind"}, None),
        ({}, None),
    ],
)
def test_free_memory_is_what_machine_and_container_leave(
    tmp_path: Path, files: dict[str, str], free: int | None
) -> None:
    folder = write(tmp_path, files)

    assert free_memory(meminfo=folder / "meminfo", cgroups=folder) == free


@pytest.mark.parametrize(
    ("free", "dtype", "wanted", "fits"),
    [
        (31, "float32", "float32", True),
        (30, "float32", "float32", False),
        (31, "float32", "float64", True),  # the file, and twice as much
        (51, "bfloat16", "float64", True),
        (50, "bfloat16", "float64", False),
        (31, "float32", "bfloat16", True),
        (None, "float32", "float32", True),
    ],
)
def test_a_model_is_loaded_again_only_into_free_memory(
    monkeypatch: pytest.MonkeyPatch, free: int | None, dtype: str, wanted: str, fits: bool
) -> None:
    monkeypatch.setattr("pytest_hfmodels.models.memory.free_memory", lambda: free)

    assert has_room_again(10, dtype, wanted) == fits
    assert not has_room_again(500_000_001, dtype, wanted)


@pytest.mark.parametrize(("wanted", "fits"), [("float32", True), ("float64", False)])
def test_where_nobody_knows_what_is_free_the_size_in_the_other_dtype_counts(
    monkeypatch: pytest.MonkeyPatch, wanted: str, fits: bool
) -> None:
    monkeypatch.setattr("pytest_hfmodels.models.memory.free_memory", lambda: None)

    assert has_room_again(300_000_000, "float32", wanted) == fits
