"""Runs pytest and our own commands in processes that end with them: forks of this one, or new ones."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import runpy
import signal
import subprocess
import sys
import traceback
import warnings
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hfmodels.engines import upstream
from pytest_hfmodels.engines.threads import sleeping

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Packages that take seconds to import, and nothing of pytest: it rewrites assertions while it imports its plugins.
_SLOW = frozenset(
    {"PIL", "accelerate", "huggingface_hub", "keras", "numpy", "peft", "safetensors", "scipy"}
    | {"sentence_transformers", "sklearn", "tensorflow", "tf_keras", "tokenizers", "torch", "transformers"}
)
# Slow packages import some plugins, such as anyio's. Last, because a later -W goes before an earlier one.
_IMPORTED_EARLY = ("-W", "ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning")
TASKS = Path("/proc/self/task")


def start(module: str, arguments: Sequence[str]) -> int:
    """Run a module in a process of its own, and return its exit code."""
    with _interrupts_left_to_child():
        return subprocess.run([sys.executable, "-P", "-m", module, *arguments], check=False).returncode


def fork(module: str, arguments: Sequence[str]) -> int:
    """Run a module in a copy of this process, with what is imported here, and return its exit code."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _become(module, arguments)
    with _interrupts_left_to_child():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def why_not_fork() -> str | None:
    """Return why a copy of this process could not run tests, or None if it could."""
    if not sys.platform.startswith("linux"):
        return "forking is safe on Linux only"
    if (threads := len([*TASKS.iterdir()])) > 1:
        return f"the imports started {threads - 1} thread{'s' if threads > 2 else ''}"
    if "torch" in sys.modules and has_accelerator():
        return "an accelerator's driver does not survive a fork"
    return None


def missing(names: Sequence[str]) -> list[str]:
    """Return the modules of `names` that are slow to import and not imported here."""
    return [name for name in names if name.partition(".")[0] in _SLOW and name not in sys.modules]


def import_slow(names: Sequence[str]) -> None:
    """Import the slow modules of `names`, with OpenBLAS limited to one thread, which would start more.

    Then exempt all objects from garbage collection.
    """
    slow = missing(names)
    with upstream.environment({"OPENBLAS_NUM_THREADS": "1", **sleeping()}), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if "transformers" in slow:
            upstream.transformers(with_tensorflow="tensorflow" in slow)
        for name in slow:
            with suppress(Exception):  # some exist only in the process that made them
                importlib.import_module(name)
    gc.collect()
    gc.freeze()  # collections in a fork skip these objects, so their memory stays shared


def _become(module: str, arguments: Sequence[str]) -> None:
    """Run a module in this process and end it, as `python -P -m module` does."""
    status = 1
    try:
        for name in [name for name in sys.modules if name.partition(".")[0] == "pytest_hfmodels"]:
            del sys.modules[name]  # pytest rewrites the assertions of its plugins while it imports them
        sys.argv = [module, *arguments, *(_IMPORTED_EARLY if module == "pytest" and "--" not in arguments else ())]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


@cache
def has_accelerator() -> bool:
    """Return what torch says in a copy of this process: asking may start the driver, which cannot be forked then."""
    child = os.fork()
    if child == 0:
        status = 1  # assume there is one if torch cannot tell
        try:
            torch = sys.modules["torch"]
            status = int(any(found.is_available() for name in ("cuda", "xpu") if (found := getattr(torch, name, None))))
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0


@contextmanager
def _interrupts_left_to_child() -> Iterator[None]:
    """Leave Ctrl-C to the child, to which the terminal sends it as well."""
    before = signal.signal(signal.SIGINT, lambda *_: None)  # ignored signals would stay ignored in a new process
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
