"""The pickled vocabulary of a published Transformer-XL: plain data is read, everything else is refused and not run."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_hfmodels.checkpoints.pickled_words import read_pickled_words, write_words
from pytest_hfmodels.foundation.errors import CheckpointError

from .tiny_checkpoint import TouchesAFile

WORDS = ["<eos>", "the", "<unk>", "dog"]
REFUSED = "refused, and nothing in it was run: "


def published(**changes: Any) -> dict[str, Any]:
    """What a published vocab.pkl holds."""
    return {
        "counter": Counter({"the": 3, "dog": 1}),
        "special": ["<eos>"],
        "max_size": None,
        "lower_case": False,
        "never_split": ("<eos>",),
        "idx2sym": list(WORDS),
        "sym2idx": OrderedDict((word, index) for index, word in enumerate(WORDS)),
        **changes,
    }


def read(folder: Path, data: Any, protocol: int = 4) -> list[str]:
    file = folder / "vocab.pkl"
    file.write_bytes(data if isinstance(data, bytes) else pickle.dumps(data, protocol=protocol))
    return read_pickled_words(file)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_published_vocabulary(protocol: int, tmp_path: Path) -> None:
    assert read(tmp_path, published(), protocol) == WORDS


def test_a_pickle_of_python_2(tmp_path: Path) -> None:
    pairs = b"(dp0\nS'sym2idx'\np1\nccollections\nOrderedDict\np2\n((lp3\n(lp4\nS'<unk>'\np5\naI0\naatp6\nRp7\ns."

    assert read(tmp_path, pairs) == ["<unk>"]


@pytest.mark.parametrize("trust", ["", "True"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_malicious_pickle_runs_nothing(
    trust: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUST_REMOTE_CODE", trust)

    with pytest.raises(CheckpointError, match=rf"{REFUSED}it names (posix|nt)\.system"):
        read(tmp_path, published(counter=TouchesAFile(tmp_path / "trace")), protocol)

    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("value", [Path("x"), {1.5: 2}, b"words", {"a"}, {2**64: 1}, pickle.Pickler])
def test_anything_but_plain_data_is_refused(value: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=REFUSED):
        read(tmp_path, published(counter=value))


@pytest.mark.parametrize(
    "opcodes",
    [
        b"",
        b".",
        b"(.",
        b"h\x05.",
        b"ccollections\nCounter\nI1\nR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"ibuiltins\neval\n.",
        b"(cbuiltins\neval\no.",
        b"}(K\x01u.",
        b"Ppersistent\n.",
        b"\x82\x01.",
        b"}}b.",
        b"\x8c\xff.",
        b"\x8d" + b"\xff" * 7 + b"\x00words.",
        b"S'\\d'\n.",
        b"\x8c\x01aK\x01\x93.",  # a number as a name
        b"Np" + b"9" * 40 + b"\n.",  # a place that no memory holds
        b"Nr\xff\xff\xff\xff.",
    ],
)
def test_damaged_and_hostile_opcodes_are_refused(opcodes: bytes, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=REFUSED):
        read(tmp_path, opcodes)


def shared(empty: bytes, pair: bytes, levels: int = 60) -> bytes:
    """A container of the one before, twice, of which a walk over all never ends."""
    return b"\x80\x04" + empty + b"\x94" + b"".join(pair.replace(b"?", bytes([k])) + b"\x94" for k in range(levels))


NESTED = b"\x80\x04N" + b"\x85" * 300_000
COPIES = b"ccollections\nCounter\n\x94](" + b"]K\x01aK\x02aa" * 2_000 + b"e\x85\x94](" + b"h\x00h\x01R" * 2_000 + b"e."
HOSTILE = {
    "shared tuples as a key": b"}" + shared(b")", b"h?h?\x86") + b"Ns.",
    "shared tuples as a name": shared(b")", b"h?h?\x86") + b"N\x93.",
    "shared lists": shared(b"]", b"](h?h?e") + b".",
    "shared dicts": shared(b"}", b"}(K\x00h?K\x01h?u") + b".",
    "a list in itself": b"]\x94h\x00a.",
    "nested tuples": NESTED + b".",
    "nested tuples as a key": b"}" + NESTED + b"Ns.",
    "nested lists": b"]" * 100_000 + b"a" * 99_999 + b".",
    "nested dicts": b"}N" * 100_000 + b"N" + b"s" * 100_000 + b".",
    "one mapping copied again and again": COPIES,
    "room for four billion values": b"N\x94r\xff\xff\xff\xff.",
}
LIMITED = """
import resource, sys
from pathlib import Path
from pytest_hfmodels.checkpoints.pickled_words import read_pickled_words
from pytest_hfmodels.foundation.errors import CheckpointError
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
for file in sys.argv[1:]:
    try:
        read_pickled_words(Path(file))
    except CheckpointError as error:
        print(error.message)
