from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.checkpoints import Checkpoint, resolve
from pytest_hfmodels.foundation.errors import CheckpointError, CheckpointNotCached

from .tiny_checkpoint import checkpoint_files, safetensors_bytes, sharded_files, write_files

if TYPE_CHECKING:
    from .hub_stand_in import HubStandIn

REPO = "tests/tiny"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER_COMMIT = "f" * 40


@pytest.fixture
def hub(hub_stand_in: HubStandIn) -> HubStandIn:
    hub_stand_in.publish(REPO, COMMIT, checkpoint_files())
    return hub_stand_in


def find(name: str = REPO, *, revision: str | None = COMMIT, may_fetch: bool = False) -> Checkpoint:
    return resolve(name, rootdir=Path(), revision=revision, may_fetch=may_fetch)


def fetch(name: str = REPO, *, revision: str | None = COMMIT) -> Checkpoint:
    return find(name, revision=revision, may_fetch=True)


def test_without_permission_nothing_is_requested(hub: HubStandIn) -> None:
    with pytest.raises(CheckpointNotCached) as raised:
        find()

    assert f"Checkpoint 'tests/tiny': revision {COMMIT} of tests/tiny is not in the Hub's cache" in str(raised.value)
    assert "pytest --hfmodels-checkpoints hub" in raised.value.hint
    assert hub.requests == []


@pytest.mark.usefixtures("hub")
def test_a_download_is_the_same_checkpoint_as_the_folder(tmp_path: Path) -> None:
    write_files(tmp_path / "tiny", checkpoint_files())

    checkpoint = fetch()

    assert (checkpoint.name, checkpoint.origin, checkpoint.revision) == (REPO, "hub", COMMIT)
    assert checkpoint.digests == resolve("./tiny", rootdir=tmp_path).digests


def test_a_download_fetches_only_the_files_of_a_checkpoint(hub: HubStandIn) -> None:
    card = {"README.md": b"---\npipeline_tag: text-generation\n---\n"}
    extra = ("pytorch_model.bin", "tf_model.h5", "modeling_tiny.py", "onnx/config.json", "vocab.pkl")
    hub.publish(REPO, COMMIT, checkpoint_files() | card | dict.fromkeys(extra, b"extra"))

    checkpoint = fetch()

    assert sorted(path.name for path in checkpoint.folder.iterdir()) == sorted(checkpoint_files() | card)


def test_a_sharded_download_is_complete(hub: HubStandIn) -> None:
    hub.publish(REPO, COMMIT, sharded_files())

    checkpoint = fetch()

    assert sorted(path.name for path in checkpoint.folder.iterdir()) == sorted(sharded_files())


def test_a_cached_checkpoint_needs_no_hub(hub: HubStandIn) -> None:
    downloaded = fetch()
    asked = list(hub.requests)
    hub.stop()

    assert find() == downloaded
    assert fetch() == downloaded
    assert hub.requests == asked


def test_a_published_name_brings_its_commit(hub: HubStandIn) -> None:
    pinned = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
    hub.publish("openai-community/gpt2", pinned, checkpoint_files())
    hub.publish("openai-community/gpt2", OTHER_COMMIT, checkpoint_files())

    assert fetch("gpt2", revision=None).revision == pinned
    assert fetch("openai-community/gpt2", revision=None).revision == pinned
    assert fetch("gpt2", revision=OTHER_COMMIT).revision == OTHER_COMMIT


@pytest.mark.parametrize(
    ("name", "revision", "gated", "status", "cause"),
    [
        (REPO, OTHER_COMMIT, False, None, "RevisionNotFoundError"),
        ("tests/tinny", COMMIT, False, None, "RepositoryNotFoundError"),
        (REPO, COMMIT, True, None, "GatedRepoError"),
        (REPO, COMMIT, False, 500, "HfHubHTTPError"),
    ],
)
def test_errors_of_the_hub(
    hub: HubStandIn, name: str, revision: str, gated: bool, status: int | None, cause: str
) -> None:
    hub.gated_repos |= {REPO} if gated else set()
    hub.answer_status = status

    with pytest.raises(CheckpointError, match=rf"{revision} of {name} was not downloaded \({cause}: ") as raised:
        fetch(name, revision=revision)

    assert "Check the spelling, the commit" in raised.value.hint
    assert "log in" in raised.value.hint
    assert type(raised.value.__cause__).__name__ == cause


