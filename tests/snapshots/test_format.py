from __future__ import annotations

import re
import time
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_hfmodels import SnapshotError
from pytest_hfmodels.kinds import Beam, Block, ClassifiedInput, Loss, Prompt, Step
from pytest_hfmodels.kinds.evidence import NORMALIZED
from pytest_hfmodels.kinds.layout import sentences
from pytest_hfmodels.snapshots import dump, load
from pytest_hfmodels.snapshots.format import files, keep_digits, parse, read_snapshot

from ..example_records import EFFECTIVE, STEPS, beams, classification, generation, moved, provenance

if TYPE_CHECKING:
    from pytest_hfmodels.kinds import Record

COMMITTED = Path(__file__).parents[2] / "snapshots"
FILE = Path("snapshots/test_it/test_reply.toml")

# Anything that a tokenizer may decode to; a surrogate is no Unicode text, and no tokenizer returns one.
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
numbers = st.one_of(
    st.floats(-100, 0).map(lambda number: float(f"{number:.9g}")),
    st.sampled_from([0.0, -0.0, float("inf"), -float("inf")]),
)
ids = st.integers(0, 50_000)
steps = st.builds(Step, ids, text, numbers, numbers, numbers, ids, text)
settings_drawn = st.dictionaries(
    st.from_regex(r"[a-z_]{1,12}", fullmatch=True),
    st.one_of(st.booleans(), ids, numbers, text, st.lists(ids, max_size=3)),
    max_size=4,
)
normalized = [st.just(()), st.tuples(*[numbers] * NORMALIZED)]
blocks = st.one_of(
    [st.lists(st.builds(Block, text, numbers, numbers, numbers, more), max_size=3).map(tuple) for more in normalized]
)


def returned(record: Record) -> Record:
    return load(dump(record), FILE)


@settings(deadline=None)
@given(drawn=st.lists(steps, max_size=4).map(tuple), prompt=text, whole=text, effective=settings_drawn, rows=blocks)
def test_a_generation_comes_back_as_it_was_written(
    drawn: tuple[Step, ...], prompt: str, whole: str, effective: dict[str, Any], rows: tuple[Block, ...]
) -> None:
    record = generation(drawn, prompt=Prompt(prompt, (1, 2)), text=whole, effective=effective, blocks=rows)

    assert returned(record) == record


@settings(deadline=None)
@given(
    returned_beams=st.lists(
        st.builds(Beam, st.lists(ids, max_size=4).map(tuple), numbers, text), min_size=1, max_size=3
    ).map(tuple),
    margins=st.lists(numbers, max_size=4).map(tuple),
)
def test_beams_come_back_as_they_were_written(returned_beams: tuple[Beam, ...], margins: tuple[float, ...]) -> None:
    output = tuple(Step(number, "", -0.5, -0.5, 1.0, 1, "") for number in returned_beams[0].ids)  # the first beam
    record = replace(beams(beams=returned_beams, beam_cutoff_margin=margins), steps=output, text=returned_beams[0].text)

    assert returned(record) == record


