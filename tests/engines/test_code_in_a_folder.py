"""Ways in which a checkpoint's folder can contain code; the code creates a file if it runs."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels import HFModelsError, ModelCache

from ..other_checkpoints import edit_json
from ..tiny_gpt2 import write_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytest.importorskip("torch")


@pytest.fixture
def cache(models: ModelCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelCache:
    """An empty cache with its own folder."""
    del models
    monkeypatch.setenv("PYTEST_HFMODELS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    return ModelCache(tmp_path)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that must never appear."""
    return tmp_path / "canary"


class _Runs:
    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return exec, (f"open({str(self._canary)!r}, 'w').close()",)


def code(canary: Path) -> str:
    return (
        f"open({str(canary)!r}, 'w').close()\n"
        "from transformers import *\n"
        "def generate(model, *args, **kwargs): pass\n"
        "class Bot(GPT2LMHeadModel): pass\nclass BotConfig(GPT2Config): pass\nclass BotTokenizer(GPT2Tokenizer): pass\n"
    )


def _module(folder: Path, canary: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(code(canary), encoding="utf-8")


def _custom_generate(folder: Path, canary: Path) -> None:
    _module(folder, canary, "custom_generate/generate.py")
    edit_json(folder / "generation_config.json", custom_generate="./bot", trust_remote_code=True, max_length=5)


def _model(folder: Path, canary: Path) -> None:
    _module(folder, canary, "bot.py", "modeling_bot.py")
    names = {"AutoConfig": "bot.BotConfig", "AutoModelForCausalLM": "bot.Bot", "AutoModel": "bot.Bot"}
    edit_json(folder / "config.json", auto_map=names, trust_remote_code=True)


def _tokenizer(folder: Path, canary: Path) -> None:
    _module(folder, canary, "bot.py", "tokenization_bot.py")
    names = {"AutoTokenizer": ["bot.BotTokenizer", "bot.BotTokenizer"]}
    edit_json(folder / "tokenizer_config.json", auto_map=names, tokenizer_class="BotTokenizer", trust_remote_code=True)


def _tokenizer_of_the_configuration(folder: Path, canary: Path) -> None:
    _module(folder, canary, "bot.py")
    edit_json(folder / "config.json", auto_map={"AutoTokenizer": "bot.BotTokenizer"}, tokenizer_class="BotTokenizer")


def _processor(folder: Path, canary: Path) -> None:
    _module(folder, canary, "bot.py")
    for name in ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json"):
        edit_json(folder / name, auto_map={"AutoProcessor": "bot.Bot", "AutoImageProcessor": "bot.Bot"})


def _python_files(folder: Path, canary: Path) -> None:
    _module(
        folder, canary, "sitecustomize.py", "conftest.py", "__init__.py", "setup.py", "transformers.py", "tokenizer.py"
    )


def _pickles(folder: Path, canary: Path) -> None:
    for name in (
        "pytorch_model.bin",
        "vocab.pkl",
        "training_args.bin",
        "model.pt",
        "adapter_model.bin",
        "optimizer.pt",
    ):
        (folder / name).write_bytes(pickle.dumps(_Runs(canary)))


def _pickle_that_the_tokenizer_names(folder: Path, canary: Path) -> None:
    (folder / "vocab.pkl").write_bytes(pickle.dumps(_Runs(canary)))
    edit_json(
        folder / "tokenizer_config.json", pretrained_vocab_file=str(folder / "vocab.pkl"), vocab_files="vocab.pkl"
    )


def _weights_that_the_configuration_names(folder: Path, canary: Path) -> None:
    (folder / "evil.bin").write_bytes(pickle.dumps(_Runs(canary)))
    edit_json(folder / "config.json", transformers_weights="evil.bin")


def _chat_template(folder: Path, canary: Path) -> None:
    reach = "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ cycler.__init__.__globals__.os.system('touch %s') }}"
    (folder / "chat_template.jinja").write_text(reach % canary, encoding="utf-8")
    edit_json(folder / "tokenizer_config.json", chat_template=reach % canary)


def _quantization(folder: Path, canary: Path) -> None:
    _module(folder, canary, "optimum.py")
    edit_json(folder / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})


