"""The token, the count of connections, and what a server under load still answers."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import UsageError
from serving.operations import token as token_module
from serving.operations.token import Token

HEALTH = ("/v2/health/live", "/v2/health/ready")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "token"
    found.write_text("first\nsecond\n")
    return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the clock says."""
    now = [1000.0]
    monkeypatch.setattr(token_module, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("value", [b"Bearer first", b"bearer second", b"BEARER  first"])
def test_every_token_of_the_file_is_accepted(path: Path, value: bytes) -> None:
    assert Token(path).accepts(value)


@given(st.binary(max_size=30))
def test_nothing_else_is(tmp_path_factory: pytest.TempPathFactory, value: bytes) -> None:
    path = tmp_path_factory.mktemp("t") / "token"
    path.write_text("a-long-token-that-nobody-guesses")
    token = Token(path)
    assert not token.accepts(value)
    assert not token.accepts(b"Bearer " + value)
    assert not token.accepts(None)


def test_the_file_is_read_again_when_it_changes(path: Path, clock: list[float]) -> None:
    token = Token(path)
    path.write_text("third, longer\n")
    assert token.accepts(b"Bearer first"), "it is not looked at twice a second"
    clock[0] += 2
    assert not token.accepts(b"Bearer first")
    assert token.accepts(b"Bearer third, longer")


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_text(" \n")], ids=["gone", "empty"])
def test_a_file_that_says_nothing_changes_nothing(path: Path, clock: list[float], change: Any) -> None:
    token = Token(path)
    change(path)
    clock[0] += 2
    assert token.accepts(b"Bearer first")
    assert not token.accepts(b"Bearer ")
    replaced = path.with_name("new")
    replaced.write_text("fourth")
    replaced.replace(path)
    clock[0] += 2
    assert token.accepts(b"Bearer fourth")
    assert not token.accepts(b"Bearer first")


@pytest.mark.parametrize("content", [None, "", "\n \n"])
def test_a_server_without_its_token_does_not_start(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match="auth_token_file"):
        Token(path)


def test_all_routes_but_health_want_the_token(serving: Any, make_bundle: Any, path: Path) -> None:
    right = {"authorization": "Bearer first"}
    with serving(bundles={"m": make_bundle()}, auth_token_file=path) as running:
        get = running.client.get
        for route in HEALTH:
            assert get(route).status_code == 200
        for route in ("/", "/v2", "/metrics", "/v2/models/m/ready", "/v1/models/m/images", "/nothing"):
            for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic first"}):
                answer = get(route, headers=headers)
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
                assert set(answer.json()) == {"error"}
                assert "x-request-id" in answer.headers
            assert get(route, headers=right).status_code == (404 if route == "/nothing" else 200)
        refused = get("/metrics", headers=right).text
        assert 'ganvas_serve_refused_total{reason="unauthorized"} 18.0' in refused


def test_a_wrong_token_costs_no_body(serving: Any, make_bundle: Any, path: Path) -> None:
    with serving(bundles={"m": make_bundle()}, auth_token_file=path) as running:
        url = running.client.base_url
        with socket.create_connection((url.host, url.port), timeout=10) as client:
            client.sendall(b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
            assert client.recv(1 << 12).startswith(b"HTTP/1.1 401")


def test_connections_beyond_the_limit_are_told_to_come_back(serving: Any, make_bundle: Any) -> None:
    with serving(bundles={"m": make_bundle()}, max_connections=3) as running, ExitStack() as stack:
        url = running.client.base_url

        def connect() -> socket.socket:
            return stack.enter_context(socket.create_connection((url.host, url.port), timeout=10))

        def ask(client: socket.socket, path: str) -> bytes:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            return client.recv(1 << 16)

        served = [connect() for _ in range(3)]
        for client in served:
            assert ask(client, "/v2").startswith(b"HTTP/1.1 200")
        surplus = connect()
        answer = ask(surplus, "/v2")
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in answer and b"connection: close" in answer and b'{"error":' in answer
        assert surplus.recv(1) == b""
        for path in HEALTH:
            assert ask(connect(), path).startswith(b"HTTP/1.1 200"), "who asks whether it lives must hear it"
        for client in served:
            assert ask(client, "/v2").startswith(b"HTTP/1.1 200"), "those that are served go on"
        for client in served:
            client.close()
        running.wait_until(lambda: ask(connect(), "/v2").startswith(b"HTTP/1.1 200"))
        refused = running.app.context.metrics.exposition().decode()
        assert 'ganvas_serve_refused_total{reason="overloaded"}' in refused


def test_a_crowd_that_asks_nothing_is_not_kept(serving: Any, make_bundle: Any) -> None:
    with serving(bundles={"m": make_bundle()}, max_connections=2) as running, ExitStack() as stack:
        url = running.client.base_url
        crowd = [stack.enter_context(socket.create_connection((url.host, url.port), timeout=10)) for _ in range(8)]
        for client in crowd[4:]:  # beyond twice the limit nobody is heard
            with suppress(ConnectionError):
                assert client.recv(1) == b""
        for client in crowd[2:4]:  # within it they have a second
            assert client.recv(1) == b""


def test_an_answer_that_has_begun_is_not_cut_by_the_deadline(serving: Any, make_bundle: Any) -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        import asyncio

        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.4)
        await send({"type": "http.response.body", "body": b"late"})

    with serving(bundles={"m": make_bundle()}, timeout_seconds=0.1) as running:
        inner = running.app._app
        running.app._app = slow
        try:
            assert running.client.get("/v2").content == b"late"
        finally:
            running.app._app = inner
