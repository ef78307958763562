"""Runs variants in one forked child with limited memory and time, and reports how each one ended.

A variant may end in four ways: it works, it is refused in a sentence, it warns, or it is skipped with a reason.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import re
import resource
import select
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.foundation.errors import HFModelsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

OUTCOMES = ("works", "refused", "warned", "skipped")
MEMORY = 1 << 30  # bytes that a batch may use in addition to its process
SECONDS = 4.0  # of CPU time for one variant
WAITING = 10.0  # seconds in total for one variant: waiting for a pipe takes no CPU time
_LONGEST = 2000  # characters of a message, which may quote long text
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def check_outcomes(variants: Mapping[str, Callable[[], object]], canary: Path, *, seconds: float = SECONDS) -> None:
    """Assert that every variant ends with one of `OUTCOMES`.

    Args:
        variants: what to try, by name.
        canary: a file that appears where code of a variant has run.
        seconds: that one variant may take.
    """
    ended: dict[str, str] = {}
    names = list(variants)
    while len(ended) < len(names):  # if a variant kills its process, a new one runs the rest
        left = [name for name in names if name not in ended]
        told = dict(_told_by_child({name: variants[name] for name in left}, canary, seconds))
        if not told:
            told = {left[0]: "the process died before it said anything"}
        ended |= told
    faults = [f"{name}: {what}" for name, what in ended.items() if what not in OUTCOMES]
    if faults:
        pytest.fail("\n".join(faults), pytrace=False)


def _told_by_child(
    variants: Mapping[str, Callable[[], object]], canary: Path, seconds: float
) -> Iterator[tuple[str, str]]:
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.close(reading)
        with contextlib.suppress(BaseException):
            _be_child(variants, canary, writing, seconds)
        os._exit(0)
    os.close(writing)
    running, buffer = "", b""
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], seconds + WAITING)
            read = pipe.read(65536) if ready else b""
            if not read:
                os.kill(process, signal.SIGKILL)
                break
            buffer += read
            while len(buffer) >= 4 and len(buffer) >= (size := 4 + int.from_bytes(buffer[:4], "little")):
                running, ended = pickle.loads(buffer[4:size])
                buffer = buffer[size:]
                if ended:
                    yield running, ended
                    running = ""
    _, status = os.waitpid(process, 0)
    if running:
        by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        late = by in (signal.SIGKILL, signal.SIGPROF)
        yield running, "it took too long" if late else f"its process died: {signal.Signals(by).name if by else status}"


def _be_child(variants: Mapping[str, Callable[[], object]], canary: Path, pipe: int, seconds: float) -> None:
    faulthandler.disable()  # it would write into pytest's output
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)  # the parent's threads do not exist after a fork
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    limit = _address_space() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    for name, variant in variants.items():
        _send(pipe, name, "")
        signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal ends the process
        _send(pipe, name, _ended(variant, canary))


def _send(pipe: int, *told: str) -> None:
    data = pickle.dumps(told)
    os.write(pipe, len(data).to_bytes(4, "little") + data)


def _ended(variant: Callable[[], object], canary: Path) -> str:
    """Return one of `OUTCOMES`, or a description of what else happened."""
    caught: list[Any] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            variant()
    except (HFModelsError, pytest.UsageError) as error:
        what = _is_sentence(str(error)) or "refused"
    except pytest.skip.Exception as skipped:
        what = _is_sentence(str(skipped)) or "skipped"
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1:]
        place = f" ({Path(last[0].filename).name}:{last[0].lineno})" if last else ""
        what = f"{type(error).__name__}: {error!s:.200}{place}"
    else:
        what = "warned" if caught else "works"
    if os.path.lexists(canary):
        canary.unlink()
        return "its code ran"
    return what


def _is_sentence(text: str) -> str:
    """Return an empty string for a message that is fit to print, or what is wrong with it."""
    if not text.strip() or len(text) > _LONGEST:
        return f"it says {len(text)} characters"
    found = _UNSAFE.search(text)
    return f"it says {found[0]!r} to the terminal: {text!r:.200}" if found else ""


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
