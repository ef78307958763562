"""Writes the table of docs/options.md from the options: `python docs/write_options.py`."""

from __future__ import annotations

from pathlib import Path

from pytest_hfmodels.options import OPTIONS

TARGET = Path(__file__).parent / "options.md"
START, END = "<!-- options: python docs/write_options.py -->", "<!-- end -->"


def written(page: str) -> str:
    """Return the page with its table up to date."""
    before, _, rest = page.partition(START)
    return f"{before}{START}\n{table()}\n{END}{rest.partition(END)[2]}"


def table() -> str:
    """Return the table."""
    lines = ["| command line | ini key | default | meaning |", "|---|---|---|---|"]
    for option in OPTIONS:
        typed = "–" if option.value == "" else f"`{option.flag}{f' {option.value}' if option.value else ''}`"
        key = f"`{option.key}`{' (list)' if option.ini == 'args' else ''}" if option.ini else "–"
        lines.append(f"| {typed} | {key} | {option.default} | {option.meaning} |")
    return "\n".join(lines)


if __name__ == "__main__":
    TARGET.write_text(written(TARGET.read_text(encoding="utf-8")), encoding="utf-8")
