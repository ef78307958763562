"""A headless Chromium to look at pages with, driven through the pipe of its DevTools. Needs nothing but Chromium.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MISSING = "there is no Chromium: install it (Debian: apt-get install chromium)"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_SECONDS = 120


class BrowserError(RuntimeError):
    """The browser said no, ended or did not answer."""


class Browser:
    """One browser with one tab; use it as a context manager.

    Args:
        profile: an empty folder for what it keeps.
        size: width and height of the window.
    """

    def __init__(self, profile: Path, *, size: tuple[int, int] = (1200, 900)) -> None:
        self._profile, self._size = profile, size
        self._called, self._rest = 0, b""
        self._told: list[dict[str, Any]] = []
        self._session = ""

    def __enter__(self) -> Self:
        """Start it.

        Raises:
            BrowserError: there is none, or it does not start.
        """
        if BROWSER is None:
            raise BrowserError(MISSING)
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()
        # Out of the way of 3 and 4, which are where the browser looks for its pipes.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (theirs_in, theirs_out)]

        def place() -> None:
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        width, height = self._size
        window = (f"--user-data-dir={self._profile}", f"--window-size={width},{height}")
        self._process = subprocess.Popen(
            (BROWSER, *FLAGS, *window, "--remote-debugging-pipe", "about:blank"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=place,  # no thread runs here that could hold a lock
        )
        for end in (theirs_in, theirs_out, *ends):
            os.close(end)
        (tab,) = [target for target in self.call("Target.getTargets")["targetInfos"] if target["type"] == "page"]
        attached = self.call("Target.attachToTarget", targetId=tab["targetId"], flatten=True)
        self._session = attached["sessionId"]
        self.call("Page.enable")
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._to)
        os.close(self._from)

    def open(self, address: str) -> None:
        """Open an address and wait for its load event."""
        self._told.clear()
        self.call("Page.navigate", url=address)
        self.wait_for("Page.loadEventFired")

    def evaluate(self, expression: str) -> Any:
        """Return what JavaScript gives, waited for; the page's content security policy does not bind it."""
        found = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in found:
            raise BrowserError(json.dumps(found["exceptionDetails"])[:1000])
        return found["result"].get("value")

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Return the answer to a command of the protocol.

        Raises:
            BrowserError: it is an error, or there is none.
        """
        self._called += 1
        message = {"id": self._called, "method": method, "params": arguments}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        answer = self._next(lambda told: told.get("id") == self._called)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error'].get('message')}")
        result: dict[str, Any] = answer["result"]
        return result

    def wait_for(self, event: str, **having: Any) -> dict[str, Any]:
        """Return the parameters of the next event of a name, with given values in them."""

        def fits(told: dict[str, Any]) -> bool:
            given = told.get("params", {})
            return told.get("method") == event and all(given.get(name) == value for name, value in having.items())

        parameters: dict[str, Any] = self._next(fits)["params"]
        return parameters

    def _next(self, fits: Any) -> dict[str, Any]:
        """Return the first message that fits, those that came while something else was waited for included."""
        latest = time.monotonic() + _SECONDS
        while True:
            for place, told in enumerate(self._told):
                if fits(told):
                    return self._told.pop(place)
            self._read(latest - time.monotonic())

    def _read(self, seconds: float) -> None:
        ready, _, _ = select.select([self._from], [], [], max(seconds, 0))
        read = os.read(self._from, 1 << 20) if ready else b""
        if not read:
            raise BrowserError("the browser has ended" if ready else f"no answer within {_SECONDS} s")
        *whole, self._rest = (self._rest + read).split(b"\0")
        self._told += map(json.loads, whole)
