"""Where a record comes from. Never compared: it explains."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.engines.availability import ENGINES, described, installed
from pytest_hfmodels.engines.base import EngineName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_hfmodels.checkpoints import Checkpoint
    from pytest_hfmodels.engines import LoadedModel


PACKAGES = ("transformers", "tokenizers")
NO_ENGINE = "none"  # of plain values that are no tensors
# Numbers of two environments that differ in these are never mixed in a file.
COMPUTED_BY = ("engine", "implementation", "dtype", "attention", "device")


@dataclass(frozen=True)
class Provenance:
    """The environment that made a record.

    Args:
        engine: `torch`, `tensorflow` or a registered one.
        implementation: whose code the model is: `transformers`, `pytest-hfmodels`, or an adopted model's package.
        dtype: of the weights, such as `float32`.
        attention: the attention implementation, such as `eager`.
        device: such as `cpu`.
        cpu: the CPU capability that the engine used, such as `AVX512`.
        versions: of the packages that numbers depend on.
        noise_floor: how far rounding moves the numbers of the record, measured when its file was written; None if it
            was not measured.
    """

    engine: EngineName
    implementation: str
    dtype: str
    attention: str
    device: str
    cpu: str
    versions: dict[str, str]
    noise_floor: float | None = None

    def computed_alike(self, other: Provenance) -> bool:
        """Return whether engine, implementation, dtype, attention and device are the same."""
        return all(getattr(self, name) == getattr(other, name) for name in COMPUTED_BY)

    @classmethod
    def of_values(cls, engine: str | None, dtype: str) -> Provenance:
        """Describe what is known of values that no model of ours made: the versions that are loaded.

        Args:
            engine: that the values are of, or None if unknown.
            dtype: of the numbers.
        """
        names = [*PACKAGES, "sentence-transformers", *ENGINES.names()]
        loaded = {name for name in names if name.replace("-", "_") in sys.modules}
        packages = loaded if engine is None else {*loaded, described(engine).package}
        versions = {package: found for package in sorted(packages) if (found := _version(package)) is not None}
        return cls(engine or NO_ENGINE, "", dtype, "", "", "", versions)

    @classmethod
    def of(cls, loaded: LoadedModel) -> Provenance:
        """Describe the engine and versions that run `loaded`."""
        packages = (*PACKAGES, described(loaded.engine).package, *loaded.libraries)
        versions = {package: found for package in packages if (found := _version(package)) is not None}
        where: Mapping[str, Any] = loaded.environment()
        return cls(engine=loaded.engine, implementation=loaded.implementation, versions=versions, **where)


@cache
def _version(package: str) -> str | None:
    """Return an installed version, cached: it does not change in a process, and each record asks for several."""
    return installed(package)


@dataclass(frozen=True)
class CheckpointSeen:
    """The checkpoint that made a record.

    The digests of the preprocessor and of the chat template are empty for none, and in files of earlier versions.

    Args:
        name: as asked for.
        origin: where it comes from.
        revision: the full commit of a hub checkpoint; None for others.
        weights: digest of the weights.
        config: digest of config.json and generation_config.json.
        tokenizer: digest of the tokenizer's files.
        preprocessor: digest of the processor's files.
        chat_template: digest of the chat template.
        overrides: configuration fields that the test sets at load, as JSON; empty for none.
    """

    name: str
    origin: str
    revision: str | None
    weights: str
    config: str
    tokenizer: str
    preprocessor: str = ""
    chat_template: str = ""
    overrides: str = ""

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> CheckpointSeen:
        """Describe `checkpoint` without its folder, which is this machine's affair."""
        digests = checkpoint.digests
        return cls(
            name=checkpoint.name,
            origin=checkpoint.origin,
            revision=checkpoint.revision,
            weights=digests.weights,
            config=digests.config,
            tokenizer=digests.tokenizer,
            preprocessor=digests.preprocessor,
            chat_template=digests.chat_template,
            overrides=checkpoint.overrides,
        )


# Of plain values.
NO_CHECKPOINT = CheckpointSeen("", "none", None, "", "", "")
