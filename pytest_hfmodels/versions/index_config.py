"""Where packages come from: uv is told what pip has been told, so that a machine is set up once. No address is ours."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_SOURCES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX")


def environment_for_uv() -> dict[str, str]:
    """Return this process's environment, with pip's sources of packages for uv where uv has been told none."""
    own = dict(os.environ)
    if any(own.get(name) for name in _SOURCES) or own.get("UV_CONFIG_FILE"):
        return own
    return {**as_uv_reads(dict(pip_settings())), **own}


def as_uv_reads(settings: Mapping[str, str]) -> dict[str, str]:
    """Return uv's variables for pip's settings.

    Args:
        settings: pip's, by their long names (`index-url`), several values separated by white space.
    """
    # pip looks for an index on the network and for a folder of wheels alike; uv takes a folder as links only.
    extra = [address for address in settings.get("extra-index-url", "").split() if not address.startswith("file:")]
    told = {
        "UV_DEFAULT_INDEX": settings.get("index-url", ""),
        "UV_INDEX": " ".join(extra),
        "UV_INDEX_STRATEGY": "unsafe-best-match" if extra else "",  # pip takes the best of all
        "UV_FIND_LINKS": ",".join(settings.get("find-links", "").split()),
        "UV_NO_INDEX": "1" if settings.get("no-index", "").lower() in ("1", "true", "yes", "on") else "",
        "SSL_CERT_FILE": settings.get("cert", ""),
    }
    return {name: value for name, value in told.items() if value}


@cache
def pip_settings() -> tuple[tuple[str, str], ...]:
    """Return pip's settings, the strongest last; none where there is no pip."""
    pip = _pip()
    if pip is None:
        return ()
    listed = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=False)
    return tuple(_settings(listed.stdout))


def _pip() -> Sequence[str] | None:
    if find_spec("pip") is not None:
        return (sys.executable, "-m", "pip")
    found = shutil.which("pip")
    return None if found is None else (found,)


def _settings(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and value of each line (`global.find-links='…'`), variables after files, as pip ranks them."""
    lines = [line.partition("=") for line in text.splitlines() if "=" in line]
    for section, _, value in sorted(lines, key=lambda line: line[0].startswith(":env:")):
        try:
            yield section.rpartition(".")[2], str(ast.literal_eval(value))
        except (ValueError, SyntaxError):
            continue
