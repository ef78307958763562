from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from collections import Counter, OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_hfmodels.errors import CheckpointError
from pytest_hfmodels.transfo_xl import Vocabulary, read_vocabulary, write_vocabulary
from pytest_hfmodels.transfo_xl.restricted_pickle import read_plain_pickle

WORDS = ("<eos>", "the", "<unk>", "dog")


def published(**changes: Any) -> dict[str, Any]:
    """What a published vocab.pkl holds."""
    return {
        "counter": Counter({"the": 3, "dog": 1}),
        "special": ["<eos>"],
        "min_freq": 0,
        "max_size": None,
        "lower_case": False,
        "delimiter": None,
        "vocab_file": None,
        "never_split": ("<eos>",),
        "idx2sym": list(WORDS),
        "sym2idx": OrderedDict((word, index) for index, word in enumerate(WORDS)),
        **changes,
    }


def write(path: Path, data: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(data, protocol=protocol))
    return path


class Harmful:
    """Makes a file as soon as the pickle machine builds it."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.trace}",))


def test_text(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("<eos> 12\nthe\nthe\n<unk>\ndog\n", encoding="utf-8")

    assert read_vocabulary(tmp_path / "vocab.txt") == Vocabulary(WORDS, unknown=2)


@pytest.mark.parametrize("data", [list(WORDS), {word: index for index, word in enumerate(WORDS)}])
def test_json(data: Any, tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text(json.dumps(data), encoding="utf-8")

    assert read_vocabulary(tmp_path / "vocab.json") == Vocabulary(WORDS, unknown=2)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_published_pickle(protocol: int, tmp_path: Path) -> None:
    file = write(tmp_path / "vocab.pkl", published(), protocol)

    assert read_vocabulary(file) == Vocabulary(WORDS, unknown=2)


def test_a_pickle_of_python_2(tmp_path: Path) -> None:
    file = tmp_path / "vocab.pkl"
    file.write_bytes(
        b"(dp0\nS'sym2idx'\np1\nccollections\nOrderedDict\np2\n((lp3\n(lp4\nS'<unk>'\np5\naI0\naatp6\nRp7\ns."
    )

    assert read_vocabulary(file) == Vocabulary(("<unk>",), unknown=0)


@pytest.mark.parametrize("trust", ["", "True"])
def test_a_malicious_pickle_runs_nothing(trust: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUST_REMOTE_CODE", trust)
    trace = tmp_path / "trace"
    file = write(tmp_path / "vocab.pkl", published(counter=Harmful(trace)))

    with pytest.raises(CheckpointError, match=r"refused, and nothing in it was run: it names posix\.system"):
        read_vocabulary(file)

    assert not trace.exists()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (published(counter=Path("x")), "it names pathlib"),
        (published(counter={1.5: 2}), "BINFLOAT"),
        (published(counter=b"words"), "BINBYTES"),
        (published(counter={("a",): 1}), "a tuple as a key"),
        (published(counter={"a", "b"}), "EMPTY_SET"),
    ],
)
def test_anything_but_plain_data_is_refused(data: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=reason):
        read_vocabulary(write(tmp_path / "vocab.pkl", data))


@pytest.mark.parametrize(
    "opcodes",
    [
        b"",
        b".",
        b"N",
        b"(.",
        b"h\x05.",
        b"ccollections\nCounter\n.",
        b"ccollections\nCounter\nI1\nR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"ibuiltins\neval\n.",
        b"(cbuiltins\neval\no.",
        b"}(K\x01u.",
        b"Ppersistent\n.",
        b"\x82\x01.",
        b"}}b.",
        b"\x8c\xff.",
        b"K\x01K\x01.",
        b"\x8d" + b"\xff" * 7 + b"\x00words.",
        b"S'\\d'\n.",
        b"](ccollections\nCounter\ne.",
    ],
)
def test_damaged_and_hostile_opcodes_are_refused(opcodes: bytes, tmp_path: Path) -> None:
    (tmp_path / "vocab.pkl").write_bytes(opcodes)

    with pytest.raises(CheckpointError, match="refused, and nothing in it was run"):
        read_vocabulary(tmp_path / "vocab.pkl")


def shared_tuples(levels: int) -> bytes:
    """A tuple of the one before, twice, of which a walk over all never ends."""
    return b"\x80\x04)\x94" + b"".join(b"h" + bytes([k]) + b"h" + bytes([k]) + b"\x86\x94" for k in range(levels))


NESTED_TUPLES = b"\x80\x04N" + b"\x85" * 300_000
DEADLY = {
    "shared tuples as a module": (shared_tuples(60) + b"N\x93.", "by other than two strings|nests more than"),
    "few shared tuples as a module": (shared_tuples(40) + b"N\x93.", "by other than two strings"),
    "shared tuples as a name": (shared_tuples(40).replace(b")\x94", b"N)\x94", 1) + b"\x93.", "other than two strings"),
    "nested tuples as a module": (NESTED_TUPLES + b"N\x93.", "nests more than 50 deep"),
}
HOSTILE = {
    "a number as a name": (b"\x8c\x01aK\x01\x93.", "it names something by other than two strings"),
    "nested tuples": (NESTED_TUPLES + b".", "nests more than 50 deep"),
    "nested lists": (b"]" * 100_000 + b"a" * 99_999 + b".", "nests more than 50 deep"),
    "nested dicts": (b"}N" * 100_000 + b"N" + b"s" * 100_000 + b".", "nests more than 50 deep"),
    "lists made from the outside": (b"]\x94]\x94ah\x01]a.", "already inside another"),
    "a list in itself": (b"]\x94h\x00a.", "already inside another"),
    "a dict in itself": (b"}\x94Nh\x00s.", "already inside another"),
    "one dict copied again and again": (
        b"ccollections\nCounter\n\x94}("
        + b"".join(b"J" + k.to_bytes(4, "little") + b"N" for k in range(2_000))
        + b"u\x85\x94]("
        + b"h\x00h\x01R" * 2_000
        + b"e.",
        "copies more than it holds",
    ),
    "long numbers of one hash as keys": (
        b"}(" + b"".join(b"\x8a\x0b" + ((2**61 - 1) << 20 + k).to_bytes(11, "little") + b"N" for k in range(3)) + b"u.",
        "more than 64 bits as a key",
    ),
    "a long number as a place": (b"Np" + b"9" * 40 + b"\n.", "it is damaged"),
    "a long name": (b"c" + b"a" * 10_000 + b"\nb\n.", r"it names a{150,200}\.\.\.\.\n"),
    "a name that colours the terminal": (b"\x8c\x05\x1b[31m\x8c\x01b\x93.", r"it names \\x1b\[31m\.b\.\n"),
    "a name that is no text": (b"\x8c\x03\xed\xa0\x80\x8c\x01b\x93.", r"it names \\ud800\.b\.\n"),
}
READ = """
import sys
from pathlib import Path
from pytest_hfmodels.errors import CheckpointError
from pytest_hfmodels.transfo_xl.vocabulary import read_vocabulary
try:
    read_vocabulary(Path(sys.argv[1]))
