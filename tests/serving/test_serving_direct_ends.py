"""However a request past ASGI ends, nothing of it is left."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from serving.http.connection import Protocol
from serving.operations.operations import Operations
from serving.operations.request_ids import REQUEST_ID
from tests.serving.test_serving_codec import request
from tests.serving.test_serving_deadlines import connection, received
from tests.serving.test_serving_direct import answer, through_asgi, written  # noqa: F401
from tests.serving.test_serving_presence import INFER_GONE, Gate, gate_runs, gates  # noqa: F401

PATH = "/v2/models/m/infer"


@pytest.fixture
def protocols(monkeypatch: pytest.MonkeyPatch) -> list[Protocol]:
    """The server's side of the connections that are made, in order."""
    made: list[Protocol] = []
    take = Protocol.connection_made

    def noting(self: Protocol, transport: asyncio.Transport) -> None:
        made.append(self)
        take(self, transport)

    monkeypatch.setattr(Protocol, "connection_made", noting)
    return made


@pytest.fixture
def running(serving: Any, make_bundle: Any) -> Iterator[Any]:
    with serving(bundles={"m": make_bundle()}, keep_alive_seconds=1, send_seconds=0.3) as found:
        yield found


def in_hand(running: Any) -> tuple[int, int, int, int]:
    """Leases, places, deadlines and requests that are counted."""
    return (
        running.catalog.slots["m"].current._leases,
        running.app.context.admission._taken,
        len(running.app.deadlines._running),
        running.app.context.metrics.http.in_flight,
    )


def test_nothing_is_left_of_a_client_that_went_away(
    running: Any, protocols: list[Protocol], gates: list[Gate], through_asgi: list[str]  # noqa: F811
) -> None:
    """uvicorn waits at its end for every request that it knows of."""
    gate = gate_runs(running, gates)
    before = running.metric(INFER_GONE)
    for _ in range(5):
        with connection(running) as client:
            client.sendall(written(PATH, request()))
            running.wait_until(lambda: in_hand(running)[0] > 0)
        running.wait_until(lambda: in_hand(running) == (0, 0, 0, 0))
    gate.open()
    assert running.metric(INFER_GONE) == before + 5
    assert not through_asgi
    asked = protocols[0]
    assert not [task for task in asked.tasks if not isinstance(task, asyncio.Task)]


def test_every_line_of_the_log_names_its_request(
    serving: Any, make_bundle: Any, gates: list[Gate], monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    with serving(bundles={"m": make_bundle()}) as running:
        seen: list[tuple[Any, str]] = []

        def note(route: str, status: Any, seconds: float, **_: Any) -> None:
            seen.append((status, REQUEST_ID.get()))

        monkeypatch.setattr(running.app.operations.access_log, "note", note)
        monkeypatch.setattr(running.app.operations.access_log, "everything", True)
        with connection(running) as client:
            client.sendall(written(PATH, request()))
            assert answer(client)[0] == 200
        gate_runs(running, gates)
        with connection(running) as client:
            client.sendall(written(PATH, request()))
            running.wait_until(lambda: in_hand(running)[0] > 0)
        running.wait_until(lambda: in_hand(running)[0] == 0)
    assert seen == [(200, "mine"), (499, "mine")]


@pytest.mark.parametrize("way", ["draining", "cancelled"])
def test_who_is_told_that_the_connection_closes_sees_it_closed(
    running: Any, protocols: list[Protocol], gates: list[Gate], way: str  # noqa: F811
) -> None:
    """Once, and as soon as the answer is read, not when the server has ended."""
    gate = gate_runs(running, gates)
    with connection(running) as client:
        client.sendall(written(PATH, request()))
        running.wait_until(lambda: gate.calls == 1)
        if way == "draining":
            running.catalog.draining = True
            gate.open()
        else:
            running.loop.call_soon_threadsafe(protocols[-1].cycle.cancel)
        status, headers, _ = answer(client)
        assert (status, headers["connection"]) == (200 if way == "draining" else 503, "close")
        started = time.monotonic()
        assert client.recv(1) == b""
        assert running.loop.time() and time.monotonic() - started < 0.5


def test_a_failure_before_the_run_is_answered_and_logged(
    running: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("no words for clients")

    predictor = running.catalog.slots["m"].current.predictor
    with monkeypatch.context() as changed, connection(running) as client:
        changed.setattr(predictor, "start", fails)
        for _ in range(2):
            client.sendall(written(PATH, request()))
            status, _, body = answer(client)
            assert (status, set(json.loads(body))) == (500, {"error"})
            assert b"no words" not in body
    assert "no words" in caplog.text
    assert in_hand(running) == (0, 0, 0, 0)


def test_what_finds_no_place_is_not_decoded(
    running: Any, monkeypatch: pytest.MonkeyPatch, gates: list[Gate]  # noqa: F811
) -> None:
    decoded: list[bytes] = []
    monkeypatch.setattr("serving.http.direct.decode", lambda body, *_: decoded.append(bytes(body)))
    monkeypatch.setattr("serving.http.routes.model.decode", lambda body, *_: decoded.append(bytes(body)))
    monkeypatch.setattr(running.app.context.admission, "_places", 0)
    with connection(running) as client:
        client.sendall(written(PATH, request()))
        assert answer(client)[0] == 503
    assert not decoded


def test_a_server_that_stops_waits_for_the_body_of_a_head(
    running: Any, protocols: list[Protocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.http.connection._SHORT_SECONDS", 60.0)
    content = written(PATH, request())
    with connection(running) as client:
        client.sendall(content[:-1])
        running.wait_until(lambda: bool(protocols) and protocols[-1]._target is not None)
        running.loop.call_soon_threadsafe(protocols[-1].shutdown)
        time.sleep(0.05)
        client.sendall(content[-1:])
        status, headers, _ = answer(client)
        assert (status, headers["connection"]) == (200, "close")


@pytest.mark.parametrize("way", ["silent", "half-closed", "connection: close"])
def test_who_does_not_read_what_is_written_last_is_let_go(
    serving: Any, make_bundle: Any, protocols: list[Protocol], way: str
) -> None:
    """A transport that is closed waits for its reader without an end."""
    with serving(bundles={"m": make_bundle()}, keep_alive_seconds=1, send_seconds=0.3) as running:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
        url = running.client.base_url
        with client:
            client.connect((url.host, url.port))
            asked = b"GET /page.js HTTP/1.1\r\nHost: x\r\n\r\n"
            unsent = 0
            running.wait_until(lambda: bool(protocols))
            protocol = protocols[-1]
            protocol.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 12)
            while not unsent:
                client.sendall(asked)
                time.sleep(0.02)
                unsent = protocol.transport.get_write_buffer_size()
            assert not protocol.flow.write_paused
            if way == "half-closed":
                client.shutdown(socket.SHUT_WR)
            elif way == "connection: close":
                client.sendall(asked.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            running.wait_until(lambda: protocol not in protocol.connections, 4.0)
