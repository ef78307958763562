"""A number that may not fall by more than a test allows, on rows of a file."""

from __future__ import annotations

import json
import tomllib
import wave
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from packaging.version import Version

from pytest_hfmodels.foundation.errors import EngineError
from pytest_hfmodels.snapshots import Tolerance, compare
from pytest_hfmodels.snapshots.format import dump, load
from tests.explain.asking import ask, blocks_shifted, stored
from tests.tiny_gpt2 import LABELS, tiny_weights, write_weights

if TYPE_CHECKING:
    from pytest_hfmodels import ModelCache
    from tests.project import Project

PROJECTS = Path(__file__).parents[1] / "projects"
TEXTS = [f"{word} {number}" for number in range(5) for word in ("Hello", "No", "Why?", "Yes")]
TEST = """
import pytest

@pytest.mark.hf_model("./model", task="text-classification")
def test_triage(hf_model, hf_snapshot):
    assert hf_model.accuracy("data/rows.jsonl", may_fall={may_fall}) == hf_snapshot
"""


def write_rows(project: Project, rows: list[dict[str, Any]]) -> None:
    project.write("".join(f"{json.dumps(row)}\n" for row in rows), "data/rows.jsonl")


@pytest.fixture
def triage(project: Project, models: ModelCache) -> Project:
    """A project whose model answers every row rightly but the last, recorded."""
    model = models.load("./model", task="text-classification")
    answers = [model.classify(text).labels[0] for text in TEXTS]
    wrong = next(name for name in LABELS if name != answers[-1])
    labels: list[str | int] = [*answers[:-1], wrong]
    labels[0] = LABELS.index(answers[0])  # an index, and a name for the others
    write_rows(project, [{"text": text, "label": label} for text, label in zip(TEXTS, labels, strict=True)])
    project.write(TEST.format(may_fall=0.0))
    project.run("--hfmodels-engines=torch", "--snapshot-update").assert_outcomes(passed=1)
    return project


def test_a_task_without_right_answers_is_refused_before_its_rows_are_read(models: ModelCache) -> None:
    model = models.load("./model", task="feature-extraction")

    with pytest.raises(EngineError, match=r"does not know the task of .*, feature-extraction\."):
        model.accuracy([{"image": "cat.png", "label": "cat"}])


def recorded(project: Project) -> dict[str, Any]:
    return tomllib.loads(project.snapshot("test_it/test_triage.toml").read_text(encoding="utf-8"))


def turn(project: Project) -> None:
    """Write weights of the head that turn every label around."""
    weights = tiny_weights()
    weights["score.weight"] = -weights["score.weight"]
    write_weights(project.path / "model", weights)


def test_what_is_recorded(triage: Project) -> None:
    snapshot = recorded(triage)

    assert snapshot["accuracy"]["value"] == 0.95
    assert (snapshot["accuracy"]["rows"], snapshot["accuracy"]["wrong"]) == (20, 1)
    assert [row[:2] for row in snapshot["wrong"]] == [[20, TEXTS[-1]]]
    triage.run("--hfmodels-engines=torch").assert_outcomes(passed=1)


