"""Draws docs/images/architecture.svg from the imports in the package: `python docs/draw_architecture.py`.

A part is a folder or a top-level module. A part is drawn above the parts that it imports. An arrow goes to each part
below that no other arrow leads to. Parts that import each other share a frame.
"""

from __future__ import annotations

import ast
from html import escape
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "pytest_hfmodels"
TARGET = Path(__file__).parent / "images" / "architecture.svg"
LEAVES = {"foundation"}  # used everywhere
WIDTH, HEIGHT, GAP_X, GAP_Y = 118, 34, 16, 34


def rooms() -> dict[str, set[str]]:
    """Return each part and the parts that it imports at run time, without imports for type checking."""
    found: dict[str, set[str]] = {}
    for file in sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "__main__.py"}):  # it is `hfmodels`
        room = _room(file.relative_to(PACKAGE))
        found.setdefault(room, set()).update(_imports(ast.parse(file.read_text(encoding="utf-8"))))
    return {room: {one for one in used if one in found and one not in {room} | LEAVES} for room, used in found.items()}


def levels(graph: dict[str, set[str]]) -> list[list[list[str]]]:
    """Return the parts from the top: levels of groups; the parts of a group import each other."""
    reach = {room: _reachable(graph, room) for room in graph}
    groups = {frozenset({room} | {other for other in reach[room] if room in reach[other]}) for room in graph}
    depth: dict[frozenset[str], int] = {}

    def deep(group: frozenset[str]) -> int:
        if group not in depth:
            below = {other for other in groups if other != group and any(reach[room] & other for room in group)}
            depth[group] = 1 + max(map(deep, below), default=-1)
        return depth[group]

    top = max(map(deep, groups))
    return [sorted(sorted(group) for group in groups if depth[group] == top - level) for level in range(top + 1)]


def draw(graph: dict[str, set[str]]) -> str:
    """Return the picture as SVG."""
    places: dict[str, tuple[int, int]] = {}
    frames, rows = [], levels(graph)
    widest = max(sum(map(len, groups)) for groups in rows)
    for level, groups in enumerate(rows):
        count = sum(map(len, groups))
        x, y = (widest - count) * (WIDTH + GAP_X) // 2 + GAP_X, level * (HEIGHT + GAP_Y) + GAP_Y
        for group in groups:
            if len(group) > 1:
                frames.append(
                    f'<rect class="frame" x="{x - 6}" y="{y - 6}" width="{len(group) * (WIDTH + GAP_X) - 4}" '
                    f'height="{HEIGHT + 12}" rx="8"/>'
                )
            for room in group:
                places[room] = (x, y)
                x += WIDTH + GAP_X
    lines = [_arrow(places[room], places[below]) for room in graph for below in sorted(_direct(graph, room))]
    boxes = [_box(room, *place) for room, place in places.items()]
    size = f"{widest * (WIDTH + GAP_X) + 2 * GAP_X} {len(rows) * (HEIGHT + GAP_Y) + GAP_Y}"
    style = (
        "text{font:14px sans-serif;fill:#1f2328}rect{fill:#f6f8fa;stroke:#57606a}"
        ".frame{fill:none;stroke-dasharray:4}"
        "path{stroke:#8c959f;fill:none}"
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img">',
            "<title>The parts of pytest_hfmodels; each imports only parts below it</title>",
            f"<style>{style}</style>",
            '<rect width="100%" height="100%" style="fill:#fff;stroke:none"/>',
            *lines,
            *frames,
            *boxes,
            "</svg>",
            "",
        ]
    )


def _room(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def _imports(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("pytest_hfmodels"):
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        found |= _imports(node)
    return found


def _reachable(graph: dict[str, set[str]], room: str) -> set[str]:
    found: set[str] = set()
    waiting = [*graph[room]]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += graph[one]
    return found


def _direct(graph: dict[str, set[str]], room: str) -> set[str]:
    """Return the imported parts to which no other imported part leads."""
    below = {one for one in graph[room] if room not in _reachable(graph, one)}
    return {one for one in below if not any(one in _reachable(graph, other) for other in below - {one})}


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    (x, y), (to_x, to_y) = (start[0] + WIDTH // 2, start[1] + HEIGHT), (end[0] + WIDTH // 2, end[1])
    return f'<path d="M{x} {y}C{x} {y + GAP_Y} {to_x} {to_y - GAP_Y} {to_x} {to_y}"/>'


def _box(room: str, x: int, y: int) -> str:
    text = f'<text x="{x + WIDTH // 2}" y="{y + 22}" text-anchor="middle">{escape(room)}</text>'
    return f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>{text}'


if __name__ == "__main__":
    TARGET.write_text(draw(rooms()), encoding="utf-8")
    print("\n".join(" | ".join("+".join(group) for group in level) for level in levels(rooms())))