@pytest.mark.parametrize("file", ["model.safetensors", "vocab.json"])
def test_an_interrupted_download_is_not_a_checkpoint(hub: HubStandIn, file: str) -> None:
    hub.cut_files.add(file)
    with pytest.raises(CheckpointError, match="was not downloaded") as raised:
        fetch()
    with pytest.raises(CheckpointNotCached):
        find()
    hub.cut_files.clear()

    checkpoint = fetch()

    assert "finished files are kept" in raised.value.hint
    assert (checkpoint.folder / file).read_bytes() == checkpoint_files()[file]


def test_no_network(hub: HubStandIn) -> None:
    hub.stop()

    with pytest.raises(CheckpointError, match="was not downloaded") as raised:
        fetch()

    assert "the network" in raised.value.hint
    assert not isinstance(raised.value, CheckpointNotCached)
    assert raised.value.__cause__ is not None


def test_a_hub_that_fails_after_the_listing(hub: HubStandIn) -> None:
    hub.answers = 1

    with pytest.raises(CheckpointError, match="was not downloaded") as raised:
        fetch()

    assert "LocalEntryNotFoundError" not in raised.value.message


def test_a_hub_that_does_not_answer(hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT", 1)
    hub.answer_after = 1.5

    with pytest.raises(CheckpointError, match=r"\(\w*Timeout"):
        fetch()


def test_offline_is_respected(hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    with pytest.raises(CheckpointNotCached, match="HF_HUB_OFFLINE forbids downloading it") as raised:
        fetch()

    assert "Unset HF_HUB_OFFLINE" in raised.value.hint
    assert hub.requests == []


@pytest.mark.parametrize(
    "there",
    [
        ("config.json",),
        ("model.safetensors",),
        ("config.json", "tf_model.h5"),
        ("config.json", "model.safetensors.index.json", "model-00001-of-00003.safetensors"),
    ],
    ids=" ".join,
)
def test_a_partly_cached_checkpoint_counts_as_not_cached(tmp_path: Path, there: tuple[str, ...]) -> None:
    files = checkpoint_files() | sharded_files() | {"tf_model.h5": b""}
    snapshot = tmp_path / "hub" / "models--tests--tiny" / "snapshots" / COMMIT
    write_files(snapshot, {name: files[name] for name in there})

    with pytest.raises(CheckpointNotCached):
        find()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"model.safetensors": b""}, f"revision {COMMIT} of tests/tiny has no config.json"),
        (
            {"config.json": b"{}", "tf_model.h5": b"", "flax_model.msgpack": b""},
            f"revision {COMMIT} of tests/tiny holds no weights that this plugin reads",
        ),
        (
            {"config.json": b"{}", "model.safetensors.index.json": b'{"weight_map": {"w": "../../w.safetensors"}}'},
            "names '../../w.safetensors', which is not a file beside it",
        ),
    ],
    ids=["no config", "other weights", "index"],
)
def test_a_repo_without_a_checkpoint(hub: HubStandIn, files: dict[str, bytes], said: str) -> None:
    hub.publish(REPO, COMMIT, files)

    with pytest.raises(CheckpointError, match=said):
        fetch()


def test_a_name_that_no_repo_can_have() -> None:
    with pytest.raises(CheckpointError, match="is not the name of a repo"):
        fetch("tests/two..dots")


def test_bin_weights_are_fetched_without_safetensors(hub: HubStandIn, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.ones(2)}, tmp_path / "pytorch_model.bin")
    hub.publish(
        REPO, COMMIT, {"config.json": b"{}", "pytorch_model.bin": (tmp_path / "pytorch_model.bin").read_bytes()}
    )

    checkpoint = fetch()
    hub.stop()

    assert (checkpoint.folder / "model.safetensors").is_file()
    assert find() == checkpoint


def test_an_adapter_is_fetched_with_the_base_that_it_names(hub: HubStandIn) -> None:
    named = {"peft_type": "LORA", "base_model_name_or_path": REPO, "revision": COMMIT}
    files = {
        "adapter_config.json": json.dumps(named).encode(),
        "adapter_model.safetensors": safetensors_bytes(),
        "adapter_model.bin": b"extra",
    }
    hub.publish("tests/adapter", OTHER_COMMIT, files)

    checkpoint = fetch("tests/adapter", revision=OTHER_COMMIT)
    asked = list(hub.requests)
    hub.stop()

    assert (checkpoint.name, checkpoint.revision) == ("tests/adapter", OTHER_COMMIT)
    assert checkpoint.folder.name == COMMIT
    assert checkpoint.adapter is not None
    assert sorted(path.name for path in checkpoint.adapter.iterdir()) == sorted(files)[:1] + sorted(files)[2:]
    assert find("tests/adapter", revision=OTHER_COMMIT) == checkpoint
    assert hub.requests == asked
