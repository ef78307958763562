from __future__ import annotations

import threading
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_hfmodels.commands.cli import main
from pytest_hfmodels.commands.report import server
from pytest_hfmodels.results.model import dump

from ..reports import example_results as examples


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_json_report_is_summed_up(capsys: pytest.CaptureFixture[str]) -> None:
    Path("report.json").write_text(dump(examples.one_of_each()), encoding="utf-8")

    assert main(["report", "report.json"]) == 0

    assert capsys.readouterr().out.startswith("transformers 4.57.6 → 5.0.0: 3 outputs changed")


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"stopped": "Interrupted"}, "The run was stopped early: Interrupted."), ({"exit_status": 4}, "exit code 4.")],
)
def test_a_run_that_did_not_end_says_so(capsys: pytest.CaptureFixture[str], changes: dict[str, Any], said: str) -> None:
    results = examples.one_of_each()
    results = replace(results, run=replace(results.run, **changes))
    Path("report.json").write_text(dump(results), encoding="utf-8")

    assert main(["report", "report.json"]) == 0
    assert capsys.readouterr().out.strip().endswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"format": 3, "run": {}, "tests": []}', "format 3; this release reads"),
        ('{"rows": []}', "Show it: hfmodels merge report.json"),
        ("{", ""),
    ],
)
def test_a_file_that_is_not_a_report_of_this_release_is_refused(
    text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("report.json").write_text(text, encoding="utf-8")

    assert main(["report", "report.json"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("hfmodels: report.json ")
    assert said in error


def test_a_page_is_opened_as_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def opening(address: str) -> bool:
        opened.append(address)
        return True

    monkeypatch.setattr("webbrowser.open", opening)
    Path("report.html").write_text("<p>", encoding="utf-8")

    assert main(["report", "--open"]) == 0

    assert opened == [Path("report.html").absolute().as_uri()]


def test_a_report_that_is_not_there_says_how_to_write_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report"]) == 2

    assert "pytest --hfmodels-html report.html" in capsys.readouterr().err


def test_a_page_is_served_to_this_machine_and_to_no_other_name() -> None:
    with server(b"<p>page") as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        host, port = serving.server_address[:2]
        address = f"http://{host!s}:{port}"

        with urllib.request.urlopen(f"{address}/") as answer:
            assert answer.read() == b"<p>page"
        for path, name, code in (("/etc/passwd", f"127.0.0.1:{port}", 404), ("/", "evil.example", 403)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(urllib.request.Request(address + path, headers={"Host": name}))
            refused.value.close()
            assert refused.value.code == code
        serving.shutdown()

    assert host == "127.0.0.1"
