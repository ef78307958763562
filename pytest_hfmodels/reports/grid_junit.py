"""A grid as JUnit XML: a suite a row, a case a test."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, tostring

from pytest_hfmodels.foundation.control_chars import visible
from pytest_hfmodels.versions.results import State

if TYPE_CHECKING:
    from pytest_hfmodels.versions.grid import Grid
    from pytest_hfmodels.versions.results import Cell, RowResult

# A cell of these is an error, not a failed comparison.
_ERRORS = (State.BROKEN, State.CRASHED, State.TIMEOUT, State.NOT_RUN, State.BUILD_FAILED)


def as_junit(grid: Grid) -> str:
    """Return the XML file's text. Cells that the ledger explains count as skipped."""
    root = Element("testsuites", name="hfmodels matrix")
    for index, row in enumerate(grid.rows):
        _suite(root, row, {test: cells[index] for test, cells in grid.cells.items()})
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(root, encoding="unicode")}\n'


def _suite(root: Element, row: RowResult, cells: dict[str, Cell]) -> None:
    counts = {"failures": 0, "errors": 0, "skipped": 0}
    suite = SubElement(root, "testsuite", name=visible(row.name), tests=str(len(cells)), time=f"{row.seconds:.3f}")
    for test, cell in cells.items():
        file, _, name = test.partition("::")
        classname = file.removesuffix(".py").replace("/", ".")
        case = SubElement(
            suite, "testcase", classname=visible(classname), name=visible(name or file), time=f"{cell.seconds:.3f}"
        )
        if (kind := _kind(cell)) is not None:
            counts[{"failure": "failures", "error": "errors"}.get(kind, kind)] += 1
            message = ": ".join(filter(None, (str(cell.state), cell.reason, cell.known)))
            SubElement(case, kind, message=visible(message)).text = visible(cell.details)
    for name, count in counts.items():
        suite.set(name, str(count))
    if row.problem:
        SubElement(suite, "system-err").text = visible(row.problem)


def _kind(cell: Cell) -> str | None:
    """Return the name of the element for a cell; None for a test that passed."""
    if cell.state is State.SAME and cell.known is None:
        return None
    if cell.explained or cell.state is State.REMOVED:
        return "skipped"
    return "error" if cell.state in _ERRORS else "failure"