@pytest.mark.parametrize(("before", "after"), [("value = 0.95", "value = 0.99"), ("rows = 20", "rows = 21")])
def test_an_edited_file_is_refused(triage: Project, before: str, after: str) -> None:
    recorded(triage)
    file = triage.snapshot("test_it/test_triage.toml")
    file.write_text(file.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")

    result = triage.run("--hfmodels-engines=torch")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*accuracy.value*"])


def test_a_fall_says_which_rows_flipped(triage: Project) -> None:
    turn(triage)

    result = triage.run("--hfmodels-engines=torch", "--hfmodels-json=results.json")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*recorded*0.95*", "*now*", "*of 20 rows flipped: 1, 2, *"])
    result.stdout.no_fnmatch_line("*moved by at most*")
    (test,) = json.loads((triage.path / "results.json").read_text(encoding="utf-8"))["tests"]
    assert test["comparisons"][0]["explanation"]["cause"] == "checkpoint:weights"


def test_a_snapshot_of_an_earlier_version_passes(triage: Project) -> None:
    file = triage.snapshot("test_it/test_triage.toml")
    lines = file.read_text(encoding="utf-8").partition("[forward]")[0].splitlines(keepends=True)
    lines = [line for line in lines if not line.startswith("tokens =")]
    lines += ["[forward]\n", 'columns = ["block", "mean", "rms", "probe"]\n', "blocks = []\n"]
    file.write_text("".join(lines), encoding="utf-8")

    triage.run("--hfmodels-engines=torch").assert_outcomes(passed=1)
    turn(triage)
    triage.run("--hfmodels-engines=torch").assert_outcomes(failed=1)


def test_a_fall_that_is_allowed_passes_and_leaves_the_file(triage: Project) -> None:
    triage.write(TEST.format(may_fall=1))
    triage.run("--hfmodels-engines=torch", "--snapshot-update").assert_outcomes(passed=1)
    before = recorded(triage)
    turn(triage)

    triage.run("--hfmodels-engines=torch", "--snapshot-update").assert_outcomes(passed=1)

    assert recorded(triage) == before


def test_other_rows_are_another_test(triage: Project) -> None:
    file = triage.path / "data" / "rows.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))

    result = triage.run("--hfmodels-engines=torch", "-vv")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*changed: the test itself: rows differs*"])


def test_a_name_that_is_a_number_is_not_taken_for_an_index(models: ModelCache) -> None:
    """A number is an index, a text is a name first; no row has two right answers."""
    model = models.load("./model", task="text-classification", id2label={0: "1", 1: "2", 2: "0"})
    (answer,) = model.classify("Hello").labels

    def right(label: str | int) -> bool:
        return model.accuracy([{"text": "Hello", "label": label}]).value == 1

    assert [name for name in ("0", "1", "2") if right(name)] == [answer]
    assert [("1", "2", "0")[index] for index in range(3) if right(index)] == [answer]


def test_labels_of_one_name_cannot_be_told_apart(models: ModelCache) -> None:
    model = models.load("./model", task="text-classification", id2label={0: "cat", 1: "dog", 2: "cat"})

    with pytest.raises(EngineError, match=r"./model calls 2 labels 'cat': 0, 2\."):
        model.accuracy([{"text": "Hello", "label": 2}])


def test_a_language_model_answers_or_picks(models: ModelCache) -> None:
    model = models.load("./model")
    said = model.tokenizer.decode(list(model.generate("Hi", max_new_tokens=4).ids))
    scores = dict(zip(("aa", "zz"), model.score([("Hi", "aa"), ("Hi", "zz")]).total, strict=True))
    rows = [
        {"prompt": "Hi", "answer": said},
        {"prompt": "Hi", "answer": f"not {said}"},
        {"prompt": "Hi", "choices": ["aa", "zz"], "answer": max(scores, key=scores.__getitem__)},
        {"prompt": "Hi", "choices": ["aa", "zz"], "answer": ["aa", "zz"].index(min(scores, key=scores.__getitem__))},
    ]

    record = model.accuracy(rows, text="prompt", label="answer", max_new_tokens=4)

    assert record.value == 0.5
    assert [row.number for row in record.wrong] == [2, 4]


@pytest.mark.parametrize("picks", [False, True], ids=["outputs", "choices"])
def test_a_fault_of_the_forward_pass_is_found_on_the_first_row(models: ModelCache, picks: bool) -> None:
    model = models.load("./model")
    said = model.tokenizer.decode(list(model.generate("Hi", max_new_tokens=4).ids), skip_special_tokens=True).strip()
    rows: list[dict[str, Any]] = [{"text": "Hi", "label": said}]
    rows = [{"text": "Hi", "choices": ["aa", "zz"], "label": 0}, *rows] if picks else rows
    recorded = stored(model.accuracy(rows, max_new_tokens=4))

    with blocks_shifted(model.model, 1, 0.5):
        found = ask(recorded, model.accuracy(rows, max_new_tokens=4))

    assert (found.verdict, found.cause, found.block) == ("changed", "forward", "block 2 or final norm")


def test_a_fault_of_the_search_is_not_blamed_on_the_forward_pass(
    models: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    model, best = models.load("./model"), torch.argmax
    said = model.tokenizer.decode(list(model.generate("Hi", max_new_tokens=4).ids), skip_special_tokens=True).strip()
    rows = [{"text": "Hi", "label": said}]
    recorded = stored(model.accuracy(rows, max_new_tokens=4))

    def second(values: Any, *arguments: Any, **keywords: Any) -> Any:
        is_vocabulary = values.ndim == 2 and values.shape[-1] == model.config.vocab_size
        return values.topk(2, dim=-1).indices[..., 1] if is_vocabulary else best(values, *arguments, **keywords)

    monkeypatch.setattr(torch, "argmax", second)
    found = ask(recorded, model.accuracy(rows, max_new_tokens=4))

    assert (found.verdict, found.cause) == ("changed", None)
    assert "the blocks are as recorded on the first rows" in found.sentence


def test_rows_may_be_images(models: ModelCache, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="install pillow (the extra `tests`)")
    vision = models.load(PROJECTS / "vision_classifier" / "model")
    shades = np.broadcast_to((10 * np.arange(24)).astype(np.uint8)[:, None, None], (24, 24, 3))
    image.fromarray(shades).save(tmp_path / "shades.png")
    (label,) = vision.classify(shades).labels
    wrong = next(name for name in ("cat", "dog") if name != label)

    record = vision.accuracy(
        [
            {"image": str(tmp_path / "shades.png"), "label": label},
            {"image": shades, "label": label},
            {"image": shades, "label": wrong},
        ]
    )

    assert record.value == pytest.approx(2 / 3)
    assert record.wrong[0].text.startswith("image 24 x 24 x 3 uint8 sha256:")
    assert record.processed
    assert record.blocks
    again = load(dump(record), tmp_path / "a.toml")
    assert compare(again, record, Tolerance(1e-6)).verdict == "same"
    with pytest.raises(EngineError, match=r"none\.png cannot be read"):
        vision.accuracy([{"image": "none.png", "label": label}])
    with pytest.raises(EngineError, match="Row 1 of the list has no image 'image' or no answer 'label'"):
        vision.accuracy([{"text": "cat", "label": label}])


@pytest.mark.skipif(Version(version("transformers")) < Version("4.38"), reason="Whisper's drawn checkpoint needs 4.38")
def test_rows_may_be_sounds(models: ModelCache, tmp_path: Path) -> None:
    speech = models.load(PROJECTS / "transcription" / "model")
    sound, rate = np.sin(np.arange(1600) / 9).astype(np.float32), 16000
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((sound * 32767).astype("<i2").tobytes())
    said = speech.generate(audio=sound, sampling_rate=rate, max_new_tokens=4)
    text = " ".join(speech.tokenizer.decode(list(said.ids), skip_special_tokens=True).split())

    record = speech.accuracy(
        [
            {"audio": str(tmp_path / "a.wav"), "label": text or "x"},
            {"audio": {"array": sound, "sampling_rate": rate}, "label": f"not {text}"},
        ],
        max_new_tokens=4,
    )

    assert [row.number for row in record.wrong] == [2]
    assert record.wrong[0].text.startswith("audio 1600 float32 sha256:")


@pytest.mark.parametrize(
    ("rows", "settings", "said"),
    [
        ([], {}, "There are no rows in the list"),
        ([{"text": "Hi"}], {}, "Row 1 of the list has no text 'text' or no answer 'label'."),
        ([{"text": "Hi", "label": "other"}], {}, "./model has no label 'other'."),
        ([{"text": "Hi", "label": "a", "choices": "ab"}], {}, "has choices that are not a list of texts."),
        ([{"text": "Hi", "label": "c", "choices": ["a", "b"]}], {}, "the answer 'c', but its choices do not include"),
        ([{"text": "Hi", "label": "a", "choices": ["a"]}], {}, "needs two or more different choices."),
        (
            [{"text": "Hi", "label": "a", "choices": ["a", "a"]}],
            {},
            "needs two or more different choices.",
        ),
        ([{"text": "Hi", "label": " "}], {}, "has an empty answer ' ', with which every output begins."),
        (None, {}, "rows are a JSONL file or a list of dicts, not None."),
        (5, {}, "rows are a JSONL file or a list of dicts, not 5."),
        ([{"text": "Hi", "label": "calm"}], {"may_fall": 2}, "may_fall is 2."),
        ("data/none.jsonl", {}, "The rows cannot be read"),
        ("./model/merges.txt", {}, "Line 1 of merges.txt is not JSON"),
    ],
)
def test_bad_rows_are_a_sentence(models: ModelCache, rows: Any, settings: dict[str, Any], said: str) -> None:
    model = models.load("./model", task="text-classification")

    with pytest.raises(EngineError, match=said):
        model.accuracy(rows, **settings)
