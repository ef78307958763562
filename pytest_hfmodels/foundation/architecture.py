"""Architectures with classes of their own: what transformers' auto classes do not load. See docs/own-architectures.md.

May import only the registry: checkpoints, engines and `transfo_xl` all stand on it.
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
        find: of the name of a class, and `auto` or whose implementation was chosen: the class, imported. It is
            asked for the classes named here.
        config: the class of its configuration.
        tokenizer: the class of its tokenizer; empty for the one that the checkpoint's files name.
        base: its class without a head, for checkpoints that name that one.
        check: of a checkpoint's `config.json`. Raises `CheckpointError` if it contradicts itself.
        check_tokenizer: of a checkpoint's folder. Raises `CheckpointError` if its vocabulary is damaged.
        implementation: of the choice: whose code runs and why, for the run's header; None if there is one only.
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
