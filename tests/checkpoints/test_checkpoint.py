from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_hfmodels.checkpoints import bundled_files, bundled_names, resolve
from pytest_hfmodels.checkpoints.digests import folder_digests
from pytest_hfmodels.foundation.errors import CheckpointError

from .tiny_checkpoint import checkpoint_files, safetensors_bytes, write_files

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER_DIGEST = f"sha256:{'0' * 64}"
HEAVY = "torch tensorflow transformers huggingface_hub platformdirs filelock tomlkit"


@pytest.fixture
def bot(tmp_path: Path) -> Path:
    return write_files(tmp_path / "models" / "bot", checkpoint_files())


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write_files(tmp_path / "package" / "tiny-bundled", checkpoint_files())
    lines = [f"{part} = '{digest}'\n" for part, digest in vars(folder_digests(folder)).items()]
    (folder.parent / "digests.toml").write_text("".join(["[tiny-bundled]\n", *lines]))
    monkeypatch.setattr(bundled_files, "BUNDLED", folder.parent)
    return folder


def refused(name: str, rootdir: Path, *, revision: str | None = None, digest: str | None = None) -> str:
    with pytest.raises(CheckpointError) as raised:
        resolve(name, rootdir=rootdir, revision=revision, digest=digest)
    message = str(raised.value)
    assert message.startswith(f"Checkpoint {name!r}: ")
    return message


def test_a_local_folder(bot: Path, tmp_path: Path) -> None:
    checkpoint = resolve("./models/bot", rootdir=tmp_path)

    assert (checkpoint.name, checkpoint.origin, checkpoint.revision) == ("./models/bot", "local", None)
    assert checkpoint.folder == bot
    assert checkpoint.digests == folder_digests(bot)


def test_a_folder_beside_the_home_or_the_root(bot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(bot.parent))
    elsewhere = tmp_path / "elsewhere"

    assert resolve("~/bot", rootdir=elsewhere).folder == bot
    assert resolve(str(bot), rootdir=elsewhere).folder == bot
    assert resolve("../models/bot", rootdir=write_files(elsewhere, {})).folder.samefile(bot)


def test_a_linked_folder(bot: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(bot)

    assert resolve("./link", rootdir=tmp_path).digests == folder_digests(bot)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("./models/bto", "models/bto does not exist."),
        ("~nobody-of-that-name/bot", "~nobody-of-that-name/bot does not exist."),
        ("./models/bot/config.json", "config.json is a file, not a folder."),
    ],
)
@pytest.mark.usefixtures("bot")
def test_no_such_folder(tmp_path: Path, name: str, said: str) -> None:
    message = refused(name, tmp_path)

    assert said in message
    assert f"looked up from pytest's root, {tmp_path}." in message


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "config.json is missing."),
        ({"config.json": b"[]"}, "config.json is JSON, but not an object."),
        ({"config.json": b"null"}, "config.json is JSON, but not an object."),
        ({"config.json": b"\xff"}, "config.json is not JSON"),
        ({"config.json": b"{}", "tf_model.h5": b""}, "neither model.safetensors nor pytorch_model.bin."),
    ],
    ids=["empty", "list", "null", "bytes", "other weights"],
)
def test_a_folder_without_a_checkpoint(tmp_path: Path, files: dict[str, bytes], said: str) -> None:
    write_files(tmp_path / "bot", files)

    message = refused("./bot", tmp_path)

    assert said in message
    assert "save_pretrained(" in message


def test_a_bundled_checkpoint(tiny: Path, tmp_path: Path) -> None:
    checkpoint = resolve("tiny-bundled", rootdir=tmp_path)

    assert (checkpoint.origin, checkpoint.folder, checkpoint.revision) == ("bundled", tiny, None)
    assert checkpoint.digests == folder_digests(tiny)


def test_a_folder_does_not_take_a_bundled_name(tiny: Path, tmp_path: Path) -> None:
    decoy = write_files(tmp_path / "tiny-bundled", checkpoint_files())

    assert resolve("tiny-bundled", rootdir=tmp_path).folder == tiny
    assert resolve("./tiny-bundled", rootdir=tmp_path).folder == decoy


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("tiny-bundled/config.json", b'{"n_layer": 3}', "the installed files are damaged: the config of"),
        ("tiny-bundled/vocab.json", b"{}", "the tokenizer of"),
        ("tiny-bundled/model.safetensors", safetensors_bytes()[:-1] + b"\x00", "the weights of"),
        ("tiny-bundled/model.safetensors", safetensors_bytes()[:-1], "is cut off"),
        ("tiny-bundled/config.json", None, "config.json is missing"),
        ("digests.toml", b"tiny = ", "digests.toml is damaged"),
        ("digests.toml", b"[tiny]\nsizes = 1", "digests.toml is damaged"),
        ("digests.toml", None, "digests.toml is damaged"),
    ],
)
def test_a_damaged_installation(tiny: Path, tmp_path: Path, file: str, content: bytes | None, said: str) -> None:
    path = tiny.parent / file
    path.unlink() if content is None else path.write_bytes(content)

    message = refused("tiny-bundled", tmp_path)

    assert said in message
    assert "pip install --force-reinstall --no-deps pytest-hfmodels" in message


