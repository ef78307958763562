from __future__ import annotations

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
from pytest_hfmodels.snapshots.format import keep_digits, parse

from ..example_records import STEPS, beams, classification, generation, moved, provenance

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
    text = path.read_text(encoding="utf-8")

    assert dump(load(text, path)) == text


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
    assert raised.value.hint
    return raised.value.message


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("format = 1", "format = 2", "format = 2", "format: the file has format 2, and this version reads 1"),
        ("format = 1", 'format = "1"', "format = ", "format: '1' is not an integer"),
        ("format = 1", "format = true", "format = ", "format: True is not an integer"),
        ("format = 1\n", "", None, "format: is missing"),
        ('kind = "generation"', 'kind = "poem"', "kind = ", "kind: the kind 'poem' is not registered"),
        ('text = "My name is"', "text = 3", "text = 3", "prompt.text: 3 is not a string"),
        ("ids = [5, 6, 7]", 'ids = [5, "6", 7]', "ids = [5", "prompt.ids.1: '6' is not an integer"),
        ("ids = [5, 6, 7]", "ids = 5", "ids = 5", "prompt.ids: 5 is not an array"),
        ('[13, " and", -0.5,', '[13, " and",', '[13, " and"', "steps.rows.1: row 1 does not have 7 columns"),
        (
            '[13, " and", -0.5,',
            '[13, " and", "often",',
            '[13, " and"',
            "steps.rows.1: 'often' in row 1 is not a number",
        ),
        ("ids = [5, 6, 7]", f"ids = [5, {2**63}, 7]", "ids = [5", f"prompt.ids.1: {2**63} is too large for a token id"),
        ('[13, " and"', f'[{10**30}, " and"', f"[{10**30}", f"steps.rows.1: {10**30} in row 1 is too large for a"),
        ('[13, " and"', '[13.5, " and"', '[13.5, " and"', "steps.rows.1: 13.5 in row 1 is not an integer"),
        (
            'engine = "torch"',
            'engine = "jax"',
            "recorded_with",
            "provenance.recorded_with.engine: unknown engine 'jax'",
        ),
        ("[output]", "[outputs]", None, "output: is missing"),
        ('weights = "sha256:w"\n', "", "[checkpoint]", "checkpoint.weights: is missing"),
        ("[steps]", "steps = 4\n[stops]", None, "steps"),
    ],
)
def test_an_edited_file_is_refused_with_file_and_line(old: str, new: str, line: str | None, said: str) -> None:
    assert old in RECORDED
    text = RECORDED.replace(old, new, 1)

    message = complaint(text)

    assert said in message
    number = 1 if line is None else 1 + next(n for n, found in enumerate(text.splitlines()) if line in found)
    if line is not None:
        assert message.startswith(f"{FILE}:{number}: ")
    else:
        assert message.startswith(f"{FILE}:")


@pytest.mark.parametrize("text", [RECORDED.replace("[prompt]", "[prompt"), "<<<<<<< HEAD\n" + RECORDED, "\0"])
def test_a_file_that_is_no_toml_is_refused_with_its_line(text: str) -> None:
    message = complaint(text)

    assert message.startswith(f"The snapshot {FILE} is not valid TOML: ")
    assert "line " in message


def test_an_empty_file_is_refused() -> None:
    assert "format: is missing" in complaint("")


def test_a_second_table_of_beams_is_found_by_its_line() -> None:
    text = dump(beams()).replace("score = -0.625", 'score = "low"')

    number = 1 + next(n for n, line in enumerate(text.splitlines()) if 'score = "low"' in line)
    assert complaint(text).startswith(f"{FILE}:{number}: beams.1.score: 'low' is not a number")


def test_a_wrong_classification_is_refused() -> None:
    text = dump(classification())

    assert "inputs.1.logits.2: 'high' is not a number" in complaint(text.replace("-0.5, 0.75]", '-0.5, "high"]'))
    assert "inputs.0.label: 1 is not a string" in complaint(text.replace('label = "calm"', "label = 1"))
    assert "loss.labels: is missing" in complaint(text.replace("labels = [0, 2]\n", ""))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('columns = ["id", ', 'columns = ["ids", ', "steps.columns: the columns are not id, text, log-probability"),
        ('columns = ["id", ', "columns = [", "steps.columns: the columns are not id, text, log-probability"),
        ('columns = ["id"', 'columns = "id" # ["id"', "steps.columns: 'id' is not an array"),
        ('columns = ["block", ', "columns = [", "forward.columns: the columns are not block, mean, rms, probe"),
        ("ids = [11, 13, 15]", "ids = [11, 13, 16]", "beams.0.ids: the ids of the first beam are not the ids in steps"),
        ("score = -0.5\ntext = [", 'score = -0.5\ntext = ["x", ', "beams.0.text: the text of the first beam is not"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(old: str, new: str, said: str) -> None:
    text = dump(beams())
    assert old in text

    assert said in complaint(text.replace(old, new, 1))


def test_a_text_of_many_lines_is_written_in_time_that_grows_with_them() -> None:
    few, many = (generation(text="\n".join(map(str, range(lines)))) for lines in (1_000, 20_000))

    took = []
    for record in (few, many):
        start = time.perf_counter()
        assert load(dump(record), FILE) == replace(record, live=None)
        took.append(time.perf_counter() - start)

    assert took[1] < 80 * took[0]  # 20 times as long, and 400 times where each line counts those before it
