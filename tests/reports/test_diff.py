from __future__ import annotations

import time

import pytest

from pytest_hfmodels.reports.diff import hunks


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ("a\nb\n", "a\nb\n", []),
        ("", "a\n", ["@@ -0,0 +1 @@", "+a"]),
        ("a\n", "", ["@@ -1 +0,0 @@", "-a"]),
        ("a\nb\n", "a\nc\n", ["@@ -1,2 +1,2 @@", " a", "-b", "+c"]),
        ("a", "a\n", ["@@ -1 +1 @@", "-a", "\\ No newline at end of file", "+a"]),
        ("a\x85b\u2028c\r\n", "a\x85b\u2028d\r\n", ["@@ -1 +1 @@", "-a\x85b\u2028c\r", "+a\x85b\u2028d\r"]),
    ],
)
def test_hunks_are_what_diff_would_say(before: str, after: str, lines: list[str]) -> None:
    assert list(hunks(before, after)) == lines


def test_three_lines_stand_around_a_change_and_far_ones_apart() -> None:
    before = [f"{number}\n" for number in range(30)]
    after = [*before]
    after[5], after[25] = "x\n", "y\n"

    assert [line for line in hunks("".join(before), "".join(after)) if line[0] in "@+-"] == [
        *("@@ -3,7 +3,7 @@", "-5", "+x"),
        *("@@ -23,7 +23,7 @@", "-25", "+y"),
    ]


def test_a_quarter_of_a_million_lines_are_compared_in_seconds() -> None:
    before = [f"row {number}\n" for number in range(250_000)]
    after = [line if number % 2 else f"now {line}" for number, line in enumerate(before)]

    begin = time.process_time()
    found = list(hunks("".join(before), "".join(after)))

    assert time.process_time() - begin < 10
    assert sum(line.startswith("+now") for line in found) == 125_000
