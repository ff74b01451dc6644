"""Every wait has an end: for a head, a body, a reader, and for whoever does not come back."""

from __future__ import annotations

import asyncio
import json
import socket
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from starlette.requests import Request

from serving.http.body import Bodies

DATA = {"name": "latent", "datatype": "FP32", "shape": [1, 6], "data": [0.0] * 6}
BODY = json.dumps({"inputs": [DATA]}).encode()


@contextmanager
def connection(running: Any) -> Iterator[socket.socket]:
    """A socket to the server, for what no client library would send."""
    url = running.client.base_url
    with socket.create_connection((url.host, url.port), timeout=10) as found:
        yield found


def head(path: str, length: int) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


def received(client: socket.socket) -> bytes:
    """All that comes until the server closes."""
    parts = []
    while part := client.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def trickle(client: socket.socket, part: bytes) -> None:
    """Send a little again and again; the server must end that."""
    with pytest.raises(OSError, match=r"reset|Broken pipe"):
        send_for(client, part, 8.0)


def send_for(client: socket.socket, part: bytes, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        client.sendall(part)
        time.sleep(0.02)


@pytest.fixture
def hurried(serving: Any, make_bundle: Any) -> Iterator[Any]:
    """A server that waits half a second."""
    with serving(bundles={"m": make_bundle()}, receive_seconds=0.5, send_seconds=0.5) as running:
        yield running


def test_a_body_that_stands_still_gets_a_408_and_the_connection_ends(hurried: Any) -> None:
    with connection(hurried) as client:
        client.sendall(head("/v2/models/m/infer", 1000) + BODY)
        answer = received(client)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in answer
    assert set(json.loads(answer.partition(b"\r\n\r\n")[2])) == {"error"}


def test_a_trickled_body_is_closed_at_its_deadline(hurried: Any) -> None:
    with connection(hurried) as client:
        client.sendall(head("/v2/models/m/infer", 100_000))
        trickle(client, b" ")


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nX: "], ids=["silent", "begun"])
def test_a_head_that_does_not_come_ends_the_connection(hurried: Any, start: bytes) -> None:
    with connection(hurried) as client:
        client.sendall(start)
        assert received(client) == b""


def test_a_head_is_not_prolonged_by_trickling(hurried: Any) -> None:
    with connection(hurried) as client:
        client.sendall(b"GET / HTTP/1.1\r\nX: ")
        trickle(client, b"x")


def test_blank_lines_keep_no_connection(hurried: Any) -> None:
    with connection(hurried) as client:
        client.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        trickle(client, b"\r\n")


def test_the_body_of_an_answered_request_is_not_waited_for_longer(hurried: Any) -> None:
    with connection(hurried) as client:
        client.sendall(head("/v2/models/unknown/infer", 100_000))
        assert client.recv(100).startswith(b"HTTP/1.1 404")
        trickle(client, b" ")


def test_a_client_that_does_not_read_is_let_go(hurried: Any) -> None:
    with connection(hurried) as client:
        trickle(client, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 100)


def test_a_client_that_reads_slowly_is_not(hurried: Any) -> None:
    with connection(hurried) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        # A kernel says that there is room only when a third of its buffer, which may have 4 MiB, is free: who takes
        # less than that in the half second looks like a client that does not read.
        count = 450
        client.sendall(b"GET /page.js HTTP/1.1\r\nHost: x\r\n\r\n" * count + b"GET /page.js HTTP/1.0\r\n\r\n")
        started, answers = time.monotonic(), b""
        while part := client.recv(1 << 17):
            answers += part
            time.sleep(0.02)
    assert answers.count(b"HTTP/1.1 200") == count + 1
    assert time.monotonic() - started > 1.0, "longer than the deadline"


def test_what_is_no_http_gets_an_error_like_any_other(hurried: Any) -> None:
    for line in (b"nonsense\r\n\r\n", b"GET \xff\xff HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /\x00 HTTP/1.1\r\n\r\n"):
        with connection(hurried) as client:
            client.sendall(line)
            status, _, content = received(client).partition(b"\r\n\r\n")
        assert status.startswith(b"HTTP/1.1 400")
        assert set(json.loads(content)) == {"error"}


@pytest.mark.parametrize(
    "start",
    [
        b"GET / HTTP/1.1\r\nX: ",
        b"GET /",
        head("/v2/models/m/infer", 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"0\r\nX: ",
    ],
    ids=["field", "address", "trailer"],
)
def test_a_head_has_a_limit(serving: Any, make_bundle: Any, start: bytes) -> None:
    with serving(bundles={"m": make_bundle()}) as running, connection(running) as client:
        client.sendall(start)
        sent = 0
        answer = b""
        with suppress(ConnectionError):  # it closes while we still send
            while sent < 10 << 20:
                client.sendall(b"x" * (1 << 16))
                sent += 1 << 16
                time.sleep(0.01)
        with suppress(ConnectionError):
            answer = received(client)
        assert sent < 4 << 20
        assert b" 431 " in answer or not answer, "an answer may be lost when both sides write"
        assert running.client.get("/v2/health/live").status_code == 200


def test_fields_may_be_large_and_bodies_larger(gan: Any) -> None:
    headers = {"x": "y" * 60_000}
    for body in (BODY, BODY + b" " * 150_000):
        assert gan.client.post("/v2/models/m/infer", content=body, headers=headers).status_code == 200


def test_requests_that_come_before_their_turn_have_a_limit(serving: Any, make_bundle: Any) -> None:
    with serving(bundles={"m": make_bundle()}) as running, connection(running) as client:
        trickle(client, b"GET /v1/models/m/images HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)


def test_a_body_on_its_way_holds_no_version(serving: Any, registry: Any, make_bundle: Any) -> None:
    registry.move("m", "1", make_bundle())
    with serving(registry=registry) as running, connection(running) as client:
        running.wait_until(lambda: running.catalog.slots["m"].current is not None)
        old, closed = running.catalog.slots["m"].current, []
        old.predictor.close = lambda: closed.append(old.version)
        start = head("/v2/models/m/infer", len(BODY)).replace(b"Host", b"Connection: close\r\nHost")
        client.sendall(start + BODY[:10])
        time.sleep(0.1)
        registry.move("m", "2", make_bundle(seed=1))
        running.wait_until(lambda: closed == ["1"])
        client.sendall(BODY[10:])
        answer = received(client)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"ganvas-model-version: 2\r\n") == 1
    assert b'"model_version":"2"' in answer


def test_bodies_on_their_way_share_a_limit(serving: Any, make_bundle: Any) -> None:
    limits = {"max_body_bytes": 50_000, "max_bodies_bytes": 60_000}
    with serving(bundles={"m": make_bundle()}, **limits) as running:
        post = running.client.post
        with connection(running) as client:
            client.sendall(head("/v2/models/m/infer", 50_000) + b" " * 49_000)
            running.wait_until(lambda: post("/v2/models/m/infer", content=b" " * 20_000).status_code == 503)
            refused = post("/v2/models/m/infer", content=b" " * 20_000)
            assert refused.headers["retry-after"] == "1"
            assert post("/v2/models/m/infer", content=BODY).status_code == 200
        running.wait_until(lambda: post("/v2/models/m/infer", content=b" " * 20_000).status_code == 400)


def test_small_chunks_weigh_no_more_than_the_body() -> None:
    chunks = iter(range(200_000, -1, -1))

    async def receive() -> dict[str, Any]:
        left = next(chunks)
        return {"type": "http.request", "body": left.to_bytes(3, "big"), "more_body": left > 0}

    async def scenario() -> int:
        request = Request({"type": "http", "method": "POST", "headers": []}, receive)
        tracemalloc.start()
        try:
            async with Bodies(limit=1 << 20, total=1 << 20, seconds=60).read(request) as body:
                assert len(body) == 600_003
                return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert asyncio.run(scenario()) < 2 << 20
