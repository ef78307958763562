"""What holds for an architecture: the checks of `ModelChecks`, and those that need a description of its own.

`Decoder`, `EncoderDecoder`, `Encoder` and `Other` say which checks apply. A file extends one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from packaging.version import Version

from pytest_hfmodels import ModelChecks
from pytest_hfmodels.engines import upstream
from pytest_hfmodels.engines.availability import installed
from suites.architectures.checkpoint import write_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pytest_hfmodels import HFModel, HFSnapshot, ModelCache
    from pytest_hfmodels.foundation.model_request import ModelRequest

    Inputs = dict[str, Any]

GENERATES = ("test_greedy", "test_beams", "test_batch", "test_chat", "test_cache", "test_accuracy")
RECORDED_ON = "4.57.6"
# What is checked, and by which tests. docs/write_upstream.py makes the table of all architectures from this.
CHECKED = {
    "greedy": ("test_greedy",),
    "beams": ("test_beams",),
    "padded batch": ("test_batch", "test_padding"),
    "outputs": ("test_outputs", "test_image", "test_timestamps", "test_long"),
    "with a cache = without": ("test_cache",),
    "static cache": ("test_static_cache",),
    "eager = sdpa": ("test_attention", "test_generates_again"),
    "float64": ("test_float64", "test_generates_again"),
    "bfloat16": ("test_dtype",),
    "saved and loaded": ("test_reload", "test_generates_again"),
    "row = row of a batch": ("test_alone",),
    "switch": ("test_switch",),
}
_WINDOWS = ("sliding_window", "window_size", "local_attention")
_LONGEST = 18  # tokens of a text and its continuation

# Fields that most configurations of a kind share; each file adds its own.
SMALL: dict[str, Any] = {
    "vocab_size": 36,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": None,
}
SEQ2SEQ: dict[str, Any] = {
    "vocab_size": 36,
    "d_model": 16,
    **dict.fromkeys(("encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads"), 2),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 24),
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": None,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": None,
}
TEXT: dict[str, Any] = {**SMALL, "num_attention_heads": 2, "eos_token_id": 3}
VISION: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}


class ArchitectureChecks(ModelChecks):
    """Checks of one architecture.

    Attributes:
        model_class: transformers' class.
        model_type: of its configuration.
        name: of the checkpoint's folder, if the model type has several.
        since: the first release that has the class.
        sentencepiece: whether transformers 5.0 to 5.3 load its tokenizer only with that package.
        needs: the first release that reads the files, and which part of them; empty for `since`.
        fields: of the configuration.
        weights: names and shapes (see `write_checkpoint`).
        seed: of the numbers.
        gain: of the matrices.
        switch: fields of the configuration that change the forward pass.
        lacks: tests that the recording release skips, as it has no sdpa attention; a hook compares this with the run.
        tokenizer: whether the model reads words.
        more: special words of the tokenizer beyond the usual ones.
        files: of a processor, by name (see `write_checkpoint`).
    """

    model_class: ClassVar[str]
    model_type: ClassVar[str]
    name: ClassVar[str] = ""
    since: ClassVar[str] = "4.30"
    needs: ClassVar[tuple[str, str]] = ("", "")
    sentencepiece: ClassVar[bool] = False
    fields: ClassVar[Mapping[str, Any]]
    weights: ClassVar[str]
    seed: ClassVar[int] = 0
    gain: ClassVar[float] = 1.5
    switch: ClassVar[Mapping[str, Any]] = {}
    lacks: ClassVar[Sequence[str]] = ()
    tokenizer: ClassVar[bool] = True
    more: ClassVar[Sequence[str]] = ()
    files: ClassVar[Mapping[str, Any]] = {}
    new_tokens: ClassVar[int] = 10
    pytestmark: ClassVar[list[Any]] = [
        pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning"),  # in some modules, at import
    ]

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Name the checkpoint; the fixtures below build it."""
        if hasattr(cls, "model_type"):
            cls.checkpoint = f"drawn/{cls.checkpoint_name()}"
        super().__init_subclass__(**keywords)

    @classmethod
    def checkpoint_name(cls) -> str:
        """Return the folder's name."""
        return cls.name or f"drawn-{cls.model_type}"

    @classmethod
    def write(cls, folder: Path, **fields: Any) -> Path:
        """Write the checkpoint, with other fields of the configuration if there are any."""
        config = {"architectures": [cls.model_class], "model_type": cls.model_type, **cls.fields, **fields}
        how = ("seed", "gain", "tokenizer", "more", "files")
        return write_checkpoint(folder, config, cls.weights, **{name: getattr(cls, name) for name in how})

    @classmethod
    def checked(cls) -> dict[str, list[str]]:
        """Return the tests of each aspect in `CHECKED`."""
        return {aspect: [name for name in names if getattr(cls, name, None)] for aspect, names in CHECKED.items()}

    @classmethod
    def windows(cls) -> dict[str, list[int]]:
        """Return the windows of attention that the texts go beyond, by the test that has them."""
        plain = "test_cache" if getattr(cls, "test_cache", None) else "test_outputs"
        sides = {plain: cls.fields, "test_switch": cls.switch}
        found = {
            name: [fields[key] for key in _WINDOWS if fields.get(key, _LONGEST) < _LONGEST]
            for name, fields in sides.items()
        }
        return {name: sizes for name, sizes in found.items() if sizes and getattr(cls, name, None)}

    @pytest.fixture
    def prompt(self) -> str:
        """The text to continue."""
        return "the large cat and the small dog is"

    @pytest.fixture
    def texts(self, prompt: str) -> list[str]:
        """Two texts of different lengths."""
        return [prompt, "my name"]

    @pytest.fixture
    def hf_model(self, load_again: Callable[..., HFModel]) -> HFModel:
        """The model, or a skip that says when the class comes."""
        return load_again()

    @pytest.fixture
    def load_again(
        self, drawn_models: ModelCache, _hf_request: ModelRequest, written: Callable[..., str]
    ) -> Callable[..., HFModel]:
        """Loads the model, or what was saved of it, with other arguments."""
        self.require_class()
        own = written(type(self))

        def load(folder: Path | str | None = None, **changes: Any) -> HFModel:
            return drawn_models.load(folder or own, engine=_hf_request.engine, **{**self.load, **changes})

        return load

    @classmethod
    def require_class(cls) -> None:
        """Skip on releases before the class; fail if `since` is wrong or the class was removed."""
        now = installed("transformers") or "0"
        expected = Version(Version(now).base_version) >= Version(cls.since)
        found = hasattr(upstream.transformers(with_tensorflow=False), cls.model_class)
        assert found == expected, f"{now} has {cls.model_class}: {found}; `since` says {cls.since}"
        if not found:
            pytest.skip(f"not yet: {cls.model_class} comes with transformers {cls.since} ({now} is installed)")
        if cls.sentencepiece and Version("5.0") <= Version(now) < Version("5.4"):
            pytest.importorskip("sentencepiece", reason="needs a package: python -m pip install sentencepiece")
        release, part = cls.needs
        if release and Version(now) < Version(release):
            pytest.skip(f"not yet: {part} of {cls.model_class} come with transformers {release} ({now} is installed)")

    def test_float64(self, hf_model: HFModel, load_again: Callable[..., HFModel], texts: list[str]) -> None:
        """Float64 gives what float32 gives."""
        from pytest_hfmodels.fixtures.model_checks.statements import other_numbers, require_none

        exact = load_again(dtype="float64", task=hf_model.task)
        require_none("In float64, outputs differ from those in float32", other_numbers(hf_model, exact, texts))

    def test_switch(
        self,
        hf_model: HFModel,
        load_again: Callable[..., HFModel],
        texts: list[str],
        hf_snapshot: HFSnapshot,
        written: Callable[..., str],
    ) -> None:
        """The switch changes the outputs; the recorded ones come in two ways."""
        from pytest_hfmodels.fixtures.model_checks.statements import other_numbers, require_none

        switched = load_again(written(type(self), switched=True), task=hf_model.task)
        assert other_numbers(hf_model, switched, texts) is not None, f"{dict(self.switch)} changes nothing"
        found = self.switched(switched, texts)
        require_none(f"With {dict(self.switch)}, outputs differ", self.second_way(switched, texts, found))
        assert found == hf_snapshot

    def switched(self, model: HFModel, texts: list[str]) -> Any:
        """Return what `test_switch` records."""
        from pytest_hfmodels.fixtures.model_checks.inputs import record_of

        return record_of(model, texts)

    def second_way(self, model: HFModel, texts: list[str], found: Any) -> str | None:
        """Each row alone."""
        from pytest_hfmodels.fixtures.model_checks.statements import other_in_batch

        del found
        return other_in_batch(model, texts, padded=False)