"""


def test_no_pickle_hangs_fills_the_memory_or_crashes_the_interpreter(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.pkl" for name in HOSTILE]
    for file, opcodes in zip(files, HOSTILE.values(), strict=True):
        file.write_bytes(opcodes)

    ended = subprocess.run([sys.executable, "-c", LIMITED, *files], capture_output=True, text=True, timeout=60)

    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert len(lines) == len(files)
    for file, line in zip(files, lines, strict=True):
        assert line.startswith((f"{file} was {REFUSED}", f"The vocabulary {file} has no sym2idx"))


@pytest.mark.parametrize("name", [b"a" * 10_000, b"\x1b[31m", b"\xed\xa0\x80"], ids=["long", "colours", "no text"])
def test_a_refusal_is_one_short_line_that_any_terminal_can_show(name: bytes, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=REFUSED) as refused:
        read(tmp_path, b"\x8d" + len(name).to_bytes(8, "little") + name + b"\x8c\x01b\x93.")

    assert re.fullmatch(r"[ -~]{,500}", refused.value.message)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "vocab.pkl").open("wb") as file:
        file.truncate(1 << 30)

    with pytest.raises(OSError, match="more than the"):
        read_pickled_words(tmp_path / "vocab.pkl")


@given(words=st.lists(st.text(), unique=True), protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_words_are_read_as_they_were(words: list[str], protocol: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    ids = OrderedDict((word, index) for index, word in enumerate(words))

    found = read(
        tmp_path_factory.getbasetemp(), published(idx2sym=words, sym2idx=ids, counter=Counter(words)), protocol
    )

    assert found == words


@given(noise=st.binary(max_size=60))
def test_noise_is_refused(noise: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(CheckpointError):  # and nothing else
        read(tmp_path_factory.getbasetemp(), noise)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([1, 2], "has no sym2idx"),
        ({"words": 1}, "has no sym2idx"),
        (published(sym2idx=[1]), "has no sym2idx"),
        (published(sym2idx={"<unk>": 0, "the": 2}), "does not give its 2 words the ids 0 to 1"),
        (published(sym2idx={"<unk>": 0, "the": "1"}), "does not give its"),
        (published(idx2sym=WORDS[::-1]), "contradicts itself"),
        (published(unk_idx=1), "has the id 1, and in text it would have 2"),
        ({"sym2idx": {"<unk>": 0, "<UNK>": 1}}, "has the id 0, and in text it would have 1"),
    ],
)
def test_plain_data_without_a_vocabulary_is_refused(data: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=said):
        read(tmp_path, data)


@pytest.mark.parametrize(
    ("words", "file"),
    [(WORDS, "vocab.txt"), ([*WORDS, "New York"], "vocab.json"), (["\ufeffthe", "<unk>"], "vocab.json")],
)
def test_words_are_written_so_that_none_is_lost(words: list[str], file: str, tmp_path: Path) -> None:
    assert write_words(words, tmp_path) == tmp_path / file


def test_half_a_character_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="a word that is not text"):
        write_words(["<unk>", "\ud800"], tmp_path)

    assert not list(tmp_path.iterdir())
