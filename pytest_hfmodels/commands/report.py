"""`hfmodels report`: prints the summary of a run's report, or opens its page."""

from __future__ import annotations

import webbrowser
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.control_chars import visible
from pytest_hfmodels.foundation.errors import OptionError
from pytest_hfmodels.foundation.files import read_bytes

if TYPE_CHECKING:
    import argparse

    from pytest_hfmodels.commands import Commands
    from pytest_hfmodels.results.model import Results

_MOST = 512 << 20  # bytes
_PAGE = "report.html"


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "report",
        help="show the report of a run",
        description="Print the summary of a JSON report, or open a page. Without a browser, the page is served "
        "on this machine's loopback address until Ctrl-C.",
    )
    parser.add_argument("file", nargs="?", type=Path, default=Path(_PAGE), help=f"the report (default: {_PAGE})")
    parser.add_argument("--open", action="store_true", help="open it in a browser")
    parser.set_defaults(run=report)


def report(options: argparse.Namespace) -> int:
    """Return 0; a report that cannot be read is an error.

    Raises:
        OptionError: it cannot be read.
    """
    file: Path = options.file
    content = _content(file)
    results = _results(content, file) if file.suffix == ".json" else None
    if not options.open:
        print(visible(_summary(results) if results is not None else f"{file.absolute().as_uri()}; open it: --open"))
        return 0
    if results is None and webbrowser.open(file.absolute().as_uri()):
        return 0
    from pytest_hfmodels.reports.html import render

    page = content if results is None else render(results).encode("utf-8", "backslashreplace")
    with server(page) as serving:
        address = f"http://127.0.0.1:{serving.server_port}/"
        print(f"{address} shows {file}; Ctrl-C stops it", flush=True)
        webbrowser.open(address)
        serving.serve_forever()
    return 0


def server(page: bytes) -> ThreadingHTTPServer:
    """Return a server of one page on the loopback address, at a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hosts = {f"{name}:{serving.server_port}" for name in ("127.0.0.1", "localhost")}
            if self.headers.get("Host") not in hosts:  # a web site that has its own name lead here
                self.send_error(HTTPStatus.FORBIDDEN)
                return
            if self.path != "/":
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    return serving


def _content(file: Path) -> bytes:
    try:
        return read_bytes(file, largest=_MOST)
    except OSError as error:
        raise OptionError(
            f"{file} cannot be read: {error.strerror or error}.",
            hint=f"Name a report, or write one: pytest --hfmodels-html {_PAGE}",
        ) from error


def _results(content: bytes, file: Path) -> Results:
    from pytest_hfmodels.results.model import read_results

    return read_results(content, str(file))


def _summary(results: Results) -> str:
    from pytest_hfmodels.reports.summary import Summary
    from pytest_hfmodels.reports.summary_lines import summary_lines

    summary, run = Summary(results.tests, results.run), results.run
    shown = "\n".join(summary_lines(summary)) or summary.headline
    if run.stopped:
        return f"{shown}\nThe run was stopped early: {run.stopped}."
    return shown if run.exit_status in (0, 1) else f"{shown}\npytest ended with exit code {run.exit_status}."
