"""A small HTTP API on loopback that answers as a cluster's does, for kubectl."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.loopback import answering

Answer = Callable[[dict[str, str]], Any]
"""What an address gives for its query: a document, or a text; None where there is nothing."""


class Api:
    """Addresses and what they give.

    Attributes:
        get: answers by path.
        deleted: paths and queries of DELETE, in order.
        on_delete: called after one.
        address: ``http://127.0.0.1:PORT`` while it runs.
    """

    def __init__(self) -> None:
        self.get: dict[str, Answer] = {}
        self.deleted: list[tuple[str, dict[str, str]]] = []
        self.on_delete: Callable[[], None] = lambda: None
        self.address = ""

    def kubeconfig(self, directory: Path) -> Path:
        """A file that leads kubectl here."""
        path = directory / "kubeconfig"
        cluster = {"name": "test", "cluster": {"server": self.address}}
        context = {"name": "test", "context": {"cluster": "test", "user": "test"}}
        users = [{"name": "test", "user": {}}]
        document = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context], "users": users}
        path.write_text(json.dumps({**document, "current-context": "test"}))
        return path


@contextmanager
def running(api: Api) -> Iterator[Api]:
    """The API while it answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            answer = api.get.get(parts.path)
            found = answer(dict(parse_qsl(parts.query))) if answer else None
            if found is None:
                self._send(404, {"kind": "Status", "status": "Failure", "message": "not found", "code": 404})
            else:
                self._send(200, found)

        def do_DELETE(self) -> None:
            parts = urlsplit(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            api.deleted.append((parts.path, dict(parse_qsl(parts.query))))
            api.on_delete()
            self._send(200, {"kind": "Status", "status": "Success"})

        def _send(self, status: int, content: Any) -> None:
            body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with answering(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        api.address = f"http://127.0.0.1:{server.server_port}"
        yield api
