"""A proxy on loopback that does to S3 what networks and busy servers do, by a seeded plan."""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.loopback import answering

KINDS = ("500", "503", "reset", "truncated", "slow", "flipped")
CODES = {"500": "InternalError", "503": "SlowDown", "403": "AccessDenied"}


class FaultyProxy(ThreadingHTTPServer):
    """Forwards every request, and spoils some of the answers to GET and HEAD.

    What happens to the n-th attempt of a request depends on the seed, the request and n alone, not on threads; from
    the fourth attempt on nothing does, so that whoever asks again long enough is served.
    """

    daemon_threads = True
    spoiled_attempts = 3

    def __init__(self, upstream: str, seed: int = 0, share: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream.removeprefix("http://")
        self.seed, self.share = seed, share
        self.always: dict[str, str] = {}
        """Paths that are answered with this status for ever."""
        self.faults: Counter[str] = Counter()
        self.requests: list[tuple[str, str]] = []
        self._seen: Counter[tuple[str, ...]] = Counter()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fault(self, method: str, path: str, span: str) -> str:
        """What is done to this attempt; empty for nothing."""
        with self._lock:
            self.requests.append((method, path))
            if path.partition("?")[0] in self.always:
                return self.always[path.partition("?")[0]]
            attempt = self._seen[method, path, span]
            self._seen[method, path, span] += 1
            dice = random.Random(f"{self.seed} {method} {path} {span} {attempt}")
            if method not in ("GET", "HEAD") or attempt >= self.spoiled_attempts or dice.random() >= self.share:
                return ""
            listing = "list-type" in path  # which has no checksum that would betray a flipped byte
            kind = dice.choice([kind for kind in KINDS if not (listing and kind == "flipped")])
            self.faults[kind] += 1
            return kind

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what it is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.fault(self.command, self.path, self.headers.get("Range", ""))
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        if fault in CODES:
            document = f"<?xml version='1.0'?><Error><Code>{CODES[fault]}</Code><Message>m</Message></Error>".encode()
            self._answer(int(fault), [("Content-Type", "application/xml")], document, len(document))
            return
        if fault == "slow":
            time.sleep(0.05)
        status, headers, answer = self._ask(body)
        length = len(answer)
        if self.command == "HEAD":
            length = int(dict(headers).get("Content-Length", 0))
        elif fault == "truncated":
            answer, self.close_connection = answer[: length // 2], True
        elif fault == "flipped" and answer:
            answer = bytes([answer[0] ^ 0xFF]) + answer[1:]
        self._answer(status, [pair for pair in headers if pair[0] != "Content-Length"], answer, length)

    do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = _forward  # noqa: N815

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = http.client.HTTPConnection(self.server.upstream)
        try:
            upstream.request(self.command, self.path, body, {**self.headers, "Connection": "close"})
            answer = upstream.getresponse()
            dropped = ("connection", "server", "date", "transfer-encoding")
            headers = [(name.title(), value) for name, value in answer.getheaders() if name.lower() not in dropped]
            return answer.status, headers, answer.read()
        finally:
            upstream.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, length: int) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Nothing: the test tells."""


@contextmanager
def proxy(upstream: str, seed: int = 0, share: float = 0.0) -> Iterator[FaultyProxy]:
    """A proxy that runs; ``share`` of the first attempts are spoiled."""
    with answering(FaultyProxy(upstream, seed, share)) as server:
        yield server