except CheckpointError as error:
    print(error)
"""


@pytest.mark.parametrize(("opcodes", "reason"), DEADLY.values(), ids=DEADLY)
def test_a_pickle_cannot_hang_or_crash_the_interpreter(opcodes: bytes, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "vocab.pkl"
    file.write_bytes(opcodes)

    ended = subprocess.run([sys.executable, "-c", READ, file], capture_output=True, text=True, timeout=30, check=True)

    assert re.search(f"refused, and nothing in it was run: .*({reason})", ended.stdout)


@pytest.mark.parametrize(("opcodes", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_pickle_is_refused_in_one_short_line(opcodes: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "vocab.pkl").write_bytes(opcodes)

    with pytest.raises(CheckpointError, match="refused, and nothing in it was run") as refused:
        read_plain_pickle(tmp_path / "vocab.pkl")

    refused.match(reason)
    assert len(refused.value.message) < 300 + len(str(tmp_path))


def test_empty_tuples_and_shared_lists_are_plain(tmp_path: Path) -> None:
    shared = [1]
    data = [(), [()], shared, {"again": shared}, ()]

    assert [read_plain_pickle(write(tmp_path / "plain.pkl", data, protocol)) for protocol in (0, 1, 2, 4)] == [data] * 4


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(-(2**63), 2**63) | st.none(), inner)
        | st.dictionaries(st.text(), st.integers()).map(Counter)
    ),
    max_leaves=20,
)


@given(data=plain, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_data_is_read_as_it_was(data: Any, protocol: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = write(tmp_path_factory.getbasetemp() / "plain.pkl", data, protocol)

    assert read_plain_pickle(file) == data


@given(noise=st.binary(max_size=60))
def test_noise_is_refused_or_plain(noise: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "noise.pkl"
    file.write_bytes(noise)

    with suppress(CheckpointError):  # and nothing else
        read_plain_pickle(file)


def test_a_pickle_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "vocab.pkl", published(idx2sym=list(reversed(WORDS))))

    with pytest.raises(CheckpointError, match="contradicts itself"):
        read_vocabulary(file)


@pytest.mark.parametrize("data", [[1, 2], {"words": 1}, published(sym2idx=[1])])
def test_a_pickle_of_something_else_is_refused(data: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has no sym2idx"):
        read_vocabulary(write(tmp_path / "vocab.pkl", data))


@pytest.mark.parametrize("name", ["vocab.txt", "vocab.json", "vocab.pkl"])
def test_a_vocabulary_without_the_unknown_word_is_refused(name: str, tmp_path: Path) -> None:
    words = ["<eos>", "the"]
    if name == "vocab.pkl":
        write(tmp_path / name, published(idx2sym=words, sym2idx={"<eos>": 0, "the": 1}))
    else:
        (tmp_path / name).write_text(json.dumps(words) if name == "vocab.json" else "<eos>\nthe\n", encoding="utf-8")

    with pytest.raises(CheckpointError, match="of 2 words lacks <unk>"):
        read_vocabulary(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("vocab.txt", "<unk>\n\nthe\n", "no word in line 2"),
        ("vocab.json", "{", "cannot be read"),
        ("vocab.json", "3", "neither a list of words"),
        ("vocab.json", '{"<unk>": 0, "the": 2}', "does not number its 2 words from 0 to 1"),
        ("vocab.json", '{"<unk>": 0, "the": "1"}', "does not number"),
        ("vocab.json", '{"<unk>": 0, "the": 0}', "does not number"),
        ("vocab.json", "[" * 200_000 + "]" * 200_000, r"vocab\.json nests lists or objects too deep"),
        ("vocab.json", '{"<unk>": ' + "1" * 5_000 + "}", r"vocab\.json has a number too long to be an id"),
        ("vocab.json", '["<unk>", "the", "dog", "the", "cat"]', "has the word 'the' twice"),
        ("vocab.json", '{"<unk>": 0, "the": 2, "the": 1}', "has the word 'the' twice"),
        ("vocab.json", r'["<unk>", "\ud800"]', r"a word that is no text, '\\ud800' with id 1"),
    ],
)
def test_damaged_text_is_refused(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")

    with pytest.raises(CheckpointError, match=message):
        read_vocabulary(tmp_path / name)


def test_a_pickled_word_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "vocab.pkl", {"sym2idx": {"<unk>": 0, "a\ud800": 1}})

    with pytest.raises(CheckpointError, match=r"a word that is no text, 'a\\ud800' with id 1"):
        read_vocabulary(file)


def test_a_word_that_is_no_text_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="a word that is no text"):
        write_vocabulary(Vocabulary(("<unk>", "\ud800"), unknown=0), tmp_path)

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "text"), [("vocab.txt", "<unk>\nthe\n"), ("vocab.json", '["<unk>", "the"]')])
def test_a_byte_order_mark_belongs_to_no_word(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8-sig")

    assert read_vocabulary(tmp_path / name) == Vocabulary(("<unk>", "the"), unknown=0)


def test_a_word_that_begins_like_a_byte_order_mark_is_kept(tmp_path: Path) -> None:
    vocabulary = Vocabulary(("\ufeffthe", "<unk>"), unknown=1)

    assert read_vocabulary(write_vocabulary(vocabulary, tmp_path)) == vocabulary


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_vocabulary(tmp_path / "vocab.txt")


@given(words=st.lists(st.text(min_size=1), unique=True))
def test_what_is_written_is_read_again(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    vocabulary = Vocabulary(("<UNK>", *(word for word in words if word != "<UNK>")), unknown=0)

    file = write_vocabulary(vocabulary, tmp_path_factory.getbasetemp())

    assert read_vocabulary(file) == vocabulary
