"""Architectures with their own classes, which transformers' auto classes do not load. See docs/own-architectures.md.

May import only the registry: checkpoints, engines and `transfo_xl` import it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def _nothing(_: object) -> None:
    return None


@dataclass(frozen=True)
class Architecture:
    """How checkpoints of one `model_type` are loaded.

    Args:
        model_type: as in `config.json`.
        classes: the torch class of each task: `{"text-generation": "ToyLMHeadModel"}`.
        find: imports a class that is named here. Its arguments are the name, and `auto` or the chosen
            implementation.
        config: the class of its configuration.
        tokenizer: the class of its tokenizer; empty if the checkpoint's files name it.
        base: its class without a head, which a checkpoint may name.
        check: checks a checkpoint's `config.json`; raises `CheckpointError` if it contradicts itself.
        check_tokenizer: checks a checkpoint's folder; raises `CheckpointError` if its vocabulary is damaged.
        implementation: whose code runs and why, by chosen implementation, for the run's header; None if there is only
            one.
        cannot_generate: engine -> why it cannot generate with this architecture.
    """

    model_type: str
    classes: Mapping[str, str]
    find: Callable[[str, str], Any]
    config: str
    tokenizer: str = ""
    base: str = ""
    check: Callable[[dict[str, Any]], None] = _nothing
    check_tokenizer: Callable[[Path], None] = _nothing
    implementation: Callable[[str], str] | None = None
    cannot_generate: Mapping[str, str] = field(default_factory=dict)


ARCHITECTURES: Registry[Architecture] = Registry(
    "pytest_hfmodels.architectures",
    "architecture",
    {"transfo-xl": "pytest_hfmodels.transfo_xl.architecture:ARCHITECTURE"},
)


def register_architecture(architecture: Architecture) -> None:
    """Let your own classes load the checkpoints of an architecture.

    A project calls this in its `conftest.py`; a package names its `Architecture` as an entry point of the group
    `pytest_hfmodels.architectures`.

    Raises:
        ValueError: another file has registered its `model_type`.
    """
    ARCHITECTURES.add(architecture.model_type, architecture, source=architecture.find.__code__.co_filename)
