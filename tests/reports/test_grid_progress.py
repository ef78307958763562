from __future__ import annotations

import io
import json
import time
from typing import TYPE_CHECKING

from rich.console import Console

from pytest_hfmodels.reports.grid_progress import GridProgress, counted

if TYPE_CHECKING:
    from pathlib import Path


def test_without_a_terminal_each_step_is_a_line() -> None:
    file = io.StringIO()
    with GridProgress(Console(file=file, width=20)) as progress:
        progress.begins("transformers==4.57.6", "testing")
        progress.ends("transformers==4.57.6", "4 same [4 in all] (3 s)")

    assert file.getvalue() == "transformers==4.57.6: testing\ntransformers==4.57.6: 4 same [4 in all] (3 s)\n"


def test_on_a_terminal_tests_are_counted_while_they_run(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    file = io.StringIO()
    with GridProgress(Console(file=file, width=100, force_terminal=True, highlight=False)) as progress:
        progress.begins("lib==1.0", "preparing")
        progress.begins("lib==1.0", "testing", events)
        events.write_text('{"collected": ["a", "b", "c"]}\n{"began": "a"}\n')
        time.sleep(1)
        progress.ends("lib==1.0", "3 same")

    assert "1/3" in file.getvalue()
    assert "lib==1.0: 3 same" in file.getvalue()


def test_half_a_line_a_missing_file_and_a_test_that_began_twice_do_not_confuse_the_count(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    assert counted(events) == (0, 0)

    lines = [{"collected": ["a", "b"]}, {"began": "a"}, {"began": "a"}]
    events.write_text("\n".join(map(json.dumps, lines)) + '\n{"beg')
    assert counted(events) == (1, 2)
