"""However a request past ASGI ends, nothing of it is left."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from serving.http.connection import Protocol
from serving.http.direct import Exchange
from serving.operations.request_ids import REQUEST_ID
from tests.serving.test_serving_codec import request
from tests.serving.test_serving_deadlines import connection
from tests.serving.test_serving_direct import answer, written
from tests.serving.test_serving_presence import INFER_GONE, Gate, gate_runs

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
def gates() -> Iterator[list[Gate]]:
    """Gates that are opened in the end, so that no thread is left waiting."""
    made: list[Gate] = []
    yield made
    for gate in made:
        gate.open()


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


def test_nothing_is_left_of_a_client_that_went_away(running: Any, protocols: list[Protocol], gates: list[Gate]) -> None:
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
    assert sum(isinstance(protocol.cycle, Exchange) for protocol in protocols) == 5
    assert not [task for task in protocols[0].tasks if not isinstance(task, asyncio.Task)]


def test_every_line_of_the_log_names_its_request(
    serving: Any,
    make_bundle: Any,
    gates: list[Gate],
    monkeypatch: pytest.MonkeyPatch,
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
    running: Any,
    protocols: list[Protocol],
    gates: list[Gate],
    way: str,
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
        running.wait_until(lambda: protocols[-1].transport.is_closing(), 0.8)  # not as one that is idle
        assert client.recv(1) == b""


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
    running: Any,
    monkeypatch: pytest.MonkeyPatch,
    gates: list[Gate],
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


@pytest.mark.parametrize("twice", [False, True], ids=["direct", "long"])
def test_zeros_before_a_length_are_no_error(running: Any, twice: bool) -> None:
    """Python reads no number of more than 4300 digits."""
    fields = b"X-Twice: 1\r\nx-twice: 2\r\n" if twice else b""
    content = written(PATH, request()).replace(b"Content-Length: ", fields + b"Content-Length: " + b"0" * 5000)
    with connection(running) as client:
        client.sendall(content)
        assert answer(client)[0] == 200


def test_a_request_that_has_begun_is_no_idle_connection(running: Any, protocols: list[Protocol]) -> None:
    content = written(PATH, request())
    with connection(running) as client:
        client.sendall(content + content[:20])
        assert answer(client)[0] == 200
        time.sleep(1.5)  # keep_alive_seconds is 1, receive_seconds more
        client.sendall(content[20:])
        assert answer(client)[0] == 200
        assert client.recv(1) == b""


def test_who_is_late_is_told_and_leaves_nothing(serving: Any, make_bundle: Any, gates: list[Gate]) -> None:
    with serving(bundles={"m": make_bundle()}, timeout_seconds=0.2) as running:
        gate = gate_runs(running, gates)
        with connection(running) as client:
            client.sendall(written(PATH, request()))
            status, headers, body = answer(client)
            assert (status, headers["x-request-id"], set(json.loads(body))) == (504, "mine", {"error"})
            assert in_hand(running) == (0, 0, 0, 0)
            gate.open()
            client.sendall(written(PATH, request()))  # the connection goes on
            assert answer(client)[0] == 200


def test_a_canary_has_its_share_of_both_ways(serving: Any, registry: Any, make_bundle: Any) -> None:
    """What begins past ASGI and ends on the long way is counted once."""
    registry.move("m", "1", make_bundle())
    registry.move("m", "2", make_bundle(seed=1), alias="challenger")
    plain, long = written(PATH, request()), written(PATH, request(), X_Twice="1", x_twice="2")
    wrong = written(PATH, b'{"inputs": []}')
    with serving(registry=registry, canary_share=0.25) as running, connection(running) as client:
        running.wait_until(lambda: len(running.catalog.slots["m"].served) == 2)
        versions = []
        for content in (plain, wrong, long, plain, plain, wrong, wrong, long) * 5:
            client.sendall(content)
            versions.append(answer(client)[1]["ganvas-model-version"])
    assert all(versions[at : at + 4].count("2") == 1 for at in range(len(versions) - 3))
