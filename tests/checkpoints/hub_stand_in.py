"""A Hub on loopback: enough of its API for the real huggingface_hub client, with faults to order.

For `test_hub` and whoever tests a download.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    _Send = Callable[[str, str, Mapping[str, bytes]], None]


class HubStandIn(ThreadingHTTPServer):
    """Serves repos from memory; `requests` lists what was asked, as `METHOD /path`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[tuple[str, str], Mapping[str, bytes]] = {}
        self.requests: list[str] = []
        self.cut_files: set[str] = set()
        self.gated_repos: set[str] = set()
        self.answer_after = 0.0
        self.answers = sys.maxsize
        self.answer_status: int | None = None
        self.stopped = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def publish(self, repo_id: str, commit: str, files: Mapping[str, bytes]) -> None:
        self.repos[repo_id, commit] = files

    @contextmanager
    def running(self) -> Iterator[HubStandIn]:
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.stop()
            thread.join()

    def stop(self) -> None:
        self.stopped = True
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing when a client went away: the tests order that."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubStandIn

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Keep the test's output clean."""

    def _answer(self) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        self.server.requests.append(f"{self.command} /{'/'.join(parts)}")
        gone = len(self.server.requests) > self.server.answers
        if gone or self.server.stopped:  # on a connection that was kept open, too
            self.close_connection = True
            return
        # Not time.sleep: tests take the client's away.
        threading.Event().wait(self.server.answer_after)
        if self.server.answer_status is not None:
            self._send(self.server.answer_status, b"{}")
            return
        match parts:
            case ["api", "models", org, name, "revision", commit]:
                self._with_repo(f"{org}/{name}", commit, self._send_info)
            case ["api", "models", org, name, "tree", commit]:
                self._with_repo(f"{org}/{name}", commit, self._send_tree)
            case [org, name, "resolve", commit, *path]:
                self._with_repo(f"{org}/{name}", commit, partial(self._send_file, "/".join(path)))
            case _:
                self._send(404, b"{}")

    def _with_repo(self, repo_id: str, commit: str, send: _Send) -> None:
        if all(repo_id != known for known, _ in self.server.repos):
            self._refuse(404, "RepoNotFound")
        elif (repo_id, commit) not in self.server.repos:
            self._refuse(404, "RevisionNotFound")
        else:
            send(repo_id, commit, self.server.repos[repo_id, commit])

    def _send_info(self, repo_id: str, commit: str, files: Mapping[str, bytes]) -> None:
        siblings = [{"rfilename": name} for name in files]
        info = {"_id": "0", "id": repo_id, "modelId": repo_id, "sha": commit, "siblings": siblings, "tags": []}
        self._send(200, json.dumps(info).encode())

    def _send_tree(self, _repo_id: str, _commit: str, files: Mapping[str, bytes]) -> None:
        tree = [
            {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            for name, content in files.items()
        ]
        self._send(200, json.dumps(tree).encode())

    def _send_file(self, path: str, repo_id: str, commit: str, files: Mapping[str, bytes]) -> None:
        if repo_id in self.server.gated_repos:
            self._refuse(403, "GatedRepo")
            return
        if path not in files:
            self._refuse(404, "EntryNotFound")
            return
        content = files[path]
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": commit,
            "X-Linked-Size": str(len(content)),
            "Accept-Ranges": "bytes",
        }
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        # A client that resumes gets no further either, until the test lifts the cut.
        sent = len(content) // 2 if path in self.server.cut_files else len(content)
        self._send(206 if start else 200, content[start:], headers, sent=max(0, sent - start))

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def _send(
        self, status: int, body: bytes, headers: Mapping[str, str] | None = None, *, sent: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[:sent])
        self.close_connection = self.close_connection or (sent is not None and sent < len(body))