def _kernels(folder: Path, canary: Path) -> None:
    edit_json(folder / "config.json", attn_implementation="evil/kernel", _attn_implementation="evil/kernel")
    del canary


WAYS: dict[str, Callable[[Path, Path], None]] = {
    way.__name__.strip("_"): way
    for way in (
        _custom_generate,
        _model,
        _tokenizer,
        _tokenizer_of_the_configuration,
        _processor,
        _python_files,
        _pickles,
        _pickle_that_the_tokenizer_names,
        _weights_that_the_configuration_names,
        _chat_template,
        _quantization,
        _kernels,
    )
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("pin", [True, False], ids=["pinned", "free"])
def test_code_in_a_folder_never_runs(
    cache: ModelCache, tmp_path: Path, canary: Path, way: str, pin: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    WAYS[way](write_checkpoint(tmp_path / "bot"), canary)
    monkeypatch.chdir(tmp_path)

    try:
        handle = cache.load("./bot", pin=pin)
        handle.generate("Hi", max_new_tokens=1)
        if way == "chat_template":
            with pytest.raises(Exception, match=r"unsafe|undefined|access"):
                handle.tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    except HFModelsError:
        pass

    assert not canary.exists()


def test_upstream_sees_only_known_files(cache: ModelCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    folder = write_checkpoint(tmp_path / "bot")
    for way in ("model", "processor", "python_files", "pickles", "custom_generate"):
        WAYS[way](folder, tmp_path / "canary")
    (folder / "README.md").write_text("Hi")
    seen: list[set[str]] = []

    def listing(kind: Any) -> Any:
        original = kind.from_pretrained

        def spy(handed: str, *args: Any, **keywords: Any) -> Any:
            from pathlib import Path

            seen.append({path.name for path in Path(handed).iterdir()})
            assert not any("auto_map" in json.loads(path.read_text()) for path in Path(handed).glob("*config.json"))
            return original(handed, *args, **keywords)

        return spy

    for kind in (transformers.AutoModelForCausalLM, transformers.AutoProcessor):
        monkeypatch.setattr(kind, "from_pretrained", listing(kind))
    handle = cache.load("./bot")

    known = {"config.json", "generation_config.json", "model.safetensors"}
    tokenizer = {"vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json"}
    processor = {"preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"}
    assert seen == [known | tokenizer | processor] * 2
    assert handle.checkpoint.folder == folder
    assert handle.tokenizer.name_or_path == handle.config._name_or_path == str(folder)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("name", ["RagRetriever", "GPT2LMHeadModel", "pipeline"])
def test_a_class_that_is_not_a_tokenizer_is_refused(cache: ModelCache, tmp_path: Path, name: str, file: str) -> None:
    folder = write_checkpoint(tmp_path / "bot")
    edit_json(folder / "tokenizer_config.json", tokenizer_class=None)
    edit_json(folder / file, tokenizer_class=name)

    with pytest.raises(HFModelsError, match=f"'{name}', which is not a tokenizer of transformers"):
        cache.load("./bot")


@pytest.mark.parametrize(
    ("file", "fields"),
    [
        ("tokenizer_config.json", ("vocab_file",)),
        ("tokenizer_config.json", ("vocab", "merges")),
        ("special_tokens_map.json", ("vocab_file",)),
    ],
)
def test_a_tokenizer_reads_no_file_of_another_folder(
    cache: ModelCache, tmp_path: Path, file: str, fields: tuple[str, ...]
) -> None:
    other = write_checkpoint(tmp_path / "other")
    words = json.loads((other / "vocab.json").read_text())
    (other / "vocab.json").write_text(json.dumps({word: 255 - index for word, index in words.items() if index < 256}))
    folder = write_checkpoint(tmp_path / "bot")
    plain = cache.load("./bot").tokenizer.get_vocab()
    files = {"vocab": "vocab.json", "vocab_file": "vocab.json", "merges": "merges.txt"}
    edit_json(folder / file, **{field: str(other / files[field]) for field in fields})

    assert ModelCache(tmp_path).load("./bot").tokenizer.get_vocab() == plain
