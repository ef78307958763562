"""A run with models restores global state that later tests and other plugins share."""

from __future__ import annotations

import gc
import locale
import logging
import os
import random
import signal
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels.engines import upstream

if TYPE_CHECKING:
    from .project import Project

RUN = """
import pytest

@pytest.mark.hf_model("./model")
def test_reply(hf_model, hf_snapshot):
    assert hf_model.generate("Hi", max_new_tokens=4) == hf_snapshot

@pytest.mark.hf_model("./model", task="text-classification", pad_token_id=256)
def test_class(hf_model, hf_snapshot):
    assert hf_model.classify(["Hi", "you"], labels=[0, 1]) == hf_snapshot

@pytest.mark.hf_model("./model")
def test_adopted(hf_model, hf_models):
    hf_models.adopt(hf_model.model, hf_model.tokenizer).generate("Hi", num_beams=2, max_new_tokens=2)
"""


def global_state() -> dict[str, Any]:
    import torch
    from transformers.utils import logging as upstream_logging

    return {
        "garbage collector": (gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.get_freeze_count()),
        "environment": dict(os.environ),
        "working folder": os.getcwd(),  # noqa: PTH109 - as the process has it
        "umask": _umask(),
        "signal handlers": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "locale": locale.setlocale(locale.LC_ALL),
        "recursion limit": sys.getrecursionlimit(),
        "bytecode": sys.dont_write_bytecode,
        "import path": list(sys.path),
        "hooks": (sys.excepthook, sys.unraisablehook, sys.displayhook, sys.gettrace()),
        "warnings": (list(warnings.filters), warnings.showwarning),
        "logging": (logging.root.level, list(logging.root.handlers), logging.root.manager.disable),
        "upstream's logging": (upstream_logging.get_verbosity(), upstream_logging.is_progress_bar_enabled()),
        "random states": (random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()),
        "numpy": (np.geterr(), np.get_printoptions()),
        "torch": (
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.get_default_dtype(),
            torch.are_deterministic_algorithms_enabled(),
            torch.get_float32_matmul_precision(),
            torch.backends.mkldnn.enabled,
        ),
    }


@pytest.mark.parametrize("change", [False, True], ids=["same", "explained"])
def test_a_run_restores_global_state(project: Project, change: bool) -> None:
    project.write(RUN)
    project.run("--snapshot-update", "--hfmodels-engines", "torch")
    if change:
        project.change_model()
    before = global_state()

    result = project.run("--hfmodels-engines", "torch")

    result.assert_outcomes(**({"passed": 1, "failed": 2} if change else {"passed": 3}))
    after = global_state()
    assert {name: value for name, value in after.items() if value != before[name]} == {}


def test_importing_upstream_leaves_the_garbage_collector_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    before = gc.isenabled(), gc.get_freeze_count()
    with monkeypatch.context() as patched:
        patched.delitem(sys.modules, "transformers")
        patched.setattr("builtins.__import__", _importing(transformers))
        upstream.transformers(with_tensorflow=False)

    assert (gc.isenabled(), gc.get_freeze_count()) == before


def _importing(module: Any) -> Any:
    """Return an import function that returns transformers at once, as it cannot be imported twice in a process."""
    original = __import__

    def find(name: str, *arguments: Any, **keywords: Any) -> Any:
        return module if name == "transformers" else original(name, *arguments, **keywords)

    return find


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