@pytest.mark.parametrize("name", bundled_names())
def test_bundled_files_have_the_recorded_digests(name: str, tmp_path: Path) -> None:
    assert resolve(name, rootdir=tmp_path).origin == "bundled"


def test_the_training_script_writes_the_record_as_it_is() -> None:
    script = Path(__file__).parents[2] / "training" / "record_digests.py"
    text = runpy.run_path(str(script))["digests_text"]()

    assert text == (bundled_files.BUNDLED / "digests.toml").read_text()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tiny-bundeld", "Did you mean 'tiny-bundled'"),
        ("zzzzzz", "A folder must start with './'; a repo on the Hub is written 'org/name'."),
        ("models", "For the folder of that name, write './models'."),
        ("models/bot", "For the folder of that name, write './models/bot'."),
        ("org/bot", "Give revision= its full commit, 40 hexadecimal digits"),
    ],
)
@pytest.mark.usefixtures("tiny", "bot")
def test_a_name_that_names_nothing_by_itself(tmp_path: Path, name: str, said: str) -> None:
    message = refused(name, tmp_path)

    known = "nothing pins its revision" if "/" in name else "no bundled or published checkpoint has that name"
    assert known in message
    assert said in message
    assert ("Did you mean" in message) == (name == "tiny-bundeld")


@pytest.mark.parametrize("name", ["org/bot", "gpt2", "openai-community/gpt2"])
@pytest.mark.parametrize("revision", ["main", "v1.0", COMMIT[:12], COMMIT.upper(), COMMIT + "0", "refs/pr/1", ""])
def test_a_branch_a_tag_and_a_short_commit_pin_nothing(tmp_path: Path, name: str, revision: str) -> None:
    message = refused(name, tmp_path, revision=revision)

    assert f"revision {revision!r} does not pin it: a branch or a tag can move." in message
    assert "full commit, 40 hexadecimal digits" in message


@pytest.mark.parametrize("name", ["./models/bot", "tiny-bundled"])
@pytest.mark.usefixtures("bot", "tiny")
def test_only_the_hub_has_revisions(tmp_path: Path, name: str) -> None:
    message = refused(name, tmp_path, revision=COMMIT)

    assert f"revision {COMMIT!r} was given, but it is " in message
    assert "Leave the revision out" in message


def test_the_expected_digest(bot: Path, tmp_path: Path) -> None:
    digest = folder_digests(bot).weights

    assert resolve("./models/bot", rootdir=tmp_path, digest=digest).digests.weights == digest


@pytest.mark.usefixtures("bot", "tiny")
@pytest.mark.parametrize("name", ["./models/bot", "tiny-bundled"])
def test_another_digest(tmp_path: Path, name: str) -> None:
    found = resolve(name, rootdir=tmp_path).digests.weights

    message = refused(name, tmp_path, digest=OTHER_DIGEST)

    assert f"expected {OTHER_DIGEST}, found {found} in " in message
    assert "If the new weights are right, write the digest that was found." in message


@pytest.mark.parametrize("digest", ["", "0" * 64, "md5:0", OTHER_DIGEST[:-1], OTHER_DIGEST.replace("0", "G")])
def test_a_digest_that_is_none(tmp_path: Path, digest: str) -> None:
    message = refused("./bot", tmp_path, digest=digest)

    assert f"digest={digest!r} is not a weights digest." in message
    assert "Write it as 'sha256:' and 64 hexadecimal digits" in message


def test_the_cause_is_kept(tmp_path: Path) -> None:
    write_files(tmp_path / "bot", {"config.json": b"{", "model.safetensors": safetensors_bytes()})

    with pytest.raises(CheckpointError) as raised:
        resolve("./bot", rootdir=tmp_path)

    assert isinstance(raised.value.__cause__, ValueError)


def test_a_local_checkpoint_costs_no_heavy_import(bot: Path) -> None:
    code = (
        "import pathlib, sys; from pytest_hfmodels.checkpoints import resolve\n"
        f"resolve({str(bot)!r}, rootdir=pathlib.Path())\n"
        f"print(sorted(set({HEAVY!r}.split()) & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