class Generator(ArchitectureChecks):
    """A model that generates."""

    without: ClassVar[Sequence[str]] = ("test_chat", "test_outputs", "test_accuracy")
    beams_cached: ClassVar[bool] = True  # whether beams are recorded with a cache

    def test_beams(self, hf_model: HFModel, hf_snapshot: HFSnapshot, asks: Any, prompt: str) -> None:
        """Beam search gives the recorded output."""
        cached: dict[str, Any] = {} if self.beams_cached else {"use_cache": False}
        assert hf_model.generate(**asks(prompt), **cached, num_beams=3) == hf_snapshot

    def switched(self, model: HFModel, texts: list[str]) -> Any:
        """Return a short continuation."""
        return model.generate(texts[0], **self._lengths(model, texts[0]))

    def second_way(self, model: HFModel, texts: list[str], found: Any) -> str | None:
        """Without a cache."""
        from pytest_hfmodels.fixtures.model_checks.statements import other_output

        return other_output(model.generate(texts[0], **self._lengths(model, texts[0]), use_cache=False), found)

    def test_static_cache(self, hf_model: HFModel, asks: Any, prompt: str) -> None:
        """A cache of fixed length changes no output."""
        from pytest_hfmodels.fixtures.model_checks.statements import other_output, require_none

        able = ("_supports_static_cache", "_can_compile_fullgraph")  # before and since 4.53
        if not any(getattr(hf_model.model, name, False) for name in able):
            pytest.skip(f"{self.model_class} has no static cache in the installed transformers")
        compiles = hasattr(hf_model.model.generation_config, "disable_compile")  # since 4.49
        uncompiled: dict[str, Any] = {"disable_compile": True} if compiles else {}
        fixed = hf_model.generate(**asks(prompt), cache_implementation="static", **uncompiled)
        require_none(
            "With a static cache, the output is another one", other_output(hf_model.generate(**asks(prompt)), fixed)
        )
        if hasattr(hf_model.model, "_cache"):  # before 4.50 it stays in the model, which cannot be saved then
            del hf_model.model._cache


