"""The pending changes that a page carries, for `hfmodels review --from`: packed, and unpacked within limits."""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_hfmodels.results.model import ReportError, decode
from pytest_hfmodels.results.pending import Pending

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.results.model import Results

_PACKED = re.compile(r'<data id="pending" value="([A-Za-z0-9+/=]*)"')


def pending_of(results: Results) -> Iterator[Pending]:
    """Yield the pending changes of a run."""
    for test in results.tests:
        for found in test.comparisons:
            if found.pending is not None:
                yield found.pending


def pack(results: Results, *, arrays: bool = True) -> str:
    """Return the pending changes of a run as one string of base64; an empty one if there are none.

    Args:
        results: of the run.
        arrays: whether to include array files.
    """
    import msgspec

    found = pending_of(results)
    changes = [msgspec.to_builtins(one if arrays else replace(one, arrays="")) for one in found]
    if not changes:
        return ""
    return base64.b64encode(zlib.compress(json.dumps(changes).encode(), 9)).decode()


def unpack(page: str, where: str, *, most: int) -> list[Pending]:
    """Return the pending changes that a page carries; none if it carries none.

    Args:
        page: the page's text. It may come from anybody.
        where: its name, for messages.
        most: bytes that may be unpacked.

    Raises:
        ReportError: it is not what `pack` makes, it is larger, or the page is cut off.
    """
    found = _PACKED.search(page)
    if found is None:
        if "<title>hfmodels: " in page and "</html>" not in page:
            raise ReportError(f"{where} is damaged: its end is missing.", hint="Download it again.")
        return []
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(base64.b64decode(found[1]), most)
    except (ValueError, zlib.error) as error:
        raise ReportError(f"{where} cannot be read: {error}.", hint="Download it again.") from error
    if unpacker.unconsumed_tail:
        raise ReportError(f"{where} holds more than {most >> 20} MB of changes.", hint="Do not trust it.")
    return decode(text, list[Pending], where)