@settings(deadline=None)
@given(
    inputs=st.lists(
        st.builds(
            ClassifiedInput,
            text,
            st.lists(ids, max_size=4).map(tuple),
            st.lists(numbers, max_size=3).map(tuple),
            text,
            numbers,
            st.lists(text, max_size=2).map(tuple),
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
    loss=st.one_of(st.none(), st.builds(Loss, numbers, st.lists(ids, max_size=3).map(tuple))),
)
def test_a_classification_comes_back_as_it_was_written(inputs: tuple[ClassifiedInput, ...], loss: Loss | None) -> None:
    record = classification(inputs=inputs, loss=loss)

    assert returned(record) == record


def test_a_deep_model_s_file_of_forty_tokens_is_small_and_comes_back() -> None:
    steps = tuple(
        Step(10_000 + n, " token", -1 / (n + 3), -1 / (n + 7), 1 / (n + 9), 20_000 + n, " other") for n in range(40)
    )
    blocks = [Block(f"block {n}", 1 / 7, 1 / 9, 1 / 11, (1 / 3, 1 / 13, 1 / 17, 1 / 19, n / 23)) for n in range(31)]
    record = generation(steps, blocks=tuple(blocks))

    written = dump(record)
    read = load(written, Path("a.toml"))

    assert len(written.encode()) <= 8_000
    assert dump(read) == written
    assert [block.name for block in read.blocks] == [block.name for block in blocks]
    assert read.blocks[-1].mean == pytest.approx(1 / 7)
    assert read.blocks[3].normalized == pytest.approx(blocks[3].normalized, rel=1e-6)
    with pytest.raises(SnapshotError, match=r"forward\.columns: the columns are not block, direction 1"):
        load(written.replace('"direction 2"', '"direction two"'), Path("a.toml"))


@settings(deadline=None)
@given(text=text)
def test_sentences_lose_nothing(text: str) -> None:
    assert "".join(sentences(text)) == text


def test_multi_label_losses_and_revisions_come_back() -> None:
    record = classification(loss=Loss(0.5, ([1.0, 0.0, 1.0], [0.0, 0.0, 1.0])))
    pinned = replace(record, checkpoint=replace(record.checkpoint, origin="hub", revision="607a30d"))

    assert returned(record) == record
    assert returned(pinned) == pinned
    assert returned(generation(engine="tensorflow")) == generation(engine="tensorflow")


def test_a_file_reads_a_token_a_line() -> None:
    lines = dump(generation(STEPS[:2], text="My name is Ada. And I am 36 years old!\n\nYes.")).splitlines()

    assert lines[0].startswith("# Written by pytest-hfmodels")
    assert lines[1:3] == ["format = 1", 'kind = "generation"']
    assert '    [11, " Ada", -0.25, -0.25, 2.0, 12, " Bob"],' in lines
    assert '    [13, " and", -0.5, -0.5, 1.5, 14, " but"],' in lines
    assert "ids = [5, 6, 7]" in lines
    assert [line.strip() for line in lines if "Ada." in line or "36" in line or "Yes" in line] == [
        '"My name is Ada. ",',
        '"And I am 36 years old!\\n\\n",',
        '"Yes.",',
    ]


def test_numbers_have_nine_significant_digits() -> None:
    row = tomllib.loads(dump(generation(moved(0, by=1 / 3))))["steps"]["rows"][0]

    assert row[2] == 0.0833333333


def test_a_rewrite_keeps_digits_that_still_hold() -> None:
    earlier = parse(dump(generation()), FILE)
    elsewhere = replace(provenance(), cpu="another", versions={"transformers": "5.0.0", "torch": "3.0.0"})
    observed = generation(moved(0, by=0.001, steps=moved(2, by=1.0)), provenance=elsewhere)

    written = load(dump(observed, earlier=earlier, keep=lambda before, now: abs(before - now) < 0.01), FILE)

    assert written == generation(moved(2, by=1.0), provenance=elsewhere)


@pytest.mark.parametrize("what", ["engine", "implementation", "dtype", "attention", "device"])
def test_all_digits_are_rewritten_if_something_else_computed_them(what: str) -> None:
    earlier = parse(dump(generation()), FILE)
    other: dict[str, Any] = {what: "tensorflow" if what == "engine" else "another"}
    observed = generation(moved(0, by=0.001), provenance=replace(provenance(), **other))

    assert dump(observed, earlier=earlier, keep=lambda *_: True) == dump(observed)


@pytest.mark.parametrize(
    ("earlier", "now", "kept"),
    [
        (1.0, 1.05, 1.0),
        (1, 1.05, 1.0),
        (1.0, 2.0, 2.0),
        (True, 1.0, 1.0),
        (5, 6, 6),
        ("a", 1.05, 1.05),
        (None, 1.05, 1.05),
        ([1.0], [1.05, 2.0], [1.05, 2.0]),
        ([1.0, "x"], [1.05, "y"], [1.0, "y"]),
        ({"a": 1.0}, {"a": 1.05, "b": 3.0}, {"a": 1.0, "b": 3.0}),
        ([1.0], {"a": 1.05}, {"a": 1.05}),
    ],
)
def test_which_digits_are_kept(earlier: object, now: object, kept: object) -> None:
    assert keep_digits(earlier, now, lambda before, after: abs(before - after) < 0.1) == kept


@pytest.mark.parametrize(
    "path",
    sorted(path for path in COMMITTED.rglob("*.toml") if path.name != "upstream.toml"),
    ids=lambda path: path.stem,
)
def test_committed_files_round_trip_byte_by_byte(path: Path) -> None:
    found = read_snapshot(path)
    assert found is not None

    written = files(found.record)

    assert written.text == path.read_text(encoding="utf-8")
    beside = path.with_suffix(".safetensors")
    assert written.arrays == (beside.read_bytes() if beside.exists() else None)


def test_normalised_fingerprints_must_cover_every_block() -> None:
    blocks = tuple(replace(block, normalized=(0.5,) * NORMALIZED) for block in generation().blocks)
    text = dump(generation(blocks=blocks))
    lines = text.splitlines(keepends=True)

    assert "normalized: the number of rows, 1, is not the number of blocks, 2" in complaint(
        "".join([*lines[:-2], "]\n"])
    )


RECORDED = dump(generation())


def complaint(text: str) -> str:
    with pytest.raises(SnapshotError) as raised:
        load(text, FILE)
    assert "pytest --snapshot-update" in raised.value.hint
    return raised.value.message


@pytest.mark.parametrize(
    ("old", "new", "line", "key"),
    [
        ("format = 1", "format = 2", "format = 2", "format: the file has format 2, but this version reads 1"),
        ("format = 1", 'format = "1"', "format = ", "format: "),
        ("format = 1\n", "", None, "format: "),
        ('kind = "generation"', 'kind = "poem"', "kind = ", "kind: the kind 'poem' is not registered"),
        ('text = "My name is"', "text = 3", "text = 3", "prompt.text: "),
        ("ids = [5, 6, 7]", 'ids = [5, "6", 7]', "ids = [5", "prompt.ids.1: "),
        ("ids = [5, 6, 7]", "ids = [5, -6, 7]", "ids = [5", "prompt.ids.1: "),
        ("ids = [5, 6, 7]", f"ids = [5, {2**63}, 7]", "ids = [5", "prompt.ids.1: "),
        ("ids = [5, 6, 7]", "ids = 5", "ids = 5", "prompt.ids: "),
        ('[13, " and", -0.5,', '[13, " and",', '[13, " and"', "steps.rows.1: "),
        ('[13, " and", -0.5,', '[13, " and", "often",', '[13, " and"', "steps.rows.1.2: "),
        ('[13, " and"', f'[{10**30}, " and"', f"[{10**30}", "steps.rows.1.0: "),
        ('[13, " and"', '[13.5, " and"', '[13.5, " and"', "steps.rows.1.0: "),
        ('engine = "torch"', 'engine = "jax"', "recorded_with", "provenance.recorded_with.engine: "),
        ("[output]", "[outputs]", None, "object missing required field `output`"),
        ('weights = "sha256:w"\n', "", "[checkpoint]", "checkpoint: object missing required field `weights`"),
        ('tokenizer = "sha256:t"', 'tokenizer = "t"\noverrides = "[]"', "overrides = ", "checkpoint.overrides: "),
        ("[steps]", "steps = 4\n[stops]", None, "steps"),
        ('columns = ["id", ', 'columns = ["ids", ', 'columns = ["ids', "steps.columns: the columns are not id, "),
        ('columns = ["id"', 'columns = "id" # ["id"', 'columns = "id"', "steps.columns: "),
        (
            'columns = ["block", ',
            "columns = [",
            'columns = ["mean',
            "forward.columns: the columns are not block",
        ),
    ],
)
def test_an_edited_file_is_refused_with_file_and_line(old: str, new: str, line: str | None, key: str) -> None:
    assert old in RECORDED
    text = RECORDED.replace(old, new, 1)

    message = complaint(text)

    assert key in message
    if line is not None:
        number = next(number for number, found in enumerate(text.splitlines(), 1) if line in found)
        assert message.startswith(f"{FILE}:{number}: ")


@pytest.mark.parametrize("text", [RECORDED.replace("[prompt]", "[prompt"), "<<<<<<< HEAD\n" + RECORDED, "\0"])
def test_a_file_that_is_no_toml_is_refused_with_its_line(text: str) -> None:
    assert re.match(rf"{FILE} is not valid TOML: .*line \d", complaint(text))


@pytest.mark.parametrize(
    ("record", "old", "new", "key"),
    [
        (beams(), "score = -0.625", 'score = "low"', "beams.1.score: "),
        (
            beams(),
            "ids = [11, 13, 15]",
            "ids = [11, 13, 16]",
            "beams.0.ids: the ids of the first beam",
        ),
        (
            beams(),
            "score = -0.5\ntext = [",
            'score = -0.5\ntext = ["x", ',
            "beams.0.text: the text of the first beam",
        ),
        (classification(), "-0.5, 0.75]", '-0.5, "high"]', "inputs.1.logits.2: "),
        (classification(), 'label = "calm"', "label = 1", "inputs.0.label: "),
        (classification(), "labels = [0, 2]\n", "", "loss: object missing required field `labels`"),
    ],
)
def test_an_edited_table_of_several_is_found_by_its_line(record: Record, old: str, new: str, key: str) -> None:
    text = dump(record)
    assert old in text
    changed = text.replace(old, new, 1)
    number = 1 + text[: text.index(old)].count("\n") + (old.count("\n") if "text = [" in old else 0)

    message = complaint(changed)

    assert key in message
    assert "loss" in key or message.startswith(f"{FILE}:{number}: ")


def test_a_text_of_many_lines_is_written_in_time_that_grows_with_them() -> None:
    few, many = (generation(text="\n".join(map(str, range(lines)))) for lines in (1_000, 20_000))

    took = []
    for record in (few, many):
        start = time.process_time()
        assert load(dump(record), FILE) == replace(record, live=None)
        took.append(time.process_time() - start)

    assert took[1] < 150 * took[0]  # 20 times as long, and 400 times where each line counts those before it


def rewritten(before: Record, now: Record) -> dict[str, Any]:
    """Return the file of `before` rewritten with `now`, under a tolerance of 0.1."""
    text = dump(now, earlier=parse(dump(before), FILE), keep=lambda a, b: abs(a - b) <= 0.1)
    return tomllib.loads(text)


@pytest.mark.parametrize("name", ["repetition_penalty", "length_penalty"])
def test_a_setting_is_written_anew(name: str) -> None:
    before, now = (generation(effective={**EFFECTIVE, name: value}) for value in (1.3, 1.25))

    assert rewritten(before, now)["effective"][name] == 1.25


def test_a_label_that_was_given_is_written_anew() -> None:
    before, now = (
        replace(classification(), loss=Loss(value, ((label, 0.0), (0.0, 1.0))))
        for value, label in ((0.5, 0.9), (0.51, 0.85))
    )

    found = rewritten(before, now)["loss"]
    assert (found["value"], found["labels"][0][0]) == (0.5, 0.85)