class Decoder(Generator):
    """A model that continues a text."""


class EncoderDecoder(Generator):
    """A model that reads a text with an encoder and writes another."""


class Media(Generator):
    """A model that generates a text from an image or a sound."""

    def test_switch(  # type: ignore[override]
        self,
        hf_model: HFModel,
        load_again: Callable[..., HFModel],
        given: Inputs,
        hf_snapshot: HFSnapshot,
        written: Any,
    ) -> None:
        """The switch changes the output; the recorded one comes in two ways."""
        from pytest_hfmodels.fixtures.model_checks.statements import other_output, require_none

        switched = load_again(written(type(self), switched=True))
        found = switched.generate(**given)
        assert other_output(hf_model.generate(**given), found) is not None, f"{dict(self.switch)} changes nothing"
        uncached = other_output(switched.generate(**given, use_cache=False), found)
        require_none(f"With {dict(self.switch)}, the cache changes the output", uncached)
        assert found == hf_snapshot

    @pytest.mark.parametrize(
        "how",
        [{"dtype": "float64"}, {"attention": "eager"}, {"attention": "sdpa"}, {}],
        ids=["float64", "eager", "sdpa", "saved"],
    )
    def test_generates_again(
        self, hf_model: HFModel, load_again: Callable[..., HFModel], given: Inputs, how: Inputs, tmp_path: Path
    ) -> None:
        """Float64, eager and fused attention, and saving change no output."""
        from pytest_hfmodels.fixtures.model_checks.statements import other_output, require_none, saved

        if how.get("attention") == "sdpa" and not getattr(type(hf_model.model), "_supports_sdpa", False):
            pytest.skip(f"{self.model_class} has no sdpa attention in this transformers; another release may have it")
        again = load_again(**how) if how else load_again(saved(hf_model, tmp_path))
        problem = other_output(hf_model.generate(**given), again.generate(**given))
        require_none(f"With {how or 'the saved model'}, the output differs", problem)

    @pytest.fixture
    def given(self, asks: Any, prompt: str) -> Inputs:
        """What the model is given, with one image or sound."""
        found: Inputs = asks(prompt)
        return found


class Encoder(ArchitectureChecks):
    """A model of texts that does not generate."""

    without: ClassVar[Sequence[str]] = GENERATES


class Pairs(Encoder):
    """A model that compares texts with images or sounds."""


class Other(ArchitectureChecks):
    """A model of images or sounds, which reads no padding."""

    without: ClassVar[Sequence[str]] = (*GENERATES, "test_padding")
    tokenizer = False
