"""Connections that wait are all taken in a turn or two of the event loop, and none after the end."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
import uvloop

from serving.catalog import Catalog
from serving.http.acceptor import Acceptor
from serving.http.app import create_app
from serving.http.server import _Server, bind, configuration
from serving.metrics import Metrics
from serving.settings import Settings


class Counted(asyncio.Protocol):
    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        type(self).made += 1
        transport.close()


def test_a_crowd_is_taken_in_a_few_turns_of_the_loop() -> None:
    Counted.made = 0
    count = 100

    async def scenario() -> None:
        listener = bind("127.0.0.1", 0)
        address = listener.getsockname()
        acceptor = Acceptor(listener, Counted)
        assert acceptor.sockets == (listener,)
        clients = [socket.create_connection(address, timeout=10) for _ in range(count)]
        turns = 0
        while Counted.made < count:
            await asyncio.sleep(0)
            turns += 1
            assert turns < count // 2, f"{Counted.made} were taken in {turns} turns"
        acceptor.close()
        await acceptor.wait_closed()
        for client in clients:
            client.close()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(address, timeout=1)

    uvloop.run(scenario())


def test_who_waits_at_the_end_is_taken() -> None:
    """The kernel had told them that they are connected, and they may have asked already."""
    Counted.made = 0

    async def scenario() -> None:
        listener = bind("127.0.0.1", 0)
        acceptor = Acceptor(listener, Counted)
        clients = [socket.create_connection(listener.getsockname(), timeout=10) for _ in range(10)]
        acceptor.close()  # before the loop has had a turn
        acceptor.close()
        await acceptor.wait_closed()
        assert Counted.made == 10
        for client in clients:
            assert client.recv(1) == b"", "closed, not reset"
            client.close()

    uvloop.run(scenario())


def test_who_waits_at_the_end_is_answered() -> None:
    settings = Settings(models=("m",))
    catalog = Catalog(["m"])

    async def scenario() -> None:
        listener = bind("127.0.0.1", 0)
        config = configuration(create_app(catalog, Metrics(), settings), settings)
        config.load()
        server = _Server(config, catalog, 0.0, "", ())
        server.lifespan = config.lifespan_class(config)
        await server.startup([listener])
        clients = [socket.create_connection(listener.getsockname(), timeout=10) for _ in range(10)]
        for client in clients:
            client.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        started = time.monotonic()
        await server.shutdown([listener])  # before the loop has had a turn
        assert time.monotonic() - started < 3, "kept alive, a connection would be waited for"
        for client in clients:
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
            client.close()

    uvloop.run(scenario())


def test_it_rests_while_there_are_no_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    Counted.made = 0
    tries: list[int] = []

    class Exhausted:
        """A listening socket in a process that has no descriptor left, for its first two looks."""

        def __init__(self, listener: socket.socket) -> None:
            self._listener = listener

        def accept(self) -> tuple[socket.socket, object]:
            tries.append(1)
            if len(tries) <= 2:
                raise OSError(24, "Too many open files")
            return self._listener.accept()

        def __getattr__(self, name: str) -> object:
            return getattr(self._listener, name)

    monkeypatch.setattr("serving.http.acceptor._PAUSE_SECONDS", 0.01)

    async def scenario() -> None:
        listener = bind("127.0.0.1", 0)
        acceptor = Acceptor(Exhausted(listener), Counted)  # type: ignore[arg-type]
        client = socket.create_connection(listener.getsockname(), timeout=10)
        for _ in range(500):
            if Counted.made:
                break
            await asyncio.sleep(0.01)
        assert Counted.made == 1
        assert 3 <= len(tries) < 10, "it did not turn in circles"
        client.close()
        acceptor.close()
        await acceptor.wait_closed()

    uvloop.run(scenario())
